"""What a checked rule over many traces means.

Places (`at`, `end`: offsets in the text) are kept for explanations and take no part in equality.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, TypeAlias

from dsl.plan import Reader, SpanTest, Unit

THE_TRACE: Final = Reader("trace", "id")
"""The key of `distinct(trace)`."""


@dataclass(frozen=True, slots=True)
class SignalSource:
    """The signals of a rule."""

    rule: str
    at: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class SpanSource:
    """The spans that fulfil test number `predicate` of the rule."""

    predicate: int
    at: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


MemberSource: TypeAlias = SignalSource | SpanSource


@dataclass(frozen=True, slots=True)
class Measure:
    """A number of a window: how many members (`count`), or a function over a value of each.

    key: None for `count`, THE_TRACE for `distinct(trace)`. unit: of the result.
    """

    function: str
    key: Reader | None = None
    unit: Unit = "number"


@dataclass(frozen=True, slots=True)
class Bound:
    """A measure compared with a number, or with nanoseconds if its unit is duration."""

    measure: Measure
    op: str
    value: int | Fraction
    at: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class AllBounds:
    """All hold."""

    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyBound:
    """Some one holds."""

    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class NoBound:
    """It does not hold."""

    item: Condition


Condition: TypeAlias = Bound | AllBounds | AnyBound | NoBound


@dataclass(frozen=True, slots=True)
class CorrelatePlan:
    """`correlate { sources } by … within … having …`.

    tests: the span tests, which span sources name by index. fields: the values of members that
    `having` reads, each once; members carry them in this order.
    """

    sources: tuple[MemberSource, ...]
    tests: tuple[SpanTest, ...]
    by: tuple[Reader, ...]
    within_ns: int
    having: Condition
    fields: tuple[Reader, ...]


@dataclass(frozen=True, slots=True)
class ExpectPlan:
    """`expect { test } every … by … in […]`. by: None: one key for all; listed: () if none are."""

    test: SpanTest
    every_ns: int
    by: Reader | None = None
    listed: tuple[str, ...] = ()
    at: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


def bounds_of(condition: Condition) -> list[Bound]:
    """Return the comparisons of a condition in the order written."""
    match condition:
        case Bound():
            return [condition]
        case AllBounds(items) | AnyBound(items):
            return [bound for item in items for bound in bounds_of(item)]
        case NoBound(item):
            return bounds_of(item)
