"""Token buckets, each kept as one number. Pure: time is an argument.

A bucket holds `units`, and gains them evenly, all of them in `window_s`. It is kept as the time at
which it will be full again; one that is absent, or whose time has come, is full. Taking something
moves that time on. (The generic cell rate algorithm of ITU-T I.371 in its virtual form; a token
bucket by another name.)
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quota:
    """So many units in so many seconds; a bucket that is full gives all of them at once."""

    units: float
    window_s: float

    def duration_s(self, units: float) -> float:
        """Return how long a bucket takes to gain so many units."""
        return units * self.window_s / self.units


@dataclass(frozen=True, slots=True)
class Ask:
    """What somebody wants of one bucket.

    policy: the name of the limit, shown to the caller. whose: of whom the bucket is.
    A cost over the quota is taken for the whole quota, or it could never be granted.
    """

    policy: str
    whose: str
    quota: Quota
    cost: float = 1.0

    @property
    def key(self) -> str:
        """The name of the bucket, the same in every process."""
        return f"{self.policy}:{self.whose}"

    @property
    def cost_s(self) -> float:
        """The cost as the time in which it is gained again."""
        return self.quota.duration_s(min(self.cost, self.quota.units))


@dataclass(frozen=True, slots=True)
class Level:
    """What a bucket holds after an ask. full_in_s: over its window while it is in debt.

    wait_s: until the same ask would be granted by this bucket; 0: it would be now, or was.
    """

    ask: Ask
    full_in_s: float
    wait_s: float

    @property
    def units(self) -> int:
        """Whole units that are left, none while in debt."""
        quota = self.ask.quota
        return max(0, int(quota.units - self.full_in_s * quota.units / quota.window_s))


@dataclass(frozen=True, slots=True)
class Answer:
    """Granted by every bucket, or by none: what one refuses costs nothing anywhere."""

    levels: tuple[Level, ...]

    @property
    def wait_s(self) -> float:
        """In how many seconds to ask again; 0: it was granted."""
        return max((level.wait_s for level in self.levels), default=0.0)

    @property
    def granted(self) -> bool:
        """Whether it was granted."""
        return self.wait_s == 0.0


def level_before(ask: Ask, full_in_s: float) -> Level:
    """Return what a bucket holds that will be full in so many seconds, and was not taken from."""
    wait_s = max(0.0, full_in_s + ask.cost_s - ask.quota.window_s)
    return Level(ask, full_in_s, wait_s if wait_s > _A_MOMENT_S else 0.0)


def level_after(ask: Ask, full_in_s: float) -> Level:
    """Return what a bucket holds that granted the ask."""
    return Level(ask, full_in_s, 0.0)


_A_MOMENT_S = 1e-6
"""Sums of fractions of seconds are off by less; Redis counts in whole microseconds."""


class LocalBuckets:
    """The buckets of one process. At most `capacity` are kept: those used last."""

    def __init__(self, *, capacity: int = 100_000) -> None:
        self._capacity = capacity
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def peek(self, asks: Sequence[Ask], *, now_s: float) -> Answer:
        """Return what would become of the asks, and take nothing."""
        return Answer(tuple(level_before(ask, self._full_in_s(ask, now_s)) for ask in asks))

    def take(self, asks: Sequence[Ask], *, now_s: float) -> Answer:
        """Grant all of the asks, or none."""
        answer = self.peek(asks, now_s=now_s)
        if not answer.granted:
            return answer
        return Answer(tuple(self._move(ask, ask.cost_s, now_s) for ask in asks))

    def charge(self, asks: Sequence[Ask], *, now_s: float) -> Answer:
        """Take what was used already, whole and into debt if need be."""
        moved = (self._move(ask, ask.quota.duration_s(ask.cost), now_s) for ask in asks)
        return Answer(tuple(moved))

    def learn(self, ask: Ask, full_in_s: float, *, now_s: float) -> None:
        """Set a bucket to what is known of it from elsewhere."""
        self._full_at[ask.key] = now_s + full_in_s
        self._full_at.move_to_end(ask.key)
        if len(self._full_at) > self._capacity:
            self._full_at.popitem(last=False)

    def _move(self, ask: Ask, added_s: float, now_s: float) -> Level:
        full_in_s = self._full_in_s(ask, now_s) + added_s
        self.learn(ask, full_in_s, now_s=now_s)
        return level_after(ask, full_in_s)

    def _full_in_s(self, ask: Ask, now_s: float) -> float:
        return max(0.0, self._full_at.get(ask.key, now_s) - now_s)
