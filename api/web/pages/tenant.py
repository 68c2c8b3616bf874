"""The settings of the tenant in the browser."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.problems import ApiError
from api.rules.service import publish_waiting
from api.services import services_of
from api.tenants.own import change_tenant
from api.tenants.service import read_tenant
from api.web.render import render
from api.web.views.tenant import DONE, TENANT_HREF, TenantText, tenant_page
from api.web.views.words import Message, bad, good, sentence

router = APIRouter(include_in_schema=False)

Reader = Annotated[Principal, Depends(require(Permission.TENANT_READ))]
Keeper = Annotated[Principal, Depends(require(Permission.TENANT_WRITE))]
Word = Annotated[str, Form(max_length=50)]


def _text(
    name: Annotated[str, Form(max_length=200)] = "",
    settle_ms: Word = "",
    patience_ms: Word = "",
    max_life_ms: Word = "",
    lateness_ms: Word = "",
    clock_skew_ms: Word = "",
    span_sampled: Word = "",
    external_roots: Word = "",
    fold_after: Word = "",
    quiet_days: Word = "",
) -> TenantText:
    return TenantText(
        name=name,
        durations={
            "settle_ms": settle_ms,
            "patience_ms": patience_ms,
            "max_life_ms": max_life_ms,
            "lateness_ms": lateness_ms,
            "clock_skew_ms": clock_skew_ms,
        },
        span_sampled=bool(span_sampled),
        external_roots=bool(external_roots),
        fold_after=fold_after,
        quiet_days=quiet_days,
    )


@router.get(TENANT_HREF)
async def tenant(
    request: Request, who: Reader, done: Annotated[str, Query(max_length=20)] = ""
) -> Response:
    """Show the settings. done: what the form has just done, said on top."""
    return await _page(request, who, message=good(DONE[done]) if done in DONE else None)


@router.post(TENANT_HREF)
async def change(
    request: Request, who: Keeper, text: Annotated[TenantText, Depends(_text)]
) -> Response:
    """Change the settings; a refusal is said on the form."""
    services = services_of(request)
    try:
        await change_tenant(services.pool, who.scope, text.change())
    except ValueError as error:
        return await _page(request, who, text=text, message=bad(sentence(error)), status=400)
    except ApiError as error:
        if error.status != 400:
            raise
        return await _page(request, who, text=text, message=bad(error.detail), status=400)
    await publish_waiting(services.publisher, who.scope)
    return RedirectResponse(f"{TENANT_HREF}?done=changed", 303)


async def _page(
    request: Request,
    who: Principal,
    *,
    text: TenantText | None = None,
    message: Message | None = None,
    status: int = 200,
) -> Response:
    page = tenant_page(
        await read_tenant(services_of(request).pool, who.scope),
        may_write=who.may(Permission.TENANT_WRITE),
        text=text,
        message=message,
    )
    return render(request, "settings/tenant.html", page=page, status=status)
