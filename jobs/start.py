"""Where the job begins to read, decided before it is submitted, and what it will not have read.

Flink's own ways to begin at the oldest record or at a time go on quietly, at one end of the log
or the other, when an offset has expired. So the offsets are found out here and committed for the
group, and the source knows only one way: go on from there, and fail if they are gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jobs.settings import JobSettings
from jobs.span_log import Offsets, SpanLog
from udfs.wire import betrace_pb2 as wire


class OffsetsLost(Exception):
    """Spans that should be read next are gone from Kafka. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """How to start.

    offsets: where to read from. without: partitions on which spans were lost or lie before a
    start without state. passes_over: partitions whose offsets in the snapshot are gone: the
    source must be allowed to pass over that.
    """

    offsets: Offsets
    without: frozenset[int]
    passes_over: frozenset[int] = frozenset()


def begin(settings: JobSettings, log: SpanLog, *, restored: Offsets | None) -> Beginning:
    """Decide where to begin.

    restored: offsets in the snapshot to go on from, None for a start without one. Raises
    OffsetsLost unless the settings accept a gap.
    """
    first, end = log.first(), log.end()
    if restored is not None:
        lost = lost_partitions(restored, first=first, end=end)
        _refuse(settings, restored, lost, first=first, place="the snapshot")
        return Beginning(restored, lost, lost)
    wanted = _wanted(settings, log, first=first)
    lost = lost_partitions(wanted, first=first, end=end)
    _refuse(settings, wanted, lost, first=first, place=f"group {settings.group}")
    offsets = {number: wanted[number] or first[number] for number in first}
    offsets |= {number: first[number] for number in lost}
    return Beginning(offsets, lost | {number for number, at in offsets.items() if at > 0})


def lost_partitions(
    wanted: Mapping[int, int | None], *, first: Offsets, end: Offsets
) -> frozenset[int]:
    """Return the partitions on which reading cannot go on where it should."""
    return frozenset(
        number
        for number, offset in wanted.items()
        if offset is None or not first[number] <= offset <= end[number]
    )


def gap_of(settings: JobSettings, log: SpanLog, beginning: Beginning, *, now_ms: int) -> wire.Gap:
    """Return what to write into the rules log: until when this job has not read everything."""
    numbers = beginning.without
    firsts = log.first()
    offsets = {
        number: firsts[number] if number in beginning.passes_over else beginning.offsets[number]
        for number in numbers
    }
    times = log.times_ms(offsets)
    until_ms = max(times.get(number, now_ms) for number in numbers)
    kind = "accepted" if beginning.passes_over else "start without state"
    return wire.Gap(
        reason=f"{kind}: {settings.spans_topic}, {len(numbers)} partitions",
        until_ms=until_ms,
        reader=settings.output_prefix,
    )


def _wanted(settings: JobSettings, log: SpanLog, *, first: Offsets) -> Mapping[int, int | None]:
    match settings.start.mode:
        case "earliest":
            return first
        case "timestamp":
            return log.at(settings.start.timestamp_ms)
        case _:
            return log.committed()


def _refuse(
    settings: JobSettings,
    wanted: Mapping[int, int | None],
    lost: frozenset[int],
    *,
    first: Offsets,
    place: str,
) -> None:
    if not lost or settings.accept_gap:
        return
    number = min(lost)
    offset = wanted[number]
    if all(wanted[each] is None for each in lost):
        raise OffsetsLost(
            f"{place} has committed no offset for {len(lost)} partitions of "
            f"{settings.spans_topic}: give --start earliest for a first start, or --start MS, or "
            "--accept-gap to begin at the oldest records and to judge nothing by what is missing."
        )
    raise OffsetsLost(
        f"spans were lost: {place} goes on at offset {offset} of partition {number} of "
        f"{settings.spans_topic}, and Kafka has records from {first[number]} on "
        f"({len(lost)} of {len(first)} partitions are concerned). Either retention is too short "
        "for the time that the job stood still, or the topic was made anew. Give --accept-gap "
        "(BETRACE_ACCEPT_GAP=1) to go on: traces begun before the oldest record that is left "
        "become inconclusive(gap) where a missing span matters."
    )
