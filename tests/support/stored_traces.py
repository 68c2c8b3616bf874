"""Stored traces with the spans that a test wants."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from api.auth.principal import TenantScope
from tests.support.tenants import NOON, index_trace

MS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSpan:
    """A span; the first of a trace is the root. Times: milliseconds from the trace's begin."""

    name: str
    service: str = "shop"
    from_ms: int = 0
    to_ms: int = 10
    failed: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)
    resource: Mapping[str, Any] = field(default_factory=dict)
    event: Mapping[str, Any] = field(default_factory=dict)


def store_trace(dsn: str, scope: TenantScope, *spans: StoredSpan, at: datetime = NOON) -> str:
    """Store a trace as the worker does and return its id. dsn: of the worker's role."""
    trace_id = secrets.token_hex(16)
    begin_ns = int(at.timestamp() * 1_000) * MS
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "insert into trace_copies (tenant_id, trace_id, root_name, root_service, services,"
            " span_count, whole, first_span_at, last_span_at, log_partition, log_first_offset,"
            " log_last_offset) values (%s, %s, %s, %s, %s, %s, true, %s, %s, 0, 0, 0)",
            [
                scope.tenant_id,
                bytes.fromhex(trace_id),
                spans[0].name,
                spans[0].service,
                sorted({span.service for span in spans}),
                len(spans),
                at,
                at,
            ],
        )
        for ordinal, span in enumerate(spans):
            connection.execute(
                "insert into trace_spans (tenant_id, trace_id, ordinal, span_id, parent_span_id,"
                " name, service, kind, status, start_ns, end_ns, attributes, resource, events)"
                " values (%s, %s, %s, %s, %s, %s, %s, 'server', %s, %s, %s, %s, %s, %s)",
                [
                    scope.tenant_id,
                    bytes.fromhex(trace_id),
                    ordinal,
                    (ordinal + 1).to_bytes(8, "big"),
                    (1).to_bytes(8, "big") if ordinal else None,
                    span.name,
                    span.service,
                    "error" if span.failed else "ok",
                    begin_ns + span.from_ms * MS,
                    begin_ns + span.to_ms * MS,
                    Jsonb(dict(span.attributes)),
                    Jsonb({"service.name": span.service, **span.resource}),
                    Jsonb([{"name": "event", "time_ns": begin_ns, "attributes": dict(span.event)}]),
                ],
            )
        index_trace(connection, scope, trace_id)
    return trace_id
