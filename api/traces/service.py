"""Reading the copy of a trace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.auth.principal import TenantScope
from api.database import Connection, Pool, queries, tenant_transaction
from api.problems import ApiError, not_found

_TRACE_ID_LENGTH = 32
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One span of a copy. Ids are lower-case hex, times unix nanoseconds by its own clock."""

    span_id: str
    parent_span_id: str | None
    name: str
    service: str
    kind: str
    status: str
    status_message: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    resource: dict[str, Any]
    scope: dict[str, Any]
    events: list[dict[str, Any]]
    links: list[dict[str, Any]]
    dropped_attributes_count: int

    @property
    def duration_ns(self) -> int:
        """End minus start; negative if the span's clock went back."""
        return self.end_ns - self.start_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSignal:
    """A signal about the trace."""

    id: str
    rule_id: str
    rule_name: str
    severity: str
    verdict: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """A copy of a trace. whole: false if the log no longer held all of it."""

    trace_id: str
    root_name: str
    root_service: str
    services: tuple[str, ...]
    whole: bool
    first_span_at: datetime
    last_span_at: datetime
    copied_at: datetime
    spans: tuple[Span, ...]
    signals: tuple[TraceSignal, ...]


def parse_trace_id(text: str) -> bytes:
    """Return the 16 bytes of a trace id in hex, any case. Raises ApiError 400."""
    lower = text.lower()
    if len(lower) != _TRACE_ID_LENGTH or not _HEX.issuperset(lower):
        raise ApiError(400, "trace.malformed_id", "A trace id has 32 hexadecimal digits.")
    return bytes.fromhex(lower)


async def get_trace(
    pool: Pool, scope: TenantScope, trace_id: str, *, with_spans: bool = True
) -> Trace:
    """Return the copy of a trace. Raises ApiError 404 if there is none, 400 for a malformed id."""
    wanted = parse_trace_id(trace_id)
    async with tenant_transaction(pool, scope) as connection:
        row = await queries("traces").trace(connection, trace_id=wanted)
        if row is None:
            raise not_found("trace")
        spans = await spans_of(connection, wanted) if with_spans else ()
        signals = [s async for s in queries("traces").signals_of(connection, trace_id=wanted)]
    return Trace(
        trace_id=wanted.hex(),
        root_name=row["root_name"],
        root_service=row["root_service"],
        services=tuple(row["services"]),
        whole=row["whole"],
        first_span_at=row["first_span_at"],
        last_span_at=row["last_span_at"],
        copied_at=row["copied_at"],
        spans=spans,
        signals=tuple(TraceSignal(**{**s, "id": bytes(s["id"]).hex()}) for s in signals),
    )


async def spans_of(connection: Connection, trace_id: bytes) -> tuple[Span, ...]:
    """Return the stored spans of a trace in the order of their starts; none if there is no copy."""
    rows = queries("traces").spans(connection, trace_id=trace_id)
    return tuple([span_of_row(row) async for row in rows])


def span_of_row(row: Mapping[str, Any]) -> Span:
    """Return a span from a row that has the columns of the fields."""
    parent = row["parent_span_id"]
    return Span(
        **{
            **row,
            "span_id": bytes(row["span_id"]).hex(),
            "parent_span_id": bytes(parent).hex() if parent else None,
            "start_ns": int(row["start_ns"]),
            "end_ns": int(row["end_ns"]),
        }
    )
