"""Buckets for what is used before it is counted: local at once, settled with Redis now and then.

`ingest` knows how many spans a request has only when it has read it, and no request waits for
Redis. Each replica charges its own buckets, and four times a second tells Redis what it charged and
learns what all charged together. Between two settlements a tenant may have as much as the replicas
let through by themselves; that becomes debt, so the average over some seconds is the limit.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from api.limits.buckets import Ask, LocalBuckets
from api.limits.metrics import LimitMetrics
from api.limits.shared import FollowingBuckets, RedisBuckets

PAUSE_S: Final = 0.25
_AT_A_TIME: Final = 500


class SettledBuckets(FollowingBuckets):
    """Those that follow from one settlement to the next. Belongs to one event loop."""

    def __init__(
        self,
        local: LocalBuckets,
        redis: RedisBuckets | None,
        *,
        metrics: LimitMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(local, redis, metrics=metrics, clock=clock)
        self._charged: dict[str, Ask] = {}

    def charge(self, asks: Sequence[Ask]) -> None:
        """Take what was used, into debt if need be."""
        self._local.charge(asks, now_s=self._clock())
        if self._redis is None:
            return
        for ask in asks:
            before = self._charged.get(ask.key)
            cost = ask.cost + before.cost if before else ask.cost
            self._charged[ask.key] = replace(ask, cost=cost)

    async def settle(self) -> None:
        """Tell Redis what was charged, and learn what others did.

        What it did not take because it is away is forgotten: it has been counted here.
        """
        told, self._charged = self._charged, {}
        for asks in _in_portions(list(told.values())):
            asked_s = self._clock()
            answer = await self._redis.take(asks, forced=True) if self._redis else None
            if answer is None:
                self._metrics.counted_alone.inc(len(asks))
                continue
            for level in answer.levels:
                meanwhile = self._charged.get(level.ask.key)
                more_s = meanwhile.quota.duration_s(meanwhile.cost) if meanwhile else 0.0
                self._local.learn(level.ask, level.full_in_s + more_s, now_s=asked_s)

    async def run(self, *, pause_s: float = PAUSE_S) -> None:
        """Settle now and then, until cancelled."""
        while True:
            await asyncio.sleep(pause_s)
            await self.settle()


def _in_portions(asks: list[Ask]) -> Iterator[list[Ask]]:
    for begin in range(0, len(asks), _AT_A_TIME):
        yield asks[begin : begin + _AT_A_TIME]
