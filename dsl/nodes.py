"""What the parser makes of a text: a tree in which every node knows its place.

The tree says what was written, not what it means: whether `payment.charge.amount` is a span or an
attribute of one is for the checker to decide. `at` and `end` are character offsets, end exclusive.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeAlias

from dsl.values import Duration
from dsl.words import TRACE_WORDS


@dataclass(slots=True)
class Key:
    """The name of an attribute as written.

    scope: "", "span", "resource", "scope", "event" or "link".
    quoted: the whole key stood in quotes: it has no scope and is never an intrinsic.
    quoted_tail: its last part, where that stood in quotes after others that did not.
    """

    scope: str
    name: str
    quoted: bool
    at: int
    end: int
    quoted_tail: str = ""


@dataclass(slots=True)
class AttributeOf:
    """`attr(key)`: an attribute, never an intrinsic or a text."""

    key: Key
    at: int
    end: int


@dataclass(slots=True)
class Literal:
    """A constant. word: it was written without quotes, and could have been meant as a name."""

    value: str | bool | int | float | Duration
    word: bool
    at: int
    end: int


@dataclass(slots=True)
class ListLiteral:
    """`[a, "b", 3]`."""

    items: list[Literal]
    at: int
    end: int


@dataclass(slots=True)
class And:
    """All of several; at trace level or inside a filter."""

    items: list[Node]
    at: int
    end: int


@dataclass(slots=True)
class Or:
    """Any of several."""

    items: list[Node]
    at: int
    end: int


@dataclass(slots=True)
class Not:
    """The opposite."""

    item: Node
    at: int
    end: int


@dataclass(slots=True)
class Test:
    """A comparison inside a filter: `key op value`. op "exists" has no right side; "" is bare."""

    left: Key | AttributeOf
    op: str
    right: Key | AttributeOf | Literal | ListLiteral | None
    at: int
    end: int


@dataclass(slots=True)
class Some:
    """`event.where(…)` or `link.where(…)`: one and the same event or link fulfils it all."""

    scope: str
    item: Node
    at: int
    end: int


@dataclass(slots=True)
class Relation:
    """`child of q`, `after q within 5s`: what a span is to a bound one."""

    word: str
    binding: str
    within: Duration | None
    at: int
    end: int


@dataclass(slots=True)
class SpanTerm:
    """A span test: a name, filters, and what may follow it.

    parts: the segments of a dotted name, or the one text of a quoted name (and then possibly one
    more segment, the attribute of the short form).
    """

    parts: list[str]
    quoted: bool
    filters: list[Node]
    alias: str | None
    relations: list[Relation]
    at: int
    end: int


def trace_word(term: SpanTerm) -> str | None:
    """Return what follows `trace.` if a path is one of the four values of a trace."""
    if term.quoted or term.filters or term.parts[0] != "trace":
        return None
    word = ".".join(term.parts[1:])
    return word if word in TRACE_WORDS else None


@dataclass(slots=True)
class Sequence:
    """`A then B within D`."""

    steps: list[SpanTerm]
    within: Duration | None
    at: int
    end: int


@dataclass(slots=True)
class Count:
    """`count(span test)`."""

    term: SpanTerm
    at: int
    end: int


@dataclass(slots=True)
class Aggregate:
    """`sum(key of span test)` and its relatives."""

    function: str
    key: Key
    term: SpanTerm
    at: int
    end: int


@dataclass(slots=True)
class Sum:
    """Terms joined by `+` and `-`; signs[i] is "+" or "-" before items[i]."""

    signs: list[str]
    items: list[Node]
    at: int
    end: int


@dataclass(slots=True)
class Product:
    """Factors joined by `*` and `/`; signs[i] is "*" or "/" before items[i]."""

    signs: list[str]
    items: list[Node]
    at: int
    end: int


@dataclass(slots=True)
class Negative:
    """`- x`."""

    item: Node
    at: int
    end: int


@dataclass(slots=True)
class Compare:
    """A comparison at trace level. op "exists" has no right side."""

    left: Node
    op: str
    right: Node | None
    op_at: int
    at: int
    end: int


@dataclass(slots=True)
class Broken:
    """Something that did not parse; its problem is recorded, later passes step over it."""

    at: int
    end: int


Node: TypeAlias = (
    And
    | Or
    | Not
    | Test
    | Some
    | SpanTerm
    | Sequence
    | Count
    | Aggregate
    | Sum
    | Product
    | Negative
    | Compare
    | Literal
    | ListLiteral
    | AttributeOf
    | Broken
)


@dataclass(slots=True)
class Clause:
    """`when { … }`, `always { … }` or `never { … }`."""

    word: str
    body: Node
    at: int
    end: int


@dataclass(slots=True)
class Promise:
    """A rule about one trace: its clauses in the order written, each word at most once."""

    clauses: dict[str, Clause]


def parts_of(node: Any) -> Iterator[Any]:
    """Yield a node and every node inside it, in the order of the text."""
    todo: list[Any] = [node]
    while todo:
        part = todo.pop()
        yield part
        inner: list[Any] = []
        for field in fields(part):
            value = getattr(part, field.name)
            inner.extend(value if isinstance(value, list) else [value])
        todo.extend(reversed([one for one in inner if is_dataclass(one) and hasattr(one, "at")]))
