"""The first-run page: a key, a trace to send, and the wait for what comes of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.keys.authority import authority_of
from api.keys.model import MadeKey
from api.problems import ApiError
from api.rules.service import apply_rules
from api.services import services_of
from api.tenants.first_run import first_key, progress_of
from api.tenants.starter import starter_rules
from api.web.render import render
from api.web.views.welcome import WELCOME_HREF, progress_panel, welcome_page
from api.web.views.words import Message, bad

router = APIRouter(include_in_schema=False)

Reader = Annotated[Principal, Depends(require(Permission.SIGNALS_READ))]
Keeper = Annotated[Principal, Depends(require(Permission.KEYS_WRITE))]
Writer = Annotated[Principal, Depends(require(Permission.RULES_WRITE))]


@router.get(WELCOME_HREF)
async def welcome(request: Request, who: Reader, first: bool = False) -> Response:
    """Show the page. first: whoever comes here by an invitation goes on where there are signals."""
    if first and (await progress_of(services_of(request).pool, who.scope)).signal:
        return RedirectResponse("/home", 303)
    return await _page(request, who)


@router.get(f"{WELCOME_HREF}/progress")
async def progress(request: Request, who: Reader) -> Response:
    """Show how far things have come, for the page that waits."""
    found = await progress_of(services_of(request).pool, who.scope)
    return render(request, "welcome/progress.html", page=progress_panel(found))


@router.post(f"{WELCOME_HREF}/key")
async def make_key(request: Request, who: Keeper) -> Response:
    """Make a key for spans and show it, once, in all that is to be copied."""
    services = services_of(request)
    try:
        made = await first_key(
            services.pool, who.scope, maker=services.key_maker, authority=authority_of(who)
        )
    except ApiError as error:
        if error.status not in (403, 409):
            raise
        return await _page(request, who, message=bad(error.detail), status=error.status)
    return await _page(request, who, made=made)


@router.post(f"{WELCOME_HREF}/rules")
async def add_rules(request: Request, who: Writer) -> Response:
    """Save the starter rules."""
    services = services_of(request)
    try:
        await apply_rules(services.pool, services.publisher, who.scope, starter_rules())
    except ApiError as error:
        if error.status not in (409, 422):
            raise
        return await _page(request, who, message=bad(error.detail), status=error.status)
    return RedirectResponse(WELCOME_HREF, 303)


async def _page(
    request: Request,
    who: Principal,
    *,
    made: MadeKey | None = None,
    message: Message | None = None,
    status: int = 200,
) -> Response:
    services = services_of(request)
    page = welcome_page(
        await progress_of(services.pool, who.scope),
        otlp_url=services.settings.otlp_site,
        may_make_key=who.may(Permission.KEYS_WRITE),
        may_write_rules=who.may(Permission.RULES_WRITE),
        made=made,
        message=message,
    )
    return render(request, "welcome/page.html", page=page, status=status)
