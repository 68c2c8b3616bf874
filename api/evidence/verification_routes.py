"""/evidence: verifications of many records, and what they found."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.evidence.search import find_sealed
from api.evidence.verification_schemas import (
    HistoryBody,
    VerificationsBody,
    VerifiedBody,
    VerifyBody,
)
from api.evidence.verifying import (
    PAGE_MAX,
    history_of,
    list_verifications,
    read_verification,
    verify_chosen,
    verify_named,
)
from api.services import services_of
from udfs.evidence.canonical import MAX_INT

router = APIRouter(prefix="/evidence", tags=["evidence"])

Reader = Annotated[Principal, Depends(require(Permission.EVIDENCE_READ))]
Cursor = Annotated[str | None, Query(max_length=500)]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]


@router.post("/verifications", status_code=201)
async def verify_many(request: Request, principal: Reader, body: VerifyBody) -> VerifiedBody:
    """Verify up to 1,000 records, by number or by a filter; each has a finding of its own.

    Who did so, when, over what and with what result stays on record, and is an act on the audit
    log. Of more records than one verification takes, `next_cursor` leads to the others.
    """
    pool = services_of(request).pool
    if body.records is not None:
        return VerifiedBody.of(await verify_named(pool, principal.scope, body.records))
    found = await verify_chosen(
        pool, principal.scope, body.chosen, cursor=body.cursor, limit=body.limit
    )
    return VerifiedBody.of(found)


@router.get("/verifications")
async def read_verifications(
    request: Request, principal: Reader, cursor: Cursor = None, limit: Limit = 50
) -> VerificationsBody:
    """List verifications, newest first, without their findings."""
    pool = services_of(request).pool
    page = await list_verifications(pool, principal.scope, cursor=cursor, limit=limit)
    return VerificationsBody.of(page)


@router.get("/verifications/{verification_id}")
async def read_one(request: Request, principal: Reader, verification_id: UUID) -> VerifiedBody:
    """Read a verification with what it found of each record."""
    pool = services_of(request).pool
    return VerifiedBody.of(await read_verification(pool, principal.scope, verification_id))


@router.get("/records/{seq}/verifications")
async def read_history(
    request: Request,
    principal: Reader,
    seq: Annotated[int, Path(ge=0, le=MAX_INT)],
    cursor: Cursor = None,
    limit: Limit = 50,
) -> HistoryBody:
    """List what verifications found of a record, newest first.

    404 if there is none of that number and none was looked for.
    """
    pool = services_of(request).pool
    page = await history_of(pool, principal.scope, seq, cursor=cursor, limit=limit)
    if not page.items and cursor is None:
        await find_sealed(pool, principal.scope, seq)
    return HistoryBody.of(page)
