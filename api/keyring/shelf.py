"""Keys of tenants on record in Postgres: the table tenant_keys, under row-level security."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

from psycopg.errors import ForeignKeyViolation, RestrictViolation

from api.audit.trail import record
from api.auth.principal import TenantScope, grant_scope
from api.database import Connection, DatabaseUnavailable, Pool, QueryTooSlow, queries
from api.database import tenant_transaction as transaction
from udfs.keysource.keys import Form, KeyDraft, KeyRecord, Purpose, Revocation, Sealed
from udfs.keysource.trouble import KeysUnavailable, UnknownKey

_WHERE: Final = "Postgres, table tenant_keys"


class PostgresShelf:
    """Keys of all tenants; each call is a transaction of the tenant that it names.

    Rings have no credential: whoever asks one has the tenant from a credential, or from a record
    that ingest wrote for one.

    pool: of the application's role, or the worker's, which makes keys and marks none.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def newest(self, tenant: UUID, purpose: Purpose) -> KeyRecord | None:
        """Return the key of the highest generation."""
        async with self._of(tenant) as (connection, _):
            row = await queries("keyring").newest(connection, purpose=purpose.value)
            return _record(row) if row else None

    async def find(self, tenant: UUID, key_id: UUID) -> KeyRecord | None:
        """Return a key by its id."""
        async with self._of(tenant) as (connection, _):
            return await _one(connection, key_id)

    async def all_of(self, tenant: UUID) -> Sequence[KeyRecord]:
        """Return all keys of the tenant."""
        async with self._of(tenant) as (connection, _):
            return [_record(row) async for row in queries("keyring").all_of(connection)]

    async def add(self, draft: KeyDraft) -> KeyRecord | None:
        """Put a key on record. Raises UnknownKey for a tenant that is gone or going."""
        try:
            async with self._of(draft.tenant, draft.created_by) as (connection, scope):
                added = await queries("keyring").insert(
                    connection,
                    id=draft.id,
                    purpose=draft.purpose.value,
                    generation=draft.generation,
                    public_key=draft.public_key,
                    created_by=draft.created_by,
                    **_columns(draft.sealed),
                )
                if not added:
                    return None
                await record(
                    connection,
                    scope,
                    "tenant_key.created",
                    _target(draft.id),
                    purpose=draft.purpose.value,
                    generation=draft.generation,
                )
                return await _one(connection, draft.id)
        except (ForeignKeyViolation, RestrictViolation) as error:
            raise UnknownKey(
                "the tenant is gone, or is being deleted",
                where=f"tenant {draft.tenant}",
                next_step="No keys are made for it any more.",
            ) from error

    async def revoke(self, tenant: UUID, key_id: UUID, revocation: Revocation) -> None:
        """Mark a key as revoked."""
        async with self._of(tenant, revocation.by) as (connection, scope):
            await queries("keyring").revoke(
                connection,
                id=key_id,
                revoked_at=revocation.at,
                revoked_by=revocation.by,
                reason=revocation.reason,
                untrusted_from=revocation.untrusted_from,
            )
            await record(
                connection,
                scope,
                "tenant_key.revoked",
                _target(key_id),
                untrusted_from=revocation.untrusted_from.isoformat(),
            )

    async def destroy(self, tenant: UUID, key_id: UUID, *, by: str) -> None:
        """Remove the private part."""
        async with self._of(tenant, by) as (connection, scope):
            if await queries("keyring").destroy(connection, id=key_id):
                await record(connection, scope, "tenant_key.destroyed", _target(key_id))

    async def reseal(self, tenant: UUID, key_id: UUID, sealed: Sealed, *, was: Sealed) -> bool:
        """Put the same key otherwise wrapped."""
        before = {f"was_{name}": value for name, value in _columns(was).items()}
        async with self._of(tenant) as (connection, scope):
            changed = await queries("keyring").reseal(
                connection, id=key_id, **_columns(sealed), **before
            )
            if changed:
                await record(
                    connection,
                    scope,
                    "tenant_key.rewrapped",
                    _target(key_id),
                    provider=sealed.provider,
                    master=sealed.master,
                )
            return bool(changed)

    @asynccontextmanager
    async def _of(
        self, tenant: UUID, actor: str = "betrace"
    ) -> AsyncIterator[tuple[Connection, TenantScope]]:
        """Open a transaction of a tenant. Raises KeysUnavailable."""
        scope = grant_scope(tenant, actor=actor)
        try:
            async with transaction(self._pool, scope) as connection:
                yield connection, scope
        except (DatabaseUnavailable, QueryTooSlow) as error:
            raise KeysUnavailable(
                "the record of keys does not answer", where=_WHERE, next_step="Try again."
            ) from error


async def _one(connection: Connection, key_id: UUID) -> KeyRecord | None:
    row = await queries("keyring").one(connection, id=key_id)
    return _record(row) if row else None


def _record(row: Mapping[str, Any]) -> KeyRecord:
    sealed = row["sealed"]
    return KeyRecord(
        id=row["id"],
        tenant=row["tenant_id"],
        purpose=Purpose(row["purpose"]),
        generation=row["generation"],
        sealed=sealed and Sealed(row["provider"], row["master"], Form(row["form"]), bytes(sealed)),
        public_key=row["public_key"] and bytes(row["public_key"]),
        created_at=row["created_at"],
        created_by=row["created_by"],
        retired_at=row["retired_at"],
        revocation=row["revoked_at"]
        and Revocation(
            at=row["revoked_at"],
            by=row["revoked_by"],
            reason=row["revoked_reason"],
            untrusted_from=row["untrusted_from"],
        ),
        destroyed_at=row["destroyed_at"],
    )


def _columns(sealed: Sealed) -> dict[str, Any]:
    return {
        "provider": sealed.provider,
        "master": sealed.master,
        "form": sealed.form.value,
        "sealed": sealed.material,
    }


def _target(key_id: UUID) -> str:
    return f"tenant_key:{key_id}"
