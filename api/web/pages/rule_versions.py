"""Two versions of a rule side by side, and bringing an earlier one back."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.problems import ApiError
from api.rules.service import Outcome, Precondition, get_version, list_versions
from api.rules.versions import REASON_MAX, difference, restore_rule
from api.services import services_of
from api.web.render import render
from api.web.views.links import rule_href
from api.web.views.rule_versions import difference_page
from api.web.views.words import Message, bad

router = APIRouter(include_in_schema=False, prefix="/rules/{rule_id}")

Reader = Annotated[Principal, Depends(require(Permission.RULES_READ))]
Writer = Annotated[Principal, Depends(require(Permission.RULES_WRITE))]
_VERSION_MAX: Final = 2**31 - 1
Version = Annotated[int, Query(ge=1, le=_VERSION_MAX)]
_SAID: Final = frozenset({400, 409, 412, 422})
"""Refusals that are said on the page, with what was typed."""


@router.get("/difference")
async def compare(
    request: Request, who: Reader, rule_id: str, was: Version, now: Version
) -> Response:
    """Show two versions side by side."""
    return await _compared(request, who, rule_id, was=was, now=now)


@router.post("/restore")
async def restore(
    request: Request,
    who: Writer,
    rule_id: str,
    restored: Annotated[int, Form(ge=1, le=_VERSION_MAX)],
    version: Annotated[int, Form(ge=1, le=_VERSION_MAX)],
    reason: Annotated[str, Form(max_length=REASON_MAX)] = "",
) -> Response:
    """Bring a version back. version: the one that was current when the page was made."""
    services = services_of(request)
    try:
        saved = await restore_rule(
            services.pool,
            services.publisher,
            services.redactors,
            who.scope,
            rule_id,
            version=restored,
            reason=reason,
            precondition=Precondition(version=version),
        )
    except ApiError as error:
        if error.status not in _SAID:
            raise
        return await _compared(
            request,
            who,
            rule_id,
            was=restored,
            now=version,
            reason=reason,
            message=bad(_sentence(error)),
            status=error.status,
        )
    done = "restored" if saved.outcome is not Outcome.UNCHANGED else Outcome.UNCHANGED.value
    return RedirectResponse(f"{rule_href(rule_id)}?done={done}", 303)


async def _compared(
    request: Request,
    who: Principal,
    rule_id: str,
    *,
    was: int,
    now: int,
    reason: str = "",
    message: Message | None = None,
    status: int = 200,
) -> Response:
    pool = services_of(request).pool
    page = difference_page(
        difference(
            await get_version(pool, who.scope, rule_id, was),
            await get_version(pool, who.scope, rule_id, now),
        ),
        await list_versions(pool, who.scope, rule_id),
        may_write=who.may(Permission.RULES_WRITE),
        reason=reason,
        message=message,
    )
    return render(request, "rules/difference.html", page=page, status=status)


def _sentence(error: ApiError) -> str:
    if error.status == 412:
        current = error.members.get("current_version")
        return (
            f"Somebody saved version {current} meanwhile. Nothing was brought back: compare with "
            "that version, and decide again."
        )
    problems = error.members.get("problems") or ()
    return "; ".join(str(problem["message"]) for problem in problems) or error.detail
