"""Deleting tenants whose grace is over, in small steps, and what proves it.

    nobody gets in, the audit log ends ─► its keys are destroyed ─► rows go ─► proof, tenant gone
                                                                       │ some thousand a transaction
      a crash: what was deleted is counted in the tenant's row by the same transaction, and the next
      run goes on

What may be deleted, and when, is decided by the functions of migration 0050, which run as the owner
of the tables. Several processes may do this at once: they take turns at the tenant's row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, Self
from uuid import UUID

import structlog
from psycopg.types.json import Jsonb

from api.audit.record import Entry, canonical_bytes
from api.audit.trail import record
from api.auth.principal import TenantScope, grant_scope
from api.database import (
    Connection,
    Pool,
    purpose_transaction,
    queries,
    tenant_transaction,
)
from api.keyring.shelf import PostgresShelf
from api.keyring.wiring import Keys
from api.repeating import again_and_again
from api.rules.outbox import Publisher
from api.tenants.deletion import pause_rules
from udfs.keysource.trouble import KeyTrouble

log = structlog.get_logger(__name__)

BATCH: Final = 5_000
"""Rows of one transaction: some tenths of a second, and no lock for longer."""
_ROWS: Final = 1_000
_FIRST_S: Final = 30.0
"""A process that starts has other things to do first."""
_PAUSE_S: Final = 300.0
_PATIENCE_MS: Final = 600_000


class NotNow(Exception):
    """A tenant cannot be deleted now; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEnd:
    """What the audit log of a tenant held in the end.

    sha256: hex, over `canonical_bytes` of all entries in order, each with a line feed.
    """

    entries: int
    last_id: str | None
    last_at: str | None
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What is left of a tenant. asked_by: as in the audit log. deleted: rows by table."""

    tenant_id: UUID
    name: str
    asked_by: str
    asked_at: datetime
    due_at: datetime
    began_at: datetime
    completed_at: datetime
    deleted: Mapping[str, int]
    audit_end: AuditEnd

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of `proofs` in sql/queries/deletion.sql."""
        return cls(**{**row, "audit_end": AuditEnd(**row["audit_end"])})


async def keep_purging(pool: Pool, publisher: Publisher, *, keys: Keys | None) -> None:
    """Delete what is due again and again, until cancelled."""
    await again_and_again(
        partial(purge_due, pool, publisher, keys=keys),
        pause_s=_PAUSE_S,
        first_s=_FIRST_S,
        trouble="purge.failed",
    )


async def purge_due(pool: Pool, publisher: Publisher, *, keys: Keys | None = None) -> list[UUID]:
    """Delete all tenants that are due; return those that are gone.

    keys: None where no source of keys is set up.
    """
    async with purpose_transaction(pool, "operator") as connection:
        due: list[UUID] = [row["id"] async for row in queries("deletion").due(connection)]
    gone = []
    for tenant_id in due:
        try:
            await purge_tenant(pool, publisher, tenant_id, keys=keys)
        except NotNow as error:
            log.warning("purge.waits", tenant=str(tenant_id), cause=str(error))
        else:
            gone.append(tenant_id)
    return gone


async def purge_tenant(
    pool: Pool,
    publisher: Publisher,
    tenant_id: UUID,
    *,
    keys: Keys | None = None,
    batch: int = BATCH,
) -> None:
    """Delete all of a tenant that is due, from where a run before this one has come to.

    keys: None where no source of keys is set up. batch: rows of one transaction. Raises NotNow.
    """
    scope = grant_scope(tenant_id, actor="betrace")
    await _silence(pool, publisher, scope)
    await begin_purge(pool, scope)
    await shred_keys(pool, tenant_id, keys)
    while await purge_some(pool, scope, batch=batch) is not None:
        pass
    log.info("tenant.deleted", tenant=str(tenant_id))


async def begin_purge(pool: Pool, scope: TenantScope) -> None:
    """Let nobody of the tenant in any more, and note what its audit log holds. Raises NotNow."""
    async with tenant_transaction(pool, scope, timeout_ms=_PATIENCE_MS) as connection:
        # What is deleted of it for its age, is deleted before.
        await queries("retention").lock(connection)
        if await _has_begun(connection):
            return
        await record(connection, scope, "tenant.deletion_began", f"tenant:{scope.tenant_id}")
        await queries("deletion").begin_purge(connection)
        end = await _audit_end(connection)
        await queries("deletion").end_audit(
            connection,
            what=Jsonb(
                {
                    "entries": end.entries,
                    "last_id": end.last_id,
                    "last_at": end.last_at,
                    "sha256": end.sha256,
                }
            ),
        )


async def shred_keys(pool: Pool, tenant_id: UUID, keys: Keys | None) -> None:
    """Destroy the keys of a tenant, where they are kept and on record. Raises NotNow."""
    try:
        if keys is not None:
            await keys.care.shred(tenant_id, by="betrace")
        elif any(key.sealed for key in await PostgresShelf(pool).all_of(tenant_id)):
            raise NotNow("it has keys, and BETRACE_KEYS_PROVIDER is not set to destroy them")
    except KeyTrouble as trouble:
        raise NotNow(f"its keys cannot be destroyed: {trouble}") from trouble


async def purge_some(
    pool: Pool, scope: TenantScope, *, batch: int = BATCH
) -> dict[str, int] | None:
    """Delete some rows; return how many of which table, None when the tenant is gone."""
    async with tenant_transaction(pool, scope, timeout_ms=_PATIENCE_MS) as connection:
        gone: dict[str, int] | None = await queries("deletion").purge_some(connection, most=batch)
    return gone


async def list_proofs(pool: Pool, *, tenant_id: UUID | None = None) -> list[Proof]:
    """Return what is left of deleted tenants, newest first. For operators."""
    async with purpose_transaction(pool, "operator") as connection:
        rows = queries("deletion").proofs(connection, tenant_id=tenant_id)
        return [Proof.from_row(row) async for row in rows]


async def _silence(pool: Pool, publisher: Publisher, scope: TenantScope) -> None:
    """Have it in the rules log that no rule of the tenant is judged. Raises NotNow.

    They were switched off when the deletion was asked for; an operator may have switched some on.
    """
    async with tenant_transaction(pool, scope, timeout_ms=_PATIENCE_MS) as connection:
        if not await _has_begun(connection):
            await pause_rules(connection, scope)
    if not await publisher.publish(scope):
        raise NotNow("the rules log does not take that its rules are off")


async def _has_begun(connection: Connection) -> bool:
    """Take the turn at a tenant that is due, and return whether it has lost rows already.

    Raises NotNow for one that is not due, or gone.
    """
    row = await queries("deletion").turn(connection)
    if row is None or not row["due"]:
        raise NotNow("it is kept after all, or on hold" if row else "another process was faster")
    began: bool = row["began"]
    return began


async def _audit_end(connection: Connection) -> AuditEnd:
    """Read the audit log of the tenant, a part in memory at a time."""
    digest, entries, last = hashlib.sha256(), 0, None
    async with connection.cursor(name="audit_end") as rows:
        rows.itersize = _ROWS
        await rows.execute(queries("deletion").audit_log.sql)
        async for row in rows:
            last = Entry.from_row(row)
            digest.update(canonical_bytes(last) + b"\n")
            entries += 1
    return AuditEnd(
        entries=entries,
        last_id=str(last.id) if last else None,
        last_at=last.at.isoformat() if last else None,
        sha256=digest.hexdigest(),
    )
