"""Stored spans as the language looks at them."""

from __future__ import annotations

import dsl
from api.traces.service import Span


def dsl_span(span: Span) -> dsl.Span:
    """Return a stored span as the evaluator looks at it."""
    return dsl.Span(
        span_id=bytes.fromhex(span.span_id),
        name=span.name,
        parent_span_id=bytes.fromhex(span.parent_span_id or ""),
        kind=span.kind,
        status=span.status,  # type: ignore[arg-type]  # the database knows no other
        status_message=span.status_message,
        start_ns=span.start_ns,
        end_ns=span.end_ns,
        attributes=span.attributes,
        resource=span.resource,
        scope=span.scope,
        events=tuple(
            dsl.Event(event["name"], int(event["time_ns"]), event["attributes"])
            for event in span.events
        ),
        links=tuple(
            dsl.Link(
                bytes.fromhex(link["trace_id"]), bytes.fromhex(link["span_id"]), link["attributes"]
            )
            for link in span.links
        ),
        dropped_attributes_count=span.dropped_attributes_count,
    )
