"""When keys were last used: remembered with every request, written now and then.

A use costs one entry in a dict. What a process had not written when it was killed is lost, so
`last_used_at` may be up to PAUSE_S too early and is never too late.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import structlog

from api.auth.principal import ApiKeyPrincipal, TenantScope
from api.database import DatabaseUnavailable, Pool, QueryTooSlow, queries, tenant_transaction

PAUSE_S: Final = 20.0

log = structlog.get_logger(__name__)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class KeyUses:
    """The last use of each key since the last `write`. Belongs to one event loop."""

    def __init__(self, *, now: Callable[[], datetime] = _utc_now) -> None:
        self._now = now
        self._last: dict[UUID, tuple[TenantScope, datetime]] = {}

    def note(self, principal: ApiKeyPrincipal) -> None:
        """Remember that a key was used now."""
        self._last[principal.key_id] = principal.scope, self._now()

    async def write(self, pool: Pool) -> None:
        """Write what is remembered, one transaction a tenant; what fails is kept for the next time.

        Raises DatabaseUnavailable, QueryTooSlow.
        """
        by_tenant: defaultdict[UUID, dict[UUID, datetime]] = defaultdict(dict)
        for key_id, (scope, at) in self._last.items():
            by_tenant[scope.tenant_id][key_id] = at
        for used in by_tenant.values():
            scope = self._last[next(iter(used))][0]
            async with tenant_transaction(pool, scope) as connection:
                await queries("keys").note_uses(
                    connection, ids=list(used), times=list(used.values())
                )
            self._forget(used)

    def _forget(self, written: dict[UUID, datetime]) -> None:
        for key_id, at in written.items():
            if self._last[key_id][1] == at:
                del self._last[key_id]


async def keep_uses(pool: Pool, uses: KeyUses, *, pause_s: float = PAUSE_S) -> None:
    """Write uses every `pause_s` until cancelled, and once more then."""
    try:
        while True:
            await asyncio.sleep(pause_s)
            await _write(pool, uses)
    finally:
        await _write(pool, uses)


async def _write(pool: Pool, uses: KeyUses) -> None:
    try:
        await uses.write(pool)
    except (DatabaseUnavailable, QueryTooSlow) as error:
        log.warning("keys.uses_not_written", cause=str(error.__cause__))
