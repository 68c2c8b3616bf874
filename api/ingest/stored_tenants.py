"""Tenants from Postgres, as `ingest` asks for those whose spans come without a key.

A topic of a Collector names its tenant, and nothing else says that it may send: so what the keys
of a tenant lose when it is suspended or to be deleted, its topic loses as well, and as fast.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

from api.auth.key_verifier import REMEMBERED_S
from api.database import DatabaseUnavailable, Pool, QueryTooSlow, one_statement, queries
from api.ingest.credentials import KeysUnavailable, MayNotSend, Sender
from api.limits.settings import TenantLimits


@dataclass(frozen=True, slots=True)
class _Known:
    """What Postgres said of a tenant, and when; looked_s: when it was asked last (monotonic).

    sender: None where it takes no spans.
    """

    sender: Sender | None
    asked_s: float
    looked_s: float


class StoredTenants:
    """Implements `Tenants`. Answers are remembered as those about keys are (`KeyVerifier`).

    grace_s: so long after Postgres last said that a tenant may send, an outage does no harm to it.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        ttl_s: float = REMEMBERED_S,
        grace_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._ttl_s = ttl_s
        self._grace_s = grace_s
        self._clock = clock
        self._turn = asyncio.Lock()
        self._known: dict[str, _Known] = {}
        """By tenant; there are no more than topics."""

    async def sender(self, tenant: str) -> Sender:
        """Return who sends by a tenant's topic; see `Tenants`."""
        async with self._turn:  # a batch of records asks once
            known = self._known.get(tenant)
            if known is None or known.looked_s + self._ttl_s <= self._clock():
                known = self._known[tenant] = await self._look_up(tenant, known)
        if known.sender is None:
            raise MayNotSend
        return known.sender

    async def _look_up(self, tenant: str, before: _Known | None) -> _Known:
        now_s = self._clock()
        try:
            async with one_statement(self._pool) as connection:
                row = await queries("auth").tenant_at_hand(connection, tenant_id=UUID(tenant))
        except (DatabaseUnavailable, QueryTooSlow) as error:
            # As with keys: the answer is remembered from here on, so the grace ends earlier.
            if before is None or self._clock() + self._ttl_s > before.asked_s + self._grace_s:
                raise KeysUnavailable from error
            return replace(before, looked_s=now_s)
        if row is None or row["delete_after"] is not None:  # there is no row of a suspended one
            return _Known(None, now_s, now_s)
        limits = TenantLimits.from_settings(row["tenant_settings"])
        return _Known(Sender(tenant, own_limits=limits), now_s, now_s)
