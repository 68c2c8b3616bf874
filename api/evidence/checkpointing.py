"""Signing the heads of logs: when, by which key, and what is done while none can be had.

A head is signed when something was sealed since the last one, once an interval; and of a log in
which nothing happens once in a longer while, which says that nothing happened. While the source of
keys is away records are sealed all the same. They are pending then: evidence_outages says since
when, and the checkpoint that comes at last says how late it is.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog

from api.database import Connection, Pool, tenant_transaction
from api.evidence.log_keys import revoke_in_log, signer_in_log
from api.evidence.sealing import STATEMENT_MS, lock_log, sealer_of
from api.evidence.statements import statement
from api.keyring.wiring import Keys
from udfs.evidence.checkpoints import Checkpoint
from udfs.keysource.trouble import KeyTrouble

log_of_process = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often heads are signed: of logs that grow, and of others."""

    interval_ms: int = 60_000
    idle_ms: int = 3_600_000


PACE: Final = Pace()


@dataclass(frozen=True, slots=True)
class Head:
    """A log's size, and what its newest checkpoint that counts is of; 0 for none."""

    tenant: UUID
    size: int
    signed_size: int
    signed_ms: int

    @property
    def pending(self) -> int:
        """How many records are under no checkpoint."""
        return self.size - self.signed_size

    def is_due(self, now_ms: int, pace: Pace) -> bool:
        """Tell whether the head is to be signed now."""
        if not self.size:
            return False
        wait_ms = pace.interval_ms if self.pending else pace.idle_ms
        return now_ms - self.signed_ms >= wait_ms


@dataclass(frozen=True, slots=True)
class Signed:
    """A head that was signed: by how much too late, and how many records waited for it."""

    late_ms: int
    late_records: int


async def list_heads(connection: Connection) -> list[Head]:
    """Return all logs with their heads, of tenants that are not being deleted."""
    rows = await connection.execute(statement("logs"))
    return [
        Head(row["tenant_id"], row["size"], row["signed_size"], row["signed_ms"])
        async for row in rows
    ]


async def sign_head(pool: Pool, keys: Keys, tenant: UUID, *, now_ms: int) -> Signed | None:
    """Sign the head of a log as it is now; None if its turn is not ours.

    The log says first which key signs it. Raises KeyTrouble: nothing was signed or written then.
    """
    async with tenant_transaction(pool, sealer_of(tenant), timeout_ms=STATEMENT_MS) as connection:
        log = await lock_log(connection, tenant)
        if log is None:
            return None
        before = await _newest(connection, tenant)
        # A clock that was set back does not make a log that goes back.
        time_ms = max(now_ms, log.sealed_ms, before[1] + 1)
        signer = await signer_in_log(connection, keys, log, now_ms=time_ms)
        frontier = log.frontier
        checkpoint = Checkpoint(log.origin, frontier.size, frontier.root(), time_ms)
        note = await asyncio.to_thread(checkpoint.sign, [signer])
        ended = await connection.execute(
            statement("end_outage"),
            {"tenant_id": tenant, "now_ms": time_ms, "size": frontier.size},
        )
        outage = await ended.fetchone()
        late_ms = max(0, time_ms - outage["began_ms"]) if outage else 0
        await connection.execute(
            statement("add_checkpoint"),
            {
                "tenant_id": tenant,
                "number": before[0] + 1,
                "size": frontier.size,
                "root": frontier.root(),
                "time_ms": time_ms,
                "late_ms": late_ms,
                "key_id": signer.key_id,
                "note": str(note),
            },
        )
    if outage:
        log_of_process.info(
            "evidence.signed_late", tenant=str(tenant), late_ms=late_ms, attempts=outage["attempts"]
        )
    return Signed(late_ms, frontier.size - outage["from_size"] if outage else 0)


async def create_log(pool: Pool, keys: Keys, tenant: UUID, *, origin: str, now_ms: int) -> None:
    """Begin the log of a tenant with the key that signs it. Again does no harm.

    Raises KeyTrouble: there is no log then, and what waits goes on waiting.
    """
    async with tenant_transaction(pool, sealer_of(tenant), timeout_ms=STATEMENT_MS) as connection:
        await connection.execute(statement("create"), {"tenant_id": tenant, "origin": origin})
        log = await lock_log(connection, tenant)
        if log is not None and not log.frontier.size:
            await signer_in_log(connection, keys, log, now_ms=now_ms)


async def note_revocations(pool: Pool, keys: Keys, tenant: UUID, *, now_ms: int) -> None:
    """Let the log say which of its keys were revoked, while none can be had that signs.

    What they signed since then does not count from now on: it is pending again.
    """
    async with tenant_transaction(pool, sealer_of(tenant), timeout_ms=STATEMENT_MS) as connection:
        log = await lock_log(connection, tenant)
        if log is None:
            return
        try:
            await revoke_in_log(connection, keys, log, now_ms=max(now_ms, log.sealed_ms))
        except KeyTrouble as trouble:
            log_of_process.error("evidence.unrevoked", tenant=str(tenant), cause=str(trouble))


async def note_outage(pool: Pool, head: Head, trouble: KeyTrouble, *, now_ms: int) -> None:
    """Write down that a head could not be signed: since when, how often, and why."""
    async with tenant_transaction(pool, sealer_of(head.tenant)) as connection:
        await connection.execute(
            statement("note_outage"),
            {
                "tenant_id": head.tenant,
                "now_ms": now_ms,
                "size": head.signed_size,
                "cause": trouble.what[:300],
            },
        )


async def _newest(connection: Connection, tenant: UUID) -> tuple[int, int]:
    """Return number and time of the newest checkpoint; 0 and 0 if there is none."""
    found = await connection.execute(statement("heads"), {"tenant_id": tenant})
    row = await found.fetchone()
    return (row["number"], row["time_ms"]) if row else (0, 0)
