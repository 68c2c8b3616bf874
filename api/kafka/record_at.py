"""Reading one record of Kafka by its place."""

from __future__ import annotations

import time
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

_POLL_S = 0.2


class KafkaSilent(Exception):
    """The broker did not answer in time."""


@dataclass(frozen=True, slots=True)
class PlacedRecord:
    """A record as the broker has it."""

    value: bytes
    headers: dict[str, bytes]


def record_at(
    bootstrap_servers: str, topic: str, *, partition: int, offset: int, timeout_s: float = 10.0
) -> PlacedRecord | None:
    """Return the record at a place, None if the log no longer has it. Raises KafkaSilent."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "betrace-record-at",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "allow.auto.create.topics": False,
            "log_level": 0,
        }
    )
    try:
        place = TopicPartition(topic, partition, offset)
        first, end = consumer.get_watermark_offsets(place, timeout=timeout_s)
        if not first <= offset < end:
            return None
        consumer.assign([place])
        return _poll(consumer, offset, give_up_at=time.monotonic() + timeout_s)
    except KafkaException as error:
        known: KafkaError = error.args[0]
        if known.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION):
            return None
        raise KafkaSilent(str(error)) from error
    finally:
        consumer.close()


def _poll(consumer: Consumer, offset: int, *, give_up_at: float) -> PlacedRecord | None:
    while time.monotonic() < give_up_at:
        message = consumer.poll(_POLL_S)
        if message is None:
            continue
        if message.error() is not None:
            raise KafkaException(message.error())
        value = message.value()
        if message.offset() != offset or not isinstance(value, bytes):
            return None
        return PlacedRecord(value, _headers(message))
    raise KafkaSilent("the record did not come in time")


def _headers(message: Message) -> dict[str, bytes]:
    found = message.headers() or []
    pairs = found.items() if isinstance(found, dict) else found
    return {name: content for name, content in pairs if isinstance(content, bytes)}
