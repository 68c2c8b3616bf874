"""Export requests for tests, as the official messages."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span


def attribute(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def span(
    name: str = "GET /",
    *,
    trace_id: bytes = b"t" * 16,
    span_id: bytes = b"s" * 8,
    parent_span_id: bytes = b"",
    note: str = "",
) -> Span:
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent_span_id,
        name=name,
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=1_700_000_000_000_000_000,
        end_time_unix_nano=1_700_000_000_250_000_000,
        attributes=[attribute("note", note)] if note else [],
    )


def random_spans(count: int, *, seed: int = 1, name: str = "work") -> list[Span]:
    """Spans of traces of ten, with a few hundred bytes each."""
    rng = random.Random(seed)
    traces = [rng.randbytes(16) for _ in range(-(-count // 10))]
    return [
        span(
            name,
            trace_id=traces[number // 10],
            span_id=rng.randbytes(8),
            parent_span_id=rng.randbytes(8) if number % 10 else b"",
            note="x" * 250,
        )
        for number in range(count)
    ]


def request(*spans: Span, service: str = "shop", scope: str = "tests") -> ExportTraceServiceRequest:
    """One request with all spans under one resource and scope."""
    return ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=Resource(attributes=[attribute("service.name", service)]),
                scope_spans=[ScopeSpans(scope=InstrumentationScope(name=scope), spans=spans)],
            )
        ]
    )


def spans_by_origin(payloads: Iterable[bytes]) -> Counter[tuple[bytes, bytes, str, str, bytes]]:
    """Every span of these requests with its resource, scope and schema URLs, and how often."""
    found: Counter[tuple[bytes, bytes, str, str, bytes]] = Counter()
    for payload in payloads:
        for of_resource in ExportTraceServiceRequest.FromString(payload).resource_spans:
            for of_scope in of_resource.scope_spans:
                for each in of_scope.spans:
                    found[
                        of_resource.resource.SerializeToString(),
                        of_scope.scope.SerializeToString(),
                        of_resource.schema_url,
                        of_scope.schema_url,
                        each.SerializeToString(),
                    ] += 1
    return found
