"""What the parser makes of a `correlate` or an `expect`: trees whose nodes know their places.

Span tests, keys and lists are those of dsl.nodes. `at` and `end` are character offsets, end
exclusive.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from dsl.nodes import Key, ListLiteral, SpanTerm
from dsl.values import Duration


@dataclass(slots=True)
class Violated:
    """`violated("rule")`: the signals of another rule."""

    rule: str
    at: int
    end: int


Source: TypeAlias = Violated | SpanTerm


@dataclass(slots=True)
class Written:
    """A length of time with its place."""

    duration: Duration
    at: int
    end: int


@dataclass(slots=True)
class Measured:
    """`count` or `function(key)`. key: None for `count`; "trace" stands for `distinct(trace)`."""

    function: str
    key: Key | None
    at: int
    end: int


@dataclass(slots=True)
class HavingTest:
    """`measure op number`."""

    measure: Measured
    op: str
    value: int | Fraction | Duration
    at: int
    end: int


@dataclass(slots=True)
class HavingAll:
    """All of several."""

    items: list[Having]


@dataclass(slots=True)
class HavingAny:
    """Any of several."""

    items: list[Having]


@dataclass(slots=True)
class HavingNot:
    """The opposite."""

    item: Having


@dataclass(slots=True)
class HavingBroken:
    """A test that did not parse; its problem is recorded."""


Having: TypeAlias = HavingTest | HavingAll | HavingAny | HavingNot | HavingBroken


@dataclass(slots=True)
class Correlate:
    """A `correlate`. What is missing or broken is None or empty, and its problem recorded."""

    sources: list[Source]
    by: list[Key]
    within: Written | None
    having: Having | None


@dataclass(slots=True)
class Expect:
    """An `expect`. key, listed: of `by key in [list]`."""

    term: SpanTerm | None
    every: Written | None
    key: Key | None
    listed: ListLiteral | None
