"""What the tenant uses, in the browser."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.services import services_of
from api.tiers.allowance import read_allowance
from api.usage.routes import month_in
from api.usage.service import read_usage
from api.web.render import render
from api.web.views.usage import USAGE_HREF, usage_page

router = APIRouter(include_in_schema=False)

Reader = Annotated[Principal, Depends(require(Permission.TENANT_READ))]


@router.get(USAGE_HREF)
async def usage(
    request: Request, who: Reader, month: Annotated[str, Query(max_length=7)] = ""
) -> Response:
    """Show a month."""
    pool = services_of(request).pool
    found = await read_usage(pool, who.scope, month_in(month))
    allowance = await read_allowance(pool, who.scope)
    page = usage_page(found, allowance, today=datetime.now(UTC).date())
    return render(request, "settings/usage.html", page=page)
