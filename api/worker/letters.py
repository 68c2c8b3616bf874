"""Records that can never be stored, on their way to the topic of dead letters."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from zlib import crc32

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from api.worker.folding import Poison
from api.worker.redaction import Letters
from udfs.wire import betrace_pb2 as wire

MAX_CONTENT_BYTES = 16 * 1024
MAX_DETAIL_CHARACTERS = 1_000
_ACKNOWLEDGED_WITHIN_S = 10.0


class LetterBox:
    """Sends dead letters. Connects when the first one comes. Thread-safe."""

    def __init__(self, bootstrap_servers: str, topic: str, redaction: Letters) -> None:
        self._redaction = redaction
        self._servers = bootstrap_servers
        self._topic = topic
        self._lock = threading.Lock()
        self._producer: Producer | None = None

    def send(self, poison: Sequence[Poison]) -> None:
        """Return when the broker has a letter for each. Raises KafkaException if it has not.

        What fails may be sent again: letters about one record are stored once.
        """
        if not poison:
            return
        with self._lock:
            producer = self._connected()
            failures: list[KafkaError] = []

            def delivered(error: KafkaError | None, _: Message) -> None:
                if error is not None:
                    failures.append(error)

            for each in poison:
                letter = letter_about(each)
                self._redaction.redact(letter)
                producer.produce(
                    self._topic,
                    key=_key(each),
                    value=letter.SerializeToString(),
                    headers=[("schema", b"1")],
                    on_delivery=delivered,
                )
            if producer.flush(_ACKNOWLEDGED_WITHIN_S):
                producer.purge()
                producer.flush(1)
            if failures:
                raise KafkaException(failures[0])

    def _connected(self) -> Producer:
        if self._producer is None:
            self._producer = Producer(
                {
                    "bootstrap.servers": self._servers,
                    "client.id": "betrace-worker-letters",
                    "acks": "all",
                    "delivery.timeout.ms": int(_ACKNOWLEDGED_WITHIN_S * 1000),
                    "request.timeout.ms": 5_000,
                    "allow.auto.create.topics": False,
                    "log_level": 0,
                }
            )
        return self._producer


def letter_about(poison: Poison) -> wire.DeadLetter:
    """Return the letter about a record, with at most 16 KiB of its content.

    It names no tenant: what could not be read, or was refused, must not say whose it is.
    """
    record = poison.record
    return wire.DeadLetter(
        source="worker",
        code=poison.code,
        detail=poison.detail[:MAX_DETAIL_CHARACTERS],
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        content=(record.value or b"")[:MAX_CONTENT_BYTES],
    )


def _key(poison: Poison) -> bytes:
    record = poison.record
    return b"%d" % crc32(f"{record.topic}/{record.partition}/{record.offset}".encode())
