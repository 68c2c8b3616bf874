"""A producer whose every record ends in exactly one answer, and that says whether Kafka answers.

Idempotent, acks=all. Built on librdkafka: it works off the interpreter's lock, and comes back by
itself when a broker was killed (`deploy/decisions` has what was compared).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from confluent_kafka import KafkaError, KafkaException, Message
from confluent_kafka import Producer as RdKafkaProducer

from api.kafka.errors import ErrorLog
from api.kafka.topics import MAX_MESSAGE_BYTES

Done = Callable[["DeliveryFailed | None"], None]
Headers = list[tuple[str, str | bytes | None]]

_REQUEST_TIMEOUT_MS = 5_000
_BATCH_BYTES = 1024 * 1024
_LINGER_MS = 2  # parts of one request are handed over within it and share a produce request
_QUEUE_KBYTES = 1024 * 1024  # far over what callers may have outstanding: theirs is the bound
_POLL_S = 0.2
_SILENT_S = 5.0
"""With records due and none acknowledged for so long, the broker counts as gone."""


class ProducerUnavailable(Exception):
    """The record was not taken; nothing was sent."""


class DeliveryFailed(Exception):
    """The broker did not acknowledge the record in time. It may have it nevertheless."""


class RecordWriter(Protocol):
    """What whoever hands over records needs of a `Producer`."""

    @property
    def healthy(self) -> bool:
        """Whether records are acknowledged."""

    def send(
        self, topic: str, value: bytes, *, partition: int, headers: Headers, done: Done
    ) -> None:
        """Hand one record over; see `Producer.send`."""


class Producer:
    """Writes records to Kafka. All methods may be called from any thread.

    `done` callbacks run in the producer's own thread: they must be short and must not raise.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        client_id: str,
        delivery_timeout_ms: int = 8_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; `start` begins to connect."""
        self._config: dict[str, str | int | bool] = {
            "bootstrap.servers": bootstrap_servers,
            "client.id": client_id,
            "acks": "all",
            "enable.idempotence": True,
            "delivery.timeout.ms": delivery_timeout_ms,
            "request.timeout.ms": min(_REQUEST_TIMEOUT_MS, delivery_timeout_ms),
            "reconnect.backoff.max.ms": 1_000,
            "linger.ms": _LINGER_MS,
            "batch.size": _BATCH_BYTES,
            "message.max.bytes": MAX_MESSAGE_BYTES,
            "queue.buffering.max.kbytes": _QUEUE_KBYTES,
            "queue.buffering.max.messages": 1_000_000,
            "allow.auto.create.topics": False,
            "topic.metadata.refresh.interval.ms": 60_000,
            "log_level": 0,  # what matters comes through the error callback
        }
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._in_flight = 0
        self._acknowledged = False
        self._progress_at = monotonic()  # of the last acknowledgement, or of having been idle
        self._log_error = ErrorLog("producer")
        self._fatal = threading.Event()
        self._stop = threading.Event()
        self._producer = self._connect()
        self._thread = threading.Thread(target=self._serve_callbacks, name="kafka-producer")

    def start(self) -> None:
        """Begin to connect and to deliver answers, in the background."""
        self._thread.start()

    @property
    def healthy(self) -> bool:
        """The broker acknowledged what was settled last, and does so while anything is due."""
        with self._lock:
            silence_s = self._monotonic() - self._progress_at if self._in_flight else 0.0
            return self._acknowledged and silence_s < _SILENT_S

    def send(
        self, topic: str, value: bytes, *, partition: int, headers: Headers, done: Done
    ) -> None:
        """Hand one record over; done(None) follows once all in-sync replicas have it.

        Raises ProducerUnavailable when it is not even queued; then done is not called.
        """
        with self._lock:
            if self._in_flight == 0:
                self._progress_at = self._monotonic()
            self._in_flight += 1
        try:
            self._producer.produce(
                topic,
                value,
                partition=partition,
                headers=headers,
                on_delivery=partial(self._delivered, done),
            )
        except (BufferError, KafkaException) as error:
            self._settle(acknowledged=False)
            raise ProducerUnavailable(str(error)) from error

    def close(self, *, timeout_s: float) -> int:
        """Deliver what is left, for at most timeout_s; return how many records are left undone."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        left = int(self._producer.flush(timeout_s))
        if left:
            self._producer.purge()
            self._producer.flush(1)
        return left

    def _delivered(self, done: Done, error: KafkaError | None, _: Message) -> None:
        self._settle(acknowledged=error is None)
        done(None if error is None else DeliveryFailed(error.str()))

    def _settle(self, *, acknowledged: bool) -> None:
        with self._lock:
            self._in_flight -= 1
            self._acknowledged = acknowledged
            if acknowledged:
                self._progress_at = self._monotonic()

    def _serve_callbacks(self) -> None:
        while not self._stop.is_set():
            self._producer.poll(_POLL_S)
            if self._fatal.is_set():
                self._replace()

    def _connect(self) -> RdKafkaProducer:
        return RdKafkaProducer({**self._config, "error_cb": self._failed})

    def _failed(self, error: KafkaError) -> None:
        self._log_error(error)
        if error.fatal():
            self._fatal.set()

    def _replace(self) -> None:
        """Start anew: after a fatal error of the idempotent producer none of its sends succeed."""
        self._fatal.clear()
        broken, self._producer = self._producer, self._connect()
        broken.purge()
        broken.flush(1)
