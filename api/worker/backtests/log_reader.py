"""Reading the two logs for a backtest, outside any consumer group."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from udfs.backtest.replay import SpansRecord
from udfs.backtest.rules import LogEntry
from udfs.payload import expand_readable

_BATCH = 256
_POLL_S = 0.25
_SILENT_S = 20.0
"""Records that must be there and do not come for so long: the broker is taken to be away."""
_SILENT_POLLS = int(_SILENT_S / _POLL_S)
"""Counted in polls: a process that was stopped for a while has not been waiting."""


class LogUnavailable(Exception):
    """The broker did not give what it should have: try again later."""


class LogExpired(Exception):
    """The log has lost records that were to be read; the message says where."""


class SpansReader:
    """Reads stretches of the spans topic in order. Not thread-safe; close it when done."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._topic = topic
        self._consumer = Consumer(_configuration(bootstrap_servers))

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def read(
        self, partition: int, first_offset: int, end_offset: int
    ) -> Iterator[list[SpansRecord]]:
        """Yield the records of [first_offset, end_offset) in batches.

        Now and then an empty batch, so that the caller gets around to other things.
        Raises LogUnavailable, LogExpired.
        """
        if first_offset >= end_offset:
            return
        self._consumer.assign([TopicPartition(self._topic, partition, first_offset)])
        try:
            yield from self._batches(partition, end_offset)
        except KafkaException as error:
            raise LogUnavailable(str(error)) from error
        finally:
            self._consumer.unassign()

    def _batches(self, partition: int, end_offset: int) -> Iterator[list[SpansRecord]]:
        silent_polls = 0
        while silent_polls < _SILENT_POLLS:
            batch: list[SpansRecord] = []
            for message in _at_hand(self._consumer):
                told = _told(message, f"partition {message.partition()} of {self._topic}")
                if told is _Told.END and message.partition() != partition:
                    continue  # of one that was read before, told late
                if told is _Told.RECORD and (message.offset() or 0) < end_offset:
                    batch.append(_record(message))
                if told is _Told.END or (message.offset() or 0) >= end_offset - 1:
                    yield batch
                    return
            silent_polls = 0 if batch else silent_polls + 1
            yield batch
        raise LogUnavailable(f"{self._topic}: no records for {_SILENT_S:.0f} s")


class RulesReader:
    """Reads the rules log, each time what was added. Not thread-safe; close it when done."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._topic = topic
        self._consumer = Consumer(_configuration(bootstrap_servers))
        self._entries: list[LogEntry] = []
        self._next_offset = 0

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def entries(self, *, until_ms: int) -> list[LogEntry]:
        """Return the records appended up to a time. Raises LogUnavailable, LogExpired."""
        partition = TopicPartition(self._topic, 0, self._next_offset)
        try:
            _, end_offset = self._consumer.get_watermark_offsets(partition, timeout=_SILENT_S)
            if self._next_offset < end_offset:
                self._consumer.assign([partition])
                self._read(end_offset)
        except KafkaException as error:
            raise LogUnavailable(str(error)) from error
        finally:
            self._consumer.unassign()
        return [entry for entry in self._entries if entry.append_ms <= until_ms]

    def _read(self, end_offset: int) -> None:
        silent_polls = 0
        while self._next_offset < end_offset:
            messages = _at_hand(self._consumer)
            for message in messages:
                told = _told(message, self._topic)
                if told is _Told.END:
                    return
                if told is _Told.PASSING:
                    continue
                self._next_offset = (message.offset() or 0) + 1
                self._entries.append(LogEntry(message.timestamp()[1], message.value() or b""))
            silent_polls = 0 if messages else silent_polls + 1
            if silent_polls == _SILENT_POLLS:
                raise LogUnavailable(f"{self._topic}: no records for {_SILENT_S:.0f} s")


def _at_hand(consumer: Consumer) -> list[Message]:
    """Return what has come, without waiting for company; none after a while without anything."""
    first = consumer.poll(_POLL_S)
    return [] if first is None else [first, *consumer.consume(_BATCH - 1, 0.0)]


class _Told(Enum):
    """What a message of the consumer is."""

    RECORD = auto()
    END = auto()
    PASSING = auto()
    """An error that the library gets over by itself."""


def _told(message: Message, what: str) -> _Told:
    """Tell what a message is. Raises LogUnavailable, LogExpired."""
    error = message.error()
    if error is None:
        return _Told.RECORD
    if error.code() == KafkaError._PARTITION_EOF:
        return _Told.END
    if error.code() == KafkaError._AUTO_OFFSET_RESET:
        raise LogExpired(f"{what} no longer holds what was to be read: {error.str()}")
    if error.fatal() or not error.retriable():
        raise LogUnavailable(f"{what}: {error.str()}")
    return _Told.PASSING


def _record(message: Message) -> SpansRecord:
    headers: dict[str, Any] = dict(message.headers() or ())
    count = headers.get("n") or b""
    return SpansRecord(
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        time_ms=message.timestamp()[1],
        tenant=headers.get("tenant"),
        lane=headers.get("lane"),
        payload=expand_readable(message.value() or b""),
        span_count=int(count) if count.isdigit() else 0,
    )


def _configuration(servers: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": servers,
        "group.id": "betrace-backtests",  # asked for by the library; no group is joined
        "client.id": "betrace-backtests",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
        "fetch.message.max.bytes": 1024 * 1024,
        "queued.max.messages.kbytes": 16 * 1024,
        "reconnect.backoff.max.ms": 2_000,
        "log_level": 0,
    }
