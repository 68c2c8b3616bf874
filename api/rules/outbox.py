"""From the outbox to the rules log: at once after a save, else by the sweeper.

Order within a tenant is kept: publishers take turns, and one stops at the first record that
fails. A record may be appended twice when a process dies between acknowledgement and commit; the
job takes a version it has read already for read.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Final
from uuid import UUID

import structlog

from api.auth.attempts import KEPT as FAILURES_KEPT
from api.auth.principal import TenantScope, grant_scope
from api.database import (
    Pool,
    purpose_transaction,
    queries,
    tenant_transaction,
)
from api.repeating import again_and_again
from api.rules.log import RulesLog, RulesLogUnavailable

log = structlog.get_logger(__name__)

_BATCH: Final = 100
_PAUSE_S: Final = 2.0
_FORGET_EVERY: Final = 300
"""Turns."""


class Publisher:
    """Publishes what waits in the outbox."""

    def __init__(self, pool: Pool, rules_log: RulesLog) -> None:
        self._pool = pool
        self._log = rules_log
        self._append = asyncio.Lock()

    async def publish(self, scope: TenantScope) -> bool:
        """Publish what a tenant has waiting; True if nothing waits afterwards.

        Raises DatabaseUnavailable; Kafka's absence is the answer False.
        """
        while True:
            async with tenant_transaction(self._pool, scope) as connection:
                await queries("outbox").take_turn(connection)
                rows = [row async for row in queries("outbox").pending(connection, limit=_BATCH)]
                for row in rows:
                    try:
                        async with self._append:
                            appended = await asyncio.to_thread(self._log.append, row["record"])
                    except RulesLogUnavailable as error:
                        log.warning("rules.publish_failed", cause=str(error))
                        await queries("outbox").failed(
                            connection, id=row["id"], error=str(error)[:500]
                        )
                        return False
                    await queries("outbox").published(
                        connection,
                        id=row["id"],
                        published_at=appended.append_at,
                        log_offset=appended.offset,
                    )
            if len(rows) < _BATCH:
                return True

    async def sweep(self) -> int:
        """Publish what waits for any tenant; return how many tenants still wait.

        Kafka's first refusal ends the sweep: the next tenant would only wait for it as well.
        """
        async with purpose_transaction(self._pool, "housekeeping") as connection:
            waiting: list[UUID] = [
                row["tenant_id"] async for row in queries("outbox").tenants_with_pending(connection)
            ]
        for done, tenant_id in enumerate(waiting):
            if not await self.publish(grant_scope(tenant_id, actor="outbox")):
                return len(waiting) - done
        return 0


async def keep_house(pool: Pool, publisher: Publisher) -> None:
    """Sweep the outbox, and forget what is over, until cancelled."""
    turns = count()

    async def turn() -> None:
        forgets = next(turns) % _FORGET_EVERY == 0
        await publisher.sweep()
        if forgets:
            await forget_expired(pool)

    await again_and_again(turn, pause_s=_PAUSE_S, trouble="housekeeping.failed")


async def forget_expired(pool: Pool) -> None:
    """Delete sessions and tickets that are over, old failed sign-ins and old feed entries."""
    async with purpose_transaction(pool, "housekeeping") as connection:
        await queries("sessions").expire(connection)
        await queries("accounts").expire_tickets(connection)
        await queries("accounts").expire_failures(connection, window=FAILURES_KEPT)
        await queries("operators").expire(connection)
        await queries("feed").forget_old(connection)
        await queries("signals").forget_bulk_changes(connection)
