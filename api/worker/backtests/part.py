"""One partition of a backtest, from its first record to its difference."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from api.worker.backtests.log_reader import SpansReader
from api.worker.backtests.work import Part, Sides
from udfs.backtest.difference import Difference, difference
from udfs.backtest.handed import Chunk
from udfs.backtest.replay import Replay, SpansRecord

ROWS_PER_KIND = 50
"""Traces of each kind that a partition shows; all of them are counted."""
TELL_EVERY_S = 0.5
_LEAST_NAP_S = 0.005


class Progress(NamedTuple):
    """How far a part is."""

    records_read: int
    span_count: int
    trace_count: int


@dataclass(frozen=True, slots=True)
class Judged:
    """A partition that was read to its end."""

    progress: Progress
    difference: Difference
    handed: Mapping[str, Sequence[Chunk]]
    """By side: what is said to rules over many traces."""
    first_ms: int
    """When the first record came, if only a heartbeat; where there is none, when reading begins."""


class Throttle:
    """Sleeps after work, so that this process uses no more than a share of one core."""

    def __init__(
        self,
        share: float,
        *,
        used_s: Callable[[], float] = time.process_time,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """share: over 0, at most 1, which never sleeps."""
        self._rest = 1 / share - 1
        self._used_s = used_s
        self._sleep = sleep
        self._paid_s = used_s()

    def pay(self) -> None:
        """Sleep for what was used since the last time."""
        used_s = self._used_s()
        nap_s = (used_s - self._paid_s) * self._rest
        if nap_s >= _LEAST_NAP_S:
            self._sleep(nap_s)
            self._paid_s = used_s


def judge_part(
    part: Part,
    sides: Sides,
    reader: SpansReader,
    *,
    throttle: Throttle,
    tell: Callable[[Progress], None],
) -> Judged:
    """Read a partition and judge it by both sides.

    tell: called twice a second; what it raises ends the part. Raises LogUnavailable, LogExpired,
    TooManyMembers.
    """
    now = Replay(sides.now, sides.window)
    was = Replay(sides.was, sides.window) if sides.was else None
    tenant = part.asked.tenant.encode()
    read_count = span_count = 0
    first_ms: int | None = None
    told_at = time.monotonic()
    for batch in reader.read(part.partition, part.first_offset, part.end_offset):
        for record in batch:
            if record.tenant == tenant:
                _take(record, now, was)
                span_count += record.span_count
        if batch:
            first_ms = batch[0].time_ms if first_ms is None else first_ms
            read_count = batch[-1].offset + 1 - part.first_offset
        throttle.pay()
        if time.monotonic() - told_at >= TELL_EVERY_S:
            tell(Progress(read_count, span_count, now.outcomes.trace_count))
            told_at = time.monotonic()
    outcomes = now.finish(part.log_end_ms)
    found = difference(
        outcomes,
        was.finish(part.log_end_ms) if was else None,
        rule_ids=part.asked.over_one_trace(sides),
        compared=part.asked.compared_ids,
        rows_per_kind=ROWS_PER_KIND,
    )
    whole = part.end_offset - part.first_offset
    replays = {"now": now} if was is None else {"now": now, "was": was}
    return Judged(
        Progress(whole, span_count, found.trace_count),
        found,
        {side: replay.handed.chunks() for side, replay in replays.items()},
        sides.window.read_from_ms if first_ms is None else first_ms,
    )


def _take(record: SpansRecord, now: Replay, was: Replay | None) -> None:
    now.take(record)
    if was is not None:
        was.take(record)
