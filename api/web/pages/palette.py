"""Where to go: the results of the command palette, and the same as a page without a script."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from api.auth.access import authenticated
from api.auth.principal import Permission, Principal
from api.database import queries, tenant_transaction
from api.services import services_of
from api.traces.answers import WITHOUT_NUL
from api.web.render import render
from api.web.views.palette import LISTED, palette

router = APIRouter(include_in_schema=False)

Known = Annotated[Principal, Depends(authenticated)]


@router.get("/go")
async def go(
    request: Request,
    who: Known,
    text: Annotated[str, Query(alias="q", max_length=200, pattern=WITHOUT_NUL)] = "",
    hx_request: Annotated[str, Header(max_length=10)] = "",
) -> Response:
    """Show pages, rules and recent signals that fit some words; for the palette the list alone."""
    words = text.strip()
    async with tenant_transaction(services_of(request).pool, who.scope) as connection:
        asked = {"text": words, "limit": LISTED}
        found = queries("palette")
        rules = (
            [row async for row in found.rules(connection, **asked)]
            if who.may(Permission.RULES_READ)
            else []
        )
        signals = (
            [row async for row in found.signals(connection, **asked)]
            if who.may(Permission.SIGNALS_READ)
            else []
        )
    page = palette(words, who, rules=rules, signals=signals)
    return render(request, f"palette/{'options' if hx_request else 'page'}.html", page=page)
