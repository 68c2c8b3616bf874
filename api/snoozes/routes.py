"""/rules/{rule_id}/snoozes: a rule that is to alert nobody for a time."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.services import services_of
from api.snoozes.schemas import SnoozeBody, SnoozeDraftBody, SnoozeListBody
from api.snoozes.service import list_snoozes, snooze_rule, wake_rule
from api.traces.answers import WITHOUT_NUL

router = APIRouter(prefix="/rules/{rule_id}/snoozes", tags=["rules"])

Reader = Annotated[Principal, Depends(require(Permission.RULES_READ))]
Snoozer = Annotated[Principal, Depends(require(Permission.RULES_SNOOZE))]
RuleId = Annotated[
    str, Path(max_length=255, pattern=WITHOUT_NUL, examples=["large-payments-are-checked"])
]


@router.get("")
async def read_snoozes(request: Request, principal: Reader, rule_id: RuleId) -> SnoozeListBody:
    """List the snoozes of a rule, newest first, the last 50."""
    found = await list_snoozes(services_of(request).pool, principal.scope, rule_id)
    return SnoozeListBody.of(found)


@router.post("", status_code=201)
async def snooze(
    request: Request, principal: Snoozer, rule_id: RuleId, body: SnoozeDraftBody
) -> SnoozeBody:
    """Let a rule alert nobody until a moment. Another snooze of it ends.

    What it finds meanwhile is on record (`shown=excepted`), with the reason, and does not alert
    afterwards. 422 for a moment that is over or more than 30 days off.
    """
    services = services_of(request)
    begun = await snooze_rule(
        services.pool,
        services.redactors,
        principal.scope,
        rule_id,
        until=body.until,
        reason=body.reason,
    )
    return SnoozeBody.model_validate(begun)


@router.post("/end")
async def wake(request: Request, principal: Snoozer, rule_id: RuleId) -> SnoozeBody:
    """Let a rule alert again from now on. 409 if it is not snoozed."""
    ended = await wake_rule(services_of(request).pool, principal.scope, rule_id)
    return SnoozeBody.model_validate(ended)
