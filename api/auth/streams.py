"""Streams outlive the request that opened them: before they tell something, they look whether its
sender may still hear it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Final, TypeVar

from fastapi import Request

from api.auth.access import require
from api.auth.principal import Permission
from api.problems import ApiError

RECHECK_S: Final = 1.0
"""A session that was ended hears nothing more after so long."""
_T = TypeVar("_T")


async def while_allowed(
    request: Request,
    permission: Permission,
    events: AsyncIterator[_T],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[_T]:
    """Yield events as long as the sender of a request has the permission, which they had just now.

    Asks at most once in RECHECK_S, and only when there is something to tell.
    Raises DatabaseUnavailable.
    """
    allowed = require(permission)
    checked_s = clock()
    async for event in events:
        if clock() - checked_s >= RECHECK_S:
            try:
                await allowed(request)
            except ApiError:
                return
            checked_s = clock()
        yield event
