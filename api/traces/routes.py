"""/traces: copies of traces."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import AwareDatetime, StringConstraints

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.compact import compact_json
from api.services import services_of
from api.traces.answers import (
    WITHOUT_NUL,
    Failed,
    First,
    Limit,
    Ordinal,
    Text,
    found_answer,
    rows_answer,
)
from api.traces.layouts import FOUND_MAX, read_span
from api.traces.rows import Drawn
from api.traces.schemas import FoundRowsBody, RowsBody, SpanBody, TraceBody, TracePageBody
from api.traces.search import (
    ATTRIBUTES_MAX,
    PAGE_MAX,
    TEXT_MAX,
    Found,
    TraceFilter,
    read_attribute,
    search_traces,
)
from api.traces.service import get_trace

router = APIRouter(prefix="/traces", tags=["traces"])

Reader = Annotated[Principal, Depends(require(Permission.TRACES_READ))]
TraceId = Annotated[str, Path(examples=["5b8aa5a2d2c872e8321cf37308d69df2"])]
Name = Annotated[str, Query(max_length=1_000, pattern=WITHOUT_NUL)]
Duration = Annotated[float | None, Query(ge=0, le=1e12, description="In milliseconds, inclusive.")]
_NS_PER_MS: Final = 1_000_000


def trace_filter(
    service: Name = "",
    operation: Annotated[
        str,
        Query(
            max_length=1_000,
            pattern=WITHOUT_NUL,
            description="The name of a span; of one of `service`, if that is given.",
        ),
    ] = "",
    attribute: Annotated[
        list[Annotated[str, StringConstraints(max_length=2 * TEXT_MAX + 1, pattern=WITHOUT_NUL)]]
        | None,
        Query(
            max_length=ATTRIBUTES_MAX,
            description="`key=value`, or `key` for any value, of a span, its resource or one of "
            "its events. Several must all be there, each on some span. What redaction changes is "
            "asked for as it stands in spans.",
            examples=[["order.id=4711"]],
        ),
    ] = None,
    min_duration_ms: Duration = None,
    max_duration_ms: Duration = None,
    error: Annotated[bool, Query(description="Whether a span must have failed.")] = False,
    verdict: Annotated[
        Found | None, Query(description="What a rule says of it; `none`: no signal is about it.")
    ] = None,
    rule_id: Annotated[str, Query(max_length=255, pattern=WITHOUT_NUL)] = "",
    from_at: Annotated[
        AwareDatetime | None, Query(alias="from", description="started_at, inclusive")
    ] = None,
    to_at: Annotated[
        AwareDatetime | None, Query(alias="to", description="started_at, exclusive")
    ] = None,
) -> TraceFilter:
    """Read from the query which traces are wanted. Raises ApiError 400."""
    chosen = TraceFilter(
        service=service.strip(),
        operation=operation.strip(),
        attributes=tuple(read_attribute(text) for text in attribute or ()),
        min_ns=_in_ns(min_duration_ms),
        max_ns=_in_ns(max_duration_ms),
        failed=error,
        found=verdict,
        rule_id=rule_id,
        from_at=from_at,
        to_at=to_at,
    )
    chosen.check()
    return chosen


def _in_ns(ms: float | None) -> int | None:
    return None if ms is None else round(ms * _NS_PER_MS)


@router.get("")
async def read_traces(
    request: Request,
    principal: Reader,
    chosen: Annotated[TraceFilter, Depends(trace_filter)],
    facets: Annotated[bool, Query(description="Whether to count services and operations.")] = False,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> TracePageBody:
    """Search stored traces: those of signals and backtests, and a few ordinary ones.

    Conditions are about a trace: different spans may fulfil different ones.
    """
    services = services_of(request)
    page = await search_traces(
        services.pool,
        services.redactors,
        principal.scope,
        chosen,
        cursor=cursor,
        limit=limit,
        with_facets=facets,
    )
    return TracePageBody.model_validate(page)


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
