"""A version of a `correlate` in one lane: the state of dsl.many as signals and as bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

import dsl
from dsl.many import correlation
from dsl.many.correlation import Correlation, Limits
from dsl.many.episodes import Episode
from dsl.many.keys import field_name
from dsl.many.ledger import Told
from dsl.many.members import Member, Signal
from dsl.many.snapshot import key_of_snapshot, key_snapshot
from dsl.verdict import Verdict
from udfs.contributions import Contribution, Joined
from udfs.many_rules import ManyRule
from udfs.many_said import NS_PER_MS, Plain, Said, Spoken, keep_told, revise, verdict_of
from udfs.many_signals import MAX_SHOWN, many_signal_id, pack_correlated


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
            keep_told(self._said, key, self._state.keys.get(key))
        return spoken

    def _speak(self, told: Told[correlation.Identity, Episode], now_ms: int) -> Spoken | None:
        episode, key = told.thing, told.identity[0]
        said_of_key = self._said.setdefault(key, {})
        said = said_of_key.get(told.identity)
        verdict, reasons = verdict_of(episode.certain, episode.reasons)
        if told.state == "withdrawn":
            verdict, reasons = Verdict.SATISFIED, ()
        if said is None and verdict is not Verdict.VIOLATED:
            return None
        revision = revise(said, verdict, reasons, now_ms)
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
            members=self._shown(key, episode),
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

    def _shown(self, key: correlation.Key, episode: Episode) -> Sequence[Member]:
        """Return the members of a signal that are told: the first ones and the last ones."""
        state = self._state.keys.get(key)
        if state is None:
            return ()
        from_ns = episode.since_ns - self._plan.within_ns
        return state.timeline.between(from_ns, episode.last_ns, ends=MAX_SHOWN)

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
