"""A copied trace, and the field that opens one by its id."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.services import services_of
from api.traces.service import get_trace, parse_trace_id
from api.web.render import render
from api.web.views.trace_page import trace_page
from api.web.views.waterfall import AT_ONCE_MAX

router = APIRouter(include_in_schema=False)

Reader = Annotated[Principal, Depends(require(Permission.TRACES_READ))]


@router.get("/traces")
async def find_trace(_: Reader, id: Annotated[str, Query(max_length=64)] = "") -> Response:  # noqa: A002
    """Lead from a typed id to the page of the trace. Raises 400 for what is no id."""
    return RedirectResponse(f"/traces/{parse_trace_id(id.strip()).hex()}", 303)


@router.get("/traces/{trace_id}")
async def trace(request: Request, who: Reader, trace_id: str) -> Response:
    """Show one trace."""
    services = services_of(request)
    found = await get_trace(services.pool, who.scope, trace_id, with_spans=False)
    span_count = await services.layouts.span_count(who.scope, trace_id) or 0
    few = span_count <= AT_ONCE_MAX
    layout = await services.layouts.layout(who.scope, trace_id) if few else None
    page = trace_page(
        found,
        layout,
        span_count=span_count,
        may_write_rules=who.may(Permission.RULES_WRITE),
    )
    return render(request, "traces/detail.html", page=page)
