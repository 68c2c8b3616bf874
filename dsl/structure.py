"""What is kept of a trace for rules that look at its spans one by one.

Small immutable values, so that a stream can keep and pack them: the spans of the predicates that
ask for it, each with its times, its parent and the captured values, and the links of the trace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from dsl.ancestry import Ancestry
    from dsl.tables import Table

FOR_EVER: Final = 2**63 - 1
"""A time at which every window is over."""

Kept: TypeAlias = Any
"""A captured value: what was read (dsl.values.Read), the answer of a filter (True, False, None),
or what was read off every event or link: (rows of values, whether some were dropped)."""


@dataclass(frozen=True, slots=True)
class KeptSpan:
    """One span. Times are ns since 1970; arrived_ns is when it was taken in, by event time.

    identity: tells spans of one id apart (of the kind and the name). values: by capture number.
    """

    span_id: bytes
    identity: int
    parent_id: bytes
    start_ns: int
    end_ns: int
    service: str = ""
    arrived_ns: int = 0
    values: Mapping[int, Kept] = field(default_factory=dict)

    @property
    def place(self) -> tuple[int, bytes, int]:
        """The order in which spans are tried: by start, then span id."""
        return self.start_ns, self.span_id, self.identity


@dataclass(frozen=True, slots=True)
class Member:
    """A span that fulfils a predicate, certainly or perhaps."""

    span: KeptSpan
    certain: bool = True


Links: TypeAlias = Mapping[bytes, tuple[bytes, ...]]
"""Span id -> parent ids, of every span that came. More than one where spans share an id; an empty
or zero id for a root."""


@dataclass(frozen=True, slots=True)
class TraceStructure:
    """The spans and links of one trace at one moment.

    members: by predicate number, in any order, each span once. now_ns: the event time of the
    judgement. settle_ns: how long after its end a window is waited for. clock_skew_ns: smaller
    differences between the clocks of two services say nothing. table and ancestry: a predicate's
    members ready to look up, and who is above whom by the links, where several judgements share
    them; None: each makes its own.
    """

    members: Mapping[int, Sequence[Member]] = field(default_factory=dict)
    links: Links = field(default_factory=dict)
    now_ns: int = FOR_EVER
    settle_ns: int = 0
    clock_skew_ns: int = 0
    table: Callable[[int], Table] | None = field(default=None, compare=False, repr=False)
    ancestry: Callable[[], Ancestry] | None = field(default=None, compare=False, repr=False)


NO_STRUCTURE: Final = TraceStructure()


def beginning_outside(links: Links, caller_id: bytes) -> Links:
    """Return the links of a trace whose root was called by a span that is not exported.

    A climb that comes to the caller ends there as at a root.
    """
    return {**links, caller_id: (b"",)}
