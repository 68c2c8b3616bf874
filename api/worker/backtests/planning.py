"""From a request to parts: which offsets of which partitions are read, and where time ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from api.kafka.log_times import LogTimes, earliest_start_ms, log_end_ms
from api.worker.backtests.work import Asked, from_ms
from udfs.backtest.rules import LogEntry


class CannotRun(Exception):
    """The request cannot be fulfilled, now or later; the message says why."""


class Stretch(NamedTuple):
    """What is read of a partition: offsets [first, end)."""

    partition: int
    first_offset: int
    end_offset: int


@dataclass(frozen=True, slots=True)
class Plan:
    """log_end_at: event time when the log ended, or where reading ends, if that is earlier.

    gathers: what the stretches hand on is put together by a last part.
    """

    stretches: Sequence[Stretch]
    log_end_at: datetime
    gathers: bool

    def parts(self) -> list[dict[str, object]]:
        """Return the rows of the parts: a stretch each, and the last one, which reads nothing."""
        rows = [{**stretch._asdict(), "gathers": False} for stretch in self.stretches]
        if self.gathers:
            number = max(stretch.partition for stretch in self.stretches) + 1
            rows.append({**Stretch(number, 0, 0)._asdict(), "gathers": True})
        return rows


def plan_reading(asked: Asked, log: Sequence[LogEntry], times: LogTimes) -> Plan:
    """Decide what is read.

    log: the rules log. Raises CannotRun, RuleRefused, LogTimesUnavailable.
    """
    sides = asked.sides(log)
    window = sides.window
    extents = times.extents()
    earliest_ms = earliest_start_ms(extents, around_ms=window.around_ms + window.many_ms)
    if earliest_ms is not None and window.from_ms < earliest_ms:
        raise CannotRun(
            "the beginning of the range has expired from the spans log while it waited; "
            f"a range may begin at {from_ms(earliest_ms):%Y-%m-%dT%H:%M:%SZ} now"
        )
    end_ms = log_end_ms(extents)
    if end_ms is None:
        raise CannotRun("a partition of the spans log is empty: no time has passed; run `ingest`")
    first = times.offsets_at(window.read_from_ms, extents)
    end = times.offsets_at(window.read_to_ms, extents)
    return Plan(
        [Stretch(number, first[number], end[number]) for number in sorted(extents)],
        from_ms(min(end_ms, window.read_to_ms - 1)),
        sides.gather,
    )
