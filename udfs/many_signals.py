"""Signals of rules over many traces: their identity and their bytes.

They have no trace of their own. What made them travels with them: key, window or gap, and of the
members that contribute the first and the last ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from hashlib import blake2b
from math import inf
from typing import Final

import dsl
from dsl.many.episodes import Episode
from dsl.many.expectation import Overdue
from dsl.many.having import Found, measures_of
from dsl.many.keys import field_name
from dsl.many.members import SPAN_ID_CHARACTERS, Member
from dsl.many.plan import CorrelatePlan, SignalSource
from dsl.many.printer import measure_text
from dsl.ranges import is_range
from dsl.verdict import Reason, Verdict
from udfs.many_rules import ManyRule
from udfs.signals import VERDICTS
from udfs.wire import betrace_pb2 as wire

MAX_SHOWN: Final = 20
"""Members that a signal names from its beginning, and as many from its end."""
_NS_PER_MS: Final = 1_000_000
_MAX_MS: Final = 253_402_300_799_999
_MAX_NS: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Revision:
    """How a signal stands from a moment on. was: what was said before, None for the first time.

    reason: of the correction, "" if it is none. replaces: the revision before, 0 for none.
    """

    number: int
    verdict: Verdict
    reasons: tuple[Reason, ...]
    judged_ms: int
    was: Verdict | None = None
    replaces: int = 0
    reason: str = ""


def many_signal_id(*, tenant: str, rule_id: str, version: int, parts: Iterable[str]) -> bytes:
    """Return the id of a signal of a rule over many traces.

    16 bytes: BLAKE2b-128 over the fields, each preceded by its length. parts: the key, then the
    first contributing trace and its occurrence, or since when the key was not seen.
    """
    digest = blake2b(digest_size=16, person=b"betrace.many")
    for text in (tenant, rule_id, str(version), *parts):
        field = text.encode(errors="replace")
        digest.update(len(field).to_bytes(4, "big"))
        digest.update(field)
    return digest.digest()


def pack_correlated(
    identity: bytes,
    rule: ManyRule,
    revision: Revision,
    *,
    key: Sequence[str],
    episode: Episode,
    over: bool,
    members: Sequence[Member],
) -> bytes:
    """Return the Signal message of a `correlate`.

    members: by time, the first and the last MAX_SHOWN of the episode; all of them, if it has not
    more.
    """
    assert isinstance(rule.rule, dsl.CorrelateRule)
    plan = rule.rule.plan
    signal = _signal(identity, rule, revision)
    begin_ns = members[0].time_ns if members else episode.since_ns
    signal.first_span_ms, signal.last_span_ms = _ms(begin_ns), _ms(episode.last_ns)
    signal.closed_ms = revision.judged_ms if over else 0
    correlated = signal.correlated
    correlated.key.extend(_key(map(field_name, plan.by), key))
    correlated.since_ns, correlated.last_ns = _ns(episode.since_ns), _ns(episode.last_ns)
    correlated.within_ns = plan.within_ns
    correlated.over = over
    correlated.count = min(episode.count, 2**31 - 1)
    correlated.members.extend(_contributing(plan, member) for member in members)
    measures = measures_of(plan.having)
    correlated.measured.extend(
        _measured(measure_text(one), found)
        for one, found in zip(measures, episode.found, strict=True)
    )
    return signal.SerializeToString(deterministic=True)


def pack_overdue(
    identity: bytes,
    rule: ManyRule,
    revision: Revision,
    *,
    key: str,
    overdue: Overdue,
    withdrawn: bool,
) -> bytes:
    """Return the Signal message of an `expect`."""
    assert isinstance(rule.rule, dsl.ExpectRule)
    plan = rule.rule.plan
    signal = _signal(identity, rule, revision)
    signal.first_span_ms, signal.last_span_ms = _ms(overdue.since.time_ns), _ms(overdue.due_ns)
    signal.closed_ms = 0 if overdue.until_ns is None else revision.judged_ms
    told = signal.overdue
    if plan.by is not None:
        told.key.extend(_key([field_name(plan.by)], [key]))
    told.last_seen_ns, told.due_ns = _ns(overdue.since.time_ns), _ns(overdue.due_ns)
    told.last_trace_id = bytes.fromhex(overdue.since.trace_id)
    told.until_ns = _ns(overdue.until_ns or 0)
    told.ended = "withdrawn" if withdrawn else overdue.why
    told.seen_trace_id = bytes.fromhex(overdue.trace_id)
    told.every_ns = plan.every_ns
    return signal.SerializeToString(deterministic=True)


def _signal(identity: bytes, rule: ManyRule, revision: Revision) -> wire.Signal:
    record = rule.record
    signal = wire.Signal(
        id=identity,
        revision=revision.number,
        tenant=record.tenant,
        rule_id=rule.id,
        rule_version=rule.version,
        rule_name=record.name,
        severity=record.severity,
        controls=record.controls,
        tags=record.tags,
        shadow=record.state == wire.RULE_STATE_SHADOW,
        verdict=VERDICTS[revision.verdict],
        reasons=revision.reasons,
        judged_ms=revision.judged_ms,
    )
    if revision.was is not None:
        signal.correction.replaces_revision = revision.replaces
        signal.correction.was = VERDICTS[revision.was]
        signal.correction.reason = revision.reason
    return signal


def _key(names: Iterable[str], values: Iterable[str]) -> list[wire.KeyField]:
    pairs = zip(names, values, strict=True)
    return [wire.KeyField(name=name, value=value) for name, value in pairs]


def _contributing(plan: CorrelatePlan, member: Member) -> wire.Contributing:
    told = wire.Contributing(
        time_ns=_ns(member.time_ns),
        name=member.label,
        trace_id=bytes.fromhex(member.trace_id),
        source=member.source,
        doubtful=member.doubtful,
    )
    if isinstance(plan.sources[member.source], SignalSource):
        told.signal_id = bytes.fromhex(member.id)
    else:
        told.span_id = bytes.fromhex(member.id[:SPAN_ID_CHARACTERS])
    for reader, value in zip(plan.fields, member.values, strict=True):
        if value is not None:
            told.values[field_name(reader)] = str(value)
    return told


def _measured(text: str, found: Found) -> wire.Measured:
    if not is_range(found):
        return wire.Measured(text=text)
    least, greatest = map(_number, found)
    return wire.Measured(text=text, least=least, greatest=greatest)


def _number(value: int | float | Fraction) -> str:
    return "" if value in (inf, -inf) else str(value)


def _ms(time_ns: int) -> int:
    return min(max(time_ns // _NS_PER_MS, 0), _MAX_MS)


def _ns(time_ns: int) -> int:
    return min(max(time_ns, 0), _MAX_NS)
