"""/tenant/deletion: asking for the deletion of the tenant, and keeping it after all."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from api.auth.access import require
from api.auth.fresh import refuse_stale
from api.auth.principal import Permission, Principal
from api.rules.service import publish_waiting
from api.services import Services, services_of
from api.tenants.deletion import (
    Deletion,
    admins_of,
    ask_for_deletion,
    keep_tenant,
    read_deletion,
)
from api.tenants.deletion_mail import tell_asked, tell_kept
from api.tenants.deletion_schemas import DeletionAskBody, DeletionBody

router = APIRouter(prefix="/tenant/deletion", tags=["tenant"])

Reader = Annotated[Principal, Depends(require(Permission.TENANT_READ))]
Owner = Annotated[Principal, Depends(require(Permission.TENANT_DELETE))]


@router.get("")
async def read_asked(request: Request, principal: Reader) -> DeletionBody:
    """Read whether the tenant is to be deleted, and when."""
    return DeletionBody.of(await read_deletion(services_of(request).pool, principal.scope))


@router.post("", status_code=202)
async def ask(request: Request, principal: Owner, body: DeletionAskBody) -> DeletionBody:
    """Ask for the deletion of the tenant: after a grace all of it goes.

    From now on it takes no spans and judges none; it can be read, exported and kept. Only a person
    may who has signed in within the last 15 minutes. 409 if it was asked for already.
    """
    return DeletionBody.of(await asked(services_of(request), principal, typed=body.name))


@router.delete("")
async def keep(request: Request, principal: Owner) -> DeletionBody:
    """Keep the tenant after all. 409 if nobody asked for its deletion, or it has begun."""
    return DeletionBody.of(await kept(services_of(request), principal))


async def asked(services: Services, principal: Principal, *, typed: str) -> Deletion:
    """Ask for the deletion, tell the job and those who look after the tenant.

    typed: the name of the tenant. Raises ApiError 400, 403, 404 and 409.
    """
    refuse_stale(principal, now=datetime.now(UTC))
    deletion = await ask_for_deletion(
        services.pool, principal.scope, typed=typed, grace=services.settings.deletion_grace
    )
    await publish_waiting(services.publisher, principal.scope)
    addresses = await admins_of(services.pool, principal.scope)
    site, by = services.settings.site, principal.scope.actor
    await tell_asked(services.mailer, addresses, deletion, site=site, by=by)
    return deletion


async def kept(services: Services, principal: Principal) -> Deletion:
    """Keep the tenant, tell the job and those who look after it. Raises ApiError 404 and 409."""
    deletion = await keep_tenant(services.pool, principal.scope)
    await publish_waiting(services.publisher, principal.scope)
    addresses = await admins_of(services.pool, principal.scope)
    await tell_kept(services.mailer, addresses, deletion, by=principal.scope.actor)
    return deletion
