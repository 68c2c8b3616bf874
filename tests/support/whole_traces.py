"""Plain spans as records of the spans log, and what the pure language says of the same records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1 import trace_pb2

import dsl
from dsl.judging import Moment, SpansAtHand
from dsl.spans import HAS_IS_REMOTE, IS_REMOTE, KINDS, STATUSES
from tests.support.engine import TENANT, Record, key_value
from udfs.lanes import lane_of
from udfs.otlp import decode_spans
from udfs.wire import betrace_pb2 as wire

TRACE_ID = b"one trace of all"
LANE = lane_of(TENANT, TRACE_ID)
NO_ROOT = frozenset({dsl.Reason.NO_ROOT})


def record_of(spans: Iterable[dsl.Span], *, at_ms: int, offset: int) -> Record:
    """Return a record with these spans of one trace, in this order.

    What was taken away from a span by redaction has no place in OTLP.
    """
    request = ExportTraceServiceRequest()
    for span in spans:
        of_resource = request.resource_spans.add()
        of_resource.resource.attributes.extend(key_value(k, v) for k, v in span.resource.items())
        of_scope = of_resource.scope_spans.add()
        own = {key: value for key, value in span.scope.items() if key not in ("name", "version")}
        of_scope.scope.name = str(span.scope.get("name", ""))
        of_scope.scope.version = str(span.scope.get("version", ""))
        of_scope.scope.attributes.extend(key_value(k, v) for k, v in own.items())
        of_scope.spans.append(_message(span))
    return Record(at_ms, LANE, offset, request.SerializeToString())


def _message(span: dsl.Span) -> trace_pb2.Span:
    return trace_pb2.Span(
        trace_id=TRACE_ID,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        name=span.name,
        kind=KINDS.index(span.kind),  # type: ignore[arg-type]
        start_time_unix_nano=span.start_ns,
        end_time_unix_nano=span.end_ns,
        attributes=[key_value(k, v) for k, v in span.attributes.items()],
        dropped_attributes_count=span.dropped_attributes_count,
        flags=flags_of(span),
        status=trace_pb2.Status(
            code=STATUSES.index(span.status),  # type: ignore[arg-type]
            message=span.status_message,
        ),
        events=[
            trace_pb2.Span.Event(
                name=event.name, attributes=[key_value(k, v) for k, v in event.attributes.items()]
            )
            for event in span.events
        ],
        links=[
            trace_pb2.Span.Link(
                attributes=[key_value(k, v) for k, v in link.attributes.items()],
            )
            for link in span.links
        ],
    )


def flags_of(span: dsl.Span) -> int:
    """Return the OTLP flags of a span."""
    if span.parent_is_remote is None:
        return 0
    return HAS_IS_REMOTE | (IS_REMOTE if span.parent_is_remote else 0)


def judged_whole(
    text: str, records: Sequence[Record], *, clock_skew_ms: int = 0, external_roots: bool = False
) -> dsl.Judgement:
    """Return what the language says of all spans of these records, every window being over."""
    rule = dsl.check(text).promise
    assert rule is not None
    spans = SpansAtHand(span for record in records for span in decode_spans(record.payload))
    moment = Moment(clock_skew_ns=clock_skew_ms * 1_000_000, external_roots=external_roots)
    rooted = spans.root_at(moment) is not None
    in_doubt = frozenset() if rooted else NO_ROOT
    return dsl.judge_spans(rule, spans, complete=rooted, in_doubt=in_doubt, moment=moment)


def told_by_judgement(judgement: dsl.Judgement) -> tuple[Any, ...]:
    """Return what of a judgement a signal says."""
    bindings = [[(one.name, one.span_id) for one in found] for found in judgement.bindings]
    total = judgement.bindings_total
    return judgement.verdict.value, judgement.broken, list(judgement.reasons), bindings, total


def told_by_signal(signal: wire.Signal) -> tuple[Any, ...]:
    """Return the same of a signal."""
    verdict = wire.Verdict.Name(signal.verdict).removeprefix("VERDICT_").lower()
    bindings = [[(one.name, one.span_id) for one in found.spans] for found in signal.bindings]
    reasons = list(signal.reasons)
    return verdict, signal.broken_clause, reasons, bindings, signal.bindings_total
