"""What a checked rule means: conditions over numbered span tests, nothing left to decide.

The checker writes a plan, everything else reads it: the printer (canonical text), the predicates
and the compiler (closures), explain. Places (`at`, `end`: offsets in the text) are kept for
explain and take no part in equality.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, TypeAlias

from dsl.values import Constant, Duration

# -- inside a filter -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reader:
    """Where a value is read.

    source: "any" (the span's attribute, then the resource's), "span", "resource" or "scope"
    attributes; "intrinsic" (a property of the span, key is its name); "event" or "link" (an
    attribute of the event or link looked at); "event intrinsic" (key "name") or "link intrinsic"
    (key "trace_id" or "span_id"); "trace" (key "root.name" or "root.service").
    """

    source: str
    key: str


Operand: TypeAlias = Constant | Duration | tuple[Constant, ...] | Reader | None


@dataclass(frozen=True, slots=True)
class Ask:
    """One comparison. op is an operator of the language, or "exists" (operand None)."""

    reader: Reader
    op: str
    operand: Operand
    at: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class SomeOf:
    """Some one event or link fulfils it all."""

    scope: str
    item: Filter
    at: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class AllFilters:
    """Every filter holds."""

    items: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class AnyFilter:
    """Some filter holds."""

    items: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class NoFilter:
    """The filter does not hold."""

    item: Filter


Filter: TypeAlias = Ask | SomeOf | AllFilters | AnyFilter | NoFilter


@dataclass(frozen=True, slots=True)
class SpanTest:
    """A span of this name (None: any) that fulfils the filter (None: whatever it holds)."""

    name: str | None
    filter: Filter | None


# -- at trace level --------------------------------------------------------------------------------

Unit: TypeAlias = Literal["number", "duration"]


@dataclass(frozen=True, slots=True)
class Fixed:
    """A constant: a number, or nanoseconds."""

    value: int | Fraction
    unit: Unit


@dataclass(frozen=True, slots=True)
class Counted:
    """How many distinct spans fulfil predicate number `predicate` of the rule."""

    predicate: int
    unit: Unit = "number"


@dataclass(frozen=True, slots=True)
class TraceDuration:
    """From the earliest start to the latest end of the trace's spans."""

    unit: Unit = "duration"


@dataclass(frozen=True, slots=True)
class Total:
    """Terms with their signs ("+" or "-")."""

    signs: tuple[str, ...]
    items: tuple[Number, ...]
    unit: Unit


@dataclass(frozen=True, slots=True)
class Scaled:
    """Factors with their signs ("*" or "/")."""

    signs: tuple[str, ...]
    items: tuple[Number, ...]
    unit: Unit


Number: TypeAlias = Fixed | Counted | TraceDuration | Total | Scaled


@dataclass(frozen=True, slots=True)
class Exists:
    """Some span fulfils predicate number `predicate` of the rule."""

    predicate: int
    at: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison of two numbers or two durations."""

    op: str
    left: Number
    right: Number
    at: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Among:
    """A number in a list of numbers."""

    left: Number
    items: tuple[int | Fraction, ...]
    at: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class RootAsk:
    """A comparison of the root's name or service."""

    ask: Ask
    at: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Every:
    """All conditions are true."""

    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """Some condition is true."""

    items: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Opposite:
    """The condition is false."""

    item: Condition


Leaf: TypeAlias = Exists | Compared | Among | RootAsk
Condition: TypeAlias = Leaf | Every | Either | Opposite


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole promise.

    tests: the span tests in order of first appearance; conditions name them by index.
    counted: indexes of tests whose spans are counted by span id.
    """

    when: Condition
    always: Condition | None
    never: Condition | None
    tests: tuple[SpanTest, ...]
    counted: frozenset[int]
    needs_extent: bool
    needs_root: bool


def leaves_of(condition: Condition) -> list[Leaf]:
    """Return the comparisons and span tests of a condition in the order written."""
    match condition:
        case Every(items) | Either(items):
            return [leaf for item in items for leaf in leaves_of(item)]
        case Opposite(item):
            return leaves_of(item)
        case _:
            return [condition]


def counted_in(number: Number) -> frozenset[int] | None:
    """Return the predicates a number counts; None if it depends on anything else of the trace."""
    match number:
        case Fixed():
            return frozenset()
        case Counted(predicate):
            return frozenset({predicate})
        case Total(_, items, _) | Scaled(_, items, _):
            parts = [counted_in(item) for item in items]
            known = [part for part in parts if part is not None]
            return frozenset().union(*known) if len(known) == len(parts) else None
        case _:
            return None
