"""Onboarding: a tenant with its first admin, starter rules and a key for spans, all or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from api.audit.trail import record
from api.auth.principal import Permission, Role, TenantScope
from api.database import Connection, Pool, queries, set_local, tenant_transaction
from api.invitations.model import InvitationMaker, Made
from api.invitations.service import invite_in
from api.keys.model import KeyDraft, MadeKey
from api.keys.service import KeyMaker, create_key_in
from api.members.model import Terms
from api.rules.definitions import Definition
from api.rules.service import apply_in
from api.tenants.service import Grant, Tenant, create_in
from api.tiers.model import DEFAULT
from api.tiers.service import read_tier

INGEST_KEY: Final = KeyDraft(name="ingest", scopes=frozenset({Permission.SPANS_INGEST}))


@dataclass(frozen=True, slots=True)
class Makers:
    """What makes keys and invitations of this installation."""

    keys: KeyMaker
    invitations: InvitationMaker


@dataclass(frozen=True, slots=True)
class Onboarded:
    """A new tenant. invited: the first admin's invitation, None if they had an account."""

    tenant: Tenant
    key: MadeKey
    rules: tuple[str, ...]
    invited: Made | None


async def onboard(
    pool: Pool,
    name: str,
    *,
    admin: str,
    grant: Grant,
    makers: Makers,
    tier: str = DEFAULT,
    rules: Sequence[Definition] = (),
) -> Onboarded:
    """Make a tenant that somebody can begin to work in, with the quotas of a tier.

    admin: an address of the form of `address_of`; whoever has an account with it is an admin at
    once, anybody else is invited. rules: of different ids. Nothing is published yet, no mail sent.
    Raises ApiError 409 if the name is taken, 404 for no tier.
    """
    quotas = (await read_tier(pool, tier)).settings
    tenant = Tenant(uuid4(), name, quotas, tier=tier)
    scope = grant(tenant.id)
    async with tenant_transaction(pool, scope) as connection:
        await create_in(connection, scope, tenant)
        await apply_in(connection, scope, rules)
        key = await create_key_in(connection, scope, INGEST_KEY, maker=makers.keys)
        invited = await _let_in(connection, scope, admin, maker=makers.invitations)
    return Onboarded(tenant, key, tuple(rule.id for rule in rules), invited)


async def _let_in(
    connection: Connection, scope: TenantScope, email: str, *, maker: InvitationMaker
) -> Made | None:
    await set_local(connection, email=email)
    user: dict[str, Any] | None = await queries("auth").user_by_email(connection, email=email)
    if user is None:
        return await invite_in(connection, scope, email, Terms(Role.ADMIN), maker=maker)
    await set_local(connection, user_id=str(user["id"]))
    await queries("members").join(
        connection, user_id=user["id"], role=Role.ADMIN.value, expires_at=None
    )
    await record(connection, scope, "member.added", f"user:{user['id']}", role=Role.ADMIN.value)
    return None
