"""A window of members that slides, and what is measured in it.

Adding and removing cost the same whatever the window holds, but for minima and percentiles, which
keep their values sorted. Sums are exact: fractions, so that no order of arrival shows in them.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from math import inf, isfinite
from typing import Final

from dsl.many.having import Found
from dsl.many.keys import Plain, key_of
from dsl.many.members import Member
from dsl.many.plan import THE_TRACE, Measure
from dsl.plan import Reader
from dsl.ranges import NOTHING, Range
from dsl.values import number_of

_PERCENT: Final = {"p50": 50, "p95": 95, "p99": 99}


def number_in(value: Plain | None) -> int | Fraction | None:
    """Return the number a value is, or spells; 0.1 is a tenth. None: it takes no part."""
    if isinstance(value, str):
        value = number_of(value)
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, float):
        return Fraction(repr(value)) if isfinite(value) else None
    return value


@dataclass(slots=True)
class _Numbers:
    """The numbers of one field, sorted, and their sum."""

    values: list[int | Fraction] = field(default_factory=list)
    total: int | Fraction = 0

    def add(self, value: int | Fraction) -> None:
        insort(self.values, value)
        self.total += value

    def remove(self, value: int | Fraction) -> None:
        del self.values[bisect_left(self.values, value)]
        self.total -= value

    def found(self, function: str, *, complete: bool) -> Found:
        if function == "sum":
            return (self.total, self.total) if complete else None
        if not self.values:
            return NOTHING if complete else None
        if function in ("min", "max"):
            return self.extreme(function, complete=complete)
        if not complete:
            return None
        count = len(self.values)
        if function == "avg":
            one: int | Fraction = Fraction(self.total) / count
        else:
            # Nearest rank: the smallest value that so many percent of all do not exceed.
            one = self.values[max(0, -(-_PERCENT[function] * count // 100) - 1)]
        return one, one

    def extreme(self, function: str, *, complete: bool) -> Range:
        """Return the least or the greatest, of which more members can only move one side."""
        if function == "min":
            return self.values[0] if complete else -inf, self.values[0]
        return self.values[-1], self.values[-1] if complete else inf


@dataclass(slots=True)
class Window:
    """Members, and what `having` measures of them. Doubtful ones are only known to be there."""

    measures: tuple[Measure, ...]
    fields: tuple[Reader, ...]
    count: int = 0
    doubtful_count: int = 0
    traces: Counter[str] = field(default_factory=Counter)
    texts: list[Counter[str]] = field(default_factory=list)
    numbers: list[_Numbers] = field(default_factory=list)
    gone_counts: list[int] = field(default_factory=list)
    _distinct: tuple[int, ...] = ()
    _numeric: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.texts = [Counter() for _ in self.fields]
        self.numbers = [_Numbers() for _ in self.fields]
        self.gone_counts = [0] * len(self.fields)
        read = {measure.function == "distinct": set[Reader | None]() for measure in self.measures}
        for measure in self.measures:
            read[measure.function == "distinct"].add(measure.key)
        numbered = list(enumerate(self.fields))
        self._distinct = tuple(i for i, one in numbered if one in read.get(True, ()))
        self._numeric = tuple(i for i, one in numbered if one in read.get(False, ()))

    def add(self, member: Member) -> None:
        """Take a member in."""
        if member.doubtful:
            self.doubtful_count += 1
            return
        self.count += 1
        self.traces[member.trace_id] += 1
        for i in self._distinct:
            text = key_of(member.values[i])
            if text is not None:
                self.texts[i][text] += 1
        for i in self._numeric:
            number = number_in(member.values[i])
            if number is not None:
                self.numbers[i].add(number)
        for i in member.gone:
            self.gone_counts[i] += 1

    def remove(self, member: Member) -> None:
        """Let a member out that was taken in."""
        if member.doubtful:
            self.doubtful_count -= 1
            return
        self.count -= 1
        _take(self.traces, member.trace_id)
        for i in self._distinct:
            text = key_of(member.values[i])
            if text is not None:
                _take(self.texts[i], text)
        for i in self._numeric:
            number = number_in(member.values[i])
            if number is not None:
                self.numbers[i].remove(number)
        for i in member.gone:
            self.gone_counts[i] -= 1

    @property
    def doubtful(self) -> bool:
        """Whether something in it was taken away, so that more could belong to it."""
        return self.doubtful_count > 0 or any(self.gone_counts)

    def found(self, *, complete: bool, as_is: bool = False) -> tuple[Found, ...]:
        """Return what each measure is. complete: no member is missing. as_is: nor is a value."""
        whole = as_is or (complete and not self.doubtful_count)
        return tuple(self._found(measure, whole, as_is) for measure in self.measures)

    def _found(self, measure: Measure, whole: bool, as_is: bool) -> Found:
        if measure.key is None:
            return self.count, self.count if whole else inf
        if measure.key == THE_TRACE:
            return len(self.traces), len(self.traces) if whole else inf
        i = self.fields.index(measure.key)
        whole = as_is or (whole and not self.gone_counts[i])
        if measure.function == "distinct":
            return len(self.texts[i]), len(self.texts[i]) if whole else inf
        return self.numbers[i].found(measure.function, complete=whole)


def _take(counter: Counter[str], text: str) -> None:
    if counter[text] > 1:
        counter[text] -= 1
    else:
        del counter[text]
