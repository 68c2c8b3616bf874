"""The rules log as a function of event time.

Every subtask reads `betrace.rules` to its end now and then (`needs_look`) and feeds the records
to a RuleBook. What holds at a time t is decided by the records' own append times, so that every
subtask, every replica and every replay sees the same rules at the same t:

- a record takes effect at its append time + ACTIVATION_MS;
- before a subtask handles a record of time t, it has read the log to its end while holding some
  record of time ≥ t − LOOK_EVERY_MS. ACTIVATION_MS exceeds LOOK_EVERY_MS by the clock
  difference allowed between brokers (2 s).
- a version that was replaced or switched off *drains*: its predicates are matched for as long
  as a trace judged by it can still be corrected. One that was put into quarantine says nothing
  more from the moment on at which that takes effect.

A record that was read is laid on its tenant's shelf (`udfs.rules_shelf`). It is looked at, and its
rule compiled, when spans of the tenant come: the tenant *wakes*. One that has not been asked for
during IDLE_MS of event time is let go, and wakes anew. All of it is derived from the shelf, so
that nobody can tell a tenant that slept from one that was awake.

One book serves all operators of a process: what is asked for rarely is done under a lock.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from threading import RLock
from typing import NamedTuple, TypeAlias, TypeVar

from google.protobuf.message import DecodeError

import dsl
from dsl.captures import Capture
from dsl.showing import shown_predicates
from udfs.lanes import LANES
from udfs.losses import Losses
from udfs.many_rules import ManyRule, ManySet, field_captures
from udfs.rules_shelf import Shelf, ShelvedRecord
from udfs.wire import betrace_pb2 as wire

ACTIVATION_MS = 5_000
LOOK_EVERY_MS = 3_000
LANGUAGE = 1
FOLD_AFTER = 10
"""Signals of a rule, lane and minute that are written whole, unless the tenant says otherwise."""
FOLD_NEVER = 2**32 - 1
"""As a setting: all of them."""
FOR_EVER = 2**62
IDLE_MS = 15 * 60_000
"""A tenant that was not asked for so long is let go: longer than late spans usually take."""
PAUSE_MS = 60_000
"""After so long it may be let go if there are more than MANY_LINKED rules."""
MANY_LINKED = 50_000
"""Linked rules of a process from which on memory matters more than linking anew."""
_KEPT_TEXTS = 1_024
_KEPT_EPOCHS = 8
_KEPT_MATCHED = 2
"""Records come in the order of time, but for partitions that are ahead of others."""
_JUDGING = (wire.RULE_STATE_ACTIVE, wire.RULE_STATE_SHADOW)
_NS_PER_MS = 1_000_000
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class LifeSettings:
    """How long a tenant's traces live, in ms of event time, and how many signals are whole."""

    settle_ms: int = 10_000
    patience_ms: int = 60_000
    max_life_ms: int = 3_600_000
    lateness_ms: int = 600_000
    span_sampled: bool = False
    external_roots: bool = False
    """Whether traces may begin outside of what the tenant exports."""
    clock_skew_ms: int = 0
    """Smaller differences between the clocks of two services say nothing."""
    max_trace_spans: int = 200_000
    max_open_traces: int = 640_000
    max_open_bytes: int = 2**30
    max_known_traces: int = 128_000_000
    """The limits of deploy/decisions/0030; those of open and known traces in all lanes."""
    fold_after: int = FOLD_AFTER

    def share(self, limit: int) -> int:
        """Return what one lane may hold of a limit of the tenant."""
        return max(1, limit // LANES)

    @property
    def drain_ms(self) -> int:
        """How long a replaced version may still be asked."""
        return self.max_life_ms + self.lateness_ms + 2 * self.settle_ms


class LateLinked:
    """A `dsl.LinkedRule` of a version, made when it is asked: most rules apply to no trace."""

    __slots__ = ("_linked", "_numbers", "_text", "bits_only")

    def __init__(self, text: str, numbers: tuple[int, ...], *, bits_only: bool) -> None:
        """text: checks, and its predicates have these numbers."""
        self._text = text
        self._numbers = numbers
        self._linked: dsl.LinkedRule | None = None
        self.bits_only = bits_only

    @property
    def judge(self) -> Callable[[dsl.TraceView], dsl.Judgement]:
        """What judges a trace."""
        return (self._linked or self._link()).judge

    @property
    def violation(self) -> Callable[[dsl.TraceView], dsl.Judgement | None]:
        """What tells whether a trace breaks the promise, by now."""
        return (self._linked or self._link()).violation

    def _link(self) -> dsl.LinkedRule:
        compiled = _checked(self._text)
        assert isinstance(compiled, dsl.CompiledRule)
        captures = [capture.hash for capture in compiled.captures]
        self._linked = compiled.link(self._numbers, captures)
        return self._linked


@dataclass(frozen=True, slots=True)
class Rule:
    """A version of a rule, compiled and linked to its tenant's dictionary."""

    id: str
    version: int
    linked: LateLinked
    predicates: tuple[tuple[int, dsl.SpanPredicate], ...]
    """With their numbers in the tenant's dictionary."""
    record: wire.RuleVersion
    candidates: int | None
    """Mask of the numbers without which `when` is false; None: always a candidate."""
    counted: int
    """Mask of the numbers whose spans are counted."""
    needs_extent: bool
    needs_root: bool
    """Whether it looks at the root: a closed trace must then remember which span that is."""
    settle_ms: int
    """The rule's own; 0: the tenant's."""
    signals_incomplete: bool
    """Whether it signals although the end of a trace is not known."""
    holds_incomplete: bool
    """Whether it does not signal an absence where parents are missing."""
    kept: tuple[tuple[int, tuple[Capture, ...]], ...]
    """Numbers of the predicates whose spans it needs one by one, with what is read off them."""
    needs_links: bool
    """Whether it needs the parent of every span."""
    window_ms: int
    """The longest time after a span that it waits for another, 0 for none."""
    early: bool
    """Whether it may be violated before a trace is closed."""
    shown: tuple[int, ...]
    """Numbers of the predicates whose spans stand for its signals, in this order."""
    stops_ms: int = FOR_EVER
    """From this event time on it says nothing more, not of traces that began earlier either."""

    @property
    def keeps(self) -> bool:
        """Whether it looks at spans one by one."""
        return bool(self.kept)


@dataclass(frozen=True, slots=True)
class Matched:
    """What `match` looks for in the spans of a tenant during one epoch."""

    predicates: tuple[tuple[int, dsl.SpanPredicate], ...]
    counted: int
    needs_extent: bool
    needs_links: bool = False
    kept: Mapping[int, Sequence[Capture]] = field(default_factory=dict)
    """By number of the predicates whose spans are kept: what is read off them."""
    many: ManySet | None = None
    """The rules over many traces in force; None if the tenant has none, draining ones neither."""
    kept_in_trace: int = 0
    """Mask of the numbers whose spans a trace keeps; spans of others are handed on only."""
    handed_on: int = 0
    """Mask of the numbers that no promise looks at."""
    begins_outside: bool = False
    """Whether traces may be open that begin outside of what the tenant exports, and are judged."""


AnyLinked: TypeAlias = Rule | ManyRule


@dataclass(frozen=True, slots=True)
class Activation:
    """When a version of a rule that may be an `expect` takes effect."""

    effective_ms: int
    tenant: str
    rule_id: str
    version: int


class Forgetting(NamedTuple):
    """From when on nothing is expected of a key of an `expect`, until it is seen again."""

    effective_ms: int
    key: str


@dataclass(slots=True)
class _Version:
    effective_ms: int
    until_ms: int
    record: wire.RuleVersion
    stops_ms: int = FOR_EVER
    """When it was put into quarantine."""


@dataclass(slots=True)
class _Tenant:
    """What was made of a tenant's shelf. taken: of how many of its records."""

    shelf: Shelf
    taken: int = 0
    used_ms: int = -1
    """Event time of the last look at the log before it was asked for."""
    versions: dict[str, list[_Version]] = field(default_factory=dict)
    settings: list[tuple[int, LifeSettings]] = field(default_factory=list)
    changes_ms: list[int] = field(default_factory=list)
    match_changes_ms: list[int] = field(default_factory=list)
    linked: dict[tuple[str, int], AnyLinked | None] = field(default_factory=dict)
    in_force: dict[int, tuple[tuple[Rule, ...], ManySet | None]] = field(default_factory=dict)
    matched: dict[int, Matched] = field(default_factory=dict)


NOTHING_MATCHED = Matched(predicates=(), counted=0, needs_extent=False)


class RuleBook:
    """All that has been read of the rules log, understood as far as somebody asked."""

    def __init__(self, *, defaults: LifeSettings | None = None, reader: str = "") -> None:
        """reader: output prefix of the job that reads; some gaps are those of one job."""
        self._defaults = defaults or LifeSettings()
        self._shelves: dict[str, Shelf] = {}
        self._awake: dict[str, _Tenant] = {}
        self._slow = RLock()
        """Held while a tenant wakes, is linked or let go."""
        self.let_go_count = 0
        """Grows whenever tenants were let go: what is derived from them should be as well."""
        self._expects: dict[tuple[str, str], tuple[int, int]] = {}
        self.losses = Losses(reader)
        self._looked_ms = -1
        self._next_offset = 0
        self.version = 0
        """Grows with every record taken; what is derived from the book may be kept until then."""
        self.holds_many = False
        """Whether any tenant ever had a rule over many traces."""
        self._activations: list[Activation] = []
        self._forgettings: dict[tuple[str, str], list[Forgetting]] = {}
        """By tenant and rule, in the order of the log."""
        self._forgetting_ids: set[bytes] = set()
        self.broken: dict[tuple[str, str, int], str] = {}
        """Versions that this build cannot judge, with the reason: (tenant, rule, version)."""

    @property
    def next_offset(self) -> int:
        """The offset of the first record of the log not taken yet."""
        return self._next_offset

    def needs_look(self, time_ms: int) -> bool:
        """Tell whether the log must be read to its end before a record of this time."""
        return time_ms > self._looked_ms + LOOK_EVERY_MS

    def looked(self, time_ms: int) -> None:
        """Note that the log was read to its end while holding a record of this time."""
        self._looked_ms = max(self._looked_ms, time_ms)
        self._let_go_unused(time_ms)

    def add(self, record: bytes, *, append_ms: int, offset: int) -> None:
        """Take one record of the log. Records already taken and unreadable ones are passed over."""
        if offset < self._next_offset:
            return
        self._next_offset = offset + 1
        try:
            message = wire.RuleLogRecord.FromString(record)
        except DecodeError:
            self.broken["", f"offset {offset}", 0] = "not a RuleLogRecord"
        else:
            self._file(message, ShelvedRecord(append_ms, record))
        self.version += 1

    def _file(self, message: wire.RuleLogRecord, record: ShelvedRecord) -> None:
        match message.WhichOneof("kind"):
            case "rule":
                self._note_many(message.rule, record.append_ms + ACTIVATION_MS)
                self._shelf(message.rule.tenant).add(record)
            case "tenant":
                self._shelf(message.tenant.tenant).add(record)
            case "gap":
                self.losses.add_gap(message.gap, append_ms=record.append_ms)
            case "death":
                self.losses.add_death(message.death)
            case "forgetting":
                self._add_forgetting(message.forgetting, record.append_ms + ACTIVATION_MS)

    def _add_forgetting(self, message: wire.Forgetting, effective_ms: int) -> None:
        if message.id in self._forgetting_ids:
            return
        self._forgetting_ids.add(message.id)
        of_rule = self._forgettings.setdefault((message.tenant, message.rule_id), [])
        of_rule.append(Forgetting(effective_ms, message.key))

    def stamp(self, tenant: str) -> int:
        """Return a number that grows with every record of a tenant."""
        shelf = self._shelves.get(tenant)
        return 0 if shelf is None else shelf.count

    def let_go(self, tenants: Iterable[str]) -> None:
        """Forget what was made of the records of tenants; whoever asks for one wakes it anew."""
        with self._slow:
            for tenant in tenants:
                self._awake.pop(tenant, None)
            self.let_go_count += 1

    def is_awake(self, tenant: str) -> bool:
        """Tell whether what a tenant's records say is held in memory."""
        return tenant in self._awake

    def settings(self, tenant: str, time_ms: int) -> LifeSettings:
        """Return the settings of a tenant in force at a time. The first ones hold from ever."""
        return self.settings_epoch(tenant, time_ms)[2]

    def settings_epoch(self, tenant: str, time_ms: int) -> tuple[int, int, LifeSettings]:
        """Return the span of time [from, until) around a time, and the settings then in force."""
        known = self._known(tenant)
        if known is None:
            return -1, FOR_EVER, self._defaults
        return self._settings_at(known, time_ms)

    def _settings_at(self, known: _Tenant, time_ms: int) -> tuple[int, int, LifeSettings]:
        settings = known.settings
        if not settings:
            return -1, FOR_EVER, self._defaults
        at = max(bisect_right(settings, time_ms, key=lambda entry: entry[0]) - 1, 0)
        until_ms = settings[at + 1][0] if at + 1 < len(settings) else FOR_EVER
        return settings[at][0] if at else -1, until_ms, settings[at][1]

    def epoch(self, tenant: str, time_ms: int) -> tuple[int, int]:
        """Return the span of time [from, until) around a time in which a tenant's rules hold."""
        known = self._known(tenant)
        return _interval(known.changes_ms if known else (), time_ms)

    def in_force(self, tenant: str, time_ms: int) -> tuple[Rule, ...]:
        """Return the promises that judge the traces begun at a time, ordered by id."""
        return self._in_force(tenant, time_ms)[0]

    def many_in_force(self, tenant: str, time_ms: int) -> ManySet | None:
        """Return the rules over many traces in force at a time, None if there are none."""
        return self._in_force(tenant, time_ms)[1]

    def _in_force(self, tenant: str, time_ms: int) -> tuple[tuple[Rule, ...], ManySet | None]:
        known = self._known(tenant)
        if known is None:
            return (), None
        with self._slow:
            since_ms = _interval(known.changes_ms, time_ms)[0]
            found = known.in_force.get(since_ms)
            if found is None:
                found = _parted(self._linked(tenant, known, _in_force_at(known, since_ms)))
                _keep(known.in_force, since_ms, found, most=_KEPT_EPOCHS)
            return found

    def many_version(self, tenant: str, rule_id: str, version: int) -> ManyRule | None:
        """Return a version of a rule over many traces; None if it is none, or cannot be read."""
        known = self._known(tenant)
        found = None if known is None else _version_of(known, rule_id, version)
        if known is None or found is None:
            return None
        with self._slow:
            linked = self._linked(tenant, known, [found.record])
        return linked[0] if linked and isinstance(linked[0], ManyRule) else None

    def lifetime_ms(self, tenant: str, rule_id: str, version: int) -> tuple[int, int]:
        """Return from when until when a version is in force, as far as has been read."""
        known = self._known(tenant)
        found = None if known is None else _version_of(known, rule_id, version)
        return (0, 0) if found is None else (found.effective_ms, found.until_ms)

    def activations(self, *, after_ms: int, until_ms: int) -> Sequence[Activation]:
        """Return the versions that take effect in (after, until] and may be an `expect`."""
        first = bisect_right(self._activations, after_ms, key=_effective_ms)
        last = bisect_right(self._activations, until_ms, lo=first, key=_effective_ms)
        return self._activations[first:last]

    def forgettings(self, tenant: str, rule_id: str, *, after_ms: int) -> Sequence[Forgetting]:
        """Return the keys of an `expect` that are to be forgotten after a time, in its order."""
        of_rule = self._forgettings.get((tenant, rule_id), [])
        return of_rule[bisect_right(of_rule, after_ms, key=_forgotten_ms) :]

    def match_epoch(self, tenant: str, time_ms: int) -> tuple[int, int]:
        """Return the span of time [from, until) in which the same predicates are matched."""
        known = self._known(tenant)
        return _interval(known.match_changes_ms if known else (), time_ms)

    def matched(self, tenant: str, time_ms: int) -> Matched:
        """Return the predicates to look for at a time: of rules in force and of draining ones."""
        known = self._known(tenant)
        if known is None:
            return NOTHING_MATCHED
        with self._slow:
            since_ms = _interval(known.match_changes_ms, time_ms)[0]
            matched = known.matched.get(since_ms)
            if matched is None:
                rules = self._linked(tenant, known, _matched_at(known, since_ms))
                matched = _matched(
                    rules,
                    self.many_in_force(tenant, since_ms),
                    begins_outside=_begins_outside_at(known, since_ms),
                )
                _keep(known.matched, since_ms, matched, most=_KEPT_MATCHED)
            return matched

    def reach_ms(self) -> int:
        """Return how long any record may matter: the longest life, lateness and windows known."""
        longest_ms = self._defaults.drain_ms
        for shelf in self._shelves.values():
            known = self._read(_Tenant(shelf))
            settings = [each for _, each in known.settings] or [self._defaults]
            for versions in known.versions.values():
                for version in versions:
                    drains_ms = [_drain_ms(version.record, each) for each in settings]
                    longest_ms = max(longest_ms, *drains_ms)
        return longest_ms

    # ------------------------------------------------------------------ shelves and tenants

    def _shelf(self, tenant: str) -> Shelf:
        return self._shelves.setdefault(tenant, Shelf())

    def _known(self, tenant: str) -> _Tenant | None:
        """Return what a tenant's records say, all that were read; None if there are none."""
        known = self._awake.get(tenant)
        if known is None or known.taken != known.shelf.count:
            shelf = self._shelves.get(tenant)
            if shelf is None:
                return None
            with self._slow:
                known = self._read(self._awake.setdefault(tenant, _Tenant(shelf)))
        known.used_ms = self._looked_ms
        return known

    def _read(self, known: _Tenant) -> _Tenant:
        """Take what is new on a tenant's shelf."""
        for record in known.shelf.since(known.taken):
            message = wire.RuleLogRecord.FromString(record.value)
            effective_ms = record.append_ms + ACTIVATION_MS
            if message.WhichOneof("kind") == "rule":
                self._add_rule(known, message.rule, effective_ms)
            else:
                self._add_settings(known, message.tenant, effective_ms)
            known.taken += 1
        return known

    def _let_go_unused(self, now_ms: int) -> None:
        """Let go of tenants that were not asked for lately; of more of them where memory counts."""
        with self._slow:
            linked = sum(len(known.linked) for known in self._awake.values())
            unused = []
            for tenant, known in sorted(self._awake.items(), key=lambda item: item[1].used_ms):
                patience_ms = PAUSE_MS if linked > MANY_LINKED else IDLE_MS
                if known.used_ms >= now_ms - patience_ms:
                    break
                linked -= len(known.linked)
                unused.append(tenant)
            if unused:
                self.let_go(unused)

    def _add_rule(self, known: _Tenant, record: wire.RuleVersion, effective_ms: int) -> None:
        versions = known.versions.setdefault(record.rule_id, [])
        if versions:
            last = versions[-1]
            # The writer repeats a record when it is not sure that it was taken.
            if (record.version, record.state) == (last.record.version, last.record.state):
                return
            if record.version < last.record.version:
                return
            last.until_ms = effective_ms
            if record.state == wire.RULE_STATE_QUARANTINED:
                last.stops_ms = effective_ms
                known.linked.pop((record.rule_id, last.record.version), None)
            settings = self._settings_at(known, effective_ms)[2]
            drained_ms = effective_ms + _drain_ms(last.record, settings)
            _insert(known.match_changes_ms, drained_ms)
        versions.append(_Version(effective_ms, FOR_EVER, record))
        known.linked.pop((record.rule_id, record.version), None)
        _insert(known.changes_ms, effective_ms)
        _insert(known.match_changes_ms, effective_ms)
        # What was in force before stays as it was, unless a version stops.
        since_ms = -1 if record.state == wire.RULE_STATE_QUARANTINED else effective_ms
        _forget(known.in_force, since_ms)
        _forget(known.matched, since_ms)

    def _note_many(self, record: wire.RuleVersion, effective_ms: int) -> None:
        """Note what may be a rule over many traces: texts are read when first asked for."""
        expects = "expect" in record.text
        if expects or "correlate" in record.text:
            self.holds_many = True
        if not expects:
            return
        rule = (record.tenant, record.rule_id)
        last = self._expects.get(rule, (0, 0))
        if (record.version, record.state) == last or record.version < last[0]:
            return  # said before
        self._expects[rule] = (record.version, record.state)
        if record.state in _JUDGING:
            self._activations.append(Activation(effective_ms, *rule, record.version))

    def _add_settings(self, known: _Tenant, record: wire.TenantSettings, effective_ms: int) -> None:
        default = self._defaults
        settings = LifeSettings(
            settle_ms=record.settle_ms or default.settle_ms,
            patience_ms=record.patience_ms or default.patience_ms,
            max_life_ms=record.max_life_ms or default.max_life_ms,
            lateness_ms=(
                record.lateness_ms if record.HasField("lateness_ms") else default.lateness_ms
            ),
            span_sampled=record.span_sampled,
            external_roots=record.external_roots,
            clock_skew_ms=record.clock_skew_ms or default.clock_skew_ms,
            max_trace_spans=record.max_trace_spans or default.max_trace_spans,
            max_open_traces=record.max_open_traces or default.max_open_traces,
            max_open_bytes=record.max_open_bytes or default.max_open_bytes,
            max_known_traces=record.max_known_traces or default.max_known_traces,
            fold_after=record.fold_after or default.fold_after,
        )
        for _, before in known.settings[-1:]:
            if settings.external_roots or before.external_roots:
                _insert(known.match_changes_ms, effective_ms)
                _insert(known.match_changes_ms, effective_ms + _outside_ms(before, settings))
        known.settings.append((effective_ms, settings))
        known.matched.clear()

    def _linked(
        self, tenant: str, known: _Tenant, records: Iterable[wire.RuleVersion]
    ) -> Sequence[AnyLinked]:
        rules = []
        for record in records:
            key = (record.rule_id, record.version)
            if key not in known.linked:
                known.linked[key] = _stopping(self._link(tenant, record), known)
            rule = known.linked[key]
            if rule is not None:
                rules.append(rule)
        return rules

    def _link(self, tenant: str, record: wire.RuleVersion) -> AnyLinked | None:
        linked = link_rule(record)
        if isinstance(linked, str):
            self.broken[tenant, record.rule_id, record.version] = linked
            return None
        return linked


@lru_cache(maxsize=_KEPT_TEXTS)
def _checked(text: str) -> dsl.AnyRule | None:
    """Return the rule of a text: tenants that took the same rules share what they are made of."""
    return dsl.check(text).rule


def _stopping(linked: AnyLinked | None, known: _Tenant) -> AnyLinked | None:
    """Return a version with the time from which on it is not asked any more, if there is one."""
    if not isinstance(linked, Rule):
        return linked
    version = _version_of(known, linked.id, linked.version)
    if version is None or version.stops_ms == FOR_EVER:
        return linked
    return replace(linked, stops_ms=version.stops_ms)


def _drain_ms(record: wire.RuleVersion, settings: LifeSettings) -> int:
    """Return how long a replaced version may still be asked.

    A window keeps a trace open for at most its longest life more. Rules are compiled when they are
    first asked for, so that the word decides.
    """
    return settings.drain_ms + (settings.max_life_ms if "within" in record.text else 0)


def link_rule(record: wire.RuleVersion) -> AnyLinked | str:
    """Compile a version and link it to the numbers in its record, or say why it cannot be."""
    if record.language > LANGUAGE:
        return f"written for language {record.language}; this build reads up to {LANGUAGE}"
    compiled = _checked(record.text)
    if compiled is None:
        return "its text does not check with this build"
    hashes = tuple(entry.hash for entry in record.predicates)
    if hashes != tuple(predicate.hash for predicate in compiled.predicates):
        return "its predicates differ from those that it was saved with"
    numbers = tuple(entry.number for entry in record.predicates)
    if not isinstance(compiled, dsl.CompiledRule):
        return ManyRule(record.rule_id, record.version, compiled, numbers, record)
    return _linked_promise(record, compiled, numbers)


def _linked_promise(
    record: wire.RuleVersion, compiled: dsl.CompiledRule, numbers: tuple[int, ...]
) -> Rule:
    triggers, needs = compiled.triggers, compiled.needs
    captures = compiled.captures
    return Rule(
        id=record.rule_id,
        version=record.version,
        linked=LateLinked(record.text, numbers, bits_only=compiled.bits_only),
        predicates=tuple(zip(numbers, compiled.predicates, strict=True)),
        record=record,
        candidates=None if triggers is None else _mask(numbers[i] for i in triggers),
        counted=_mask(numbers[i] for i in compiled.counted),
        needs_extent=compiled.needs_extent,
        needs_root=compiled.needs_root,
        settle_ms=record.settle_ms,
        signals_incomplete=record.on_incomplete == "signal",
        holds_incomplete=record.on_incomplete == "hold",
        kept=tuple(
            (number, tuple(captures[i] for i in need.captures))
            for number, need in zip(numbers, needs.predicates, strict=True)
            if need.kept
        ),
        needs_links=needs.links or record.on_incomplete == "hold",
        window_ms=-(-needs.window_ns // _NS_PER_MS),
        early=needs.early,
        shown=tuple(numbers[i] for i in shown_predicates(compiled.plan)),
    )


def _parted(linked: Iterable[AnyLinked]) -> tuple[tuple[Rule, ...], ManySet | None]:
    """Return promises, and rules over many traces."""
    linked = tuple(linked)
    many = tuple(rule for rule in linked if isinstance(rule, ManyRule))
    promises = tuple(rule for rule in linked if isinstance(rule, Rule))
    return promises, ManySet(many) if many else None


def _matched(
    linked: Sequence[AnyLinked], in_force: ManySet | None, *, begins_outside: bool
) -> Matched:
    """Return what to look for. in_force: of the rules over many traces those that do not drain.

    begins_outside: traces may be open that begin outside; it matters where promises judge them.
    """
    rules, many = _parted(linked)
    wanted = _Wanted()
    for rule in rules:
        wanted.promise(rule)
        if many is not None and rule.id in many.by_signals:
            wanted.signals(rule, many.fields_of(rule.id, rule.record.group_by))
    in_trace, of_promises = _mask(wanted.kept), _mask(wanted.predicates)
    for one in () if many is None else many.rules:
        wanted.spans(one)
    return Matched(
        predicates=tuple(sorted(wanted.predicates.items())),
        counted=wanted.counted,
        needs_extent=any(rule.needs_extent for rule in rules),
        needs_links=any(rule.needs_links for rule in rules),
        kept={number: tuple(captures.values()) for number, captures in wanted.kept.items()},
        many=None if many is None else in_force or ManySet(()),
        kept_in_trace=in_trace,
        handed_on=_mask(wanted.predicates) & ~of_promises,
        begins_outside=begins_outside and bool(rules),
    )


@dataclass(slots=True)
class _Wanted:
    """What rules want of spans. kept: by number of a predicate the captures, by hash."""

    predicates: dict[int, dsl.SpanPredicate] = field(default_factory=dict)
    kept: dict[int, dict[int, Capture]] = field(default_factory=dict)
    counted: int = 0

    def promise(self, rule: Rule) -> None:
        self.predicates.update(rule.predicates)
        self.counted |= rule.counted
        for number, captures in rule.kept:
            self._keep(number, captures)

    def signals(self, rule: Rule, fields: Sequence[str]) -> None:
        """Add what signals of a promise tell to rules that look at them."""
        for number in rule.shown if fields else ():
            self._keep(number, field_captures(fields))

    def spans(self, rule: ManyRule) -> None:
        """Add the spans that a rule over many traces looks at."""
        self.predicates.update(zip(rule.numbers, rule.rule.predicates, strict=True))
        for number in rule.numbers:
            self._keep(number, tuple(rule.captures.values()))

    def _keep(self, number: int, captures: Iterable[Capture]) -> None:
        kept = self.kept.setdefault(number, {})
        kept.update({capture.hash: capture for capture in captures})


def _version_of(known: _Tenant, rule_id: str, version: int) -> _Version | None:
    versions = known.versions.get(rule_id, ())
    return next((one for one in reversed(versions) if one.record.version == version), None)


def _effective_ms(activation: Activation) -> int:
    return activation.effective_ms


def _forgotten_ms(forgetting: Forgetting) -> int:
    return forgetting.effective_ms


def _in_force_at(known: _Tenant, time_ms: int) -> Iterable[wire.RuleVersion]:
    for _, versions in sorted(known.versions.items()):
        for version in versions:
            judges = version.record.state in _JUDGING
            if judges and version.effective_ms <= time_ms < version.until_ms:
                yield version.record


def _matched_at(known: _Tenant, time_ms: int) -> Iterable[wire.RuleVersion]:
    settings = [settings for _, settings in known.settings] or [LifeSettings()]
    for _, versions in sorted(known.versions.items()):
        for version in versions:
            if version.record.state not in _JUDGING:
                continue
            drain_ms = max(_drain_ms(version.record, one) for one in settings)
            if version.effective_ms <= time_ms < version.until_ms + drain_ms:
                yield version.record


def _begins_outside_at(known: _Tenant, time_ms: int) -> bool:
    """Tell whether spans may come of a trace that began while traces could begin outside.

    As everywhere the first settings hold from ever.
    """
    for at, (since_ms, settings) in enumerate(known.settings):
        if not settings.external_roots or (at and time_ms < since_ms):
            continue
        following = known.settings[at + 1 : at + 2]
        if not following or time_ms < following[0][0] + _outside_ms(settings, following[0][1]):
            return True
    return False


def _outside_ms(*settings: LifeSettings) -> int:
    """Return how long spans may come of a trace after the settings under which it began."""
    return max(each.drain_ms + each.max_life_ms for each in settings)


def _interval(changes_ms: Sequence[int], time_ms: int) -> tuple[int, int]:
    at = bisect_right(changes_ms, time_ms)
    since_ms = changes_ms[at - 1] if at else -1
    return since_ms, changes_ms[at] if at < len(changes_ms) else FOR_EVER


def _insert(changes_ms: list[int], time_ms: int) -> None:
    at = bisect_right(changes_ms, time_ms)
    if not at or changes_ms[at - 1] != time_ms:
        changes_ms.insert(at, time_ms)


def _keep(kept: dict[int, _T], key: int, value: _T, *, most: int) -> None:
    """Keep what was derived for an epoch; the oldest of many goes."""
    kept[key] = value
    if len(kept) > most:
        del kept[next(iter(kept))]


def _forget(kept: dict[int, _T], since_ms: int) -> None:
    """Forget what was derived for the epochs from a time on."""
    for key in [key for key in kept if key >= since_ms]:
        del kept[key]


def _mask(numbers: Iterable[int]) -> int:
    mask = 0
    for number in numbers:
        mask |= 1 << number
    return mask
