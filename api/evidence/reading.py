"""Reading the log of a tenant: its state, its heads, single records, proofs. Each call is a
transaction of the tenant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from api.auth.principal import TenantScope
from api.database import Connection, Pool, queries, tenant_transaction
from api.evidence.hashes import with_hashes
from api.evidence.log_keys import history_of
from api.evidence.model import LogState, Outage, SealedRecord, StoredCheckpoint
from api.problems import ApiError, not_found
from udfs.evidence.pack import LogKey
from udfs.evidence.proofs import consistency_proof, inclusion_proof
from udfs.evidence.records import Kind

PAGE_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Proven:
    """A record, and what proves that it is in the log.

    checkpoint: the oldest that covers it, None while none does: it is pending then. proof: its
    audit path to the root of that checkpoint, lowest hash first. personal: its payload and salt, if
    it has one that was not erased.
    """

    record: SealedRecord
    checkpoint: StoredCheckpoint | None
    proof: tuple[bytes, ...]
    personal: tuple[str, bytes] | None
    erased: bool


async def read_state(pool: Pool, scope: TenantScope) -> LogState:
    """Return what the log is like now."""
    async with tenant_transaction(pool, scope) as connection:
        row = await queries("evidence").state(connection)
        newest = await queries("evidence").newest_checkpoint(connection)
        outage = await queries("evidence").outage(connection)
        keys = await key_history_up_to(connection, row["size"] or 0)
    checkpoint = _checkpoint(newest) if newest else None
    size = row["size"] or 0
    return LogState(
        tenant=scope.tenant_id,
        origin=row["origin"],
        size=size,
        root=bytes(row["root"] or b""),
        sealed_ms=row["sealed_ms"] or 0,
        waiting=row["waiting"],
        pending=size - (checkpoint.size if checkpoint else 0),
        checkpoints=row["checkpoints"],
        late=row["late"],
        newest=checkpoint,
        outage=Outage(**outage) if outage else None,
        verifier_keys=tuple(key.verifier_key for key in keys),
    )


async def list_checkpoints(
    pool: Pool, scope: TenantScope, *, before: int | None = None, limit: int = 100
) -> Sequence[StoredCheckpoint]:
    """Return checkpoints, the newest first. before: with a smaller number."""
    async with tenant_transaction(pool, scope) as connection:
        rows = queries("evidence").checkpoints(connection, before=before, limit=limit)
        return [_checkpoint(row) async for row in rows]


async def find_checkpoint(pool: Pool, scope: TenantScope, number: int) -> StoredCheckpoint:
    """Return a checkpoint. Raises ApiError 404."""
    async with tenant_transaction(pool, scope) as connection:
        return await _find_checkpoint(connection, number)


async def find_record(pool: Pool, scope: TenantScope, seq: int) -> SealedRecord:
    """Return a record. Raises ApiError 404."""
    async with tenant_transaction(pool, scope) as connection:
        return await _find_record(connection, seq)


async def prove_record(pool: Pool, scope: TenantScope, seq: int) -> Proven:
    """Return a record with what proves it. Raises ApiError 404, 500 where the log is damaged."""
    async with tenant_transaction(pool, scope) as connection:
        record = await _find_record(connection, seq)
        row = await queries("evidence").checkpoint_over(connection, size=seq + 1)
        checkpoint = _checkpoint(row) if row else None
        proof: list[bytes] = []
        if checkpoint is not None:
            size = checkpoint.size
            make = partial(inclusion_proof, index=seq, size=size)
            proof = await _proof(connection, make)
        payload = (
            await queries("evidence").payload(connection, seq=seq) if record.has_payload else None
        )
    personal = None
    if payload is not None and payload["salt"] is not None:
        personal = (payload["payload"], bytes(payload["salt"]))
    erased = payload is not None and payload["erased_at"] is not None
    return Proven(record, checkpoint, tuple(proof), personal, erased)


async def prove_consistency(
    pool: Pool, scope: TenantScope, *, old: int, size: int
) -> tuple[bytes, ...]:
    """Return the proof that the log of a size begins with what it was at another.

    Raises ApiError 400 for sizes that it never had, 500 where the log is damaged.
    """
    async with tenant_transaction(pool, scope) as connection:
        row = await queries("evidence").state(connection)
        if not 0 <= old <= size <= (row["size"] or 0):
            raise ApiError(
                400, "evidence.sizes", f"The log has {row['size'] or 0} records: 0 ≤ from ≤ to."
            )
        return tuple(await _proof(connection, partial(consistency_proof, old=old, size=size)))


async def key_history_up_to(connection: Connection, size: int) -> list[LogKey]:
    """Return the keys of the log that its first so many records tell of."""
    rows = queries("evidence").key_records(connection, size=size)
    return history_of([bytes(row["line"]) async for row in rows])


async def _proof(connection: Connection, make: Any) -> list[bytes]:
    try:
        made: list[bytes] = await with_hashes(connection, make)
    except LookupError as error:
        raise ApiError(
            500, "evidence.damaged", f"A hash of the log is missing: {error}."
        ) from error
    return made


async def _find_record(connection: Connection, seq: int) -> SealedRecord:
    row = await queries("evidence").record(connection, seq=seq)
    if row is None:
        raise not_found("record")
    return SealedRecord(
        **{
            **row,
            "kind": Kind(row["kind"]),
            "line": bytes(row["line"]),
            "leaf": bytes(row["leaf"]),
        }
    )


async def _find_checkpoint(connection: Connection, number: int) -> StoredCheckpoint:
    row = await queries("evidence").checkpoint(connection, number=number)
    if row is None:
        raise not_found("checkpoint")
    return _checkpoint(row)


def _checkpoint(row: dict[str, Any]) -> StoredCheckpoint:
    return StoredCheckpoint(**{**row, "root": bytes(row["root"])})
