"""Making tenants, people and keys: what the operator's command line calls.

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
from api.auth.keys import SHOWN_LENGTH, hash_key, new_key
from api.auth.principal import Role, TenantScope
from api.auth.sessions import PASSWORD_MIN_LENGTH, password_hasher
from api.database import (
    Pool,
    email_transaction,
    purpose_transaction,
    queries,
    set_local,
    tenant_transaction,
)
from api.problems import ApiError, not_found
from api.tenants.settings import TenantSettings

Grant = Callable[[UUID], TenantScope]
"""How the caller authenticated itself for a tenant."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant as stored."""

    id: UUID
    name: str
    settings: TenantSettings


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made. `key` is shown now and never again."""

    id: UUID
    name: str
    role: Role
    key: str


async def find_tenant(pool: Pool, name_or_id: str) -> Tenant | None:
    """Return a tenant by name, else by id. For operators: asks across tenants."""
    async with purpose_transaction(pool, "operator") as connection:
        row = await queries("tenants").tenant_by_name(connection, name=name_or_id)
        if row is None and (tenant_id := _uuid(name_or_id)):
            row = await queries("tenants").tenant_by_id(connection, id=tenant_id)
    return _tenant(row) if row else None


async def list_tenants(pool: Pool) -> list[Tenant]:
    """Return every tenant by name. For operators."""
    async with purpose_transaction(pool, "operator") as connection:
        return [_tenant(row) async for row in queries("tenants").tenants(connection)]


async def create_tenant(
    pool: Pool,
    name: str,
    settings: TenantSettings,
    *,
    grant: Grant,
    tenant_id: UUID | None = None,
) -> Tenant:
    """Make a tenant and leave the record of its settings in the outbox.

    Raises ApiError 409 if the name is taken.
    """
    tenant = Tenant(tenant_id or uuid4(), name, settings)
    try:
        async with tenant_transaction(pool, grant(tenant.id)) as connection:
            await queries("tenants").insert_tenant(
                connection, id=tenant.id, name=name, settings=Jsonb(settings.to_dict())
            )
            await queries("outbox").enqueue(
                connection,
                rule_id=None,
                rule_version=None,
                record=settings.log_record(tenant.id),
            )
            await record(connection, grant(tenant.id), "tenant.created", f"tenant:{tenant.id}")
    except UniqueViolation as error:
        raise ApiError(409, "tenant.exists", f"There is a tenant {name!r} already.") from error
    return tenant


async def change_settings(pool: Pool, scope: TenantScope, settings: TenantSettings) -> bool:
    """Store settings and announce them; False, and nothing announced, if they are as before."""
    async with tenant_transaction(pool, scope) as connection:
        row = await queries("tenants").lock_tenant(connection)
        if row is None:
            raise not_found("tenant")
        if TenantSettings.from_dict(row["settings"]) == settings:
            return False
        await queries("tenants").update_settings(connection, settings=Jsonb(settings.to_dict()))
        await queries("outbox").enqueue(
            connection,
            rule_id=None,
            rule_version=None,
            record=settings.log_record(scope.tenant_id),
        )
        await record(connection, scope, "tenant.changed", f"tenant:{scope.tenant_id}")
        return True


async def create_key(
    pool: Pool, scope: TenantScope, name: str, *, role: Role, pepper: bytes, key: str | None = None
) -> NewKey:
    """Make an API key of the tenant.

    key: a well-formed key made elsewhere, to be stored in place of a new one.
    Raises ApiError 409 if a key in use has the name.
    """
    made = NewKey(uuid4(), name, role, key or new_key())
    try:
        async with tenant_transaction(pool, scope) as connection:
            await queries("auth").insert_key(
                connection,
                id=made.id,
                tenant_id=scope.tenant_id,
                name=name,
                role=role.value,
                key_hash=hash_key(made.key, pepper=pepper),
                shown=made.key[:SHOWN_LENGTH],
                created_by=scope.actor,
                expires_at=None,
            )
            await record(connection, scope, "key.created", f"key:{made.id}", role=role.value)
    except UniqueViolation as error:
        raise ApiError(409, "key.exists", f"There is a key {name!r} already.") from error
    return made


async def list_keys(pool: Pool, scope: TenantScope) -> list[dict[str, Any]]:
    """Return the tenant's keys, without what would let one use them."""
    async with tenant_transaction(pool, scope) as connection:
        return [row async for row in queries("auth").keys(connection)]


async def revoke_key(pool: Pool, scope: TenantScope, key_id: UUID) -> None:
    """Refuse a key from now on (verifiers remember it for up to 10 s). Raises ApiError 404."""
    async with tenant_transaction(pool, scope) as connection:
        if await queries("auth").revoke_key(connection, id=key_id) == 0:
            raise not_found("key in use")
        await record(connection, scope, "key.revoked", f"key:{key_id}")


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
    Raises ApiError 409 if the address is known, 400 if the password is too short.
    """
    if len(password) < PASSWORD_MIN_LENGTH:
        raise ApiError(
            400, "user.weak_password", f"A password has at least {PASSWORD_MIN_LENGTH} characters."
        )
    user_id, email = uuid4(), email.strip().lower()
    try:
        async with tenant_transaction(pool, scope) as connection:
            await set_local(connection, user_id=str(user_id))
            await queries("auth").insert_user(
                connection,
                id=user_id,
                email=email,
                name=name,
                password_hash=password_hasher().hash(password),
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
    """Give a known person a role in the tenant; again changes the role. Raises ApiError 404.

    expires_at: when the membership ends; an auditor's must end.
    """
    async with email_transaction(pool, email.strip().lower()) as connection:
        user = await queries("auth").user_by_email(connection, email=email.strip().lower())
        if user is None:
            raise not_found("user")
        await set_local(connection, tenant_id=str(scope.tenant_id))
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


async def list_members(pool: Pool, scope: TenantScope) -> list[dict[str, Any]]:
    """Return id, email, name and role of the tenant's people, by address."""
    async with tenant_transaction(pool, scope) as connection:
        return [row async for row in queries("auth").members(connection)]


def _tenant(row: dict[str, Any]) -> Tenant:
    return Tenant(row["id"], row["name"], TenantSettings.from_dict(row["settings"]))


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
