"""The state of one `correlate`: members in, in any order; signals out, and only what changed.

A state machine without a clock: `add` takes members, `advance` moves event time on, `collect`
returns the revisions that follow from both. Members are kept until nothing that may still come can
change what they are part of (`lateness_ns` after their time, plus one `within`).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from dsl.many.agenda import Agenda
from dsl.many.episodes import Episode, Judge, Moment, Reasons, contributing, episodes
from dsl.many.ledger import Ledger, State, Told
from dsl.many.members import Member
from dsl.many.plan import CorrelatePlan
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

    members: by id, withdrawn ones too, so that an older revision stays ignored. timeline: (time,
    id) of those that count, sorted. moments: from frozen_ns on; up to stale_ns (None: all) they
    are up to date. carried: the signal that began before frozen_ns. past: for traces that began
    signals that are forgotten, how many, and when the last of them held last. overflow_ns: time
    of the latest member that was left out. changed: times of members that changed since `collect`.
    """

    members: dict[str, Member] = field(default_factory=dict)
    timeline: list[tuple[int, str]] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    stale_ns: int | None = None
    frozen_ns: int | None = None
    carried: Episode | None = None
    past: dict[str, tuple[int, int]] = field(default_factory=dict)
    overflow_ns: int | None = None
    changed: list[int] = field(default_factory=list)
    ledger: Ledger[Identity, Episode] = field(default_factory=Ledger)


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
            self._episodes(state)
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
            entry = (before.time_ns, before.id)
            del state.timeline[bisect_left(state.timeline, entry)]
            self._changed(state, before.time_ns)
        state.members[member.id] = member
        if not member.withdrawn:
            insort(state.timeline, (member.time_ns, member.id))
            self._changed(state, member.time_ns)

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
        found = self._episodes(state)
        within_ns = self.plan.within_ns
        current: dict[Identity, tuple[State, Episode]] = {}
        touched: set[Identity] = set()
        for episode in found:
            identity = (key, episode.trace_id, episode.occurrence)
            current[identity] = ("over" if self._is_over(episode) else "open", episode)
            from_ns, to_ns = episode.since_ns - within_ns, episode.last_ns
            if any(from_ns <= time_ns <= to_ns for time_ns in state.changed):
                touched.add(identity)
        state.changed.clear()
        told = state.ledger.tell(current, touched=touched)
        self._freeze(state, found)
        if state.members or state.ledger.entries or state.past:
            self._schedule(key, state)
        else:
            del self.keys[key]
        return told

    def _episodes(self, state: KeyState) -> list[Episode]:
        members = [state.members[identity] for _, identity in state.timeline]
        if state.stale_ns is not None:
            stale_ns = state.stale_ns
            state.moments = [one for one in state.moments if one.time_ns < stale_ns]
            from_ns = stale_ns if state.frozen_ns is None else max(stale_ns, state.frozen_ns)
            entering = contributing(members, from_ns - self.plan.within_ns, _FOREVER_NS)
            doubts = self._in_doubt(state)
            state.moments += self._judge.moments(entering, from_ns=from_ns, in_doubt=doubts)
            state.stale_ns = None
        return self._grouped(state, members, state.moments)

    def _grouped(
        self, state: KeyState, members: list[Member], moments: list[Moment]
    ) -> list[Episode]:
        past = {trace_id: count for trace_id, (count, _) in state.past.items()}
        within_ns = self.plan.within_ns
        return episodes(members, moments, within_ns=within_ns, carried=state.carried, past=past)

    def _in_doubt(self, state: KeyState) -> Reasons:
        doubts = {Reason.SAMPLED} if self.limits.sampled else set[Reason]()
        return frozenset(doubts if state.overflow_ns is None else doubts | {Reason.TRUNCATED})

    def _is_over(self, episode: Episode) -> bool:
        ends_ns = episode.last_ns + self.plan.within_ns
        return self.watermark_ns is not None and ends_ns < self.watermark_ns

    # -- what can be forgotten -------------------------------------------------------------------

    def _freeze(self, state: KeyState, found: list[Episode]) -> None:
        """Drop what nothing that may still come can change."""
        if self.watermark_ns is None:
            return
        final_ns, within_ns = self.watermark_ns - self.limits.lateness_ns, self.plan.within_ns
        if state.frozen_ns is not None and final_ns <= state.frozen_ns:
            return
        carried = self._carried(state, final_ns)
        self._remember_past(state, found, final_ns)
        state.carried = carried
        state.moments = [one for one in state.moments if one.time_ns >= final_ns]
        state.frozen_ns = final_ns
        first = bisect_left(state.timeline, (final_ns - within_ns, ""))
        del state.timeline[:first]
        state.members = {
            identity: member
            for identity, member in state.members.items()
            if member.time_ns >= final_ns - (0 if member.withdrawn else within_ns)
        }
        if state.overflow_ns is not None and state.overflow_ns + within_ns < final_ns:
            state.overflow_ns = None
        state.ledger.entries = {
            identity: told
            for identity, told in state.ledger.entries.items()
            if self._kept_until(told) + within_ns >= final_ns
        }

    def _kept_until(self, told: Told[Identity, Episode]) -> int:
        """Return as of when a revision may be forgotten, but for one `within` and the lateness.

        A withdrawn one later: its trace may begin a signal of the same name again.
        """
        more_ns = self.limits.lateness_ns if told.state == "withdrawn" else 0
        return told.thing.last_ns + more_ns

    def _remember_past(self, state: KeyState, found: list[Episode], final_ns: int) -> None:
        """Count the signals that are forgotten now for as long as their traces may begin others."""
        within_ns = self.plan.within_ns
        for episode in found:
            if episode.last_ns + within_ns < final_ns:
                state.past[episode.trace_id] = episode.occurrence + 1, episode.last_ns
        kept_ns = final_ns - within_ns - self.limits.lateness_ns
        state.past = {trace: one for trace, one in state.past.items() if one[1] >= kept_ns}

    def _carried(self, state: KeyState, final_ns: int) -> Episode | None:
        """Return the signal that began before a time and may go on after it, as far as it was."""
        members = [state.members[identity] for _, identity in state.timeline]
        done = [one for one in state.moments if one.time_ns < final_ns]
        before = self._grouped(state, members, done)
        if not before or before[-1].last_ns + self.plan.within_ns < final_ns:
            return None
        return before[-1]

    def _schedule(self, key: Key, state: KeyState) -> None:
        """Remember when time alone changes something: a signal ends, members are forgotten."""
        within_ns, told = self.plan.within_ns, state.ledger.entries.values()
        times = [self._kept_until(one) for one in told]
        times += [last_ns + self.limits.lateness_ns for _, last_ns in state.past.values()]
        times += [state.timeline[-1][0]] if state.timeline else []
        times = times or [member.time_ns for member in state.members.values()]
        ends = [one.thing.last_ns + within_ns for one in told if one.state == "open"]
        self._agenda.put(key, min([*ends, max(times) + within_ns + self.limits.lateness_ns]))

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


def _earlier(one: int | None, other: int) -> int:
    return other if one is None else min(one, other)
