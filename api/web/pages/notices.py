"""The list of notices, their count for the navigation, and taking one for read."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.notices.service import (
    acknowledge,
    count_new,
    kinds_for,
    kinds_of_taker,
    list_notices,
)
from api.services import services_of
from api.web.render import render
from api.web.views.notices import notice_list
from api.web.views.words import good

router = APIRouter(include_in_schema=False)

PAGE_SIZE: Final = 50
Reader = Annotated[Principal, Depends(require(Permission.TENANT_READ))]


@router.get("/notices")
async def notices(
    request: Request,
    who: Reader,
    cursor: Annotated[str, Query(max_length=500)] = "",
    done: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Show notices, newest first. done: what a form has just done, said on top."""
    found = await list_notices(
        services_of(request).pool,
        who.scope,
        kinds=kinds_for(who),
        cursor=cursor or None,
        limit=PAGE_SIZE,
    )
    page = notice_list(
        found.items,
        next_cursor=found.next_cursor or "",
        takes=kinds_of_taker(who),
        message=good("Acknowledged.") if done == "acknowledged" else None,
    )
    return render(request, "notices/list.html", page=page)


@router.get("/notices/count")
async def count(request: Request, who: Reader) -> Response:
    """Show how many notices are new, as a piece of the navigation."""
    new = await count_new(services_of(request).pool, who.scope, kinds=kinds_for(who))
    return render(request, "notices/count.html", page=new)


@router.post("/notices/{notice_id}/acknowledge")
async def acknowledge_notice(request: Request, who: Reader, notice_id: str) -> Response:
    """Take a notice for read."""
    await acknowledge(services_of(request).pool, who, notice_id)
    return RedirectResponse("/notices?done=acknowledged", 303)
