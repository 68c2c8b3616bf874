"""The library: shipped rules to take, templates to begin with."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.problems import ApiError
from api.rules.bulk import BULK_MAX
from api.rules.library import install_rules, shipped
from api.rules.model import RuleState
from api.rules.service import every_rule
from api.services import services_of
from api.web.render import render
from api.web.views.rule_library import BEGIN_IN, library
from api.web.views.waterfall import counted
from api.web.views.words import STATES, Message, bad, good

router = APIRouter(include_in_schema=False, prefix="/rules/library")

Writer = Annotated[Principal, Depends(require(Permission.RULES_WRITE))]


@router.get("")
async def show(
    request: Request, who: Writer, taken: Annotated[int | None, Query(ge=0, le=BULK_MAX)] = None
) -> Response:
    """Show the library. taken: how many rules were just taken."""
    message = None
    if taken is not None:
        said = f"{counted(taken, 'rule')} taken." if taken else "They are all there already."
        message = good(said)
    return await _library(request, who, message)


@router.post("")
async def take(
    request: Request,
    who: Writer,
    id: Annotated[list[str] | None, Form()] = None,  # noqa: A002 - a field of the form
    state: Annotated[str, Form(max_length=20)] = BEGIN_IN,
) -> Response:
    """Take the chosen rules; those whose ids are in use stay as they are."""
    if not id or len(id) > BULK_MAX:
        message = bad(f"Choose rules first, {BULK_MAX} at most.")
        return await _library(request, who, message, status=400)
    services = services_of(request)
    try:
        done = await install_rules(
            services.pool,
            services.publisher,
            services.redactors,
            who.scope,
            id,
            RuleState(state if state in STATES else BEGIN_IN),
        )
    except ApiError as error:
        if error.status not in (404, 409, 422):
            raise
        return await _library(request, who, bad(error.detail), status=error.status)
    return RedirectResponse(f"/rules/library?taken={len(done.taken)}", 303)


async def _library(
    request: Request, who: Principal, message: Message | None, *, status: int = 200
) -> Response:
    services = services_of(request)
    in_use = {rule.id for rule in await every_rule(services.pool, who.scope)}
    known = None
    if who.may(Permission.TRACES_READ):
        known = await services.seen_names.of(who.scope)
    packs = await asyncio.to_thread(shipped)
    page = library(packs, in_use, known, message=message)
    return render(request, "rules/library.html", page=page, status=status)
