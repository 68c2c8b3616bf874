"""Appending to the rules log: one partition, acknowledged by all replicas, in order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from udfs.rulebook import ACTIVATION_MS

ACTIVATION_DELAY: Final = timedelta(milliseconds=ACTIVATION_MS)
"""A record takes effect so long after its append time."""

_HEADERS: Final[list[tuple[str, str | bytes | None]]] = [("v", b"1")]


class RulesLogUnavailable(Exception):
    """Kafka did not acknowledge a record; whether it has it is not known."""


@dataclass(frozen=True, slots=True)
class Appended:
    """Where and when the broker put a record."""

    offset: int
    append_at: datetime


class RulesLog(Protocol):
    """What publishing needs of Kafka."""

    def append(self, record: bytes) -> Appended:
        """Append one record and wait for the acknowledgement. Raises RulesLogUnavailable."""


class KafkaRulesLog:
    """The rules log on Kafka. `append` blocks: call it off the event loop, one call at a time.

    A record that was not acknowledged in time is given up for good before `append` returns, so that
    it cannot turn up behind later ones.
    """

    def __init__(self, bootstrap_servers: str, *, topic: str, timeout_s: float = 4.0) -> None:
        self._topic = topic
        self._timeout_s = timeout_s
        self._config: dict[str, str | int | float | bool] = {
            "bootstrap.servers": bootstrap_servers,
            "client.id": "betrace-api-rules",
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 0,
            "delivery.timeout.ms": int(timeout_s * 1000),
            "request.timeout.ms": int(timeout_s * 1000),
            "reconnect.backoff.max.ms": 1_000,
            "allow.auto.create.topics": False,
            "log_level": 0,
        }
        self._producer: Producer | None = None

    def append(self, record: bytes) -> Appended:
        """Append one record and wait for the acknowledgement. Raises RulesLogUnavailable."""
        producer = self._producer or Producer(self._config)
        self._producer = producer
        outcome: list[tuple[KafkaError | None, Message]] = []
        try:
            producer.produce(
                self._topic,
                record,
                partition=0,
                headers=_HEADERS,
                on_delivery=lambda error, message: outcome.append((error, message)),
            )
            producer.flush(self._timeout_s + 1.0)
        except (KafkaException, BufferError) as error:
            self._discard(producer)
            raise RulesLogUnavailable(str(error)) from error
        if not outcome:
            self._discard(producer)
            raise RulesLogUnavailable("no acknowledgement")
        refusal, message = outcome[0]
        if refusal is not None:
            self._discard(producer)
            raise RulesLogUnavailable(refusal.str())
        return _appended(message)

    def close(self) -> None:
        """Let go of the connection."""
        if self._producer is not None:
            self._discard(self._producer)

    def _discard(self, producer: Producer) -> None:
        """Drop the producer with what it may still hold; the next record gets a new one."""
        producer.purge()
        producer.flush(0)
        self._producer = None


def _appended(message: Message) -> Appended:
    _, append_ms = message.timestamp()
    offset = message.offset()
    if offset is None:
        raise RulesLogUnavailable("the broker gave no offset")
    return Appended(offset, datetime.fromtimestamp(append_ms / 1000, UTC))
