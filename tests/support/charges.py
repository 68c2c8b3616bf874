"""Small traces for tests of the job on a cluster: a charge, a check, a bypass."""

from __future__ import annotations

import time

from tests.support.engine import RulesLog, SpanDraft, export_request, trace_id
from tests.support.logs import SpansWriter, read_log
from udfs.lanes import lane_of
from udfs.wire import betrace_pb2 as wire

TENANT = "3f0c7d0e-0c1b-4c0a-9a55-1f2e3d4c5b6a"
SETTLE_MS = 3_000
LATENESS_MS = 600_000


def charge_rules(
    *, settle_ms: int = SETTLE_MS, max_life_ms: int = 0, lateness_ms: int = LATENESS_MS
) -> list[bytes]:
    """Return a rules log: `checked` rests on an absence, `watched` on what must not happen."""
    log = RulesLog()
    log.settings(
        tenant=TENANT,
        settle_ms=settle_ms,
        patience_ms=2 * settle_ms,
        max_life_ms=max_life_ms,
        lateness_ms=lateness_ms,
    )
    log.rule("checked", "when { charge } always { check }", tenant=TENANT)
    log.rule("watched", "when { charge } never { bypass }", tenant=TENANT)
    return [record for _, record in log.records]


def charge(trace: str, name: str, **attributes: str) -> SpanDraft:
    """Return a span of a trace that starts now; `charge` is its root."""
    return SpanDraft(
        trace=trace,
        id=f"{trace} {name}",
        parent="" if name == "charge" else f"{trace} charge",
        name=name,
        start_ms=time.time_ns() // 1_000_000,
        attributes=attributes,
    )


def send(writer: SpansWriter, trace: str, *names: str, **attributes: str) -> None:
    """Send spans of a trace that start now, in one record; `charge` is its root."""
    drafts = [charge(trace, name, **attributes) for name in names]
    lane = lane_of(TENANT, trace_id(trace))
    writer.write(export_request(drafts), tenant=TENANT, lane=lane, spans=len(drafts))
    writer.flush()


def violations(kafka: str, prefix: str) -> set[tuple[str, bytes]]:
    """Return (rule, trace id) of every signal on a topic that ever said violated."""
    found = [wire.Signal.FromString(r.value) for r in read_log(kafka, f"{prefix}.signals")]
    return {(s.rule_id, s.trace_id) for s in found if s.verdict == wire.VERDICT_VIOLATED}


def rule_records(kafka: str, prefix: str, kind: str) -> list[wire.RuleLogRecord]:
    """Return the records of one kind in a rules log."""
    records = [wire.RuleLogRecord.FromString(r.value) for r in read_log(kafka, f"{prefix}.rules")]
    return [record for record in records if record.WhichOneof("kind") == kind]
