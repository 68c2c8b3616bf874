"""Offsets and times of the spans topic, and the offsets that a consumer group has committed."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from types import TracebackType
from typing import Self

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import KafkaError

from jobs.settings import JobSettings
from jobs.topics import TopicsUnfit

Offsets = Mapping[int, int]
"""By partition."""

_TIMEOUT_MS = 30_000
_FETCH_BYTES = 64 * 1024


class SpanLog:
    """The spans topic as the job's group sees it. Use as a context manager.

    Every method raises TopicsUnfit if the broker does not answer in time.
    """

    def __init__(self, settings: JobSettings, *, partitions: int) -> None:
        """Connect. partitions: of the topic."""
        self._kafka = settings.kafka
        self._topic = settings.spans_topic
        self._partitions = [TopicPartition(self._topic, number) for number in range(partitions)]
        try:
            self._consumer = KafkaConsumer(
                bootstrap_servers=settings.kafka.split(","),
                bootstrap_timeout_ms=_TIMEOUT_MS,
                group_id=settings.group,
                enable_auto_commit=False,
                auto_offset_reset="none",
                allow_auto_create_topics=False,
                max_partition_fetch_bytes=_FETCH_BYTES,
            )
        except KafkaError as error:
            raise self._unfit(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._consumer.close(autocommit=False)
        if isinstance(error, KafkaError):
            raise self._unfit(error) from error

    def first(self) -> Offsets:
        """Return the offsets of the oldest records that are still there."""
        return _by_number(self._consumer.beginning_offsets(self._partitions))

    def end(self) -> Offsets:
        """Return the offsets that the next records will get."""
        return _by_number(self._consumer.end_offsets(self._partitions))

    def at(self, time_ms: int) -> Offsets:
        """Return the offsets of the first records appended at or after a time, or the ends."""
        found = self._consumer.offsets_for_times(dict.fromkeys(self._partitions, time_ms))
        return {
            **self.end(),
            **{partition.partition: place.offset for partition, place in found.items() if place},
        }

    def committed(self) -> Mapping[int, int | None]:
        """Return what the group has committed; None where it has not."""
        return {
            partition.partition: self._consumer.committed(partition, timeout_ms=_TIMEOUT_MS)
            for partition in self._partitions
        }

    def commit(self, offsets: Offsets) -> None:
        """Commit offsets for the group."""
        self._consumer.commit(
            {
                TopicPartition(self._topic, number): OffsetAndMetadata(offset, "", -1)
                for number, offset in offsets.items()
            },
            timeout_ms=_TIMEOUT_MS,
        )

    def times_ms(self, offsets: Offsets) -> Mapping[int, int]:
        """Return the times of the first records at or after offsets; none where there is none."""
        ends = self.end()
        wanted = {number for number, offset in offsets.items() if offset < ends[number]}
        self._consumer.assign([self._partitions[number] for number in wanted])
        for number in wanted:
            self._consumer.seek(self._partitions[number], offsets[number])
        times: dict[int, int] = {}
        give_up_at = monotonic() + _TIMEOUT_MS / 1000
        while wanted - times.keys():
            if monotonic() > give_up_at:
                missing = sorted(wanted - times.keys())
                raise TopicsUnfit(f"{self._topic}: partitions {missing} were not read in time")
            for partition, records in self._consumer.poll(timeout_ms=500, max_records=500).items():
                times.setdefault(partition.partition, records[0].timestamp)
                self._consumer.pause(partition)
        return times

    def _unfit(self, error: KafkaError) -> TopicsUnfit:
        return TopicsUnfit(f"Kafka at {self._kafka}, topic {self._topic}: {error}")


def _by_number(offsets: Mapping[TopicPartition, int]) -> Offsets:
    return {partition.partition: offset for partition, offset in offsets.items()}
