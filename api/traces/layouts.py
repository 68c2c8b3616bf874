"""Layouts of stored traces, kept by the process that made them, and what is read span by span.

Laying out a trace of 100,000 spans takes a third of a second of a core, and of the database as
much again; its pages want it over and over, so the last ones are kept. A copy that is made anew
has another time, and is laid out anew.
"""

from __future__ import annotations

import asyncio
import sys
from array import array
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from api.auth.principal import TenantScope
from api.database import Pool, queries, tenant_transaction
from api.problems import ApiError, not_found
from api.traces.layout import NOWHERE, Layout, SpanColumns, lay_out
from api.traces.service import Span, parse_trace_id, span_of_row

KEPT_SPANS: Final = 500_000
"""In all layouts a process keeps: some 60 bytes each."""
FOUND_MAX: Final = 10_000
READ_MS: Final = 20_000
"""Limit of statements that read every span of a trace."""
_AT_A_TIME: Final = 2
_HEX_SPAN_ID: Final = 16

_Key = tuple[UUID, bytes]


class Layouts:
    """Makes layouts beside the event loop, few at a time, and keeps the last ones."""

    def __init__(self, pool: Pool, *, kept_spans: int = KEPT_SPANS) -> None:
        self._pool = pool
        self._kept_spans = kept_spans
        self._kept: OrderedDict[_Key, tuple[datetime, Layout]] = OrderedDict()
        self._turns = asyncio.Semaphore(_AT_A_TIME)

    async def layout(self, scope: TenantScope, trace_id: str) -> Layout:
        """Return a stored trace laid out. Raises ApiError 404 without a copy, 400 for no id."""
        wanted = parse_trace_id(trace_id)
        key = (scope.tenant_id, wanted)
        copied_at, _ = await self._copy(scope, wanted)
        if (kept := self._look(key, copied_at)) is not None:
            return kept
        async with self._turns:
            if (kept := self._look(key, copied_at)) is not None:
                return kept
            async with tenant_transaction(self._pool, scope, timeout_ms=READ_MS) as connection:
                row = await queries("traces").columns(connection, trace_id=wanted)
            layout = await asyncio.to_thread(_lay_out, row)
            self._keep(key, copied_at, layout)
        return layout

    async def find(
        self, scope: TenantScope, trace_id: str, text: str, *, limit: int = FOUND_MAX
    ) -> list[int]:
        """Return the rows whose spans hold a text, or have it as their id; at most `limit`."""
        layout = await self.layout(scope, trace_id)
        wanted = text.strip().lower()
        if not wanted or "\0" in wanted:
            return []
        if (row := _row_with_id(layout, wanted)) != NOWHERE:
            return [row]
        async with tenant_transaction(self._pool, scope, timeout_ms=READ_MS) as connection:
            found = queries("traces").search(
                connection, trace_id=parse_trace_id(trace_id), text=wanted, limit=limit
            )
            ordinals = [row["ordinal"] async for row in found]
        return sorted(layout.rows[ordinal] for ordinal in ordinals if ordinal < len(layout))

    async def span_count(self, scope: TenantScope, trace_id: str) -> int | None:
        """Return how many spans of a trace are stored; None: there is no copy."""
        try:
            _, span_count = await self._copy(scope, parse_trace_id(trace_id))
        except ApiError as error:
            if error.status != 404:
                raise
            return None
        return span_count

    async def _copy(self, scope: TenantScope, trace_id: bytes) -> tuple[datetime, int]:
        async with tenant_transaction(self._pool, scope) as connection:
            row = await queries("traces").copy(connection, trace_id=trace_id)
        if row is None:
            raise not_found("trace")
        return row["copied_at"], row["span_count"]

    def _look(self, key: _Key, copied_at: datetime) -> Layout | None:
        kept = self._kept.get(key)
        if kept is None or kept[0] != copied_at:
            return None
        self._kept.move_to_end(key)
        return kept[1]

    def _keep(self, key: _Key, copied_at: datetime, layout: Layout) -> None:
        self._kept[key] = (copied_at, layout)
        self._kept.move_to_end(key)
        spans = sum(len(kept) for _, kept in self._kept.values())
        while spans > self._kept_spans:
            _, (_, gone) = self._kept.popitem(last=False)
            spans -= len(gone)


async def read_span(pool: Pool, scope: TenantScope, trace_id: str, ordinal: int) -> Span:
    """Return one span of a stored trace, by its place in stored order. Raises ApiError 404."""
    async with tenant_transaction(pool, scope) as connection:
        row = await queries("traces").span(
            connection, trace_id=parse_trace_id(trace_id), ordinal=ordinal
        )
    if row is None:
        raise not_found("span")
    return span_of_row(row)


def _row_with_id(layout: Layout, text: str) -> int:
    if len(text) != _HEX_SPAN_ID:
        return NOWHERE
    try:
        return layout.row_of(bytes.fromhex(text))
    except ValueError:
        return NOWHERE


def _lay_out(row: Mapping[str, Any]) -> Layout:
    columns = SpanColumns(
        span_ids=bytes(row["span_ids"] or b""),
        parent_ids=bytes(row["parent_ids"] or b""),
        starts_ns=_numbers(row["starts_ns"]),
        durations_ns=_numbers(row["durations_ns"]),
        names=row["names"] or (),
        services=row["services"] or (),
        errors=[byte == 1 for byte in bytes(row["errors"] or b"")],
    )
    return lay_out(columns, start_ns=int(row["start_ns"] or 0))


def _numbers(packed: bytes | None) -> array[int]:
    """Return 64-bit integers that Postgres sent, the most significant byte first."""
    numbers = array("q", bytes(packed or b""))
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers
