"""Making tenants and people: what the operator's command line calls.

Every function is idempotent where it says so, and none publishes: a record for the job waits in
the outbox, and the caller runs the publisher or leaves it to the API's sweeper.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from api.audit.trail import record
from api.auth.passwords import Passwords, refuse_weak
from api.auth.principal import Role, TenantScope
from api.database import (
    Connection,
    Pool,
    email_transaction,
    purpose_transaction,
    queries,
    set_local,
    tenant_transaction,
)
from api.members.service import keeping_an_admin
from api.problems import ApiError, not_found
from api.tenants.settings import TenantSettings
from api.tenants.turns import take_turn
from api.tiers.model import DEFAULT, own_quotas, stored_settings
from api.tiers.service import tier_in

Grant = Callable[[UUID], TenantScope]
"""How the caller authenticated itself for a tenant."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant as stored. name: unique, for operators. display_name: None: it has no other.

    settings: those that hold; own: names of quotas that are not those of the tier. suspended_at:
    None: its people and keys get in. delete_after: None: it is not to be deleted.
    """

    id: UUID
    name: str
    settings: TenantSettings
    display_name: str | None = None
    suspended_at: datetime | None = None
    delete_after: datetime | None = None
    tier: str = DEFAULT
    own: frozenset[str] = frozenset()

    @property
    def title(self) -> str:
        """What its people call it."""
        return self.display_name or self.name


async def find_tenant(pool: Pool, name_or_id: str) -> Tenant | None:
    """Return a tenant by name, else by id. For operators: asks across tenants."""
    async with purpose_transaction(pool, "operator") as connection:
        row = await queries("tenants").tenant_by_name(connection, name=name_or_id)
        if row is None and (tenant_id := _uuid(name_or_id)):
            row = await queries("tenants").tenant_by_id(connection, id=tenant_id)
    return tenant_of(row) if row else None


async def list_tenants(pool: Pool) -> list[Tenant]:
    """Return every tenant by name. For operators."""
    async with purpose_transaction(pool, "operator") as connection:
        return [tenant_of(row) async for row in queries("tenants").tenants(connection)]


async def read_tenant(pool: Pool, scope: TenantScope) -> Tenant:
    """Return the tenant of a scope. Raises ApiError 404."""
    async with tenant_transaction(pool, scope) as connection:
        row = await queries("tenants").own(connection)
    if row is None:
        raise not_found("tenant")
    return tenant_of(row)


async def create_tenant(
    pool: Pool,
    name: str,
    settings: TenantSettings,
    *,
    grant: Grant,
    tenant_id: UUID | None = None,
    tier: str = DEFAULT,
) -> Tenant:
    """Make a tenant and leave the record of its settings in the outbox.

    Quotas of the settings that are not those of the tier are the tenant's own.
    Raises ApiError 409 if the name is taken, 404 for no tier.
    """
    tenant = Tenant(tenant_id or uuid4(), name, settings, tier=tier)
    scope = grant(tenant.id)
    async with tenant_transaction(pool, scope) as connection:
        await create_in(connection, scope, tenant)
    return tenant


async def create_in(connection: Connection, scope: TenantScope, tenant: Tenant) -> None:
    """As `create_tenant`, within a transaction of the tenant to be."""
    tier = await tier_in(connection, tenant.tier)
    try:
        await queries("tenants").insert_tenant(
            connection,
            id=tenant.id,
            name=tenant.name,
            display_name=tenant.display_name,
            tier=tier.name,
            settings=Jsonb(stored_settings(tenant.settings, tier.quotas)),
        )
    except UniqueViolation as error:
        raise ApiError(
            409, "tenant.exists", f"There is a tenant {tenant.name!r} already."
        ) from error
    await queries("outbox").enqueue(
        connection,
        rule_id=None,
        rule_version=None,
        record=tenant.settings.log_record(tenant.id),
    )
    await record(connection, scope, "tenant.created", f"tenant:{tenant.id}")


async def suspend(pool: Pool, scope: TenantScope) -> bool:
    """Let nobody of a tenant in, and take none of its spans; False if that is so already.

    Sessions are refused with their next request, keys within the time that processes remember them
    for. For operators.
    """
    return await _switch(pool, scope, "suspend", "tenant.suspended")


async def resume(pool: Pool, scope: TenantScope) -> bool:
    """Let a suspended tenant go on; False if it was not suspended. For operators."""
    return await _switch(pool, scope, "resume", "tenant.resumed")


async def _switch(pool: Pool, scope: TenantScope, statement: str, action: str) -> bool:
    async with tenant_transaction(pool, scope) as connection:
        changed: int = await getattr(queries("tenants"), statement)(connection)
        if changed:
            await record(connection, scope, action, f"tenant:{scope.tenant_id}")
    return changed == 1


async def change_settings(pool: Pool, scope: TenantScope, settings: TenantSettings) -> bool:
    """Store settings and announce them; False, and nothing announced, if they are as before.

    Quotas that are not those of the tier are the tenant's own from then on.
    """
    async with tenant_transaction(pool, scope) as connection:
        row = await take_turn(connection)
        if TenantSettings.from_dict(row["settings"]) == settings:
            return False
        stored = stored_settings(settings, (await tier_in(connection, row["tier"])).quotas)
        await queries("tenants").update_settings(connection, settings=Jsonb(stored))
        await queries("outbox").enqueue(
            connection,
            rule_id=None,
            rule_version=None,
            record=settings.log_record(scope.tenant_id),
        )
        await record(connection, scope, "tenant.changed", f"tenant:{scope.tenant_id}")
        return True


async def create_user(
    pool: Pool,
    scope: TenantScope,
    *,
    email: str,
    name: str,
    role: Role,
    password: str,
    expires_at: datetime | None = None,
) -> UUID:
    """Make a person with a password and a role in the tenant.

    expires_at: when the membership ends; an auditor's must end.
    Raises ApiError 409 if the address is known, 400 if the password is weak.
    """
    refuse_weak(password, email=email.strip(), name=name)
    password_hash = await Passwords().hash(password)
    user_id, email = uuid4(), email.strip().lower()
    try:
        async with tenant_transaction(pool, scope) as connection:
            await set_local(connection, user_id=str(user_id))
            await queries("auth").insert_user(
                connection,
                id=user_id,
                email=email,
                name=name,
                password_hash=password_hash,
            )
            await queries("auth").upsert_membership(
                connection,
                tenant_id=scope.tenant_id,
                user_id=user_id,
                role=role.value,
                expires_at=expires_at,
            )
            await record(connection, scope, "user.created", f"user:{user_id}", role=role.value)
    except UniqueViolation as error:
        raise ApiError(409, "user.exists", f"There is a user {email!r} already.") from error
    return user_id


async def add_member(
    pool: Pool,
    scope: TenantScope,
    *,
    email: str,
    role: Role,
    expires_at: datetime | None = None,
) -> UUID:
    """Give a known person a role in the tenant; again changes the role.

    expires_at: when the membership ends; an auditor's must end.
    Raises ApiError 404, 409 if the tenant would lose its last admin.
    """
    async with email_transaction(pool, email.strip().lower()) as connection:
        user = await queries("auth").user_by_email(connection, email=email.strip().lower())
        if user is None:
            raise not_found("user")
        await set_local(connection, tenant_id=str(scope.tenant_id))
        async with keeping_an_admin(connection):
            await queries("auth").upsert_membership(
                connection,
                tenant_id=scope.tenant_id,
                user_id=user["id"],
                role=role.value,
                expires_at=expires_at,
            )
        await record(connection, scope, "member.changed", f"user:{user['id']}", role=role.value)
    user_id: UUID = user["id"]
    return user_id


def tenant_of(row: dict[str, Any]) -> Tenant:
    """Return the tenant of a row of sql/queries/tenants.sql."""
    settings = TenantSettings.from_dict(row["settings"])
    return Tenant(
        row["id"],
        row["name"],
        settings,
        row["display_name"],
        row["suspended_at"],
        row["delete_after"],
        tier=row["tier"],
        own=own_quotas(row["own"]),
    )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
