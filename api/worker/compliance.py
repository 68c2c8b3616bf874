"""Customers' compliance spans into the queue of what is to be sealed.

They are redacted by the policy of now, whatever was done before: what came by `ingest` holds
nothing any more, and redacting twice is as once.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from google.protobuf.message import DecodeError

from api.evidence.model import Offer
from api.evidence.offering import offer
from api.worker.database import WorkerConnection
from api.worker.folding import LogRecord, Poison, is_tenant
from api.worker.redaction import Versioned
from api.worker.signals import Written
from udfs.evidence.canonical import Json
from udfs.evidence.compliance import read_compliance
from udfs.evidence.in_spans import rewritten
from udfs.evidence.malformed import Malformed
from udfs.evidence.records import ComplianceSpan
from udfs.wire import betrace_pb2 as wire

_NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class ComplianceWriter:
    """Writes batches of the evidence topic. redact: by tenant; raises RedactionUnavailable."""

    redact: Callable[[str], Versioned]

    def write(self, connection: WorkerConnection, records: Sequence[LogRecord]) -> Written:
        """Hand a batch over to be sealed, inside the caller's transaction; again is harmless.

        Raises one of database.BAD_DATA if Postgres will not take some row, and
        RedactionUnavailable.
        """
        offers: list[Offer] = []
        poison: list[Poison] = []
        for record in records:
            try:
                offers += self._offers(wire.ComplianceSpans.FromString(record.value or b""))
            except (DecodeError, ValueError) as error:
                poison.append(Poison(record, "evidence.malformed", str(error)))
        refused = Counter("not_a_record" for _ in offer(connection, offers))
        handed_over = len(offers) - refused.total()
        return Written({"evidence_inbox": handed_over}, dict(refused), tuple(poison))

    def _offers(self, found: wire.ComplianceSpans) -> list[Offer]:
        """Return what is to be sealed. Raises ValueError if the message is none of the job's."""
        if not is_tenant(found.tenant):
            raise ValueError("tenant is not a UUID in lower case with hyphens")
        redact, version = self.redact(found.tenant)
        spans = rewritten(found, redact)
        return [_offer(spans, span, policy=version) for span in spans.spans]


def _offer(message: wire.ComplianceSpans, span: wire.ComplianceSpan, *, policy: int) -> Offer:
    read = read_compliance(json.loads(span.attributes))
    if read is None or isinstance(read, Malformed):
        raise ValueError(f"span {span.span_id.hex()} names no control")
    personal: dict[str, Json] = dict(read.personal)
    if span.left_out:
        personal["left_out"] = list(span.left_out)
    trace_id, span_id = span.trace_id.hex(), span.span_id.hex()
    return Offer(
        tenant=UUID(message.tenant),
        id=f"{trace_id}/{span_id}",
        time_ms=_time_ms(span, appended_ms=message.time_ms),
        controls=read.controls,
        body=ComplianceSpan(
            evidence_type=read.evidence_type,
            operation=read.operation or span.operation,
            outcome=read.outcome,
            service=span.service,
            trace_id=trace_id,
            span_id=span_id,
        ),
        policy=policy,
        personal=personal or None,
    )


def _time_ms(span: wire.ComplianceSpan, *, appended_ms: int) -> int:
    """Return when it ended; a clock that is ahead of the broker's is not believed."""
    ended_ms = span.end_ns // _NS_PER_MS
    return ended_ms if 0 < ended_ms <= appended_ms else appended_ms
