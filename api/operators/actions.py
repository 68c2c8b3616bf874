"""What operators do to a tenant: the scope for it, and onboarding whole.

The scope is a tenant's, since rows are changed in a transaction of the tenant. It is handed to the
few functions that operators' routes call, none of which returns what the tenant's people have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from api.auth.principal import TenantScope, grant_scope
from api.database import Pool
from api.invitations.delivery import deliver
from api.mail import Mailer
from api.operators.overview import read_overview
from api.operators.principal import OperatorScope
from api.tenants.onboarding import Makers, onboard
from api.tenants.starter import starter_rules

NAME_LENGTH: Final = 255


@dataclass(frozen=True, slots=True)
class Onboarding:
    """A new tenant. key: for spans, shown this once. link: for its admin, empty if it was mailed
    or the admin has an account. problem: why it was not mailed."""

    tenant_id: UUID
    key: str
    invited: bool
    link: str
    problem: str


async def scope_in(pool: Pool, operator: OperatorScope, tenant_id: UUID) -> TenantScope:
    """Return the scope for what an operator does to a tenant. Raises ApiError 404."""
    found = await read_overview(pool, operator, tenant_id)
    return grant_scope(found.id, actor=operator.actor)


async def onboard_tenant(
    pool: Pool,
    operator: OperatorScope,
    name: str,
    *,
    admin: str,
    tier: str,
    starter: bool,
    makers: Makers,
    mailer: Mailer | None,
    site: str,
) -> tuple[Onboarding, TenantScope]:
    """Make a tenant with its first admin, who is invited. Nothing is published yet.

    Raises ApiError 409 if the name is taken, 404 for no tier.
    """

    def granted(tenant_id: UUID) -> TenantScope:
        return grant_scope(tenant_id, actor=operator.actor)

    done = await onboard(
        pool,
        name,
        admin=admin,
        grant=granted,
        makers=makers,
        tier=tier,
        rules=starter_rules() if starter else (),
    )
    scope = granted(done.tenant.id)
    if done.invited is None:
        return Onboarding(done.tenant.id, done.key.text, False, "", ""), scope
    sent = await deliver(
        pool, scope, done.invited, mailer=mailer, site=site, tenant_name=done.tenant.title
    )
    return Onboarding(done.tenant.id, done.key.text, True, sent.link, sent.problem), scope
