"""What the traces of a lane hand on to rules over many traces.

Spans are handed on when they are taken in, to the versions that are in force then: a span of a
`correlate` or an `expect` counts for itself, whatever becomes of its trace: also where that is not
opened, since its tenant has too many. Signals are handed on when a promise is first violated by a
trace, and again whenever what is known of them changes: withdrawn, with another time, with other
fields. The versions are those in force when the trace began, as for promises, so that a withdrawal
goes where the signal went.

What was last said of a signal is kept with the trace:

    u64 revision, u8 whether it stands, i64 its own time in ns, 16s its id, its fields as JSON
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import pairwise
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

import dsl
from dsl.many.expectation import THE_ONE_KEY
from dsl.many.keys import Plain, key_of, plain
from dsl.many.members import Member, Signal, member_of_signal, member_of_values
from dsl.plan import Reader
from dsl.showing import first_bound
from dsl.structure import KeptSpan
from dsl.values import MISSING, Absent
from udfs.contributions import MANY_SPANS, Joined, Outbox, Seen, lane_of_key, lane_of_tenant
from udfs.many_rules import NAME, ManyRule, ManySet, field_captures
from udfs.members import unpack_member
from udfs.rulebook import Matched, Rule
from udfs.ruleset import Judged
from udfs.signals import next_revision, signal_id
from udfs.trace_state import FORGOTTEN_ROOT

if TYPE_CHECKING:
    from udfs.accounts import Accounts
    from udfs.trace_state import Emitted, TraceState

NO_KEY: Final = "members_no_key"
"""Counted: members and sightings without the attribute that a rule counts by."""

_HEAD = Struct("<QBq16s")
_NS_PER_MS: Final = 1_000_000
_MAX_TEXT: Final = 1_024
"""Characters of a key or a value that are handed on."""


class _Told(NamedTuple):
    """What rules over many traces were last told of a signal."""

    revision: int
    standing: bool
    time_ns: int
    signal_id: bytes
    fields: Mapping[str, Plain]


class Handing:
    """What one lane hands on while it advances."""

    def __init__(self, lane: int) -> None:
        self._outbox = Outbox(lane)
        self._seen: dict[tuple[ManyRule, str, bool], list[tuple[int, str]]] = {}

    def flush(self) -> list[tuple[str, int, bytes]]:
        """Return (stage, lane, element) for every lane that something was said to."""
        return self._outbox.flush()

    # ------------------------------------------------------------------ spans

    def take_span(
        self,
        matched: Matched,
        accounts: Accounts,
        tenant: str,
        trace_id: bytes,
        member: bytes,
        now_ms: int,
    ) -> bool:
        """Hand a packed member on to the rules that ask for it. Returns whether its trace does."""
        many = matched.many
        assert many is not None
        fact = unpack_member(member, arrived_ns=0)
        keeps = False
        asking: dict[ManyRule, tuple[int, bool]] = {}
        for number, certain in fact.answers:
            keeps = keeps or bool(matched.kept_in_trace >> number & 1)
            for rule, source in many.by_number.get(number, ()):
                before = asking.get(rule)
                if before is None or (not certain, source) < (not before[1], before[0]):
                    asking[rule] = source, certain
        for rule, (source, certain) in asking.items():
            if isinstance(rule.rule, dsl.ExpectRule):
                key = self._key_seen(rule, rule.rule, fact.span)
                listed = rule.rule.plan.listed
                if key is None:
                    accounts.count(NO_KEY)
                elif not listed or key in listed:
                    sighting = fact.span.start_ns, trace_id.hex()
                    self._seen.setdefault((rule, key, not certain), []).append(sighting)
            else:
                joined = _member(rule, rule.rule, fact.span, trace_id, source, certain)
                self._join(rule, accounts, tenant, joined, now_ms)
        return keeps

    def end_record(self, tenant: str, now_ms: int) -> None:
        """Say what was seen in a record: of sightings close together the first and the last."""
        for (rule, key, doubtful), sightings in self._seen.items():
            assert isinstance(rule.rule, dsl.ExpectRule)
            lane = lane_of_key(tenant, rule.id, () if rule.rule.plan.by is None else (key,))
            for time_ns, trace_id in thinned(sightings, every_ns=rule.rule.plan.every_ns):
                seen = Seen(tenant, rule.id, rule.version, key, time_ns, trace_id, doubtful)
                self._outbox.say(seen, stage=MANY_SPANS, lane=lane, judged_ms=now_ms)
        self._seen.clear()

    def _key_seen(self, rule: ManyRule, expect: dsl.ExpectRule, span: KeptSpan) -> str | None:
        plan = expect.plan
        if plan.by is None:
            return THE_ONE_KEY
        return key_of(_read(rule, span, plan.by))

    def _join(
        self, rule: ManyRule, accounts: Accounts, tenant: str, member: Member, now_ms: int
    ) -> None:
        key = [part for part in member.keys if part is not None]
        if len(key) < len(member.keys):
            if not member.withdrawn:
                accounts.count(NO_KEY)
            return
        over_spans = rule.stage == MANY_SPANS
        lane = lane_of_key(tenant, rule.id, key) if over_spans else lane_of_tenant(tenant)
        joined = Joined(tenant, rule.id, rule.version, member)
        self._outbox.say(joined, stage=rule.stage, lane=lane, judged_ms=now_ms)

    # ------------------------------------------------------------------ signals

    def take_signals(
        self,
        many: ManySet,
        accounts: Accounts,
        tenant: str,
        trace_id: bytes,
        trace: TraceState,
        judged: Iterable[Judged],
        now_ms: int,
    ) -> None:
        """Hand on what is new of the signals of a trace. judged: what its rules say just now."""
        emitted = trace.emitted
        if not emitted or many.by_signals.keys().isdisjoint(emitted):
            return
        judgements = {item.rule_id: (item.rule, item.judgement) for item in judged}
        for rule_id, said in list(emitted.items()):
            asking = many.by_signals.get(rule_id)
            if asking is None:
                continue
            standing = said.verdict is dsl.Verdict.VIOLATED
            just_now = judgements.get(rule_id)
            if standing and just_now is None:
                continue  # it stands, and nothing new was said of it
            before = _told(said)
            if standing and just_now is not None:
                now = _standing(tenant, trace_id, trace, many, just_now, now_ms, before)
            elif before is not None and before.standing:
                revision = next_revision(judged_ms=now_ms, previous=before.revision)
                now = before._replace(revision=revision, standing=False)
            else:
                continue
            if before is None or before[1:] != now[1:]:
                for rule in asking:
                    for member in _changes(rule, rule_id, trace_id, before, now):
                        self._join(rule, accounts, tenant, member, now_ms)
                emitted[rule_id] = said._replace(handed=_pack_told(now))


def thinned(sightings: Sequence[tuple[int, str]], *, every_ns: int) -> list[tuple[int, str]]:
    """Return the sightings, sorted, that decide what is seen how far apart.

    One that lies between two others which are at most `every` apart decides nothing.
    """
    ordered = sorted(set(sightings))
    kept = ordered[:1]
    for one, following in pairwise(ordered[1:]):
        if following[0] - kept[-1][0] > every_ns:
            kept.append(one)
    return kept + ordered[1:][-1:]


def _member(
    rule: ManyRule,
    correlate: dsl.CorrelateRule,
    span: KeptSpan,
    trace_id: bytes,
    source: int,
    certain: bool,
) -> Member:
    kept = b"%s%d %d" % (trace_id, span.identity, span.start_ns)
    label = _read(rule, span, NAME)
    return member_of_values(
        correlate,
        lambda reader: _read(rule, span, reader),
        identity=span.span_id.hex() + blake2b(kept, digest_size=8).hexdigest(),
        time_ns=span.start_ns,
        trace_id=trace_id.hex(),
        source=source,
        doubtful=not certain,
        label=label if isinstance(label, str) else "",
    )


def _read(rule: ManyRule, span: KeptSpan, reader: Reader) -> Plain | Absent | None:
    value = plain(span.values.get(rule.captures[reader].hash, MISSING))
    return value[:_MAX_TEXT] if isinstance(value, str) else value


# -- signals ---------------------------------------------------------------------------------------


def _standing(
    tenant: str,
    trace_id: bytes,
    trace: TraceState,
    many: ManySet,
    just_now: tuple[Rule, dsl.Judgement],
    now_ms: int,
    before: _Told | None,
) -> _Told:
    rule, judgement = just_now
    return _Told(
        next_revision(judged_ms=now_ms, previous=before.revision if before else 0),
        True,
        _start_ns(trace),
        signal_id(tenant=tenant, rule_id=rule.id, version=rule.version, trace_id=trace_id),
        _fields(rule, many, trace, judgement),
    )


def _start_ns(trace: TraceState) -> int:
    """Return when a trace starts: its root, or the moment at which it was first taken in."""
    root = trace.root_at_hand
    known = root is not None and root.start_ns < FORGOTTEN_ROOT.start_ns
    return root.start_ns if known and root is not None else trace.begin_ms * _NS_PER_MS


def _fields(
    rule: Rule, many: ManySet, trace: TraceState, judgement: dsl.Judgement
) -> dict[str, Plain]:
    """Return the fields of a signal that some rule reads, of those that its span has."""
    names = many.fields_of(rule.id, rule.record.group_by)
    span = _shown(rule, trace, judgement) if names and trace.kept is not None else None
    if span is None:
        return {}
    captures = dict(zip([n for n in names if n != "service"], field_captures(names), strict=True))
    found: dict[str, Plain] = {}
    for name in names:
        read = plain(span.values.get(captures[name].hash, MISSING)) if name in captures else None
        value = (span.service or None) if name not in captures else read
        if value is not None and not isinstance(value, Absent):
            found[name] = value[:_MAX_TEXT] if isinstance(value, str) else value
    return found


def _shown(rule: Rule, trace: TraceState, judgement: dsl.Judgement) -> KeptSpan | None:
    """Return the span that stands for a signal (dsl.showing)."""
    structure = trace.structure
    if structure is None:
        return None
    bound = first_bound(judgement.bindings)
    for number in rule.shown:
        spans = [
            member.span
            for member in structure.members.get(number, ())
            if (member.certain if bound is None else member.span.span_id == bound)
        ]
        if spans:
            return min(spans, key=lambda span: span.place)
    return None


def _changes(
    rule: ManyRule, rule_id: str, trace_id: bytes, before: _Told | None, now: _Told
) -> Iterable[Member]:
    """Yield what leads from what a rule was told of a signal to what is so now."""
    current = _member_of_signal(rule, rule_id, trace_id, now, withdrawn=not now.standing)
    if before is not None and before.standing and now.standing:
        former = before._replace(revision=now.revision)
        gone = _member_of_signal(rule, rule_id, trace_id, former, withdrawn=True)
        if gone.keys != current.keys:
            yield gone
    yield current


def _member_of_signal(
    rule: ManyRule, rule_id: str, trace_id: bytes, told: _Told, *, withdrawn: bool
) -> Member:
    assert isinstance(rule.rule, dsl.CorrelateRule)
    fields = {name: value for name, value in told.fields.items() if name != "service"}
    signal = Signal(
        id=told.signal_id.hex(),
        rule=rule_id,
        time_ns=told.time_ns,
        trace_id=trace_id.hex(),
        fields=fields,
        service=str(told.fields.get("service", "")),
        revision=told.revision,
        withdrawn=withdrawn,
    )
    member = member_of_signal(rule.rule, signal)
    assert member is not None
    return member


def _pack_told(told: _Told) -> bytes:
    head = _HEAD.pack(told.revision, told.standing, told.time_ns, told.signal_id)
    return head + json.dumps(told.fields, sort_keys=True, separators=(",", ":")).encode()


def _told(said: Emitted) -> _Told | None:
    if not said.handed:
        return None
    revision, standing, time_ns, identity = _HEAD.unpack_from(said.handed)
    return _Told(revision, bool(standing), time_ns, identity, json.loads(said.handed[_HEAD.size :]))
