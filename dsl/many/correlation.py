"""The state of one `correlate`: members in, in any order; signals out, and only what changed.

A state machine without a clock: `add` takes members, `advance` moves event time on, `collect`
returns the revisions that follow from both. Members are kept until nothing that may still come can
change what they are part of (`lateness_ns` after their time, plus one `within`). What a key costs
grows with what came and with what that changes, not with what is kept.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from dsl.many.agenda import Agenda
from dsl.many.episodes import Episode, Judge, Moment, Reasons
from dsl.many.ledger import Ledger, State, Told
from dsl.many.members import Member
from dsl.many.plan import CorrelatePlan
from dsl.many.runs import Runs
from dsl.many.timeline import Timeline
from dsl.verdict import Reason, Verdict

MAX_KEYS: Final = 100_000
MAX_MEMBERS: Final = 10_000
"""Kept at once for one key: what a window holds, and bounds what one key can cost."""

Key: TypeAlias = tuple[str, ...]
Identity: TypeAlias = tuple[Key, str, int]
"""Key, first contributing trace, and how many earlier signals of the key begin with that trace."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long members may be late, how much is kept, and whether traces are sampled.

    lateness_ns: at least the longest life of a trace and its lateness, so that a trace cannot come
    back once a signal that it began is forgotten.
    """

    lateness_ns: int = 4_200_000_000_000
    max_keys: int = MAX_KEYS
    max_members: int = MAX_MEMBERS
    sampled: bool = False


@dataclass(slots=True)
class Counts:
    """Members left out, by reason."""

    no_key: int = 0
    too_many_keys: int = 0
    too_many_members: int = 0
    too_late: int = 0


@dataclass(slots=True)
class KeyState:
    """What is known of one key.

    members: by id, withdrawn ones too, so that an older revision stays ignored. timeline: those
    that count. withdrawn: (time, id) of the others, sorted. moments: from frozen_ns on; up to
    stale_ns (None: all) they and the runs are up to date. overflow_ns: time of the latest member
    that was left out. changed: times of members that changed since `collect`. told_ns: the
    watermark when all signals were last told; None: there may be others than were told. open:
    signals that were told and are not over. fading: when each that was told may be forgotten.
    """

    members: dict[str, Member] = field(default_factory=dict)
    timeline: Timeline = field(default_factory=Timeline)
    withdrawn: list[tuple[int, str]] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    runs: Runs = field(default_factory=Runs)
    stale_ns: int | None = None
    frozen_ns: int | None = None
    overflow_ns: int | None = None
    changed: list[int] = field(default_factory=list)
    ledger: Ledger[Identity, Episode] = field(default_factory=Ledger)
    told_ns: int | None = None
    open: set[Identity] = field(default_factory=set)
    fading: Agenda[Identity] = field(default_factory=Agenda)


@dataclass(slots=True)
class Correlation:
    """One rule's state.

    watermark_ns: event time; None before the first `advance`. dirty: keys that something happened
    to since the last `collect`.
    """

    plan: CorrelatePlan
    limits: Limits = field(default_factory=Limits)
    watermark_ns: int | None = None
    counts: Counts = field(default_factory=Counts)
    keys: dict[Key, KeyState] = field(default_factory=dict)
    dirty: set[Key] = field(default_factory=set)
    _agenda: Agenda[Key] = field(default_factory=Agenda)
    _judge: Judge = field(init=False)

    def __post_init__(self) -> None:
        self._judge = Judge.of(self.plan)
        for key, state in self.keys.items():
            self._judge_anew(state)
            self._note_told(state, state.ledger.entries.values())
            self._schedule(key, state)

    # -- in --------------------------------------------------------------------------------------

    def add(self, member: Member) -> None:
        """Take in a member, a new revision of one, or its withdrawal. Repetitions do nothing."""
        if any(part is None for part in member.keys):
            self.counts.no_key += not member.withdrawn
            return
        if self._is_final(member.time_ns):
            self.counts.too_late += 1
            return
        key = tuple(part for part in member.keys if part is not None)
        state = self._state_of(key, member)
        if state is None:
            return
        before = state.members.get(member.id)
        if before is not None and before.revision >= member.revision:
            return
        self._replace(state, before, member)
        self.dirty.add(key)

    def _is_final(self, time_ns: int) -> bool:
        if self.watermark_ns is None:
            return False
        return time_ns < self.watermark_ns - self.limits.lateness_ns

    def _state_of(self, key: Key, member: Member) -> KeyState | None:
        state = self.keys.get(key)
        if state is None:
            if len(self.keys) >= self.limits.max_keys:
                self.counts.too_many_keys += 1
                return None
            state = self.keys[key] = KeyState()
        if len(state.members) >= self.limits.max_members and member.id not in state.members:
            self.counts.too_many_members += 1
            state.stale_ns = _earlier(state.stale_ns, member.time_ns)
            state.overflow_ns = max(member.time_ns, state.overflow_ns or member.time_ns)
            self.dirty.add(key)
            return None
        return state

    def _replace(self, state: KeyState, before: Member | None, member: Member) -> None:
        if before is not None and not before.withdrawn:
            state.timeline.remove(before)
            self._changed(state, before.time_ns)
        elif before is not None:
            del state.withdrawn[bisect_left(state.withdrawn, (before.time_ns, before.id))]
        state.members[member.id] = member
        if not member.withdrawn:
            state.timeline.add(member)
            self._changed(state, member.time_ns)
        else:
            insort(state.withdrawn, (member.time_ns, member.id))

    def _changed(self, state: KeyState, time_ns: int) -> None:
        state.changed.append(time_ns)
        state.stale_ns = _earlier(state.stale_ns, time_ns)

    def advance(self, watermark_ns: int) -> None:
        """Move event time on; an earlier time than before does nothing."""
        if self.watermark_ns is not None and watermark_ns <= self.watermark_ns:
            return
        self.watermark_ns = watermark_ns
        self.dirty |= self._agenda.due(watermark_ns) & self.keys.keys()

    @property
    def next_due_ns(self) -> int | None:
        """From when on time alone changes something, once the watermark is later."""
        return self._agenda.next_ns()

    # -- out -------------------------------------------------------------------------------------

    def collect(self) -> list[Told[Identity, Episode]]:
        """Return the revisions that follow from what came since the last call, key by key."""
        told: list[Told[Identity, Episode]] = []
        for key in sorted(self.dirty):
            told += self._collect_key(key, self.keys[key])
        self.dirty.clear()
        return told

    def _collect_key(self, key: Key, state: KeyState) -> list[Told[Identity, Episode]]:
        since_ns = self._tell_since(state)
        before = self._told_before(key, state, since_ns)
        self._judge_anew(state)
        current = self._signals(key, state, -_FOREVER_NS if since_ns is None else since_ns)
        touched = self._touched(state, current)
        state.changed.clear()
        told = state.ledger.tell(current, touched=touched, before=before)
        self._note_told(state, told)
        state.told_ns = self.watermark_ns
        self._freeze(state)
        if state.members or state.ledger.entries or state.runs.past:
            self._schedule(key, state)
        else:
            del self.keys[key]
        return told

    def _tell_since(self, state: KeyState) -> int | None:
        """Return the time so that signals that held last before it are as they were told.

        None: there may be none. Those are over, and no moment from one `within` after them on
        changed.
        """
        if state.told_ns is None:
            return None
        changed_ns = state.told_ns if state.stale_ns is None else min(state.told_ns, state.stale_ns)
        return changed_ns - self.plan.within_ns

    def _told_before(self, key: Key, state: KeyState, since_ns: int | None) -> list[Identity]:
        """Return the signals that were told and hold last at a time or later, by time."""
        if since_ns is not None:
            return list(self._signals(key, state, since_ns))
        entries = state.ledger.entries
        return sorted(entries, key=lambda identity: (entries[identity].thing.since_ns, identity))

    def _signals(
        self, key: Key, state: KeyState, from_ns: int
    ) -> dict[Identity, tuple[State, Episode]]:
        return {
            (key, one.trace_id, one.occurrence): ("over" if self._is_over(one) else "open", one)
            for one in state.runs.ends(from_ns)
        }

    def _touched(
        self, state: KeyState, current: dict[Identity, tuple[State, Episode]]
    ) -> set[Identity]:
        """Return the signals of which a member changed."""
        changed = sorted(state.changed)
        touched = set()
        for identity, (_, episode) in current.items():
            first = bisect_left(changed, episode.since_ns - self.plan.within_ns)
            if first < len(changed) and changed[first] <= episode.last_ns:
                touched.add(identity)
        return touched

    def _judge_anew(self, state: KeyState) -> None:
        """Bring moments and runs up to date."""
        if state.stale_ns is None:
            return
        frozen_ns = state.stale_ns if state.frozen_ns is None else state.frozen_ns
        from_ns = max(state.stale_ns, frozen_ns)
        state.stale_ns = None
        del state.moments[bisect_left(state.moments, from_ns, key=_moment_ns) :]
        state.runs.cut(from_ns)
        doubts = self._in_doubt(state)
        moments = self._judge.moments(state.timeline, from_ns=from_ns, in_doubt=doubts)
        state.moments += moments
        state.runs.extend(moments, state.timeline, within_ns=self.plan.within_ns)

    def _note_told(self, state: KeyState, told: Iterable[Told[Identity, Episode]]) -> None:
        for one in told:
            if one.state == "open":
                state.open.add(one.identity)
            else:
                state.open.discard(one.identity)
            state.fading.put(one.identity, self._kept_until(one))

    def _in_doubt(self, state: KeyState) -> Reasons:
        doubts = {Reason.SAMPLED} if self.limits.sampled else set[Reason]()
        return frozenset(doubts if state.overflow_ns is None else doubts | {Reason.TRUNCATED})

    def _is_over(self, episode: Episode) -> bool:
        ends_ns = episode.last_ns + self.plan.within_ns
        return self.watermark_ns is not None and ends_ns < self.watermark_ns

    # -- what can be forgotten -------------------------------------------------------------------

    def _freeze(self, state: KeyState) -> None:
        """Drop what nothing that may still come can change."""
        if self.watermark_ns is None:
            return
        lateness_ns, within_ns = self.limits.lateness_ns, self.plan.within_ns
        final_ns = self.watermark_ns - lateness_ns
        if state.frozen_ns is not None and final_ns <= state.frozen_ns:
            return
        state.frozen_ns = final_ns
        state.runs.forget(final_ns, within_ns=within_ns, lateness_ns=lateness_ns)
        del state.moments[: bisect_left(state.moments, final_ns, key=_moment_ns)]
        for member in state.timeline.drop_before(final_ns - within_ns):
            del state.members[member.id]
        gone = bisect_left(state.withdrawn, (final_ns, ""))
        for _, identity in state.withdrawn[:gone]:
            del state.members[identity]
        del state.withdrawn[:gone]
        if state.overflow_ns is not None and state.overflow_ns + within_ns < final_ns:
            state.overflow_ns = None
        self._forget_told(state, final_ns - within_ns)

    def _forget_told(self, state: KeyState, kept_ns: int) -> None:
        """Forget the revisions that are not to be kept until a time."""
        for identity in state.fading.due(kept_ns):
            told = state.ledger.entries[identity]
            if self._kept_until(told) < kept_ns:
                del state.ledger.entries[identity]
            else:
                state.fading.put(identity, self._kept_until(told))

    def _kept_until(self, told: Told[Identity, Episode]) -> int:
        """Return as of when a revision may be forgotten, but for one `within` and the lateness.

        A withdrawn one later: its trace may begin a signal of the same name again.
        """
        more_ns = self.limits.lateness_ns if told.state == "withdrawn" else 0
        return told.thing.last_ns + more_ns

    def _schedule(self, key: Key, state: KeyState) -> None:
        """Remember when time alone changes something: a signal ends, members are forgotten."""
        within_ns = self.plan.within_ns
        ends = [state.ledger.entries[one].thing.last_ns + within_ns for one in state.open]
        if ends:
            self._agenda.put(key, min(ends))
            return
        more_ns = within_ns + self.limits.lateness_ns
        latest = max(self._newest(state), default=None)
        if latest is None or (self.watermark_ns or 0) > latest + more_ns:
            latest = max(self._all_kept(state))
        self._agenda.put(key, latest + more_ns)

    def _newest(self, state: KeyState) -> list[int]:
        """Return the times of some of the newest things that are kept: quick to tell."""
        times = [state.timeline.members[-1].time_ns] if state.timeline else []
        times += [state.runs.held[-1].last_ns] if state.runs.held else []
        past = next(reversed(state.runs.past.values()), None)
        return times if past is None else [*times, past[1] + self.limits.lateness_ns]

    def _all_kept(self, state: KeyState) -> list[int]:
        """Return the times of all that is kept, but for members if there is something else."""
        times = [self._kept_until(told) for told in state.ledger.entries.values()]
        times += self._newest(state)
        return times or [member.time_ns for member in state.members.values()]

    # -- how it stands ---------------------------------------------------------------------------

    def standing(self) -> list[tuple[Key, Episode]]:
        """Return the signals that stand, over or not, as of the last `collect`."""
        return [
            (key, told.thing)
            for key in sorted(self.keys)
            for told in self.keys[key].ledger.entries.values()
            if told.state != "withdrawn"
        ]

    def verdict(self, *, now: bool = False) -> tuple[Verdict, tuple[Reason, ...]]:
        """Return how the rule stands for all that is kept, as of the last `collect`.

        now: signals that are over do not count. not_applicable: there is no member. inconclusive:
        members that may be missing could make, or unmake, a signal, and none is certain.
        """
        signals = [
            episode for _, episode in self.standing() if not (now and self._is_over(episode))
        ]
        if any(episode.certain for episode in signals):
            return Verdict.VIOLATED, ()
        states = self.keys.values()
        reasons = {reason for episode in signals for reason in episode.reasons}
        reasons |= {
            reason
            for state in states
            for one in state.moments
            if one.answer is None
            for reason in one.reasons
        }
        if self.limits.sampled and not any(state.timeline for state in states):
            reasons.add(Reason.SAMPLED)
        if reasons:
            return Verdict.INCONCLUSIVE, tuple(sorted(reasons))
        seen = any(state.timeline for state in states)
        return Verdict.SATISFIED if seen else Verdict.NOT_APPLICABLE, ()


_FOREVER_NS: Final = 2**200


def _moment_ns(moment: Moment) -> int:
    return moment.time_ns


def _earlier(one: int | None, other: int) -> int:
    return other if one is None else min(one, other)
