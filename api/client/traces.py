"""Stored traces: searched, read whole or by rows, and made into drafts of rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from api.client.connection import Connection
from api.rules.editor_schemas import DraftBody, PicksBody
from api.traces.schemas import (
    FoundRowsBody,
    RowsBody,
    SpanBody,
    StoredTraceBody,
    TraceBody,
    TracePageBody,
)
from api.traces.search import Found


@dataclass(frozen=True, slots=True)
class Traces:
    """The stored traces of the tenant: those of signals and backtests, and a few ordinary ones."""

    _to: Connection

    def each(
        self,
        *,
        service: str | None = None,
        operation: str | None = None,
        attribute: str | Sequence[str] | None = None,
        min_duration_ms: float | None = None,
        max_duration_ms: float | None = None,
        error: bool = False,
        verdict: Found | None = None,
        rule_id: str | None = None,
        from_at: datetime | None = None,
        to_at: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[StoredTraceBody]:
        """Yield traces that are as asked for, newest first.

        attribute: `key=value`, or `key`; several must all be there. from_at, to_at: aware times;
        from inclusive, to exclusive. limit: so many at most.
        """
        query = {
            "service": service,
            "operation": operation,
            "attribute": attribute,
            "min_duration_ms": min_duration_ms,
            "max_duration_ms": max_duration_ms,
            "error": error,
            "verdict": verdict,
            "rule_id": rule_id,
            "from_at": from_at,
            "to_at": to_at,
        }
        return self._to.pages("/traces", TracePageBody, limit=limit, query=query)

    def get(self, trace_id: str) -> TraceBody:
        """Return the copy of a trace with every span, in the order of their starts."""
        return self._to.ask("GET", "/traces/{trace_id}", TraceBody, trace_id=trace_id)

    def rows(self, trace_id: str, *, first: int = 0, limit: int = 1_000) -> RowsBody:
        """Return a stretch of a trace's rows, as a waterfall draws them, for large traces."""
        return self._to.ask(
            "GET",
            "/traces/{trace_id}/rows",
            RowsBody,
            query={"first": first, "limit": limit},
            trace_id=trace_id,
        )

    def rows_with(self, trace_id: str, text: str = "", *, failed: bool = False) -> FoundRowsBody:
        """Return the numbers of the rows whose spans hold a text, or failed."""
        return self._to.ask(
            "GET",
            "/traces/{trace_id}/rows/search",
            FoundRowsBody,
            query={"q": text, "failed": failed},
            trace_id=trace_id,
        )

    def span(self, trace_id: str, ordinal: int) -> SpanBody:
        """Return one span. ordinal: as its row says."""
        return self._to.ask(
            "GET",
            "/traces/{trace_id}/spans/{ordinal}",
            SpanBody,
            trace_id=trace_id,
            ordinal=ordinal,
        )

    def draft_rule(self, trace_id: str, picks: PicksBody) -> DraftBody:
        """Return a rule about picked spans of a trace, with tests. Saves nothing."""
        return self._to.ask(
            "POST",
            "/traces/{trace_id}/rule",
            DraftBody,
            body=picks,
            harmless=True,
            trace_id=trace_id,
        )
