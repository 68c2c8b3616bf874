"""/rules/{rule_id}/exceptions: exceptions proven, added and ended; the rule itself tells them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Path, Request, Response

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.etags import version_of
from api.exceptions.schemas import NewExceptionBody, ProofBody, TriedExceptionBody
from api.problems import forbidden
from api.rules.schemas import RuleBody
from api.rules.service import Precondition, Saved
from api.services import services_of
from api.traces.answers import WITHOUT_NUL

router = APIRouter(prefix="/rules/{rule_id}/exceptions", tags=["rules"])

Writer = Annotated[Principal, Depends(require(Permission.RULES_WRITE))]
RuleId = Annotated[
    str, Path(max_length=255, pattern=WITHOUT_NUL, examples=["large-payments-are-checked"])
]
Number = Annotated[int, Path(ge=1, le=10_000, description="Its place in the list, from 1.")]
IfMatch = Annotated[str | None, Header(description='The version that is to be changed, as "3".')]
_NEEDS: Final = (Permission.SIGNALS_READ, Permission.TRACES_READ)
"""Beside that of the route: what a proof tells, and what a filter asks."""


def refuse_without_traces(principal: Principal) -> None:
    """Raise ApiError 403 for who may not look at signals and traces, of which a proof tells."""
    for permission in _NEEDS:
        if not principal.may(permission):
            raise forbidden(permission.value)


@router.post("/trial")
async def try_exception(
    request: Request, principal: Writer, rule_id: RuleId, body: TriedExceptionBody
) -> ProofBody:
    """Tell what an exception would silence: the signal it is made for, tests and cases that expect
    a violation, and signals of the last 30 days. Saves nothing.

    422 for a filter that does not check, with its problems, and for an end that is over.
    """
    refuse_without_traces(principal)
    proof = await services_of(request).exceptions.prove(
        principal.scope, rule_id, body.exception(), signal_id=body.signal_id
    )
    return ProofBody.of(proof)


@router.post("", status_code=201)
async def add_exception(
    request: Request,
    response: Response,
    principal: Writer,
    rule_id: RuleId,
    body: NewExceptionBody,
    if_match: IfMatch = None,
) -> RuleBody:
    """Save a rule with one exception more.

    422 if it would silence what a test or a case of the rule has to find, which are named in
    `silences`, or not the signal it is made for; 412 if the rule has another version than
    `If-Match` says, 409 in quarantine.
    """
    if body.signal_id:
        refuse_without_traces(principal)
    saved = await services_of(request).exceptions.add(
        principal.scope,
        rule_id,
        body.exception(),
        signal_id=body.signal_id,
        precondition=Precondition(version=version_of(if_match)),
    )
    return _saved(response, saved)


@router.post("/{number}/end")
async def end_exception(
    request: Request,
    response: Response,
    principal: Writer,
    rule_id: RuleId,
    number: Number,
    if_match: IfMatch = None,
) -> RuleBody:
    """Let an exception be over from now on; it stays with the rule, with its reason.

    412 if the rule has another version than `If-Match` says, 409 if it is over already and in
    quarantine.
    """
    saved = await services_of(request).exceptions.end(
        principal.scope, rule_id, number, precondition=Precondition(version=version_of(if_match))
    )
    return _saved(response, saved)


def _saved(response: Response, saved: Saved) -> RuleBody:
    response.headers["ETag"] = saved.rule.etag
    return RuleBody.of(saved.rule, now=datetime.now(UTC))
