"""What a judgement is, and what it is made from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol, TypeAlias

from dsl.structure import TraceStructure


class Verdict(StrEnum):
    """How a promise stands for one trace."""

    VIOLATED = "violated"
    SATISFIED = "satisfied"
    NOT_APPLICABLE = "not_applicable"
    INCONCLUSIVE = "inconclusive"


class Reason(StrEnum):
    """Why a verdict is inconclusive."""

    MISSING_PARENT = "missing_parent"
    MISSING_SPANS = "missing_spans"
    NO_ROOT = "no_root"
    STILL_OPEN = "still_open"
    SAME_TIME = "same_time"
    SAMPLED = "sampled"
    TRUNCATED = "truncated"
    REJECTED = "rejected"
    REDACTED = "redacted"
    BINDINGS = "bindings"
    STEPS = "steps"
    RULE_CHANGED = "rule_changed"
    GAP = "gap"
    FAILED = "failed"


ADVICE: dict[Reason, str] = {
    Reason.MISSING_PARENT: "a parent span did not come: export every service of the trace",
    Reason.MISSING_SPANS: "parent spans did not come: export every service of the trace",
    Reason.NO_ROOT: "the root span did not come: export the first service of the trace, "
    "or set external_roots",
    Reason.STILL_OPEN: "the trace is not over: wait for the rest of its spans",
    Reason.SAME_TIME: "two spans start at the same time: relate them as parent and child",
    Reason.SAMPLED: "spans are sampled one by one: sample whole traces",
    Reason.TRUNCATED: "the trace is over a limit: raise it, or send fewer spans",
    Reason.REJECTED: "spans of the trace were rejected: see the dead letters",
    Reason.REDACTED: "an attribute was redacted or dropped: keep the ones that rules read",
    Reason.BINDINGS: "too many combinations of bound spans: make `when` narrower",
    Reason.STEPS: "the judgement took too many steps: make the rule simpler",
    Reason.RULE_CHANGED: "the trace began under older rules: later traces are judged",
    Reason.GAP: "spans were skipped in a gap of the record: later traces are judged",
    Reason.FAILED: "the rule met an error of BeTrace on this trace: report what the job's log says",
}
"""What a person can do about each reason."""

BrokenClause: TypeAlias = Literal["", "always", "never"]


@dataclass(frozen=True, slots=True)
class BoundSpan:
    """The span that a binding means in one combination."""

    name: str
    span_id: bytes


Combination: TypeAlias = tuple[BoundSpan, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict of one rule on one trace.

    reasons: sorted; only for inconclusive. broken: the clause that a violated promise broke (of
    the first violated combination). rests_on_absence: it is violated only because some span counts
    as absent. bindings: the first violated combinations, in order of start and span id;
    bindings_total: how many there are. due_ns: the event time at which a window that is still
    open is over, and the trace must be judged again; None: no window is.
    """

    verdict: Verdict
    reasons: tuple[Reason, ...] = ()
    broken: BrokenClause = ""
    rests_on_absence: bool = False
    bindings: tuple[Combination, ...] = ()
    bindings_total: int = 0
    due_ns: int | None = None


class TraceView(Protocol):
    """What is known about a trace, by the tenant's predicate numbers.

    true, maybe: bit n is set if some span fulfils predicate n, or might. complete: spans not seen
    count as absent. in_doubt: why it is not complete. extent_ns: earliest start and latest end of
    the spans seen. root_name, root_service: None if no root was seen. structure: the spans kept
    one by one, None where no rule of the tenant needs them.
    """

    @property
    def true(self) -> int: ...
    @property
    def maybe(self) -> int: ...
    @property
    def complete(self) -> bool: ...
    @property
    def in_doubt(self) -> frozenset[Reason]: ...
    @property
    def extent_ns(self) -> tuple[int, int] | None: ...
    @property
    def root_name(self) -> str | None: ...
    @property
    def root_service(self) -> str | None: ...
    @property
    def structure(self) -> TraceStructure | None: ...
    def count(self, number: int, /) -> tuple[int, int]:
        """Return how many distinct spans seen certainly fulfil predicate n, and possibly."""
        ...
