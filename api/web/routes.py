"""All pages of the console, and what the application asks of it.

`router`: the pages and static files; `error_page`: refusals of pages.
"""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request, Response

from api.auth.access import anyone
from api.web.assets import serve
from api.web.errors import error_page
from api.web.pages import (
    account,
    anchors,
    audit,
    backtests,
    cases,
    data,
    dead_letters,
    evidence,
    exceptions,
    home,
    investigation,
    invitations,
    keys,
    notices,
    operator,
    palette,
    passwords,
    people,
    provider,
    redaction,
    retention,
    rule_from_trace,
    rule_library,
    rule_list,
    rule_versions,
    rules,
    samples,
    signals,
    snoozes,
    team,
    tenant,
    traces,
    usage,
    welcome,
)

__all__ = ["error_page", "router"]

router = APIRouter(include_in_schema=False)
for pages in (
    people,
    provider,
    passwords,
    invitations,
    account,
    tenant,
    team,
    usage,
    retention,
    anchors,
    redaction,
    keys,
    data,
    welcome,
    home,
    signals,
    investigation,
    exceptions,
    rule_list,
    rule_library,
    rules,
    snoozes,
    rule_versions,
    rule_from_trace,
    backtests,
    traces,
    samples,
    cases,
    dead_letters,
    notices,
    audit,
    evidence,
    palette,
    operator,
):
    router.include_router(pages.router)


@router.get("/static/{path:path}", dependencies=[Depends(anyone)])
async def static(request: Request, path: str) -> Response:
    """Serve the bundle and the icon."""
    return serve(request, path)
