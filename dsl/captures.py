"""What is captured of a span, so that a rule can be judged when the span is gone.

A capture is content-addressed like a predicate: its canonical text decides what it reads. Filters
that look at other spans are taken apart here: what depends on the span alone is answered at once,
the rest is read and compared later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from dsl.plan import (
    AllFilters,
    AnyFilter,
    Ask,
    BoundNumber,
    Exists,
    Filter,
    Held,
    Leaf,
    Measured,
    NoFilter,
    Plan,
    Reader,
    SomeOf,
    looks_elsewhere,
    names_in,
    numbers_of,
    readers_of,
    terms_of,
)
from dsl.predicates import compile_filter, compile_reader, hash_of
from dsl.printer import filter_text, reader_text
from dsl.spans import SpanView
from dsl.structure import Kept
from dsl.values import GONE


@dataclass(frozen=True, slots=True)
class Items:
    """What is read off every event (or link) of a span."""

    scope: str
    readers: tuple[Reader, ...]


CaptureKey: TypeAlias = Reader | Filter | Items
"""A reader captures a value, a filter its answer, items a row of values for each event or link."""


@dataclass(frozen=True, slots=True)
class Capture:
    """Something to be read off a span. hash: 64 bits of blake2b of the canonical text.

    unknown: what stands for it where it cannot be kept or read, and makes what asks for it unknown.
    """

    canonical: str
    hash: int
    read: Callable[[SpanView], Kept] = field(compare=False)
    unknown: Kept = field(default=GONE, compare=False)


@dataclass(frozen=True, slots=True)
class Capturing:
    """The captures of a rule: their keys in order, and the keys wanted by each predicate."""

    keys: tuple[CaptureKey, ...]
    wanted: Mapping[int, tuple[int, ...]]

    @property
    def captures(self) -> tuple[Capture, ...]:
        """The captures, ready to read, in the order of the keys."""
        return tuple(map(capture_of, self.keys))


def own_reader(reader: Reader) -> Reader:
    """Return what is read off a bound span, as read off itself."""
    return Reader(reader.source, reader.key) if reader.of else reader


def items_of(some: SomeOf) -> Items:
    """Return what must be captured of events or links to answer a filter about one of them."""
    own = [one for one in readers_of(some.item) if not one.looks_elsewhere]
    return Items(some.scope, tuple(dict.fromkeys(own)))


def capturing_of(plan: Plan) -> Capturing:
    """Return what a rule must capture of the spans of its predicates."""
    return _Collector(plan).collected()


class _Collector:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.predicates: dict[str, int] = {}
        self.keys: dict[CaptureKey, int] = {}
        self.wanted: dict[int, dict[int, None]] = {}

    def collected(self) -> Capturing:
        # `when` comes first; a name that other clauses make holds until one of them makes it anew.
        for leaves in self.plan.leaves_by_clause.values():
            telling = [leaf for leaf in leaves if not isinstance(leaf, Exists)]
            self.predicates.update(_bound_predicates(telling))
            for leaf in telling:
                self.leaf(leaf)
        wanted = {predicate: tuple(numbers) for predicate, numbers in self.wanted.items()}
        return Capturing(tuple(self.keys), wanted)

    def leaf(self, leaf: Leaf) -> None:
        if isinstance(leaf, Held) and leaf.filter is not None:
            self.filter(leaf.filter, self.predicates[leaf.binding])
        for term in terms_of(leaf):
            if term.joined is not None:
                self.filter(term.joined, term.predicate)
        for part in numbers_of(leaf):
            if isinstance(part, BoundNumber):
                self.reader(part.reader, None)
            elif isinstance(part, Measured) and part.reader is not None:
                self.reader(part.reader, part.term.predicate)

    def filter(self, condition: Filter, predicate: int) -> None:
        if not looks_elsewhere(condition):
            self.want(condition, predicate)
            return
        match condition:
            case Ask(reader=reader, operand=operand):
                self.reader(reader, predicate)
                if isinstance(operand, Reader):
                    self.reader(operand, predicate)
            case SomeOf():
                self.want(items_of(condition), predicate)
                for reader in readers_of(condition.item):
                    if reader.of:
                        self.reader(reader, None)
            case AllFilters(items) | AnyFilter(items):
                for item in items:
                    self.filter(item, predicate)
            case NoFilter(item):
                self.filter(item, predicate)

    def reader(self, reader: Reader, predicate: int | None) -> None:
        """Capture what a reader reads off the span of its binding, or off the one looked at."""
        if reader.of:
            predicate = self.predicates[reader.of]
        if predicate is not None and reader.source != "trace":
            self.want(own_reader(reader), predicate)

    def want(self, key: CaptureKey, predicate: int) -> None:
        number = self.keys.setdefault(key, len(self.keys))
        self.wanted.setdefault(predicate, {})[number] = None


def _bound_predicates(leaves: Iterable[Leaf]) -> dict[str, int]:
    """Return the predicate of the span of every binding."""
    return {
        term.name: term.predicate
        for leaf in leaves
        if names_in(leaf)
        for term in terms_of(leaf)
        if term.name
    }


def capture_of(key: CaptureKey) -> Capture:
    """Return the capture of a key, ready to read."""
    read: Callable[[SpanView], Kept]
    unknown: Kept
    match key:
        case Reader():
            canonical, read, unknown = f"read {reader_text(key)}", compile_reader(key), GONE
        case Items(scope, readers):
            keys = ", ".join(map(reader_text, readers))
            canonical, read, unknown = f"each {scope}: {keys}", _item_reader(key), ((), True)
        case _:
            canonical, read, unknown = f"test {filter_text(key)}", compile_filter(key), None
    return Capture(canonical, hash_of(canonical), read, unknown)


def _item_reader(items: Items) -> Callable[[SpanView], Kept]:
    reads = tuple(map(compile_reader, items.readers))
    listed, dropped = f"{items.scope}s", f"{items.scope}s_dropped"

    def read(span: SpanView) -> Kept:
        rows = tuple(tuple(one(item) for one in reads) for item in getattr(span, listed))
        return rows, bool(getattr(span, dropped, False))

    return read
