"""What the API does beside requests, again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from api.database import DatabaseUnavailable, QueryTooSlow

log = structlog.get_logger(__name__)


async def again_and_again(
    work: Callable[[], Awaitable[object]], *, pause_s: float, trouble: str, first_s: float = 0.0
) -> None:
    """Do a piece of work until cancelled, with a pause after each time.

    first_s: before the first time. trouble: what the log says while Postgres does not answer; the
    work is tried again after the pause.
    """
    await asyncio.sleep(first_s)
    while True:
        try:
            await work()
        except (DatabaseUnavailable, QueryTooSlow) as error:
            log.warning(trouble, cause=str(error.__cause__))
        await asyncio.sleep(pause_s)
