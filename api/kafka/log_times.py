"""How far back a topic reaches and how far it has come, by the broker's clock."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import ListOffsetsResultInfo, OffsetSpec

_SPEC: Any = OffsetSpec
"""Most of its methods have no types."""
_NONE_SUCH = -1
"""The broker's answer where no record fits."""


class LogTimesUnavailable(Exception):
    """The broker did not say; the message is what it said instead."""


@dataclass(frozen=True, slots=True)
class Extent:
    """What a partition holds: offsets [first, end), and the times of its first and last record.

    Times are ms since the epoch, None where the partition is empty.
    """

    first_offset: int
    end_offset: int
    first_ms: int | None
    last_ms: int | None

    @property
    def lost_its_beginning(self) -> bool:
        """Whether records have expired."""
        return self.first_offset > 0


class LogTimes:
    """Asks about one topic. Thread-safe; every call is a round trip or two and may block."""

    def __init__(self, admin: AdminClient, topic: str, *, timeout_s: float = 5.0) -> None:
        self._admin = admin
        self._topic = topic
        self._timeout_s = timeout_s

    def extents(self) -> dict[int, Extent]:
        """Return what every partition holds. Raises LogTimesUnavailable."""
        first = self._ask(_SPEC.for_timestamp(0))
        last = self._ask(_SPEC.max_timestamp())
        begin = self._ask(_SPEC.earliest())
        end = self._ask(_SPEC.latest())
        return {
            partition: Extent(
                begin[partition].offset,
                end[partition].offset,
                _time(first[partition]),
                _time(last[partition]),
            )
            for partition in begin
        }

    def offsets_at(self, time_ms: int, extents: Mapping[int, Extent]) -> dict[int, int]:
        """Return every partition's first offset at or after a time; its end if there is none.

        extents: as returned before; nothing beyond them is returned. Raises LogTimesUnavailable.
        """
        found = self._ask(_SPEC.for_timestamp(max(time_ms, 0)))
        return {
            partition: min(found[partition].offset, extent.end_offset)
            if found[partition].offset != _NONE_SUCH
            else extent.end_offset
            for partition, extent in extents.items()
        }

    def _ask(self, spec: OffsetSpec) -> dict[int, ListOffsetsResultInfo]:
        try:
            futures: dict[TopicPartition, Future[ListOffsetsResultInfo]] = self._admin.list_offsets(
                {TopicPartition(self._topic, number): spec for number in self._partitions()},
                request_timeout=self._timeout_s,
            )
            return {
                asked.partition: future.result(self._timeout_s) for asked, future in futures.items()
            }
        except (KafkaException, TimeoutError) as error:
            raise LogTimesUnavailable(f"{self._topic}: {error}") from error

    def _partitions(self) -> list[int]:
        metadata: Any = self._admin.list_topics(self._topic, timeout=self._timeout_s)
        topic = metadata.topics.get(self._topic)
        if topic is None or topic.error is not None or not topic.partitions:
            raise LogTimesUnavailable(f"{self._topic}: there is no such topic")
        return sorted(topic.partitions)


def earliest_start_ms(extents: Mapping[int, Extent], *, around_ms: int) -> int | None:
    """Return the earliest beginning of a range of which, and of around_ms before it, all is held.

    None: nothing has expired, so that any time will do.
    """
    lost = [extent for extent in extents.values() if extent.lost_its_beginning]
    if not lost:
        return None
    newest_ms = max((extent.last_ms or 0 for extent in extents.values()), default=0)
    # A partition that has lost all it had holds what comes from now on.
    return max(newest_ms if each.first_ms is None else each.first_ms for each in lost) + around_ms


def log_end_ms(extents: Mapping[int, Extent]) -> int | None:
    """Return how far time has come in the slowest partition, None if one has no record at all."""
    times = [extent.last_ms for extent in extents.values()]
    if not times or None in times:
        return None
    return min(time_ms for time_ms in times if time_ms is not None) - 1


def _time(found: ListOffsetsResultInfo) -> int | None:
    return None if found.offset == _NONE_SUCH else int(found.timestamp)
