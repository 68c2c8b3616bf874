"""The state of one `expect`: sightings in, in any order; signals out, and only what changed.

Without a clock: `advance` moves event time on, and what has not been seen by then is overdue. Of
the sightings of a key only runs are kept, first and last of a row that lies never more than `every`
apart: they are a function of the set of sightings, whatever the order in which they came.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

from dsl.many.agenda import Agenda
from dsl.many.ledger import Ledger, State, Told
from dsl.many.plan import ExpectPlan
from dsl.verdict import Reason, Verdict

MAX_KEYS: Final = 100_000
FORGET_AFTER: Final = 7
"""A key is forgotten after so many times `every` without a sighting, if nothing else is said."""

Key: TypeAlias = str
THE_ONE_KEY: Final = ""
"""The key of an `expect` without `by`."""
Why: TypeAlias = Literal["", "sighted", "forgotten"]
Identity: TypeAlias = tuple[Key, int]
"""Key, and since when it was not seen."""


class Sighting(NamedTuple):
    """When something was seen, and in which trace; none at the moment of activation."""

    time_ns: int
    trace_id: str


class Run(NamedTuple):
    """Sightings in a row that are never more than `every` apart."""

    first: Sighting
    last: Sighting


@dataclass(frozen=True, slots=True)
class Overdue:
    """One signal: a key that was not seen for more than `every`.

    since: the last sighting before, or the activation. due_ns: when it should have been seen
    again. until_ns: when it was, or was forgotten; None while it is open. trace_id: where it was
    seen again. reasons: why it may have been seen after all.
    """

    since: Sighting
    due_ns: int
    until_ns: int | None = None
    why: Why = ""
    trace_id: str = ""
    reasons: frozenset[Reason] = frozenset()

    @property
    def certain(self) -> bool:
        """Whether it cannot be that it was seen."""
        return not self.reasons


@dataclass(frozen=True, slots=True)
class ExpectLimits:
    """How long sightings may be late, when keys are forgotten, and whether traces are sampled.

    forget_ns: None: FORGET_AFTER times `every`. Keys that the rule lists, and the one key of a
    rule without `by`, are forgotten by people only: they are expected because somebody said so.
    """

    lateness_ns: int = 4_200_000_000_000
    forget_ns: int | None = None
    max_keys: int = MAX_KEYS
    sampled: bool = False


@dataclass(slots=True)
class ExpectCounts:
    """Sightings left out, by reason."""

    no_key: int = 0
    too_many_keys: int = 0
    too_late: int = 0
    before_activation: int = 0


@dataclass(slots=True)
class KeySightings:
    """What is known of one key.

    runs: by time. forgotten_ns: when people said to forget it. doubtful_ns: the first and the last
    time at which it may have been seen, and a value that was taken away leaves it open.
    """

    runs: list[Run] = field(default_factory=list)
    forgotten_ns: list[int] = field(default_factory=list)
    doubtful_ns: tuple[int, int] | None = None
    ledger: Ledger[Identity, Overdue] = field(default_factory=Ledger)


@dataclass(slots=True)
class Expectation:
    """One rule's state.

    activated_ns: from when on the rule is judged. watermark_ns: event time; None before the first
    `advance`. dirty: keys that something happened to since the last `collect`.
    """

    plan: ExpectPlan
    activated_ns: int
    limits: ExpectLimits = field(default_factory=ExpectLimits)
    watermark_ns: int | None = None
    counts: ExpectCounts = field(default_factory=ExpectCounts)
    keys: dict[Key, KeySightings] = field(default_factory=dict)
    dirty: set[Key] = field(default_factory=set)
    _agenda: Agenda[Key] = field(default_factory=Agenda)
    _standing_keys: frozenset[Key] = field(init=False)

    def __post_init__(self) -> None:
        listed = self.plan.listed if self.plan.by is not None else (THE_ONE_KEY,)
        self._standing_keys = frozenset(listed)
        activation = Sighting(self.activated_ns, "")
        for key in listed:
            self.keys.setdefault(key, KeySightings([Run(activation, activation)]))
        for key, state in self.keys.items():
            self._schedule(key, state)

    # -- in --------------------------------------------------------------------------------------

    def sight(
        self, key: Key | None, time_ns: int, *, trace_id: str = "", doubtful: bool = False
    ) -> None:
        """Take in that a key was seen. Repetitions do nothing.

        key: None if the span has no value for it; THE_ONE_KEY for a rule without `by`. For a rule
        that lists its keys, any other is of no interest. doubtful: nobody can tell whether the span
        fulfils the test.
        """
        if key is None:
            self.counts.no_key += 1
        elif self.plan.listed and key not in self._standing_keys:
            return
        elif time_ns < self.activated_ns:
            self.counts.before_activation += 1
        elif self._is_final(time_ns):
            self.counts.too_late += 1
        elif key not in self.keys and len(self.keys) >= self.limits.max_keys:
            self.counts.too_many_keys += 1
        elif not doubtful:
            self._insert(self.keys.setdefault(key, KeySightings()), Sighting(time_ns, trace_id))
            self.dirty.add(key)
        elif key in self.keys:
            state = self.keys[key]
            first_ns, last_ns = state.doubtful_ns or (time_ns, time_ns)
            state.doubtful_ns = min(first_ns, time_ns), max(last_ns, time_ns)
            self.dirty.add(key)

    def _is_final(self, time_ns: int) -> bool:
        if self.watermark_ns is None:
            return False
        return time_ns < self.watermark_ns - self.limits.lateness_ns

    def _insert(self, state: KeySightings, one: Sighting) -> None:
        """Put a sighting into the run it lies next to, and join two runs that it bridges."""
        runs, every_ns = state.runs, self.plan.every_ns
        i = bisect_right(runs, one.time_ns, key=_first_ns)
        new = Run(one, one)
        if i > 0 and one.time_ns - runs[i - 1].last.time_ns <= every_ns:
            i -= 1
            old = runs.pop(i)
            new = Run(min(old.first, one), max(old.last, one))
        if i < len(runs) and runs[i].first.time_ns - new.last.time_ns <= every_ns:
            new = Run(new.first, runs.pop(i).last)
        runs.insert(i, new)

    def forget(self, key: Key, at_ns: int) -> None:
        """Take in that a person forgot a key: nothing is expected of it until it is seen again."""
        state = self.keys.get(key)
        if state is not None and at_ns not in state.forgotten_ns:
            state.forgotten_ns = sorted([*state.forgotten_ns, at_ns])
            self.dirty.add(key)

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

    def collect(self) -> list[Told[Identity, Overdue]]:
        """Return the revisions that follow from what came since the last call, key by key."""
        told: list[Told[Identity, Overdue]] = []
        for key in sorted(self.dirty):
            state = self.keys[key]
            current: dict[Identity, tuple[State, Overdue]] = {}
            for overdue in self._overdue(key, state):
                over: State = "open" if overdue.until_ns is None else "over"
                current[key, overdue.since.time_ns] = over, overdue
            told += state.ledger.tell(current)
            self._freeze(key, state)
        self.dirty.clear()
        return told

    def _overdue(self, key: Key, state: KeySightings) -> Iterator[Overdue]:
        """Yield the gaps that are longer than `every` and due before the watermark."""
        if self.watermark_ns is None:
            return
        following = [*(run.first for run in state.runs[1:]), None]
        for run, seen in zip(state.runs, following, strict=True):
            due_ns = run.last.time_ns + self.plan.every_ns
            until_ns, why = self._ended(key, state, run.last.time_ns, seen)
            forgotten_before_due = (
                why == "forgotten" and until_ns is not None and until_ns <= due_ns
            )
            if due_ns < self.watermark_ns and not forgotten_before_due:
                trace_id = seen.trace_id if why == "sighted" and seen is not None else ""
                reasons = self._in_doubt(state, run.last.time_ns, until_ns)
                yield Overdue(run.last, due_ns, until_ns, why, trace_id, reasons)

    def _in_doubt(
        self, state: KeySightings, since_ns: int, until_ns: int | None
    ) -> frozenset[Reason]:
        reasons = {Reason.SAMPLED} if self.limits.sampled else set[Reason]()
        if state.doubtful_ns is not None:
            first_ns, last_ns = state.doubtful_ns
            if last_ns > since_ns and (until_ns is None or first_ns < until_ns):
                reasons.add(Reason.REDACTED)
        return frozenset(reasons)

    def _ended(
        self, key: Key, state: KeySightings, since_ns: int, seen: Sighting | None
    ) -> tuple[int | None, Why]:
        """Return when a gap came to its end, and why; None while it has none."""
        ends: list[tuple[int, Why]] = [(seen.time_ns, "sighted")] if seen is not None else []
        ends += [(at_ns, "forgotten") for at_ns in state.forgotten_ns if at_ns >= since_ns]
        if key not in self._standing_keys:
            at_ns = since_ns + self._forget_ns
            if self.watermark_ns is not None and at_ns < self.watermark_ns:
                ends.append((at_ns, "forgotten"))
        # Seen at the very moment of being forgotten is seen.
        return min(ends, key=lambda end: (end[0], end[1] != "sighted"), default=(None, ""))

    @property
    def _forget_ns(self) -> int:
        asked = self.limits.forget_ns
        return FORGET_AFTER * self.plan.every_ns if asked is None else asked

    def due_ns(self, key: Key) -> int | None:
        """Return from when on a key is overdue if it is not seen; None: nothing is expected of it.

        For a scheduler that keeps its own timers.
        """
        state = self.keys.get(key)
        if state is None or not state.runs:
            return None
        since_ns = state.runs[-1].last.time_ns
        until_ns, _ = self._ended(key, state, since_ns, None)
        return since_ns + self.plan.every_ns if until_ns is None else None

    # -- what can be forgotten -------------------------------------------------------------------

    def _freeze(self, key: Key, state: KeySightings) -> None:
        """Drop the runs and signals that nothing that may still come can change."""
        if self.watermark_ns is not None:
            final_ns = self.watermark_ns - self.limits.lateness_ns
            # A run matters while a sighting in the gap after it may still come.
            while len(state.runs) > 1 and state.runs[1].first.time_ns < final_ns:
                del state.runs[0]
            first_ns = state.runs[0].last.time_ns if state.runs else final_ns
            state.ledger.entries = {
                identity: told
                for identity, told in state.ledger.entries.items()
                if told.thing.since.time_ns >= first_ns or told.thing.due_ns >= final_ns
            }
            if self._is_forgotten(key, state, final_ns):
                del self.keys[key]
                return
        self._schedule(key, state)

    def _is_forgotten(self, key: Key, state: KeySightings, final_ns: int) -> bool:
        if not state.runs:
            return True
        until_ns, _ = self._ended(key, state, state.runs[-1].last.time_ns, None)
        listed = key in self._standing_keys
        return len(state.runs) == 1 and until_ns is not None and until_ns < final_ns and not listed

    def _schedule(self, key: Key, state: KeySightings) -> None:
        """Remember when time alone changes something: due, forgotten, or dropped."""
        after_ns = (self.plan.every_ns, self._forget_ns, self._forget_ns + self.limits.lateness_ns)
        times = [run.last.time_ns + one for run in state.runs for one in after_ns]
        later = [one for one in times if self.watermark_ns is None or one >= self.watermark_ns]
        if later:
            self._agenda.put(key, min(later))

    # -- how it stands ---------------------------------------------------------------------------

    def standing(self) -> list[tuple[Key, Overdue]]:
        """Return the signals that stand, open or over, as of the last `collect`."""
        return [
            (key, told.thing)
            for key in sorted(self.keys)
            for told in self.keys[key].ledger.entries.values()
            if told.state != "withdrawn"
        ]

    def verdict(self, *, now: bool = False) -> tuple[Verdict, tuple[Reason, ...]]:
        """Return how the rule stands for all that is kept, as of the last `collect`.

        now: signals that are over do not count. not_applicable: nothing is expected. inconclusive:
        all that is overdue may have been seen after all.
        """
        signals = [one for _, one in self.standing() if not (now and one.until_ns is not None)]
        if not signals:
            return (Verdict.SATISFIED if self.keys else Verdict.NOT_APPLICABLE), ()
        if any(one.certain for one in signals):
            return Verdict.VIOLATED, ()
        reasons = {reason for one in signals for reason in one.reasons}
        return Verdict.INCONCLUSIVE, tuple(sorted(reasons))


def _first_ns(run: Run) -> int:
    return run.first.time_ns
