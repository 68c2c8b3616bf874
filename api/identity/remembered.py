"""What another server said, asked again when it is old, and not more often than that server likes.

Many that ask at the same time ask the server once. While it does not answer, what it said last
counts for a while.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger(__name__)

_T = TypeVar("_T")


class ProviderUnavailable(Exception):
    """The provider does not answer, or says nothing that could be used; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """All in seconds. fresh: an answer is not asked for again; kept: it counts while the server is
    away; renewed: at most once in so long for a special reason; pause: after a failure."""

    fresh: float
    kept: float
    renewed: float = 60.0
    pause: float = 5.0


class Remembered(Generic[_T]):
    """One answer. Belongs to one event loop."""

    def __init__(
        self,
        ask: Callable[[], Awaitable[_T]],
        *,
        times: Times,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._times = times
        self._clock = clock
        self._turn = asyncio.Lock()
        self._answer: tuple[_T, float] | None = None
        self._failed: tuple[ProviderUnavailable, float] | None = None
        self._renewed_s: float | None = None

    async def get(self) -> _T:
        """Return the answer. Raises ProviderUnavailable."""
        if self._answer and self._age_s() < self._times.fresh:
            return self._answer[0]
        async with self._turn:
            if self._answer and self._age_s() < self._times.fresh:
                return self._answer[0]
            return await self._asked()

    async def renew(self) -> _T:
        """Return the answer asked for anew, unless that was done a short while ago already.

        Raises ProviderUnavailable.
        """
        async with self._turn:
            now = self._clock()
            if self._renewed_s is None or now - self._renewed_s >= self._times.renewed:
                self._renewed_s = now
                return await self._asked()
        return await self.get()

    async def _asked(self) -> _T:
        """Ask; the last answer where that fails and it is not too old."""
        now = self._clock()
        if self._failed is None or now - self._failed[1] >= self._times.pause:
            try:
                self._answer, self._failed = (await self._ask(), now), None
                return self._answer[0]
            except ProviderUnavailable as error:
                log.error("identity.provider_unavailable", cause=str(error))
                self._failed = error, now
        if self._answer and self._age_s() < self._times.kept:
            return self._answer[0]
        raise ProviderUnavailable(str(self._failed[0])) from self._failed[0]

    def _age_s(self) -> float:
        return self._clock() - self._answer[1] if self._answer else float("inf")
