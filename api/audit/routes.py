"""/audit: the log by pages, and as a file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from enum import StrEnum
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime

from api.audit.record import Outcome
from api.audit.schemas import AuditPageBody, csv_head, csv_line, json_line
from api.audit.service import (
    PAGE_MAX,
    AuditFilter,
    ShownEntry,
    export_entries,
    list_entries,
    record_export,
)
from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.problems import ApiError
from api.services import services_of

router = APIRouter(prefix="/audit", tags=["audit"])

Reader = Annotated[Principal, Depends(require(Permission.AUDIT_READ))]


class ExportForm(StrEnum):
    """What an export is written in."""

    JSONL = "jsonl"
    CSV = "csv"


MEDIA_TYPES: Final[Mapping[ExportForm, str]] = {
    ExportForm.JSONL: "application/x-ndjson",
    ExportForm.CSV: "text/csv; charset=utf-8",
}
_LINES: Final[Mapping[ExportForm, Callable[[ShownEntry], str]]] = {
    ExportForm.JSONL: json_line,
    ExportForm.CSV: csv_line,
}


def audit_filter(
    actor: Annotated[
        str | None,
        Query(
            max_length=320,
            description="`user:<id>`, `key:<id>`, the address of a member, or of whoever acted in "
            "somebody's place.",
        ),
    ] = None,
    action: Annotated[
        str | None, Query(max_length=100, description="`rule.changed`, or `rule` for all of rules.")
    ] = None,
    target: Annotated[str | None, Query(max_length=300, examples=["rule:promise"])] = None,
    outcome: Outcome | None = None,
    from_at: Annotated[AwareDatetime | None, Query(alias="from", description="inclusive")] = None,
    to_at: Annotated[AwareDatetime | None, Query(alias="to", description="exclusive")] = None,
) -> AuditFilter:
    """Read the filters of the log from the query."""
    if from_at and to_at and from_at > to_at:
        raise ApiError(400, "request.range", "`from` lies after `to`.")
    return AuditFilter(
        actor=actor, action=action, target=target, outcome=outcome, from_at=from_at, to_at=to_at
    )


Chosen = Annotated[AuditFilter, Depends(audit_filter)]


@router.get("")
async def read_audit(
    request: Request,
    principal: Reader,
    chosen: Chosen,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> AuditPageBody:
    """List who was refused and who changed what, newest first.

    Refusals appear when their minute is over: alike ones of a minute are one row with `times`.
    """
    pool = services_of(request).pool
    page = await list_entries(pool, principal.scope, chosen, cursor=cursor, limit=limit)
    return AuditPageBody.of(page)


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-ndjson": {}, "text/csv": {}}}},
)
async def export_audit(
    request: Request,
    principal: Reader,
    chosen: Chosen,
    format: ExportForm = ExportForm.JSONL,  # noqa: A002
) -> StreamingResponse:
    """Export the log as JSON lines or CSV, newest first, up to 100,000 rows. It is recorded."""
    return await export(request, principal, chosen, format)


async def export(
    request: Request, principal: Principal, chosen: AuditFilter, form: ExportForm
) -> StreamingResponse:
    """Answer with the rows as a file to be saved."""
    pool = services_of(request).pool
    await record_export(pool, principal.scope, form=form.value)

    async def lines() -> AsyncIterator[str]:
        if form is ExportForm.CSV:
            yield csv_head()
        async for shown in export_entries(pool, principal.scope, chosen):
            yield _LINES[form](shown)

    return StreamingResponse(
        lines(),
        media_type=MEDIA_TYPES[form],
        headers={"Content-Disposition": f'attachment; filename="betrace-audit.{form.value}"'},
    )
