"""Forgetting what is older than the installation keeps, by the one function that may."""

from __future__ import annotations

from functools import partial
from typing import Final

import structlog

from api.database import Pool, purpose_transaction, queries
from api.repeating import again_and_again

log = structlog.get_logger(__name__)

_HOUR_S: Final = 3_600.0


async def keep_audit(pool: Pool, *, days: int) -> None:
    """Forget what is over, at once and every hour, until cancelled."""
    await again_and_again(
        partial(_forget, pool, days=days), pause_s=_HOUR_S, trouble="audit.retention_failed"
    )


async def _forget(pool: Pool, *, days: int) -> None:
    if count := await forget_old(pool, days=days):
        log.info("audit.forgotten", rows=count)


async def forget_old(pool: Pool, *, days: int) -> int:
    """Delete rows of more than so many days, at least 30; return how many.

    Each tenant keeps a row that says how many of its rows went.
    """
    async with purpose_transaction(pool, "housekeeping") as connection:
        count: int = await queries("audit").forget(connection, days=days)
    return count
