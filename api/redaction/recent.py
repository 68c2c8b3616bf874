"""Traces that were copied last, as records that redaction reads: for previews and suggestions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from api.auth.principal import TenantScope
from api.database import Pool, queries, tenant_transaction

MAX_TRACES: Final = 200
MAX_SPANS: Final = 2_000
"""A fraction of a second of a core, where all of them hold something."""
_MIN_INT, _MAX_INT = -(2**63), 2**63 - 1


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
        attributes=attributes_of(row["attributes"]),
        events=[
            Span.Event(name=event["name"], attributes=attributes_of(event["attributes"]))
            for event in row["events"]
        ],
        links=[Span.Link(attributes=attributes_of(link["attributes"])) for link in row["links"]],
    )
    request = ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=Resource(attributes=attributes_of(row["resource"])),
                scope_spans=[
                    ScopeSpans(
                        scope=InstrumentationScope(
                            name=scope.get("name", ""),
                            version=scope.get("version", ""),
                            attributes=attributes_of(scope.get("attributes", {})),
                        ),
                        spans=[span],
                    )
                ],
            )
        ]
    )
    return bytes(request.SerializeToString())


def attributes_of(values: Mapping[str, Any]) -> list[KeyValue]:
    """Return stored attributes as OTLP has them."""
    return [KeyValue(key=key, value=_value(value)) for key, value in values.items()]


def _value(value: Any) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int() if _MIN_INT <= value <= _MAX_INT:
            return AnyValue(int_value=value)
        case int() | float():
            return AnyValue(double_value=float(value))
        case str():
            return AnyValue(string_value=value)
        case list():
            return AnyValue(array_value=_array(value))
        case dict():
            return AnyValue(kvlist_value=KeyValueList(values=attributes_of(value)))
    return AnyValue()


def _array(values: Sequence[Any]) -> ArrayValue:
    return ArrayValue(values=[_value(value) for value in values])
