"""Which rules and services raise more signals than they use to: a robust comparison. Pure.

The last hours are compared with the same hours of the days before: a service that is busy at noon
is not news at noon. The baseline is the median of those days and the spread their median absolute
deviation (MAD), so one bad day among them moves neither. 1.4826 × MAD estimates the standard
deviation of a normal distribution (Rousseeuw and Croux, 1993).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

MIN_COUNT: Final = 5
"""Fewer signals are no trend."""
MIN_INCREASE: Final = 0.2
"""Of the baseline: less is noise even where days are equal to the signal."""
MIN_SCORE: Final = 3.0
_PER_MAD: Final = 1.4826
_LEAST_SPREAD: Final = 1.0
"""Of counts: with equal days one more signal is no outlier."""


@dataclass(frozen=True, slots=True)
class Trend:
    """A rule or service beside its baseline.

    current: signals in the hours looked at. baseline: median of the same hours of the days before.
    score: spreads above the baseline. increase_percent: over the baseline, to one decimal place;
    100 where there was nothing before.
    """

    subject: str
    name: str
    current: int
    baseline: float
    score: float
    increase_percent: float


def trend_of(subject: str, name: str, current: int, before: Sequence[int]) -> Trend | None:
    """Return the trend of one, None if it does not stand out.

    before: counts of the same hours of each day before, days without signals as 0.
    """
    if current < MIN_COUNT:
        return None
    baseline = float(median(before)) if before else 0.0
    mad = float(median([abs(count - baseline) for count in before])) if before else 0.0
    score = (current - baseline) / max(_PER_MAD * mad, baseline**0.5, _LEAST_SPREAD)
    if score < MIN_SCORE or current < baseline * (1 + MIN_INCREASE):
        return None
    increase = (current - baseline) / baseline * 100 if baseline else 100.0
    return Trend(subject, name, current, baseline, round(score, 1), round(increase, 1))


def trending(
    counts: Mapping[str, Mapping[int, int]],
    names: Mapping[str, str],
    *,
    days: int,
    known_days: int,
    limit: int,
) -> tuple[Trend, ...]:
    """Return what stands out, most of all first.

    counts: subject to days back to signals; 0 is now. days: how many were looked at; known_days:
    how many of them the tenant existed with signals, so that a new tenant's empty past is no
    baseline.
    """
    span = range(1, min(days, known_days) + 1)
    found: Iterable[Trend | None] = (
        trend_of(subject, names[subject], by_day.get(0, 0), [by_day.get(n, 0) for n in span])
        for subject, by_day in counts.items()
    )
    standing = [trend for trend in found if trend is not None]
    return tuple(sorted(standing, key=lambda t: (-t.score, -t.current, t.subject))[:limit])
