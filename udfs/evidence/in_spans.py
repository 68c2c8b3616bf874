"""Compliance spans found in a record of spans, as they travel on the topic `betrace.evidence`.

Nearly no record has one, so a record is searched as a whole first, and then each span as bytes:
only one in which the letters stand is taken apart.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import re2
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from udfs.addressing import refused
from udfs.evidence.canonical import MAX_INT, Json
from udfs.evidence.compliance import PREFIXES, read_compliance
from udfs.evidence.malformed import Malformed
from udfs.facts import COMPLIANCE
from udfs.otlp import any_value, key_values
from udfs.wire import betrace_pb2 as wire
from udfs.wire import otlp_lazy_pb2 as lazy

MAX_ATTRIBUTES_BYTES: Final = 16 * 1024
"""Of what one span says, as JSON. What does not fit is named in left_out."""
MAX_LEFT_OUT: Final = 100
MAX_REFUSED: Final = 10
"""Dead letters about one record."""
REFUSED: Final = "compliance.refused"
MAX_KEY_CHARS: Final = 256
_ELEMENT_BYTES: Final = 512 * 1024
"""A message is handed on when it has grown to this; the next one begins."""
_SERVICE: Final = "service.name"
_MARK: Final = b"compliance."
_find: Final = re2.compile(b"plianc").search
"""For letters that are rare at both ends RE2 takes a quarter of the time of `bytes.find`."""
_TRACE_ID_BYTES: Final = 16
_SPAN_ID_BYTES: Final = 8
_MAX_NS: Final = 2**63 - 1

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


def compliance_elements(
    payload: bytes, *, tenant: str, partition: int, offset: int, time_ms: int
) -> list[bytes]:
    """Return packed ComplianceSpans with all spans of a record that speak of compliance.

    One that names no framework or no control becomes a dead letter, as do at most MAX_REFUSED of a
    record. payload: an ExportTraceServiceRequest; of one that does not decode, nothing. Spans
    without usable ids are left out, as they are rejected anyway.
    """
    if _find(payload) is None:
        return []
    try:
        spans = list(_compliance_spans(payload))
    except DecodeError:
        return []
    elements: list[bytes] = []
    refused_count = 0

    def nothing_yet() -> wire.ComplianceSpans:
        return wire.ComplianceSpans(
            tenant=tenant, partition=partition, offset=offset, time_ms=time_ms
        )

    gathered, size = nothing_yet(), 0
    for resource, span, said in spans:
        read = read_compliance(said)
        if isinstance(read, Malformed):
            if refused_count < MAX_REFUSED:
                letter = refused(
                    _alone(resource, span),
                    tenant=tenant,
                    code=REFUSED,
                    detail=read.detail,
                    partition=partition,
                    offset=offset,
                )
                elements.append(letter)
            refused_count += 1
            continue
        told = _told(resource, span, said)
        gathered.spans.append(told)
        size += told.ByteSize()
        if size >= _ELEMENT_BYTES:
            elements.append(_packed(gathered))
            gathered, size = nothing_yet(), 0
    if gathered.spans:
        elements.append(_packed(gathered))
    return elements


def rewritten(
    message: wire.ComplianceSpans, rewrite: Callable[[bytes], bytes]
) -> wire.ComplianceSpans:
    """Return spans as they are when a request with them has been rewritten: redacted, that is.

    rewrite: ExportTraceServiceRequest to the same, with as many spans in the same order; it returns
    the very same object if it changed nothing. The keys of what was left out are in the request as
    well, as those of a link.
    """
    request = _request(message)
    changed = rewrite(request)
    if changed is request:
        return message
    result = wire.ComplianceSpans()
    result.CopyFrom(message)
    del result.spans[:]
    for _, (resource, span, said) in zip(message.spans, _compliance_spans(changed), strict=True):
        told = _told(resource, span, said)
        told.left_out.extend(named.key for link in span.links for named in link.attributes)
        result.spans.append(told)
    return result


def _request(message: wire.ComplianceSpans) -> bytes:
    resource_spans = []
    for told in message.spans:
        span = Span(
            trace_id=told.trace_id,
            span_id=told.span_id,
            name=told.operation,
            start_time_unix_nano=told.start_ns,
            end_time_unix_nano=told.end_ns,
            attributes=key_values(json.loads(told.attributes)),
            links=[Span.Link(attributes=[KeyValue(key=key) for key in told.left_out])],
        )
        resource = Resource(attributes=key_values({_SERVICE: told.service}))
        scope_spans = [ScopeSpans(spans=[span])]
        resource_spans.append(ResourceSpans(resource=resource, scope_spans=scope_spans))
    return ExportTraceServiceRequest(resource_spans=resource_spans).SerializeToString()


def _packed(message: wire.ComplianceSpans) -> bytes:
    return bytes((COMPLIANCE,)) + message.SerializeToString(deterministic=True)


def _compliance_spans(payload: bytes) -> Iterator[tuple[Resource, Span, dict[str, Json]]]:
    """Yield what says something, in wire order. Raises DecodeError."""
    for of_resource in lazy.SplitRequest.FromString(payload).resource_spans:
        for of_scope in of_resource.scope_spans:
            for raw in of_scope.spans:
                if _MARK not in raw:
                    continue
                span = Span.FromString(raw)
                if len(span.trace_id) != _TRACE_ID_BYTES or len(span.span_id) != _SPAN_ID_BYTES:
                    continue
                said = _said(span)
                if said:
                    yield Resource.FromString(of_resource.resource), span, said


def _told(resource: Resource, span: Span, said: Mapping[str, Json]) -> wire.ComplianceSpan:
    text, left_out = _written(said)
    return wire.ComplianceSpan(
        trace_id=span.trace_id,
        span_id=span.span_id,
        service=_service(resource),
        operation=span.name,
        start_ns=min(span.start_time_unix_nano, _MAX_NS),
        end_ns=min(span.end_time_unix_nano, _MAX_NS),
        attributes=text,
        left_out=left_out,
    )


def _alone(resource: Resource, span: Span) -> bytes:
    """Return a request with one span, as a dead letter holds what was refused."""
    scope_spans = [ScopeSpans(spans=[span])]
    of_resource = ResourceSpans(resource=resource, scope_spans=scope_spans)
    return ExportTraceServiceRequest(resource_spans=[of_resource]).SerializeToString()


def _said(span: Span) -> dict[str, Json]:
    """Return what a span says of compliance. The first of equal keys counts."""
    said: dict[str, Json] = {}
    for attribute in span.attributes:
        if attribute.key.startswith(PREFIXES):
            said.setdefault(attribute.key, _json(any_value(attribute.value)))
    return said


def _service(resource: Resource) -> str:
    for attribute in resource.attributes:
        if attribute.key == _SERVICE:
            return str(attribute.value.string_value)
    return ""


def _written(said: Mapping[str, Json]) -> tuple[str, Sequence[str]]:
    """Return JSON of what fits, and the keys of the rest; short values go first."""
    text = _encode(said)
    if len(text.encode()) <= MAX_ATTRIBUTES_BYTES:
        return text, ()
    kept: dict[str, Json] = {}
    left = MAX_ATTRIBUTES_BYTES
    for length, key in sorted((len(_encode({key: said[key]}).encode()), key) for key in said):
        left -= length
        if left < 0:
            break
        kept[key] = said[key]
    left_out = sorted(key[:MAX_KEY_CHARS] for key in said if key not in kept)
    return _encode(kept), left_out[:MAX_LEFT_OUT]


def _json(value: object) -> Json:
    """Return a value as every reader of JSON can hold it: bytes as hex, odd numbers as text."""
    match value:
        case bool() | str():
            return value
        case int():
            return value if abs(value) <= MAX_INT else str(value)
        case float():
            return value if math.isfinite(value) else str(value)
        case bytes():
            return value.hex()
        case list():
            return [_json(item) for item in value]
        case dict():
            return {str(key): _json(item) for key, item in value.items()}
        case _:
            return ""
