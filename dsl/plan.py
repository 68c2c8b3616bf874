"""What a checked rule means: conditions over numbered span tests, nothing left to decide.

The checker writes a plan, everything else reads it: the printer (canonical text), the predicates
and the compiler (closures), explain. Places (`at`, `end`: offsets in the text) are kept for
explain and take no part in equality.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from typing import Literal, TypeAlias

from dsl.values import Constant, Duration

# -- inside a filter -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reader:
    """Where a value is read.

    source: "any" (the span's attribute, then the resource's), "span", "resource" or "scope"
    attributes; "intrinsic" (a property of the span, key is its name); "event" or "link" (an
    attribute of the event or link looked at); "event intrinsic" (key "name") or "link intrinsic"
    (key "trace_id" or "span_id"); "trace" (key "root.name", "root.service", "spans" or
    "duration"). of: the binding whose span is read; empty for the span that is looked at.
    """

    source: str
    key: str
    of: str = ""

    @property
    def looks_elsewhere(self) -> bool:
        """Whether the value is not one of the span that is looked at."""
        return bool(self.of) or self.source == "trace"


Operand: TypeAlias = Constant | Duration | tuple[Constant, ...] | Reader | None


@dataclass(frozen=True, slots=True, eq=False)
class Ask:
    """One comparison. op is an operator of the language, or "exists" (operand None).

    Equal where it asks the same: `x == 1` and `x == true` do not, though to Python 1 is True.
    """

    reader: Reader
    op: str
    operand: Operand
    at: int = 0
    end: int = 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ask):
            return NotImplemented
        return (
            self.op == other.op
            and self.reader == other.reader
            and _is_same_operand(self.operand, other.operand)
        )

    def __hash__(self) -> int:
        reader = self.reader
        return hash((reader.source, reader.key, reader.of, self.op, self.operand))


def _is_same_operand(one: Operand, other: Operand) -> bool:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return one == other and [*map(type, one)] == [*map(type, other)]
    return type(one) is type(other) and one == other


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


@dataclass(frozen=True, slots=True)
class Related:
    """What a span must be to the span of a binding. word: as written (`child`, `after`, …)."""

    word: str
    binding: str
    within_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Term:
    """A span test with what it says about other spans.

    predicate: number of the span test in the rule. joined: the filters that read bound spans or
    the trace. name: the binding made by `as`, or nothing.
    """

    predicate: int
    joined: Filter | None = None
    relations: tuple[Related, ...] = ()
    name: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether nothing but its predicate is asked of a span."""
        return self.joined is None and not self.relations and not self.name


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
class Measured:
    """What `function` makes of the spans of a term.

    function: "count" or an aggregate. reader: the value that it reads off them; None for "count".
    """

    function: str
    reader: Reader | None
    term: Term
    unit: Unit


@dataclass(frozen=True, slots=True)
class BoundNumber:
    """A number of the span of a binding: `q.amount`, or `q.duration`."""

    reader: Reader
    unit: Unit


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


Number: TypeAlias = Fixed | Counted | Measured | BoundNumber | TraceDuration | Total | Scaled


@dataclass(frozen=True, slots=True)
class Exists:
    """Some span fulfils predicate number `predicate` of the rule."""

    predicate: int
    at: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Found:
    """Some span fulfils a term that says more than its predicate; with a name, it binds it."""

    term: Term
    at: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Ordered:
    """`A then B then C within D`: different spans, each starting after the one before."""

    steps: tuple[Term, ...]
    within_ns: int | None
    at: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Held:
    """The span of a binding fulfils a filter (None: whatever it holds) and relations."""

    binding: str
    filter: Filter | None
    relations: tuple[Related, ...] = ()
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


Leaf: TypeAlias = Exists | Found | Ordered | Held | Compared | Among | RootAsk
Condition: TypeAlias = Leaf | Every | Either | Opposite


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole promise.

    tests: the span tests in order of first appearance; conditions name them by index.
    counted: indexes of tests whose spans are counted by span id. bindings: the names made by `as`
    in `when`, in the order written. leaves_by_clause: the leaves of each clause by its word, `when`
    first: found once, since every pass over the plan asks for them.
    """

    when: Condition
    always: Condition | None
    never: Condition | None
    tests: tuple[SpanTest, ...]
    counted: frozenset[int]
    needs_extent: bool
    needs_root: bool
    bindings: tuple[str, ...] = ()
    leaves_by_clause: Mapping[str, tuple[Leaf, ...]] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        leaves = {word: tuple(leaves_of(clause)) for word, clause in self.clauses}
        object.__setattr__(self, "leaves_by_clause", leaves)

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """The leaves of all clauses, `when` first."""
        return tuple(chain.from_iterable(self.leaves_by_clause.values()))

    @property
    def telling(self) -> list[Leaf]:
        """Those leaves that say more than that there is a span: mostly few, if any."""
        return [leaf for leaf in self.leaves if not isinstance(leaf, Exists)]

    @property
    def clauses(self) -> tuple[tuple[str, Condition], ...]:
        """The clauses that are there, each with its word; `when` first."""
        pairs = (("when", self.when), ("always", self.always), ("never", self.never))
        return tuple((word, clause) for word, clause in pairs if clause is not None)

    @property
    def bits_only(self) -> bool:
        """Whether its verdict depends on nothing but which predicates were seen."""
        return not self.telling


def leaves_of(condition: Condition) -> list[Leaf]:
    """Return the comparisons and span tests of a condition in the order written."""
    leaves: list[Leaf] = []
    waiting = [condition]
    while waiting:
        one = waiting.pop()
        match one:
            case Every(items) | Either(items):
                waiting += reversed(items)
            case Opposite(item):
                waiting.append(item)
            case _:
                leaves.append(one)
    return leaves


def numbers_of(leaf: Leaf) -> list[Number]:
    """Return the numbers and aggregates that a comparison is made of, calculations taken apart."""
    match leaf:
        case Compared(left=left, right=right):
            return [*parts_of(left), *parts_of(right)]
        case Among(left=left):
            return parts_of(left)
        case _:
            return []


def parts_of(number: Number) -> list[Number]:
    """Return what a calculation is made of, in the order written."""
    match number:
        case Total(items=items) | Scaled(items=items):
            return [part for item in items for part in parts_of(item)]
        case _:
            return [number]


def terms_of(leaf: Leaf) -> list[Term]:
    """Return the terms whose spans a leaf looks at one by one."""
    match leaf:
        case Found(term=term):
            return [term]
        case Ordered(steps=steps):
            return list(steps)
        case _:
            return [part.term for part in numbers_of(leaf) if isinstance(part, Measured)]


def is_plain(leaf: Leaf) -> bool:
    """Tell whether predicates and counts of the trace decide a leaf: no span is looked at alone."""
    if isinstance(leaf, Found | Ordered | Held):
        return False
    return not any(isinstance(part, Measured | BoundNumber) for part in numbers_of(leaf))


def asks_of(condition: Filter | None) -> list[Ask]:
    """Return the comparisons of a filter in the order written."""
    match condition:
        case Ask():
            return [condition]
        case AllFilters(items) | AnyFilter(items):
            return [ask for item in items for ask in asks_of(item)]
        case NoFilter(item) | SomeOf(item=item):
            return asks_of(item)
        case _:
            return []


def readers_of(condition: Filter | None) -> list[Reader]:
    """Return everything that the comparisons of a filter read, with repetitions."""
    found: list[Reader] = []
    for ask in asks_of(condition):
        found.append(ask.reader)
        if isinstance(ask.operand, Reader):
            found.append(ask.operand)
    return found


def looks_elsewhere(condition: Filter | None) -> bool:
    """Tell whether a filter reads bound spans or the trace, and not its own span alone."""
    if isinstance(condition, Ask) and not isinstance(condition.operand, Reader):
        return condition.reader.looks_elsewhere
    return any(reader.looks_elsewhere for reader in readers_of(condition))


def bindings_of(leaf: Leaf) -> frozenset[str]:
    """Return the bindings that a leaf reads; not those that it makes."""
    match leaf:
        case Held(binding=binding, filter=condition, relations=relations):
            named = {binding, *(one.binding for one in relations)}
            return frozenset(named) | _read_in(condition)
        case _:
            found: set[str] = set()
            for term in terms_of(leaf):
                found |= {one.binding for one in term.relations} | _read_in(term.joined)
            for part in numbers_of(leaf):
                if isinstance(part, BoundNumber):
                    found.add(part.reader.of)
            return frozenset(found) - frozenset(names_in(leaf))


def _read_in(condition: Filter | None) -> frozenset[str]:
    return frozenset(reader.of for reader in readers_of(condition) if reader.of)


def names_in(leaf: Leaf) -> list[str]:
    """Return the bindings that a leaf makes, in the order written."""
    match leaf:
        case Found(term=term):
            return [term.name] if term.name else []
        case Ordered(steps=steps):
            return [step.name for step in steps if step.name]
        case _:
            return []


def counted_in(number: Number) -> frozenset[int] | None:
    """Return the predicates a number counts; None if it depends on anything else of the trace."""
    found: set[int] = set()
    for part in parts_of(number):
        match part:
            case Fixed():
                pass
            case Counted(predicate):
                found.add(predicate)
            case Measured(term=term):
                found.add(term.predicate)
            case _:
                return None
    return frozenset(found)
