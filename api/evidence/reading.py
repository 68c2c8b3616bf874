"""Reading the log of a tenant: its state, its heads, single records, proofs. Each call is a
transaction of the tenant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Final

from api.auth.principal import TenantScope
from api.database import Connection, Pool, queries, tenant_transaction
from api.evidence.hashes import with_hashes
from api.evidence.log_keys import history_of
from api.evidence.model import LogState, Outage, SealedRecord, StoredCheckpoint, Unsigned
from api.problems import ApiError, not_found
from udfs.evidence.pack import LogKey
from udfs.evidence.proofs import consistency_proof, inclusion_proof
from udfs.evidence.records import Kind

PAGE_MAX: Final = 1_000
OUTAGES: Final = 20


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
        over = queries("evidence").outages(connection, limit=OUTAGES)
        outages = tuple([Outage(**each) async for each in over])
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
        outages=outages,
        verifier_keys=tuple(key.verifier_key for key in keys),
    )


async def read_unsigned(pool: Pool, scope: TenantScope) -> Unsigned | None:
    """Return since when no key signs the log, None while one does."""
    async with tenant_transaction(pool, scope) as connection:
        outage = await queries("evidence").outage(connection)
        if outage is None:
            return None
        row = await queries("evidence").state(connection)
        newest = await queries("evidence").newest_checkpoint(connection)
    return Unsigned(Outage(**outage), (row["size"] or 0) - (newest["size"] if newest else 0))


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
        row = await queries("evidence").proven(connection, seq=seq)
        if row is None:
            raise not_found("record")
        checkpoint = _checkpoint({**row, "time_ms": row["signed_ms"]}) if row["number"] else None
        proof: list[bytes] = []
        if checkpoint is not None:
            make = partial(inclusion_proof, index=seq, size=checkpoint.size)
            proof = await _proof(connection, make)
    personal = (row["payload"], bytes(row["salt"])) if row["salt"] is not None else None
    erased = row["erased_at"] is not None
    return Proven(_record(row), checkpoint, tuple(proof), personal, erased)


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
    return _record(row)


def _record(row: Mapping[str, Any]) -> SealedRecord:
    """Return the record of a row that has it among other columns."""
    told = {field.name: row[field.name] for field in fields(SealedRecord)}
    line, leaf = bytes(row["line"]), bytes(row["leaf"])
    return SealedRecord(**{**told, "kind": Kind(row["kind"]), "line": line, "leaf": leaf})


async def _find_checkpoint(connection: Connection, number: int) -> StoredCheckpoint:
    row = await queries("evidence").checkpoint(connection, number=number)
    if row is None:
        raise not_found("checkpoint")
    return _checkpoint(row)


def _checkpoint(row: Mapping[str, Any]) -> StoredCheckpoint:
    """Return the checkpoint of a row that has it among other columns."""
    told = {field.name: row[field.name] for field in fields(StoredCheckpoint)}
    return StoredCheckpoint(**{**told, "root": bytes(row["root"])})
