"""A rule snoozed from its page, and woken."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.problems import ApiError
from api.services import services_of
from api.snoozes.model import REASON_MAX
from api.snoozes.service import snooze_rule, wake_rule
from api.web.pages.rules import show_rule
from api.web.pages.typed import lines_of
from api.web.views.links import rule_href
from api.web.views.snooze import span_of
from api.web.views.words import bad

router = APIRouter(include_in_schema=False)

Snoozer = Annotated[Principal, Depends(require(Permission.RULES_SNOOZE))]


@router.post("/rules/{rule_id}/snooze")
async def snooze(
    request: Request,
    who: Snoozer,
    rule_id: str,
    hours: Annotated[str, Form(max_length=4)] = "",
    reason: Annotated[str, Form(max_length=REASON_MAX)] = "",
) -> Response:
    """Let a rule alert nobody for some hours."""
    services = services_of(request)
    until = datetime.now(UTC) + span_of(hours)
    try:
        await snooze_rule(
            services.pool,
            services.redactors,
            who.scope,
            rule_id,
            until=until,
            reason=lines_of(reason),
        )
    except ApiError as error:
        if error.status not in (400, 422):
            raise
        return await show_rule(request, who, rule_id, bad(error.detail), status=error.status)
    return RedirectResponse(f"{rule_href(rule_id)}?done=snoozed", 303)


@router.post("/rules/{rule_id}/snooze/end")
async def wake(request: Request, who: Snoozer, rule_id: str) -> Response:
    """Let a rule alert again."""
    try:
        await wake_rule(services_of(request).pool, who.scope, rule_id)
    except ApiError as error:
        if error.status != 409:
            raise
        return await show_rule(request, who, rule_id, bad(error.detail), status=error.status)
    return RedirectResponse(f"{rule_href(rule_id)}?done=woken", 303)
