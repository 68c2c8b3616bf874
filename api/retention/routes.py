"""/tenant/retention and /tenant/hold: how long things are kept, and that nothing is deleted."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.retention.schemas import RetentionBody, RetentionChangeBody
from api.retention.service import change_retention, hold, read_retention, release
from api.services import services_of

router = APIRouter(prefix="/tenant", tags=["tenant"])

Reader = Annotated[Principal, Depends(require(Permission.TENANT_READ))]
Keeper = Annotated[Principal, Depends(require(Permission.TENANT_WRITE))]


@router.get("/retention")
async def read_times(request: Request, principal: Reader) -> RetentionBody:
    """Read how long things are kept, and what was deleted in the last 30 days."""
    return RetentionBody.of(await read_retention(services_of(request).pool, principal.scope))


@router.put("/retention")
async def choose_times(
    request: Request, principal: Keeper, body: RetentionChangeBody
) -> RetentionBody:
    """Choose how long things are kept; what is over then is deleted within some hours."""
    pool = services_of(request).pool
    return RetentionBody.of(await change_retention(pool, principal.scope, body.choices))


@router.put("/hold")
async def put_on_hold(request: Request, principal: Keeper) -> RetentionBody:
    """Let nothing be deleted, however old it is, until the hold is lifted."""
    pool = services_of(request).pool
    await hold(pool, principal.scope, by="tenant")
    return RetentionBody.of(await read_retention(pool, principal.scope))


@router.delete("/hold")
async def lift_hold(request: Request, principal: Keeper) -> RetentionBody:
    """Lift the hold; what is over is deleted again. 409 if the operator holds the tenant."""
    pool = services_of(request).pool
    await release(pool, principal.scope, by="tenant")
    return RetentionBody.of(await read_retention(pool, principal.scope))
