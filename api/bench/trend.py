"""Whether a figure grows in the long run: one value a minute, their slope, and a rule. Pure.

The slope is the median of the slopes between any two minutes (Theil 1950, Sen 1968): single
outliers do not turn it. What goes up and down by itself in a known time is compared with what it
was whole such times before. A figure *grows* if that slope, held for the time measured, adds more
than a twentieth of the figure's median and more than an amount that says nothing for this figure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

ALLOWED_SHARE = 0.05
RULE = (
    f"a figure grows if its slope adds more than {ALLOWED_SHARE:.0%} of its median, and more than "
    "what is allowed for it, within the time measured"
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that is watched. allowed: by so much it may differ between equal runs.

    of_minute: what counts of a minute; the least of a heap is what lives in it. period: minutes in
    which it goes up and down by itself; 0: it does not.
    """

    name: str
    title: str
    unit: str
    allowed: float
    of_minute: Callable[[Iterable[float]], float] = median
    period: int = 0


@dataclass(frozen=True, slots=True)
class Trend:
    """What became of a figure. minutes: how many were measured."""

    figure: Figure
    minutes: int
    first: float
    last: float
    median: float
    slope_per_minute: float

    @property
    def added(self) -> float:
        """What the slope adds within the time measured."""
        return self.slope_per_minute * self.minutes

    @property
    def grows(self) -> bool:
        """Whether it grows, by the rule of this module."""
        return self.added > self.allowed

    @property
    def allowed(self) -> float:
        """What it may add within the time measured."""
        return max(ALLOWED_SHARE * self.median, self.figure.allowed)


def trend(figure: Figure, values: Iterable[tuple[float, float]]) -> Trend | None:
    """Return the trend of (minute, value) pairs; None with fewer than three minutes of them."""
    minutes: dict[int, list[float]] = {}
    for at_minute, value in values:
        minutes.setdefault(int(at_minute), []).append(value)
    points = [(minute, figure.of_minute(minutes[minute])) for minute in sorted(minutes)]
    if len(points) < 3:
        return None
    each = [value for _, value in points]
    return Trend(
        figure,
        len(points),
        each[0],
        each[-1],
        float(median(each)),
        slope_per_minute(points, figure.period),
    )


def slope_per_minute(points: Sequence[tuple[float, float]], period: int = 0) -> float:
    """Return the median slope between any two points of different times.

    period: between those so many minutes apart, or several times as many, if there are such.
    """
    pairs = list(combinations(points, 2))
    whole = [pair for pair in pairs if period and not (pair[1][0] - pair[0][0]) % period]
    return float(median((b - a) / (t - s) for (s, a), (t, b) in whole or pairs))
