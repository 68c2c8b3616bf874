"""The state of one version of a rule over many traces in one lane, and what it says.

`dsl.many` decides what is so; here it becomes revisions of signals, and bytes for Flink's state.
A state is fed (`take`), brought to a moment of event time (`advance`) and asked what is new
(`collect`); it is kept key by key, because a lane may follow thousands and few of them change.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

import dsl
from dsl.many import correlation, expectation
from dsl.many.correlation import Correlation, KeyState, Limits
from dsl.many.episodes import Episode, contributing
from dsl.many.expectation import Expectation, ExpectLimits, KeySightings, Overdue
from dsl.many.keys import field_name
from dsl.many.ledger import Told
from dsl.many.members import Member, Signal
from dsl.many.snapshot import (
    key_of_snapshot,
    key_snapshot,
    sightings_of_snapshot,
    sightings_snapshot,
)
from dsl.verdict import Reason, Verdict
from udfs.contributions import Contribution, Joined, Seen, lane_of_key
from udfs.many_rules import ManyRule
from udfs.many_signals import Revision, many_signal_id, pack_correlated, pack_overdue
from udfs.signals import next_revision

NS_PER_MS: Final = 1_000_000
Plain: TypeAlias = list[Any]
K = TypeVar("K")
I = TypeVar("I")  # noqa: E741


class Said(NamedTuple):
    """What was last said of a signal. first_ms: when anything was said of it first."""

    number: int
    verdict: Verdict
    first_ms: int


class Spoken(NamedTuple):
    """One revision of a signal: its message, and what it is to rules that look at it."""

    identity: bytes
    message: bytes
    is_new: bool
    first_ms: int
    signal: Signal


def _verdict(certain: bool, reasons: Iterable[Reason]) -> tuple[Verdict, tuple[Reason, ...]]:
    return (Verdict.VIOLATED, ()) if certain else (Verdict.INCONCLUSIVE, tuple(sorted(reasons)))


def _revise(
    said: Said | None,
    verdict: Verdict,
    reasons: tuple[Reason, ...],
    now_ms: int,
    *,
    reason: str = "late_evidence",
    withdrawn: bool = False,
) -> Revision:
    """Return the next revision of a signal. withdrawn: it should never have been."""
    previous = said.number if said else 0
    number = next_revision(judged_ms=now_ms, previous=previous)
    changed = said is not None and (withdrawn or said.verdict is not verdict)
    return Revision(
        number,
        verdict,
        reasons,
        now_ms,
        was=said.verdict if changed and said is not None else None,
        replaces=previous if changed else 0,
        reason=reason if changed else "",
    )


class CorrelateState:
    """A version of a `correlate`, in one lane."""

    def __init__(self, rule: ManyRule, tenant: str, limits: Limits) -> None:
        assert isinstance(rule.rule, dsl.CorrelateRule)
        self.rule = rule
        self.tenant = tenant
        self._plan = rule.rule.plan
        self._state = Correlation(self._plan, limits)
        self._said: dict[correlation.Key, dict[correlation.Identity, Said]] = {}
        self._counted = asdict(self._state.counts)
        self.unsaved: set[correlation.Key] = set()

    # -- in and out ------------------------------------------------------------------------------

    def take(self, contribution: Contribution) -> None:
        """Take in a member."""
        assert isinstance(contribution, Joined)
        self._state.add(contribution.member)

    def begins_key(self, contribution: Contribution) -> bool:
        """Tell whether a contribution would begin another key."""
        assert isinstance(contribution, Joined)
        return tuple(part or "" for part in contribution.member.keys) not in self._state.keys

    def leave_out(self) -> None:
        """Count a contribution that began a key too many."""
        self._state.counts.too_many_keys += 1

    def advance(self, now_ms: int) -> None:
        """Come to a moment of event time."""
        self._state.advance(now_ms * NS_PER_MS)

    @property
    def next_due_ns(self) -> int | None:
        """From when on time alone changes something."""
        return self._state.next_due_ns

    @property
    def size(self) -> int:
        """How many keys are followed."""
        return len(self._state.keys)

    def newly_counted(self) -> dict[str, int]:
        """Return what was left out since the last call, by reason."""
        before, self._counted = self._counted, asdict(self._state.counts)
        return {name: count - before[name] for name, count in self._counted.items()}

    @property
    def all_keys(self) -> set[correlation.Key]:
        """The keys that are followed, or were when they were last saved."""
        return {*self._state.keys, *self.unsaved}

    def collect(self, now_ms: int) -> list[Spoken]:
        """Return what is new, as of a moment."""
        self.unsaved |= self._state.dirty
        keys = set(self._state.dirty)
        spoken = [
            one for told in self._state.collect() if (one := self._speak(told, now_ms)) is not None
        ]
        for key in keys:
            _keep_told(self._said, key, self._state.keys.get(key))
        return spoken

    def _speak(self, told: Told[correlation.Identity, Episode], now_ms: int) -> Spoken | None:
        episode, key = told.thing, told.identity[0]
        said_of_key = self._said.setdefault(key, {})
        said = said_of_key.get(told.identity)
        verdict, reasons = _verdict(episode.certain, episode.reasons)
        if told.state == "withdrawn":
            verdict, reasons = Verdict.SATISFIED, ()
        if said is None and verdict is not Verdict.VIOLATED:
            return None
        revision = _revise(said, verdict, reasons, now_ms)
        first_ms = said.first_ms if said else now_ms
        said_of_key[told.identity] = Said(revision.number, verdict, first_ms)
        _, trace_id, occurrence = told.identity
        identity = many_signal_id(
            tenant=self.tenant,
            rule_id=self.rule.id,
            version=self.rule.version,
            parts=(*key, trace_id, str(occurrence)),
        )
        message = pack_correlated(
            identity,
            self.rule,
            revision,
            key=key,
            episode=episode,
            over=told.state == "over",
            members=self._members(key, episode),
        )
        signal = Signal(
            id=identity.hex(),
            rule=self.rule.id,
            time_ns=episode.since_ns,
            trace_id=trace_id,
            fields=dict(zip(map(field_name, self._plan.by), key, strict=True)),
            revision=revision.number,
            withdrawn=verdict is not Verdict.VIOLATED,
        )
        return Spoken(identity, message, said is None, first_ms, signal)

    def _members(self, key: correlation.Key, episode: Episode) -> Sequence[Member]:
        state = self._state.keys.get(key)
        if state is None:
            return ()
        members = [state.members[identity] for _, identity in state.timeline]
        from_ns = episode.since_ns - self._plan.within_ns
        return contributing(members, from_ns, episode.last_ns)

    # -- bytes -----------------------------------------------------------------------------------

    def head(self) -> Plain:
        """Return what belongs to no key, as plain values."""
        return [self._state.watermark_ns, self._counted]

    def restore_head(self, head: Plain) -> None:
        """Take what `head` returned."""
        self._state.watermark_ns, self._counted = head
        self._state.counts = correlation.Counts(**self._counted)

    def changed_keys(self) -> list[tuple[correlation.Key, Plain | None]]:
        """Return the keys that changed since the last call, as plain values; None: forgotten."""
        changed = [(key, self._packed(key)) for key in sorted(self.unsaved)]
        self.unsaved.clear()
        return changed

    def _packed(self, key: correlation.Key) -> Plain | None:
        state = self._state.keys.get(key)
        if state is None:
            return None
        said = [[*one[1:], *last] for one, last in self._said.get(key, {}).items()]
        return [list(key), key_snapshot(state), said]

    def restore_keys(self, packed: Iterable[Plain]) -> None:
        """Take the keys that `changed_keys` returned, all of them."""
        old = self._state
        keys = {}
        for parts, kept, said in packed:
            key = tuple(parts)
            keys[key] = key_of_snapshot(key, kept)
            for trace_id, occurrence, number, verdict, first_ms in said:
                said_of_key = self._said.setdefault(key, {})
                last = Said(number, Verdict(verdict), first_ms)
                said_of_key[key, trace_id, occurrence] = last
        self._state = Correlation(
            old.plan, old.limits, watermark_ns=old.watermark_ns, counts=old.counts, keys=keys
        )


class ExpectState:
    """A version of an `expect`, in one lane. ended: it was replaced or switched off."""

    def __init__(
        self, rule: ManyRule, tenant: str, limits: ExpectLimits, *, lane: int, activated_ms: int
    ) -> None:
        assert isinstance(rule.rule, dsl.ExpectRule)
        self.rule = rule
        self.tenant = tenant
        plan = rule.rule.plan
        self._plan = replace(plan, listed=standing_keys(rule, tenant, lane=lane))
        self._state = Expectation(self._plan, activated_ms * NS_PER_MS, limits)
        self._said: dict[expectation.Key, dict[expectation.Identity, Said]] = {}
        self.unsaved: set[expectation.Key] = set(self._state.keys)
        self._counted = asdict(self._state.counts)
        self.ended = False

    # -- in and out ------------------------------------------------------------------------------

    def take(self, contribution: Contribution) -> None:
        """Take in a sighting."""
        assert isinstance(contribution, Seen)
        if not self.ended:
            self._state.sight(
                contribution.key,
                contribution.time_ns,
                trace_id=contribution.trace_id,
                doubtful=contribution.doubtful,
            )

    def begins_key(self, contribution: Contribution) -> bool:
        """Tell whether a contribution would begin another key."""
        assert isinstance(contribution, Seen)
        return contribution.key not in self._state.keys

    def leave_out(self) -> None:
        """Count a contribution that began a key too many."""
        self._state.counts.too_many_keys += 1

    def end(self, at_ms: int) -> None:
        """Expect nothing any more: the version is no longer in force."""
        at_ns = at_ms * NS_PER_MS
        for key, state in self._state.keys.items():
            last_ns = max((run.last.time_ns for run in state.runs), default=at_ns)
            self._state.forget(key, max(at_ns, last_ns))
        self.ended = True

    def advance(self, now_ms: int) -> None:
        """Come to a moment of event time."""
        self._state.advance(now_ms * NS_PER_MS)

    @property
    def next_due_ns(self) -> int | None:
        """From when on time alone changes something."""
        return self._state.next_due_ns

    @property
    def size(self) -> int:
        """How many keys are followed."""
        return len(self._state.keys)

    def newly_counted(self) -> dict[str, int]:
        """Return what was left out since the last call, by reason."""
        before, self._counted = self._counted, asdict(self._state.counts)
        return {name: count - before[name] for name, count in self._counted.items()}

    @property
    def all_keys(self) -> set[expectation.Key]:
        """The keys that are followed, or were when they were last saved."""
        return {*self._state.keys, *self.unsaved}

    def collect(self, now_ms: int) -> list[Spoken]:
        """Return what is new, as of a moment."""
        self.unsaved |= self._state.dirty
        keys = set(self._state.dirty)
        spoken = [
            one for told in self._state.collect() if (one := self._speak(told, now_ms)) is not None
        ]
        for key in keys:
            _keep_told(self._said, key, self._state.keys.get(key))
        return spoken

    def _speak(self, told: Told[expectation.Identity, Overdue], now_ms: int) -> Spoken | None:
        """Say that a key is overdue, was seen again, or was seen after all."""
        overdue, key = told.thing, told.identity[0]
        said_of_key = self._said.setdefault(key, {})
        said = said_of_key.get(told.identity)
        verdict, reasons = _verdict(overdue.certain, overdue.reasons)
        standing = told.state != "withdrawn" and verdict is Verdict.VIOLATED
        if said is None and not standing:
            return None
        reason = "late_evidence"
        if told.state == "over" and standing:
            # It was overdue, for however short a time: raised, and resolved at once.
            said = said or Said(0, Verdict.VIOLATED, now_ms)
            reason = "forgotten" if overdue.why == "forgotten" else "seen_again"
        if told.state != "open":
            verdict, reasons = Verdict.SATISFIED, ()
        is_new = told.identity not in said_of_key
        withdrawn = told.state == "withdrawn"
        revision = _revise(said, verdict, reasons, now_ms, reason=reason, withdrawn=withdrawn)
        first_ms = said.first_ms if said else now_ms
        said_of_key[told.identity] = Said(revision.number, verdict, first_ms)
        since_ns = told.identity[1]
        identity = many_signal_id(
            tenant=self.tenant,
            rule_id=self.rule.id,
            version=self.rule.version,
            parts=(key, str(since_ns)),
        )
        message = pack_overdue(
            identity, self.rule, revision, key=key, overdue=overdue, withdrawn=withdrawn
        )
        signal = Signal(
            id=identity.hex(),
            rule=self.rule.id,
            time_ns=overdue.due_ns,
            trace_id=overdue.since.trace_id,
            fields={} if self._plan.by is None else {field_name(self._plan.by): key},
            revision=revision.number,
            withdrawn=not standing,
        )
        return Spoken(identity, message, is_new, first_ms, signal)

    # -- bytes -----------------------------------------------------------------------------------

    def head(self) -> Plain:
        """Return what belongs to no key, as plain values."""
        activated_ms = self._state.activated_ns // NS_PER_MS
        return [self._state.watermark_ns, self._counted, activated_ms]

    def restore_head(self, head: Plain) -> None:
        """Take what `head` returned, but for the activation, with which a state is made."""
        self._state.watermark_ns, self._counted, _ = head
        self._state.counts = expectation.ExpectCounts(**self._counted)

    def changed_keys(self) -> list[tuple[expectation.Key, Plain | None]]:
        """Return the keys that changed since the last call, as plain values; None: forgotten."""
        changed = [(key, self._packed(key)) for key in sorted(self.unsaved)]
        self.unsaved.clear()
        return changed

    def _packed(self, key: expectation.Key) -> Plain | None:
        state = self._state.keys.get(key)
        if state is None:
            return None
        said = [[since_ns, *last] for (_, since_ns), last in self._said.get(key, {}).items()]
        return [key, sightings_snapshot(state), said]

    def restore_keys(self, packed: Iterable[Plain]) -> None:
        """Take the keys that `changed_keys` returned, all of them."""
        old = self._state
        keys = {}
        for key, kept, said in packed:
            keys[key] = sightings_of_snapshot(key, kept)
            for since_ns, number, verdict, first_ms in said:
                last = Said(number, Verdict(verdict), first_ms)
                self._said.setdefault(key, {})[key, since_ns] = last
        self._state = Expectation(
            old.plan,
            old.activated_ns,
            old.limits,
            watermark_ns=old.watermark_ns,
            counts=old.counts,
            keys=keys,
        )
        self.unsaved.clear()


State: TypeAlias = CorrelateState | ExpectState


def _keep_told(said: dict[K, dict[I, Said]], key: K, state: KeyState | KeySightings | None) -> None:
    """Forget what was said of signals of a key that are forgotten."""
    known: Container[object] = () if state is None else state.ledger.entries
    kept = {identity: last for identity, last in said.get(key, {}).items() if identity in known}
    if kept:
        said[key] = kept
    else:
        said.pop(key, None)


def standing_keys(rule: ManyRule, tenant: str, *, lane: int) -> tuple[str, ...]:
    """Return the listed keys of an `expect` that a lane follows."""
    assert isinstance(rule.rule, dsl.ExpectRule)
    listed = rule.rule.plan.listed
    return tuple(key for key in listed if _follows(rule, tenant, (key,), lane=lane))


def expects_anything(rule: ManyRule, tenant: str, *, lane: int) -> bool:
    """Tell whether an `expect` expects keys of a lane before anything was seen."""
    assert isinstance(rule.rule, dsl.ExpectRule)
    if rule.rule.plan.by is None:
        return _follows(rule, tenant, (), lane=lane)
    return bool(standing_keys(rule, tenant, lane=lane))


def _follows(rule: ManyRule, tenant: str, key: tuple[str, ...], *, lane: int) -> bool:
    return lane_of_key(tenant, rule.id, key) == lane
