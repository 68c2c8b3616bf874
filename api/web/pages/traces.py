"""Stored traces: searched, one of them, and the field that opens one by its id."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.problems import ApiError
from api.rules.service import every_rule
from api.services import services_of
from api.traces.answers import WITHOUT_NUL
from api.traces.search import search_traces
from api.traces.service import get_trace, parse_trace_id
from api.web.render import render
from api.web.views.trace_list import TraceQuery, trace_list
from api.web.views.trace_page import trace_page
from api.web.views.waterfall import AT_ONCE_MAX

router = APIRouter(include_in_schema=False)

PAGE_SIZE: Final = 50
Reader = Annotated[Principal, Depends(require(Permission.TRACES_READ))]
Words = Annotated[str, Query(max_length=1_000, pattern=WITHOUT_NUL)]
Word = Annotated[str, Query(max_length=40, pattern=WITHOUT_NUL)]


def trace_query(
    service: Words = "",
    operation: Words = "",
    attributes: Annotated[str, Query(max_length=4_000, pattern=WITHOUT_NUL)] = "",
    least: Word = "",
    most: Word = "",
    error: Word = "",
    verdict: Word = "",
    rule_id: Annotated[str, Query(max_length=255, pattern=WITHOUT_NUL)] = "",
    within: Word = "",
    since: Word = "",
    until: Word = "",
    cursor: Annotated[str, Query(max_length=200)] = "",
) -> TraceQuery:
    """Read the filters of the address."""
    return TraceQuery(
        service=service.strip(),
        operation=operation.strip(),
        attributes=attributes.strip(),
        least=least.strip(),
        most=most.strip(),
        error=error,
        verdict=verdict,
        rule_id=rule_id,
        within=within,
        since=since.strip(),
        until=until.strip(),
        cursor=cursor,
    )


@router.get("/traces")
async def traces(
    request: Request,
    who: Reader,
    query: Annotated[TraceQuery, Depends(trace_query)],
    id: Annotated[str, Query(max_length=64)] = "",  # noqa: A002
) -> Response:
    """Show a page of stored traces, or lead to the one whose id was typed.

    Raises 400 for what is no id. A filter that cannot be read is said on the page.
    """
    if id.strip():
        return RedirectResponse(f"/traces/{parse_trace_id(id.strip()).hex()}", 303)
    services = services_of(request)
    found, problem = None, ""
    try:
        chosen = query.chosen(now=datetime.now(UTC))
    except ApiError as error:
        problem = error.detail
    else:
        found = await search_traces(
            services.pool,
            services.redactors,
            who.scope,
            chosen,
            cursor=query.cursor or None,
            limit=PAGE_SIZE,
        )
    rules = await every_rule(services.pool, who.scope)
    names = {rule.id: str(rule.object.get("name") or rule.id) for rule in rules}
    may_test = who.may(Permission.RULES_TEST)
    page = trace_list(found, query, rules=names, may_test=may_test, problem=problem)
    return render(request, "traces/list.html", page=page)


@router.get("/traces/{trace_id}")
async def trace(request: Request, who: Reader, trace_id: str) -> Response:
    """Show one trace."""
    services = services_of(request)
    found = await get_trace(services.pool, who.scope, trace_id, with_spans=False)
    span_count = await services.layouts.span_count(who.scope, trace_id) or 0
    few = span_count <= AT_ONCE_MAX
    layout = await services.layouts.layout(who.scope, trace_id) if few else None
    may_write_rules = who.may(Permission.RULES_WRITE)
    page = trace_page(found, layout, span_count=span_count, may_write_rules=may_write_rules)
    return render(request, "traces/detail.html", page=page)
