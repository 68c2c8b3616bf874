"""Reading stretches of `betrace.spans` again, outside any consumer group."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from api.kafka.topics import POLICY_HEADER
from api.worker.sweep import Range
from udfs.payload import expand_readable

_POLL_S = 0.5
_BATCH = 64
_FETCH_BYTES = 1024 * 1024
"""Per fetch. Small, because what lies behind the end of a range is fetched for nothing; a larger
record still comes whole (KIP-74)."""
_QUEUE_KBYTES = 4 * 1024


class LogUnavailable(Exception):
    """The broker did not give what it should have: try again later."""


class RangeExpired(Exception):
    """The log no longer reaches back to the start of the range."""

    def __init__(self, wanted: Range, *, begins_at: int) -> None:
        """begins_at: the first offset the partition still holds."""
        self.wanted = wanted
        self.begins_at = begins_at
        super().__init__(
            f"partition {wanted.partition} of the spans log now begins at offset {begins_at}, "
            f"and the trace began at offset {wanted.first_offset}"
        )


@dataclass(frozen=True, slots=True)
class SpansRecord:
    """One record of the spans topic: spans of one tenant and one lane.

    is_redacted: `ingest` wrote it, by a policy of the tenant. time_ms: when it was appended.
    """

    partition: int
    offset: int
    tenant: str
    payload: bytes
    is_redacted: bool = False
    time_ms: int = 0


class SpansLog:
    """A reader of the spans topic. Not thread-safe; close it when done."""

    def __init__(self, bootstrap_servers: str, topic: str, *, timeout_s: float = 30.0) -> None:
        """Remember where to read; connects at the first read.

        timeout_s: how long a read waits for records that must be there.
        """
        self._servers = bootstrap_servers
        self._topic = topic
        self._timeout_s = timeout_s
        self._consumer: Consumer | None = None

    def close(self) -> None:
        """Drop the connection; the next read makes a new one."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            consumer.close()

    def read(self, wanted: Range) -> Iterator[SpansRecord]:
        """Yield the records of a range in order, heartbeats left out.

        Raises RangeExpired when the log has lost the start of the range, also while it is read;
        LogUnavailable when the broker does not answer.
        """
        begins_at, ends_before = self.bounds(wanted.partition)
        if begins_at > wanted.first_offset:
            raise RangeExpired(wanted, begins_at=begins_at)
        last_offset = min(wanted.last_offset, ends_before - 1)
        if last_offset < wanted.first_offset:
            return
        consumer = self._connected()
        start = TopicPartition(self._topic, wanted.partition, wanted.first_offset)
        consumer.assign([start])
        try:
            for record in self._records(consumer, wanted):
                if record.offset > last_offset:
                    return
                if record.payload:
                    yield record
                if record.offset == last_offset:
                    return
        finally:
            consumer.unassign()

    def _records(self, consumer: Consumer, wanted: Range) -> Iterator[SpansRecord]:
        """Yield records until the end of the partition."""
        heard_at = time.monotonic()
        while True:
            messages = consumer.consume(_BATCH, _POLL_S)
            if not messages and time.monotonic() - heard_at > self._timeout_s:
                raise LogUnavailable(f"no records of {wanted} within {self._timeout_s} s")
            for message in messages:
                error = message.error()
                if error is None:
                    heard_at = time.monotonic()
                    yield _spans_record(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    if message.partition() == wanted.partition:
                        return  # else the end of one that was read before, told late
                elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                    begins_at, _ = self.bounds(wanted.partition)
                    raise RangeExpired(wanted, begins_at=begins_at)
                elif error.fatal() or not error.retriable():
                    raise LogUnavailable(error.str())

    def offset_at(self, partition: int, time_ms: int) -> int:
        """Return the offset of the first record appended at time_ms or later.

        The end of the partition if there is none. Raises LogUnavailable.
        """
        wanted = TopicPartition(self._topic, partition, max(time_ms, 0))
        try:
            found = self._connected().offsets_for_times([wanted], timeout=self._timeout_s)[0]
        except KafkaException as error:
            raise LogUnavailable(str(error)) from error
        if found.error is not None:
            raise LogUnavailable(found.error.str())
        return found.offset if found.offset >= 0 else self.bounds(partition)[1]

    def partitions(self) -> list[int]:
        """Return the numbers of the partitions. Raises LogUnavailable."""
        try:
            about = self._connected().list_topics(self._topic, timeout=self._timeout_s)
        except KafkaException as error:
            raise LogUnavailable(str(error)) from error
        return sorted(about.topics[self._topic].partitions)

    def bounds(self, partition: int) -> tuple[int, int]:
        """Return the first offset the partition holds and the one its next record will get."""
        wanted = TopicPartition(self._topic, partition)
        try:
            low, high = self._connected().get_watermark_offsets(wanted, timeout=self._timeout_s)
        except KafkaException as error:
            raise LogUnavailable(str(error)) from error
        return int(low), int(high)

    def _connected(self) -> Consumer:
        if self._consumer is None:
            self._consumer = Consumer(_configuration(self._servers))
        return self._consumer


def _configuration(servers: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": servers,
        "group.id": "betrace-worker-copier",  # asked for by the library; no group is joined
        "client.id": "betrace-worker-copier",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
        "fetch.message.max.bytes": _FETCH_BYTES,
        "queued.max.messages.kbytes": _QUEUE_KBYTES,
        "reconnect.backoff.max.ms": 2_000,
        "log_level": 0,
    }


def _spans_record(message: Message) -> SpansRecord:
    headers = dict(message.headers() or ())
    tenant = headers.get("tenant")
    return SpansRecord(
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        tenant=tenant.decode("ascii", "replace") if isinstance(tenant, bytes) else "",
        payload=expand_readable(message.value() or b""),
        is_redacted=POLICY_HEADER in headers,
        time_ms=message.timestamp()[1],
    )
