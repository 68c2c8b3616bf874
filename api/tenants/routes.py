"""/tenant: what the tenant is called, and how its traces are judged."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from api.auth.access import require
from api.auth.principal import Permission, Principal
from api.rules.service import publish_waiting
from api.services import services_of
from api.tenants.own import change_tenant
from api.tenants.schemas import TenantBody, TenantChangeBody
from api.tenants.service import read_tenant

router = APIRouter(prefix="/tenant", tags=["tenant"])

Reader = Annotated[Principal, Depends(require(Permission.TENANT_READ))]
Keeper = Annotated[Principal, Depends(require(Permission.TENANT_WRITE))]


@router.get("")
async def read_own(request: Request, principal: Reader) -> TenantBody:
    """Read the tenant of the credential."""
    return TenantBody.of(await read_tenant(services_of(request).pool, principal.scope))


@router.patch("")
async def change_own(request: Request, principal: Keeper, body: TenantChangeBody) -> TenantBody:
    """Change the name or how traces are judged; traces that begin some seconds later go by it."""
    services = services_of(request)
    changed = await change_tenant(services.pool, principal.scope, body.change)
    await publish_waiting(services.publisher, principal.scope)
    return TenantBody.of(changed)
