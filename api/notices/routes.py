"""/notices: what was done to rules, and taking it for read."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.notices.schemas import NoticeBody, NoticePageBody
from api.notices.service import PAGE_MAX, acknowledge, list_notices
from api.services import services_of

router = APIRouter(prefix="/notices", tags=["notices"])

Reader = Annotated[Principal, Depends(require(Permission.RULES_READ))]
Writer = Annotated[Principal, Depends(require(Permission.RULES_WRITE))]


@router.get("")
async def read_notices(
    request: Request,
    principal: Reader,
    acknowledged: bool | None = None,
    rule_id: Annotated[str | None, Query(max_length=255)] = None,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> NoticePageBody:
    """List notices, newest first."""
    page = await list_notices(
        services_of(request).pool,
        principal.scope,
        acknowledged=acknowledged,
        rule_id=rule_id,
        cursor=cursor,
        limit=limit,
    )
    return NoticePageBody.model_validate(page)


@router.post("/{notice_id}/acknowledge")
async def acknowledge_notice(request: Request, principal: Writer, notice_id: str) -> NoticeBody:
    """Take a notice for read. The rule stays in quarantine."""
    notice = await acknowledge(services_of(request).pool, principal.scope, notice_id)
    return NoticeBody.model_validate(notice)
