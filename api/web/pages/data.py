"""All of the tenant's data in the browser: the export, and the deletion."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.access import require
from api.auth.fresh import is_fresh
from api.auth.principal import Permission, Principal
from api.exports.routes import export
from api.problems import ApiError
from api.services import services_of
from api.tenants.deletion import read_deletion
from api.tenants.deletion_routes import asked, kept
from api.web.render import render
from api.web.views.data import DATA_HREF, DONE, data_page
from api.web.views.words import Message, bad, good

router = APIRouter(include_in_schema=False)

Reader = Annotated[Principal, Depends(require(Permission.TENANT_READ))]
Exporting = Annotated[Principal, Depends(require(Permission.TENANT_EXPORT))]
Owner = Annotated[Principal, Depends(require(Permission.TENANT_DELETE))]


@router.get(DATA_HREF)
async def data(
    request: Request, who: Reader, done: Annotated[str, Query(max_length=20)] = ""
) -> Response:
    """Show what can be done. done: what a form has just done, said on top."""
    return await _page(request, who, message=good(DONE[done]) if done in DONE else None)


@router.get(f"{DATA_HREF}/export")
async def export_tenant(request: Request, who: Exporting) -> Response:
    """Hand out all of the tenant as a file."""
    return await export(request, who)


@router.post(f"{DATA_HREF}/delete")
async def delete(
    request: Request, who: Owner, name: Annotated[str, Form(max_length=255)] = ""
) -> Response:
    """Ask for the deletion; a refusal is said on the form."""
    try:
        await asked(services_of(request), who, typed=name)
    except ApiError as error:
        return await _page(request, who, message=bad(error.detail), typed=name, status=error.status)
    return RedirectResponse(f"{DATA_HREF}?done=asked", 303)


@router.post(f"{DATA_HREF}/keep")
async def keep(request: Request, who: Owner) -> Response:
    """Keep the tenant after all."""
    try:
        await kept(services_of(request), who)
    except ApiError as error:
        return await _page(request, who, message=bad(error.detail), status=error.status)
    return RedirectResponse(f"{DATA_HREF}?done=kept", 303)


async def _page(
    request: Request,
    who: Principal,
    *,
    message: Message | None = None,
    typed: str = "",
    status: int = 200,
) -> Response:
    services = services_of(request)
    page = data_page(
        await read_deletion(services.pool, who.scope),
        grace=services.settings.deletion_grace,
        may_export=who.may(Permission.TENANT_EXPORT),
        may_delete=who.may(Permission.TENANT_DELETE),
        fresh=is_fresh(who, now=datetime.now(UTC)),
        typed=typed,
        message=message,
    )
    return render(request, "settings/data.html", page=page, status=status)
