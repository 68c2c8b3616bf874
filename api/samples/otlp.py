"""Spans that become a sample: read from OTLP/JSON or from the store, redacted, and bounded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from api.ingest.otlp_json import read_json
from api.ingest.request_wire import encode
from api.ingest.split import Malformed
from api.problems import ApiError
from api.samples.model import MAX_SPANS, MAX_TRACES
from api.traces.service import Span as StoredSpan
from udfs.otlp import KINDS, STATUSES, LazySpan, decode_spans, key_values
from udfs.redaction.redactor import Redactor

_SPAN_ID_BYTES: Final = 8
_TRACE_ID_BYTES: Final = 16
_TOLD: Final = 5
"""So many of the spans that cannot be read are told of."""


def request_of_json(document: Mapping[str, Any]) -> bytes:
    """Return an OTLP/JSON document as a serialized export request.

    Raises ApiError 400 for what is none, 422 with the first spans that cannot be read.
    """
    try:
        groups, rejects = read_json(json.dumps(document).encode())
    except Malformed as error:
        raise ApiError(400, "sample.malformed", f"This is no OTLP/JSON: {error}.") from error
    except ValueError as error:  # halves of UTF-16 pairs, which JSON can spell
        raise ApiError(400, "sample.malformed", f"This is no text: {error}.") from error
    if rejects:
        raise ApiError(
            422,
            "sample.spans",
            f"{len(rejects):,} of its spans cannot be read: {rejects[0].detail}.",
            errors=[{"detail": reject.detail} for reject in rejects[:_TOLD]],
        )
    return encode(groups)


def request_of_stored(spans: Sequence[StoredSpan], trace_id: str) -> bytes:
    """Return the spans of a stored trace as a serialized export request."""
    request = ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=Resource(attributes=key_values(span.resource)),
                scope_spans=[
                    ScopeSpans(
                        scope=InstrumentationScope(
                            name=span.scope.get("name", ""),
                            version=span.scope.get("version", ""),
                            attributes=key_values(span.scope.get("attributes", {})),
                        ),
                        spans=[_span(span, bytes.fromhex(trace_id))],
                    )
                ],
            )
            for span in spans
        ]
    )
    return bytes(request.SerializeToString())


def _span(span: StoredSpan, trace_id: bytes) -> Span:
    return Span(
        trace_id=trace_id,
        span_id=bytes.fromhex(span.span_id),
        parent_span_id=bytes.fromhex(span.parent_span_id or ""),
        name=span.name,
        kind=KINDS.index(span.kind),  # type: ignore[arg-type]
        start_time_unix_nano=span.start_ns,
        end_time_unix_nano=span.end_ns,
        attributes=key_values(span.attributes),
        events=[
            Span.Event(
                name=event["name"],
                time_unix_nano=event["time_ns"],
                attributes=key_values(event["attributes"]),
            )
            for event in span.events
        ],
        links=[
            Span.Link(
                trace_id=bytes.fromhex(link["trace_id"]),
                span_id=bytes.fromhex(link["span_id"]),
                attributes=key_values(link["attributes"]),
            )
            for link in span.links
        ],
        status=Status(
            code=STATUSES.index(span.status),  # type: ignore[arg-type]
            message=span.status_message,
        ),
        dropped_attributes_count=span.dropped_attributes_count,
    )


def redacted_spans(request: bytes, redactor: Redactor) -> tuple[list[LazySpan], int]:
    """Return the spans of a request as they may be kept, and how many values were replaced.

    Raises ApiError 422 for none, for too many, and for ids that are none.
    """
    kept, counts = redactor.record(request)
    spans = decode_spans(kept)
    if not spans:
        raise ApiError(422, "sample.empty", "It holds no span.")
    refuse_many(len(spans))
    trace_count = len({span.trace_id for span in spans})
    if trace_count > MAX_TRACES:
        raise ApiError(
            422,
            "sample.too_many_traces",
            f"These are {trace_count:,} traces; a sample holds {MAX_TRACES} at most.",
        )
    for span in spans:
        _check_ids(span)
    return spans, counts.total


def refuse_many(span_count: int) -> None:
    """Raise ApiError 422 for more spans than a sample holds."""
    if span_count > MAX_SPANS:
        raise ApiError(
            422,
            "sample.too_many_spans",
            f"These are {span_count:,} spans; a sample holds {MAX_SPANS:,} at most: leave out "
            "those that the rule does not look at.",
        )


def _check_ids(span: LazySpan) -> None:
    for name, value, size in (
        ("traceId", span.trace_id, _TRACE_ID_BYTES),
        ("spanId", span.span_id, _SPAN_ID_BYTES),
    ):
        if len(value) != size or not any(value):
            raise ApiError(
                422,
                "sample.ids",
                f"The span {span.name!r} has no {name} of {2 * size} hexadecimal digits.",
            )
    if len(span.parent_span_id) not in (0, _SPAN_ID_BYTES):
        raise ApiError(
            422, "sample.ids", f"The parentSpanId of the span {span.name!r} is no span id."
        )
