"""Forgetting what is older than the installation keeps, by the one function that may."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from api.database import DatabaseUnavailable, Pool, QueryTooSlow, purpose_transaction, queries

log = structlog.get_logger(__name__)

_HOUR_S: Final = 3_600.0


async def keep_audit(pool: Pool, *, days: int, pause_s: float = _HOUR_S) -> None:
    """Forget what is over, at once and every hour, until cancelled."""
    while True:
        try:
            if count := await forget_old(pool, days=days):
                log.info("audit.forgotten", rows=count)
        except (DatabaseUnavailable, QueryTooSlow) as error:
            log.warning("audit.retention_failed", cause=str(error.__cause__))
        await asyncio.sleep(pause_s)


async def forget_old(pool: Pool, *, days: int) -> int:
    """Delete rows of more than so many days, at least 30; return how many.

    Each tenant keeps a row that says how many of its rows went.
    """
    async with purpose_transaction(pool, "housekeeping") as connection:
        count: int = await queries("audit").forget(connection, days=days)
    return count
