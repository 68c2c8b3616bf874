"""Traces that were copied last, as records that redaction reads: for previews and suggestions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from api.auth.principal import TenantScope
from api.database import Pool, queries, tenant_transaction
from udfs.otlp import key_values

MAX_TRACES: Final = 200
MAX_SPANS: Final = 2_000
"""A fraction of a second of a core, where all of them hold something."""


@dataclass(frozen=True, slots=True)
class Recent:
    """Records, each of one span, and what they come from."""

    records: tuple[bytes, ...]
    traces: int

    @property
    def spans(self) -> int:
        """How many spans there are."""
        return len(self.records)


async def recent_records(
    pool: Pool, scope: TenantScope, *, traces: int = MAX_TRACES, spans: int = MAX_SPANS
) -> Recent:
    """Read the spans of the traces that were copied last."""
    async with tenant_transaction(pool, scope) as connection:
        rows = [
            row
            async for row in queries("redaction").recent_spans(
                connection, traces=traces, spans=spans
            )
        ]
    return Recent(tuple(map(_record, rows)), len({row["trace_id"] for row in rows}))


def _record(row: Mapping[str, Any]) -> bytes:
    scope = row["scope"]
    span = Span(
        name=row["name"],
        status=Status(message=row["status_message"]),
        attributes=key_values(row["attributes"]),
        events=[
            Span.Event(name=event["name"], attributes=key_values(event["attributes"]))
            for event in row["events"]
        ],
        links=[Span.Link(attributes=key_values(link["attributes"])) for link in row["links"]],
    )
    request = ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=Resource(attributes=key_values(row["resource"])),
                scope_spans=[
                    ScopeSpans(
                        scope=InstrumentationScope(
                            name=scope.get("name", ""),
                            version=scope.get("version", ""),
                            attributes=key_values(scope.get("attributes", {})),
                        ),
                        spans=[span],
                    )
                ],
            )
        ]
    )
    return bytes(request.SerializeToString())
