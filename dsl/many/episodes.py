"""From the members of one key to its signals: when `having` held, and for how long.

The window ends at each member in turn and reaches back `within`, both borders included. A signal
lasts from the first moment at which `having` holds to the last from which `within` passes without
it. All of it is a function of the set of members; the order in which they came does not show.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from dsl.many.having import Found, Holds, compile_having, measures_of
from dsl.many.members import Member
from dsl.many.plan import CorrelatePlan
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

    def moments(
        self, members: Sequence[Member], *, from_ns: int | None, in_doubt: Reasons
    ) -> list[Moment]:
        """Return the moments from a time on (None: all).

        members: by time, from at least one `within` before. in_doubt: why some may be missing.
        """
        window = Window(measures_of(self.plan.having), self.plan.fields)
        moments: list[Moment] = []
        first = entering = 0
        while entering < len(members):
            time_ns = members[entering].time_ns
            while entering < len(members) and members[entering].time_ns == time_ns:
                window.add(members[entering])
                entering += 1
            while members[first].time_ns < time_ns - self.plan.within_ns:
                window.remove(members[first])
                first += 1
            if from_ns is None or time_ns >= from_ns:
                moments.append(self._moment(window, time_ns, in_doubt))
        return moments

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


def episodes(
    members: Sequence[Member],
    moments: Iterable[Moment],
    *,
    within_ns: int,
    carried: Episode | None = None,
    past: Mapping[str, int] | None = None,
) -> list[Episode]:
    """Return the signals of a key, in order of time.

    members: by time. carried: the signal that began before all of these moments, as far as it was.
    past: for traces that began signals before, how many.
    """
    found: list[Episode] = []
    for run in _runs(moments, within_ns):
        if not found and carried is not None and run[0].time_ns - carried.last_ns <= within_ns:
            found.append(_continued(carried, run, members))
            continue
        if not found and carried is not None:
            found.append(carried)
        found.append(_begun(found, run, members, within_ns, past or {}))
    return found or ([] if carried is None else [carried])


def _runs(moments: Iterable[Moment], within_ns: int) -> Iterator[list[Moment]]:
    """Yield the moments at which `having` holds, parted where `within` passes without one."""
    run: list[Moment] = []
    for moment in moments:
        if not moment.holds:
            continue
        if run and moment.time_ns - run[-1].time_ns > within_ns:
            yield run
            run = []
        run.append(moment)
    if run:
        yield run


def _continued(carried: Episode, run: list[Moment], members: Sequence[Member]) -> Episode:
    last = run[-1]
    return replace(
        carried,
        last_ns=last.time_ns,
        count=carried.count + _count(members, carried.last_ns + 1, last.time_ns),
        found=last.found,
        certain=carried.certain or any(one.answer is True for one in run),
        reasons=carried.reasons | _reasons(run),
    )


def _begun(
    before: list[Episode],
    run: list[Moment],
    members: Sequence[Member],
    within_ns: int,
    past: Mapping[str, int],
) -> Episode:
    since_ns, last_ns = run[0].time_ns, run[-1].time_ns
    from_ns = since_ns - within_ns
    first = next(one for one in contributing(members, from_ns, since_ns) if not one.doubtful)
    return Episode(
        trace_id=first.trace_id,
        occurrence=max(
            (one.occurrence + 1 for one in before if one.trace_id == first.trace_id),
            default=past.get(first.trace_id, 0),
        ),
        since_ns=since_ns,
        last_ns=last_ns,
        count=_count(members, from_ns, last_ns),
        found=run[-1].found,
        certain=any(one.answer is True for one in run),
        reasons=_reasons(run),
    )


def _reasons(run: list[Moment]) -> Reasons:
    return frozenset().union(*(one.reasons for one in run))


def contributing(members: Sequence[Member], from_ns: int, to_ns: int) -> Sequence[Member]:
    """Return the members of a stretch of time, both borders included. members: by time."""
    first = bisect_left(members, from_ns, key=_time)
    return members[first : bisect_right(members, to_ns, lo=first, key=_time)]


def _count(members: Sequence[Member], from_ns: int, to_ns: int) -> int:
    return sum(not one.doubtful for one in contributing(members, from_ns, to_ns))


def _time(member: Member) -> int:
    return member.time_ns
