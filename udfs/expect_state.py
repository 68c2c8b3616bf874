"""A version of an `expect` in one lane: the state of dsl.many as signals and as bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace

import dsl
from dsl.many import expectation
from dsl.many.expectation import Expectation, ExpectLimits, Overdue
from dsl.many.keys import field_name
from dsl.many.ledger import Told
from dsl.many.members import Signal
from dsl.many.snapshot import sightings_of_snapshot, sightings_snapshot
from dsl.verdict import Verdict
from udfs.contributions import Contribution, Seen, lane_of_key
from udfs.many_rules import ManyRule
from udfs.many_said import NS_PER_MS, Plain, Said, Spoken, keep_told, revise, verdict_of
from udfs.many_signals import many_signal_id, pack_overdue


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

    def forget(self, key: expectation.Key, at_ms: int) -> None:
        """Expect nothing of a key from a moment on, until it is seen again."""
        self._state.forget(key, at_ms * NS_PER_MS)

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
            keep_told(self._said, key, self._state.keys.get(key))
        return spoken

    def _speak(self, told: Told[expectation.Identity, Overdue], now_ms: int) -> Spoken | None:
        """Say that a key is overdue, was seen again, or was seen after all."""
        overdue, key = told.thing, told.identity[0]
        said_of_key = self._said.setdefault(key, {})
        said = said_of_key.get(told.identity)
        verdict, reasons = verdict_of(overdue.certain, overdue.reasons)
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
        revision = revise(said, verdict, reasons, now_ms, reason=reason, withdrawn=withdrawn)
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
