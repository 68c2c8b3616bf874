"""Spans that were never matched, as the rules log tells: gaps of a job, and records passed over.

A trace that such spans may have belonged to is `inconclusive(gap)` where a missing span matters.
When a trace began is known from its first record and from its root's own clock, whichever is
earlier: after a cold start, the first record that comes of a trace need not be its first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from udfs.lanes import PARTITIONS
from udfs.wire import betrace_pb2 as wire

SHADOW_MS = 15_000
"""A trace that begins so soon after a loss may have begun before it: exporters batch."""
DEADLY = 2
"""So many workers must have died of a record before it is passed over."""

_NEVER = -(2**62)


class Loss(NamedTuple):
    """Spans of times before until_ms that are missing for what is judged from since_ms on.

    tenant, lane: whose spans; None stands for all. lane: modulo PARTITIONS, since a release with
    another number of lanes may have written it down: that much all of them agree on.
    """

    since_ms: int
    until_ms: int
    tenant: str | None
    lane: int | None


class Losses:
    """All losses that a reader of the rules log has to reckon with."""

    def __init__(self, reader: str = "") -> None:
        """reader: output prefix of the job; gaps of other jobs do not concern it."""
        self._reader = reader
        self._losses: list[Loss] = []
        self.shadow_ends_ms = _NEVER
        """Traces that begin a longest life after this are touched by no loss."""
        self._deaths: dict[tuple[int, int], set[bytes]] = {}

    def add_gap(self, gap: wire.Gap, *, append_ms: int) -> None:
        """Take a gap. One without a time is as old as its record, and known from then on."""
        if gap.reader not in ("", self._reader):
            return
        since_ms = 0 if gap.until_ms else append_ms
        self._add(Loss(since_ms, gap.until_ms or append_ms, None, None))

    def add_death(self, death: wire.Death) -> None:
        """Take a worker's death; a record that killed DEADLY of them is lost."""
        processes = self._deaths.setdefault((death.partition, death.offset), set())
        known = len(processes)
        processes.add(death.process)
        if known < DEADLY <= len(processes):
            self._add(Loss(death.time_ms, death.time_ms + 1, death.tenant, death.lane % PARTITIONS))

    def deaths(self, partition: int, offset: int) -> int:
        """Return how many workers died of a record."""
        return len(self._deaths.get((partition, offset), ()))

    def is_deadly(self, partition: int, offset: int) -> bool:
        """Tell whether a record of spans is to be passed over."""
        return bool(self._deaths) and self.deaths(partition, offset) >= DEADLY

    def touch(
        self,
        tenant: str,
        lane: int,
        *,
        begin_ms: int,
        root_ms: int,
        judged_ms: int,
        max_life_ms: int,
    ) -> bool:
        """Tell whether spans of a trace may be among what was lost.

        begin_ms: time of its first record. root_ms: start of its root by the root's own clock,
        which is believed as far as a trace can live.
        """
        return any(
            loss.since_ms <= judged_ms
            and _may_have_begun_before(loss.until_ms + SHADOW_MS, begin_ms, root_ms, max_life_ms)
            for loss in self._of(tenant, lane)
        )

    def _add(self, loss: Loss) -> None:
        self._losses.append(loss)
        self.shadow_ends_ms = max(self.shadow_ends_ms, loss.until_ms + SHADOW_MS)

    def _of(self, tenant: str, lane: int) -> Iterable[Loss]:
        return (
            loss
            for loss in self._losses
            if loss.tenant in (None, tenant) and loss.lane in (None, lane % PARTITIONS)
        )


def _may_have_begun_before(time_ms: int, begin_ms: int, root_ms: int, max_life_ms: int) -> bool:
    return begin_ms < time_ms or (root_ms < time_ms and begin_ms < time_ms + max_life_ms)
