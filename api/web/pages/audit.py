"""The audit log: a page of it, and the file of all that the filters choose."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from api.audit.routes import ExportForm, export
from api.audit.service import list_entries
from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.services import services_of
from api.web.render import render
from api.web.views.audit import AuditQuery, audit_page

router = APIRouter(include_in_schema=False)

PAGE_SIZE: Final = 50
Reader = Annotated[Principal, Depends(require(Permission.AUDIT_READ))]


def audit_query(
    actor: Annotated[str, Query(max_length=320)] = "",
    kind: Annotated[str, Query(max_length=100)] = "",
    target: Annotated[str, Query(max_length=300)] = "",
    outcome: Annotated[str, Query(max_length=20)] = "",
    since: Annotated[str, Query(max_length=20)] = "",
    until: Annotated[str, Query(max_length=20)] = "",
    cursor: Annotated[str, Query(max_length=500)] = "",
) -> AuditQuery:
    """Read the filters of the address."""
    return AuditQuery(
        actor=actor.strip(),
        kind=kind,
        target=target.strip(),
        outcome=outcome,
        since=since,
        until=until,
        cursor=cursor,
    )


Chosen = Annotated[AuditQuery, Depends(audit_query)]


@router.get("/audit")
async def audit(request: Request, who: Reader, query: Chosen) -> Response:
    """Show a page of the log."""
    found = await list_entries(
        services_of(request).pool,
        who.scope,
        query.chosen(),
        cursor=query.cursor or None,
        limit=PAGE_SIZE,
    )
    page = audit_page(found.items, query, next_cursor=found.next_cursor or "")
    return render(request, "audit/list.html", page=page)


@router.get("/audit/export")
async def export_audit(
    request: Request,
    who: Reader,
    query: Chosen,
    format: ExportForm = ExportForm.CSV,  # noqa: A002 - of the URL
) -> Response:
    """Hand out what the filters choose as a file."""
    return await export(request, who, query.chosen(), format)
