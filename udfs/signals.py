"""Signals: their identity, their order, and their bytes."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING

from dsl import Judgement, Verdict
from udfs.wire import betrace_pb2 as wire

if TYPE_CHECKING:
    from udfs.rulebook import Rule
    from udfs.trace_state import Emitted, TraceState

SCHEMA = b"1"
REVISIONS_PER_MS = 16
MAX_WITNESSES = 64
VERDICTS = {
    Verdict.VIOLATED: wire.VERDICT_VIOLATED,
    Verdict.SATISFIED: wire.VERDICT_SATISFIED,
    Verdict.NOT_APPLICABLE: wire.VERDICT_NOT_APPLICABLE,
    Verdict.INCONCLUSIVE: wire.VERDICT_INCONCLUSIVE,
}


def signal_id(*, tenant: str, rule_id: str, version: int, trace_id: bytes) -> bytes:
    """Return the id of the one signal that a version of a rule can raise for a trace.

    16 bytes: BLAKE2b-128 over the fields, each preceded by its length, so that no two
    different quadruples read alike.
    """
    fields = (tenant.encode(), rule_id.encode(), version.to_bytes(4, "big"), trace_id)
    return _identity(b"betrace.signal", fields)


def fold_id(*, tenant: str, rule_id: str, version: int, lane: int, minute_ms: int) -> bytes:
    """Return the id of what a lane folds of a version of a rule in a minute; see `signal_id`."""
    numbers = version.to_bytes(4, "big"), lane.to_bytes(4, "big"), minute_ms.to_bytes(8, "big")
    return _identity(b"betrace.fold", (tenant.encode(), rule_id.encode(), *numbers))


def _identity(kind: bytes, fields: Iterable[bytes]) -> bytes:
    digest = blake2b(digest_size=16, person=kind)
    for field in fields:
        digest.update(len(field).to_bytes(4, "big"))
        digest.update(field)
    return digest.digest()


def next_revision(*, judged_ms: int, previous: int) -> int:
    """Return the revision of a judgement: event time in ms × 16, plus its rank in that ms.

    previous: the revision it replaces, 0 if there is none. A replay of the same log gives the
    same revisions, since nothing but event time goes in.
    """
    return max(judged_ms * REVISIONS_PER_MS, previous + 1)


def bindings_digest(judgement: Judgement) -> int:
    """Return 64 bits that change with the violated combinations of a judgement; 0 for none."""
    if not judgement.bindings_total:
        return 0
    digest = blake2b(judgement.bindings_total.to_bytes(8, "big"), digest_size=8)
    for combination in judgement.bindings:
        digest.update(len(combination).to_bytes(4, "big"))
        for bound in combination:
            digest.update(b"%s=%s;" % (bound.name.encode(), bound.span_id))
    return int.from_bytes(digest.digest(), "big") or 1


def pack_signal(
    *,
    identity: bytes,
    tenant: str,
    rule: Rule,
    trace_id: bytes,
    trace: TraceState,
    judgement: Judgement,
    now: Emitted,
    was: Emitted | None,
    judged_ms: int,
    closed_ms: int,
) -> bytes:
    """Return the Signal message of one judgement (udfs/wire/betrace.proto).

    was: what had been said before, None for the first time. closed_ms: 0 while the trace is
    still open. Nothing in it depends on a wall clock or on the process that made it.
    """
    record = rule.record
    root = trace.root_at_hand
    signal = wire.Signal(
        id=identity,
        revision=now.revision,
        tenant=tenant,
        rule_id=rule.id,
        rule_version=rule.version,
        rule_name=record.name,
        severity=record.severity,
        controls=record.controls,
        tags=record.tags,
        shadow=record.state == wire.RULE_STATE_SHADOW,
        verdict=VERDICTS[now.verdict],
        broken_clause=now.broken,
        incomplete=now.incomplete,
        reasons=now.reasons,
        trace_id=trace_id,
        root_name=root.name if root else "",
        root_service=root.service if root else "",
        witness_span_ids=_witnesses(rule, trace, judgement),
        span_count=trace.spans,
        bindings=_combinations(judgement),
        bindings_total=judgement.bindings_total,
        first_span_ms=trace.begin_ms,
        last_span_ms=trace.last_ms,
        closed_ms=closed_ms,
        judged_ms=judged_ms,
        partition=trace.partition,
        first_offset=trace.first_offset,
        last_offset=trace.last_offset,
    )
    if was is not None:
        signal.correction.replaces_revision = was.revision
        signal.correction.was = VERDICTS[was.verdict]
        signal.correction.reason = "late_evidence"
    return signal.SerializeToString(deterministic=True)


def _combinations(judgement: Judgement) -> list[wire.Combination]:
    return [
        wire.Combination(
            spans=[wire.BoundSpan(name=one.name, span_id=one.span_id) for one in combination]
        )
        for combination in judgement.bindings
    ]


def _witnesses(rule: Rule, trace: TraceState, judgement: Judgement) -> list[bytes]:
    if not judgement.bindings and not (rule.counted and trace.counted):
        return []
    spans = {bound.span_id for combination in judgement.bindings for bound in combination}
    for number, counted in (trace.counted or {}).items():
        if rule.counted >> number & 1:
            spans.update(span_id for (span_id, _), certain in counted.items() if certain)
    return sorted(spans)[:MAX_WITNESSES]
