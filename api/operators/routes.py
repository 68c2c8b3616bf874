"""/operator: all tenants in numbers, and what their operator does to them.

Every route is for operators alone: the credentials of tenants are not looked at here, nor those of
operators anywhere else.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from api.auth.access import operator
from api.operators.actions import onboard_tenant, scope_in
from api.operators.overview import PAGE_MAX, list_overview, read_overview
from api.operators.principal import OperatorPrincipal
from api.operators.schemas import (
    BoundsBody,
    OnboardBody,
    OnboardedBody,
    OperatorBody,
    OverviewBody,
    OwnQuotasBody,
    TenantInNumbersBody,
    TierBody,
    TierChoiceBody,
    TiersBody,
)
from api.retention.schemas import RetentionBody
from api.retention.service import bound_retention, hold, read_retention, release
from api.rules.service import publish_waiting
from api.services import Services, services_of
from api.tenants.onboarding import Makers
from api.tenants.service import resume, suspend
from api.tiers.service import list_tiers, put_into_tier, set_own_quotas

router = APIRouter(prefix="/operator", tags=["operator"])

Operator = Annotated[OperatorPrincipal, Depends(operator)]


@router.get("")
async def who_am_i(who: Operator) -> OperatorBody:
    """Say which operator asks."""
    return OperatorBody(name=who.name)


@router.get("/tiers")
async def read_tiers(request: Request, who: Operator) -> TiersBody:
    """List what tiers grant."""
    tiers = await list_tiers(services_of(request).pool)
    return TiersBody(items=[TierBody.of(tier) for tier in tiers])


@router.get("/tenants")
async def read_tenants(
    request: Request,
    who: Operator,
    query: Annotated[str, Query(max_length=100, description="Part of a name.")] = "",
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
) -> OverviewBody:
    """List tenants by name, each in numbers."""
    page = await list_overview(
        services_of(request).pool, who.scope, sought=query, cursor=cursor, limit=limit
    )
    return OverviewBody.of(page)


@router.post("/tenants", status_code=201)
async def make_tenant(request: Request, who: Operator, body: OnboardBody) -> OnboardedBody:
    """Make a tenant with its first admin, starter rules and a key for spans, all or nothing.

    The key, and the link where no mail takes it to the admin, are shown once.
    """
    services = services_of(request)
    done, scope = await onboard_tenant(
        services.pool,
        who.scope,
        body.name,
        admin=body.admin,
        tier=body.tier,
        starter=body.starter_rules,
        makers=makers_of(services),
        mailer=services.mailer,
        site=services.settings.site,
    )
    await publish_waiting(services.publisher, scope)
    return OnboardedBody.of(done)


@router.get("/tenants/{tenant_id}")
async def read_tenant(request: Request, who: Operator, tenant_id: UUID) -> TenantInNumbersBody:
    """Read one tenant in numbers."""
    return await _tenant(request, who, tenant_id)


@router.post("/tenants/{tenant_id}/suspend")
async def suspend_tenant(request: Request, who: Operator, tenant_id: UUID) -> TenantInNumbersBody:
    """Let nobody of the tenant in and take none of its spans. Nothing is deleted."""
    pool = services_of(request).pool
    await suspend(pool, await scope_in(pool, who.scope, tenant_id))
    return await _tenant(request, who, tenant_id)


@router.post("/tenants/{tenant_id}/resume")
async def resume_tenant(request: Request, who: Operator, tenant_id: UUID) -> TenantInNumbersBody:
    """Let a suspended tenant go on."""
    pool = services_of(request).pool
    await resume(pool, await scope_in(pool, who.scope, tenant_id))
    return await _tenant(request, who, tenant_id)


@router.put("/tenants/{tenant_id}/tier")
async def choose_tier(
    request: Request, who: Operator, tenant_id: UUID, body: TierChoiceBody
) -> TenantInNumbersBody:
    """Put the tenant into a tier; what was set for it alone stays so."""
    pool = services_of(request).pool
    await put_into_tier(pool, await scope_in(pool, who.scope, tenant_id), body.tier)
    return await _tenant(request, who, tenant_id)


@router.patch("/tenants/{tenant_id}/quotas")
async def choose_quotas(
    request: Request, who: Operator, tenant_id: UUID, body: OwnQuotasBody
) -> TenantInNumbersBody:
    """Set quotas for the tenant alone, or take them back."""
    pool = services_of(request).pool
    scope = await scope_in(pool, who.scope, tenant_id)
    await set_own_quotas(pool, scope, body.changes, as_tier=body.as_tier)
    return await _tenant(request, who, tenant_id)


@router.get("/tenants/{tenant_id}/retention")
async def read_times(request: Request, who: Operator, tenant_id: UUID) -> RetentionBody:
    """Read how long the tenant keeps things, within what bounds, and how many were deleted."""
    pool = services_of(request).pool
    return RetentionBody.of(await read_retention(pool, await scope_in(pool, who.scope, tenant_id)))


@router.patch("/tenants/{tenant_id}/retention")
async def choose_bounds(
    request: Request, who: Operator, tenant_id: UUID, body: BoundsBody
) -> RetentionBody:
    """Set for how long the tenant may keep things; what is over then is deleted."""
    pool = services_of(request).pool
    scope = await scope_in(pool, who.scope, tenant_id)
    return RetentionBody.of(await bound_retention(pool, scope, body.terms()))


@router.put("/tenants/{tenant_id}/hold")
async def put_on_hold(request: Request, who: Operator, tenant_id: UUID) -> TenantInNumbersBody:
    """Let nothing of the tenant be deleted, until an operator lifts that."""
    pool = services_of(request).pool
    await hold(pool, await scope_in(pool, who.scope, tenant_id), by="operator")
    return await _tenant(request, who, tenant_id)


@router.delete("/tenants/{tenant_id}/hold")
async def lift_hold(request: Request, who: Operator, tenant_id: UUID) -> TenantInNumbersBody:
    """Lift the hold, whoever put it."""
    pool = services_of(request).pool
    await release(pool, await scope_in(pool, who.scope, tenant_id), by="operator")
    return await _tenant(request, who, tenant_id)


def makers_of(services: Services) -> Makers:
    """Return what makes keys and invitations of new tenants."""
    return Makers(services.key_maker, services.invitation_maker)


async def _tenant(request: Request, who: OperatorPrincipal, tenant_id: UUID) -> TenantInNumbersBody:
    found = await read_overview(services_of(request).pool, who.scope, tenant_id)
    return TenantInNumbersBody.of(found)
