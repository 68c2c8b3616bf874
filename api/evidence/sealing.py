"""Putting what waits into a tenant's log: a batch is one transaction, whole or not at all.

    lock the log ─► records, leaves (in the database) ─► nodes, root (here) ─► commit

The tree's right edge is in the row that is locked, so that whoever comes next goes on from it: what
crashed in between has left nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from api.auth.principal import TenantScope, grant_scope
from api.database import Connection
from api.evidence.statements import statement
from udfs.evidence.record_codec import encode_record
from udfs.evidence.records import KeyChange, Record
from udfs.evidence.tree import Frontier, Run, leaf_hash

BATCH: Final = 10_000
"""Records of a batch: some ten megabytes of memory at the server, and a tenth of a second for what
a commit and planning cost."""
LOWEST_LEVEL: Final = 4
"""Nodes below are not stored: they are made from up to 16 leaves when they are asked for."""
HASH_BYTES: Final = 32
STATEMENT_MS: Final = 60_000


@dataclass(frozen=True, slots=True)
class Log:
    """A log as its sealer finds it, locked until the transaction ends."""

    tenant: UUID
    origin: str
    sealed_ms: int
    frontier: Frontier


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of a batch. taken: from what waits; added: records, those that are new."""

    taken: int
    added: int


def sealer_of(tenant: UUID) -> TenantScope:
    """Return the scope of what seals for a tenant."""
    return grant_scope(tenant, actor="betrace")


async def lock_log(connection: Connection, tenant: UUID) -> Log | None:
    """Take the turn of a tenant's log until the transaction ends.

    None if another sealer has it, or if there is no log yet.
    """
    turn = await connection.execute(statement("take_turn"), {"tenant_id": tenant})
    row = await turn.fetchone()
    if not (row and next(iter(row.values()))):
        return None
    locked = await connection.execute(statement("lock"), {"tenant_id": tenant}, binary=True)
    row = await locked.fetchone()
    if row is None:
        return None
    frontier = Frontier(size=row["size"], edge=split_hashes(row["edge"]))
    return Log(tenant, row["origin"], row["sealed_ms"], frontier)


async def seal_batch(connection: Connection, log: Log, *, now_ms: int, most: int = BATCH) -> Batch:
    """Put the oldest of what waits into a locked log."""
    await connection.execute(statement("work_mem"))
    sealed = await connection.execute(
        statement("seal"),
        {
            "tenant_id": log.tenant,
            "size": log.frontier.size,
            "sealed_ms": max(now_ms, log.sealed_ms),
            "most": most,
        },
        binary=True,
    )
    row = await sealed.fetchone()
    assert row is not None, "an aggregate has a row"
    leaves = split_hashes(row["leaves"] or b"")
    if leaves:
        await _grow(connection, log, leaves)
    return Batch(row["taken_count"], len(leaves))


async def append_key_change(
    connection: Connection, log: Log, change: KeyChange, *, identity: str, now_ms: int
) -> int:
    """Put a record about a key at the end of a locked log; return its number."""
    record = Record(
        seq=log.frontier.size,
        tenant=str(log.tenant),
        id=identity,
        time_ms=now_ms,
        controls=(),
        body=change,
    )
    line = encode_record(record)
    await connection.execute(
        statement("append"),
        {
            "tenant_id": log.tenant,
            "seq": record.seq,
            "kind": record.kind.value,
            "id": identity,
            "time_ms": now_ms,
            "sealed_ms": max(now_ms, log.sealed_ms),
            "outcome": change.event.value,
            "leaf": leaf_hash(line),
            "line": line,
        },
    )
    await _grow(connection, log, [leaf_hash(line)])
    return record.seq


def split_hashes(joined: bytes) -> list[bytes]:
    """Return hashes that stand side by side."""
    return [joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES)]


async def _grow(connection: Connection, log: Log, leaves: Sequence[bytes]) -> None:
    """Store what the tree gets by new leaves: full nodes, the root, and its right edge."""
    async with connection.pipeline():
        for run in _stored(log.frontier.extend(leaves)):
            await connection.execute(
                statement("add_nodes"),
                {
                    "tenant_id": log.tenant,
                    "level": run.level,
                    "first": run.first,
                    "hashes": b"".join(run.hashes),
                },
            )
        await connection.execute(
            statement("move"),
            {
                "tenant_id": log.tenant,
                "root": log.frontier.root(),
                "edge": b"".join(log.frontier.edge),
            },
        )


def _stored(runs: Iterable[Run]) -> list[Run]:
    return [run for run in runs if run.level >= LOWEST_LEVEL]
