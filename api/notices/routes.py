"""/notices: what BeTrace did or found, for those who look after it; and taking it for read."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.notices.schemas import NoticeBody, NoticePageBody
from api.notices.service import PAGE_MAX, acknowledge, kinds_for, list_notices
from api.services import services_of

router = APIRouter(prefix="/notices", tags=["notices"])

Reader = Annotated[Principal, Depends(require(Permission.TENANT_READ))]
"""Each kind of notice has its own readers and takers: api/notices/model.py."""


@router.get("")
async def read_notices(
    request: Request,
    principal: Reader,
    acknowledged: bool | None = None,
    rule_id: Annotated[str | None, Query(max_length=255)] = None,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> NoticePageBody:
    """List notices of the kinds that the caller is told of, newest first.

    Of rules and quotas: permission `rules.read`; of controls: `evidence.read`; of targets of
    checkpoints: `tenant.write`.
    """
    page = await list_notices(
        services_of(request).pool,
        principal.scope,
        kinds=kinds_for(principal),
        acknowledged=acknowledged,
        rule_id=rule_id,
        cursor=cursor,
        limit=limit,
    )
    return NoticePageBody.model_validate(page)


@router.post("/{notice_id}/acknowledge")
async def acknowledge_notice(request: Request, principal: Reader, notice_id: str) -> NoticeBody:
    """Take a notice for read; what it is about stays as it is.

    Of rules and quotas: permission `rules.write`; of controls: `evidence.notices`; of targets:
    `tenant.write`.
    """
    notice = await acknowledge(services_of(request).pool, principal, notice_id)
    return NoticeBody.model_validate(notice)
