"""Answers remembered for a time and up to a number, each asked for by one at a time.

For one event loop: nothing here may be used by several threads.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from udfs.keysource.trouble import KeysUnavailable

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(slots=True)
class Counts:
    """What became of questions. late: answered by an old answer, since none could be had."""

    hits: int = 0
    misses: int = 0
    evictions: int = 0
    late: int = 0


class Remembered(Generic[K, V]):
    """Answers to questions of one kind.

    age_s: for so long an answer is good. grace_s: for so much longer it is, while whoever would
    give a new one is away. most: answers kept; those not asked for the longest go.
    """

    def __init__(
        self, *, age_s: float, grace_s: float, most: int, monotonic: Callable[[], float]
    ) -> None:
        self._age_s = age_s
        self._grace_s = grace_s
        self._most = most
        self._monotonic = monotonic
        self._swept_at = monotonic()
        self._kept: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self._asking: dict[K, asyncio.Task[V]] = {}
        self.counts = Counts()

    def __len__(self) -> int:
        return len(self._kept)

    async def get(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        """Return a good answer, asking if there is none.

        Whoever asks for the same meanwhile waits for the same answer. Raises what `ask` raises.
        """
        found = self._kept.get(key)
        if found is not None and self._monotonic() - found[0] < self._age_s:
            self.counts.hits += 1
            self._kept.move_to_end(key)
            return found[1]
        self.counts.misses += 1
        try:
            return await self._ask(key, ask)
        except KeysUnavailable:
            found = self._kept.get(key)
            if found is None or self._monotonic() - found[0] >= self._age_s + self._grace_s:
                raise
            self.counts.late += 1
            return found[1]

    def put(self, key: K, value: V) -> None:
        """Remember an answer as given now."""
        now = self._monotonic()
        if now - self._swept_at >= self._age_s:
            self._sweep(now)
        self._kept[key] = (now, value)
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
            self.counts.evictions += 1

    def drop(self, key: K) -> None:
        """Forget an answer, and do not remember what is on its way."""
        self._kept.pop(key, None)
        self._asking.pop(key, None)

    def expire(self, key: K) -> None:
        """Forget an answer that is known to be wrong, and go on asking for a new one."""
        self._kept.pop(key, None)

    def drop_if(self, is_meant: Callable[[K], bool]) -> None:
        """Forget answers to questions of which something is true."""
        for key in [key for key in {*self._kept, *self._asking} if is_meant(key)]:
            self.drop(key)

    def _sweep(self, now: float) -> None:
        """Forget what is of no use even in the grace, since it may be a key."""
        limit = self._age_s + self._grace_s
        for key in [key for key, (at, _) in self._kept.items() if now - at >= limit]:
            del self._kept[key]
        self._swept_at = now

    async def _ask(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        task = self._asking.get(key)
        if task is None:
            task = asyncio.ensure_future(_run(ask))
            self._asking[key] = task
            task.add_done_callback(lambda done: self._settle(key, done))
        # One who gives up takes nothing from those who wait for the same.
        return await asyncio.shield(task)

    def _settle(self, key: K, done: asyncio.Task[V]) -> None:
        wanted = self._asking.get(key) is done
        if wanted:
            del self._asking[key]
        if not done.cancelled() and done.exception() is None and wanted:
            self.put(key, done.result())


async def _run(ask: Callable[[], Awaitable[V]]) -> V:
    return await ask()
