"""/traces: copies of traces."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.compact import compact_json
from api.services import services_of
from api.traces.answers import Failed, First, Limit, Ordinal, Text, found_answer, rows_answer
from api.traces.layouts import FOUND_MAX, read_span
from api.traces.rows import Drawn
from api.traces.schemas import FoundRowsBody, RowsBody, SpanBody, TraceBody
from api.traces.service import get_trace

router = APIRouter(prefix="/traces", tags=["traces"])

Reader = Annotated[Principal, Depends(require(Permission.TRACES_READ))]
TraceId = Annotated[str, Path(examples=["5b8aa5a2d2c872e8321cf37308d69df2"])]


@router.get("/{trace_id}")
async def read_trace(request: Request, principal: Reader, trace_id: TraceId) -> TraceBody:
    """Return the copy of a trace: every span, in the order of their starts."""
    trace = await get_trace(services_of(request).pool, principal.scope, trace_id)
    return TraceBody.model_validate(trace)


@router.get("/{trace_id}/rows", response_model=RowsBody)
async def read_rows(
    request: Request, principal: Reader, trace_id: TraceId, first: First = 0, limit: Limit = 1_000
) -> Response:
    """Return a stretch of a trace's rows, as a waterfall draws them, without attributes.

    Columns are lists, so that a trace of 100,000 spans can be paged through. Answers are packed
    with gzip for clients that take it.
    """
    layout = await services_of(request).layouts.layout(principal.scope, trace_id)
    return compact_json(request, rows_answer(Drawn(layout), first=first, limit=limit))


@router.get("/{trace_id}/rows/search")
async def search_rows(
    request: Request, principal: Reader, trace_id: TraceId, text: Text = "", failed: Failed = False
) -> FoundRowsBody:
    """Return the numbers of the rows whose spans hold a text, or failed."""
    layouts = services_of(request).layouts
    if failed:
        rows = list(Drawn(await layouts.layout(principal.scope, trace_id)).failed())
    else:
        rows = await layouts.find(principal.scope, trace_id, text, limit=FOUND_MAX + 1)
    return FoundRowsBody.model_validate(found_answer(rows))


@router.get("/{trace_id}/spans/{ordinal}")
async def read_one_span(
    request: Request, principal: Reader, trace_id: TraceId, ordinal: Ordinal
) -> SpanBody:
    """Return one span with its attributes, events and links. ordinal: as its row says."""
    span = await read_span(services_of(request).pool, principal.scope, trace_id, ordinal)
    return SpanBody.model_validate(span)
