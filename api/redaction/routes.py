"""/tenant/redaction: what is taken out of spans, what it would be, and undoing it for a value."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.etags import version_of
from api.problems import ApiError
from api.redaction.counting import DAYS_MAX, read_counts
from api.redaction.schemas import (
    POLICY_BODY,
    ChangedPolicyBody,
    CountsBody,
    PolicyBody,
    PolicyVersionsBody,
    PreviewBody,
    RevealBody,
    RevealedBody,
    SuggestionsBody,
)
from api.redaction.service import (
    HISTORY_MAX,
    look_ahead,
    parse_policy,
    read_current,
    read_history,
    reveal,
    suggestions_for,
)
from api.redaction.wanted import change, rules_in_doubt
from api.services import services_of
from udfs.redaction.policy import Policy

router = APIRouter(prefix="/tenant/redaction", tags=["redaction"])

Reader = Annotated[Principal, Depends(require(Permission.TENANT_READ))]
Keeper = Annotated[Principal, Depends(require(Permission.TENANT_WRITE))]
Revealer = Annotated[Principal, Depends(require(Permission.REDACTION_REVEAL))]
IfMatch = Annotated[
    str | None, Header(description='The version that is to be changed, as "3"; "0": the defaults.')
]


@router.get("")
async def read_policy(request: Request, response: Response, principal: Reader) -> PolicyBody:
    """Return the policy that holds, and the defaults behind it."""
    stored = await read_current(services_of(request).pool, principal.scope)
    response.headers["ETag"] = stored.etag
    return PolicyBody.of(stored)


@router.put("", openapi_extra=POLICY_BODY)
async def put_policy(
    request: Request, response: Response, principal: Keeper, if_match: IfMatch = None
) -> ChangedPolicyBody:
    """Let a policy hold from now on; in effect within seconds. 422 with all problems of it.

    Rules that compare attributes with texts are published anew where those are redacted otherwise.
    """
    policy = await _policy(request)
    services = services_of(request)
    changed = await change(
        services.pool,
        services.publisher,
        services.redactors,
        principal.scope,
        policy,
        version=version_of(if_match, least=0),
    )
    response.headers["ETag"] = changed.stored.etag
    return ChangedPolicyBody.of_change(changed)


@router.get("/versions")
async def read_versions(
    request: Request,
    principal: Reader,
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=HISTORY_MAX)] = 50,
) -> PolicyVersionsBody:
    """List the versions of the policy, newest first."""
    pool = services_of(request).pool
    versions = await read_history(pool, principal.scope, before=before, limit=limit)
    more = len(versions) == limit and versions[-1].version > 1
    return PolicyVersionsBody(
        items=[PolicyBody.of(version) for version in versions],
        next_before=versions[-1].version if more else None,
    )


@router.get("/counts")
async def count_redactions(
    request: Request,
    principal: Reader,
    days: Annotated[int, Query(ge=1, le=DAYS_MAX, description="So many, with today.")] = 30,
) -> CountsBody:
    """Say how much was taken out of the spans that came by `ingest`, and of what kinds.

    The last seconds are not among it yet.
    """
    return CountsBody.of(await read_counts(services_of(request).pool, principal.scope, days=days))


@router.post("/preview", openapi_extra=POLICY_BODY)
async def preview_policy(request: Request, principal: Keeper) -> PreviewBody:
    """Say what a policy would take out of the traces that were stored last. Changes nothing."""
    policy = await _policy(request)
    services = services_of(request)
    looked = await look_ahead(services.pool, principal.scope, policy)
    rules = await rules_in_doubt(services.pool, services.redactors, principal.scope, policy)
    return PreviewBody.of(looked, rules)


@router.get("/suggestions")
async def read_suggestions(request: Request, principal: Keeper) -> SuggestionsBody:
    """Name keys that the policy ought to treat, by the traces that were stored last."""
    return SuggestionsBody.of(await suggestions_for(services_of(request).pool, principal.scope))


@router.post("/reveal")
async def reveal_value(
    request: Request, response: Response, principal: Revealer, body: RevealBody
) -> RevealedBody:
    """Return what a token or an encrypted value stands for. Each call is on the audit log."""
    services = services_of(request)
    response.headers["Cache-Control"] = "no-store"
    return RevealedBody.of(await reveal(services.pool, principal.scope, services.keys, body.token))


async def _policy(request: Request) -> Policy:
    """Read the body. Raises ApiError 400, 422."""
    try:
        form: Any = json.loads(await request.body())
        # Halves of UTF-16 pairs, which JSON can spell, are no text that anything could hold.
        json.dumps(form, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "request.malformed", "The body is not JSON.") from error
    return parse_policy(form)
