"""Moments at which `having` is judged, and the signals that they make (`dsl.many.runs`).

The window ends at each member in turn and reaches back `within`, both borders included. A signal
lasts from the first moment at which `having` holds to the last from which `within` passes without
it. All of it is a function of the set of members; the order in which they came does not show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from dsl.many.having import Found, Holds, compile_having, measures_of
from dsl.many.plan import CorrelatePlan
from dsl.many.timeline import Timeline
from dsl.many.window import Window
from dsl.ranges import Answer
from dsl.verdict import Reason

Reasons: TypeAlias = frozenset[Reason]


@dataclass(frozen=True, slots=True)
class Moment:
    """The window that ends at a member's time.

    holds: `having` on what is there. answer: what can be known of it, given what may be missing.
    found: what was measured, with its doubts. reasons: what makes the answer unknown.
    """

    time_ns: int
    holds: bool
    answer: Answer
    found: tuple[Found, ...]
    reasons: Reasons = frozenset()


@dataclass(frozen=True, slots=True)
class Episode:
    """One signal of a key.

    trace_id: of the first member that contributes. occurrence: how many earlier signals of the key
    begin with that trace. since_ns, last_ns: the first and the last moment at which `having` holds.
    count: members from one `within` before since_ns to last_ns. found: at last_ns. certain: no
    member that is missing could undo it. reasons: why it is not certain.
    """

    trace_id: str
    occurrence: int
    since_ns: int
    last_ns: int
    count: int
    found: tuple[Found, ...]
    certain: bool
    reasons: Reasons = frozenset()


@dataclass(frozen=True, slots=True)
class Judge:
    """A plan ready to judge windows."""

    plan: CorrelatePlan
    holds: Holds

    @classmethod
    def of(cls, plan: CorrelatePlan) -> Judge:
        """Return the judge of a plan."""
        return cls(plan, compile_having(plan.having))

    def moments(self, timeline: Timeline, *, from_ns: int, in_doubt: Reasons) -> list[Moment]:
        """Return the moments from a time on. in_doubt: why members may be missing."""
        windows = timeline.windows(from_ns, within_ns=self.plan.within_ns, new=self._new_window)
        return [self._moment(window, time_ns, in_doubt) for time_ns, window in windows]

    def _new_window(self) -> Window:
        return Window(measures_of(self.plan.having), self.plan.fields)

    def _moment(self, window: Window, time_ns: int, in_doubt: Reasons) -> Moment:
        found = window.found(complete=not in_doubt)
        answer = self.holds(found)
        if not in_doubt and not window.doubtful:
            # Nothing is missing, so that nothing is unknown.
            return Moment(time_ns, answer is True, answer, found)
        if answer is not None:
            return Moment(time_ns, answer and window.count > 0, answer, found)
        holds = window.count > 0 and self.holds(window.found(complete=True, as_is=True)) is True
        reasons = in_doubt | {Reason.REDACTED} if window.doubtful else in_doubt
        return Moment(time_ns, holds, None, found, reasons)
