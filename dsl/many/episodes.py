"""From the members of one key to its signals: when `having` held, and for how long.

The window ends at each member in turn and reaches back `within`, both borders included. A signal
lasts from the first moment at which `having` holds to the last from which `within` passes without
it. All of it is a function of the set of members; the order in which they came does not show.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from dsl.many.having import Answer, Found, Holds, compile_having, measures_of
from dsl.many.members import Member
from dsl.many.plan import CorrelatePlan
from dsl.many.window import Window
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
    found = [carried] if carried is not None else []
    for moment in moments:
        if not moment.holds:
            continue
        last = found[-1] if found else None
        if last is not None and moment.time_ns - last.last_ns <= within_ns:
            found[-1] = _longer(last, moment, members)
        else:
            found.append(_new(found, moment, members, within_ns, past or {}))
    return found


def _longer(episode: Episode, moment: Moment, members: Sequence[Member]) -> Episode:
    return replace(
        episode,
        last_ns=moment.time_ns,
        count=episode.count + _count(members, episode.last_ns + 1, moment.time_ns),
        found=moment.found,
        certain=episode.certain or moment.answer is True,
        reasons=episode.reasons | moment.reasons,
    )


def _new(
    before: list[Episode],
    moment: Moment,
    members: Sequence[Member],
    within_ns: int,
    past: Mapping[str, int],
) -> Episode:
    from_ns = moment.time_ns - within_ns
    first = next(one for one in contributing(members, from_ns, moment.time_ns) if not one.doubtful)
    return Episode(
        trace_id=first.trace_id,
        occurrence=max(
            (one.occurrence + 1 for one in before if one.trace_id == first.trace_id),
            default=past.get(first.trace_id, 0),
        ),
        since_ns=moment.time_ns,
        last_ns=moment.time_ns,
        count=_count(members, from_ns, moment.time_ns),
        found=moment.found,
        certain=moment.answer is True,
        reasons=moment.reasons,
    )


def contributing(members: Sequence[Member], from_ns: int, to_ns: int) -> Sequence[Member]:
    """Return the members of a stretch of time, both borders included. members: by time."""
    first = bisect_left(members, from_ns, key=_time)
    return members[first : bisect_right(members, to_ns, lo=first, key=_time)]


def _count(members: Sequence[Member], from_ns: int, to_ns: int) -> int:
    return sum(not one.doubtful for one in contributing(members, from_ns, to_ns))


def _time(member: Member) -> int:
    return member.time_ns
