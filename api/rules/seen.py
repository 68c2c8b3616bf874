"""Names of spans and attributes that a tenant's traffic really has, for whoever writes rules.

Read off the newest stored traces, which hold what redaction left, and kept for a minute: an editor
asks at every pause.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final
from uuid import UUID

import dsl
from api.auth.principal import TenantScope
from api.database import Pool, queries, tenant_transaction
from dsl.editor.learned import known_from

TRACES: Final = 200
SPANS: Final = 5_000
"""Read for the names of a tenant: a tenth of a second of a core."""
KEPT_S: Final = 60.0
_TENANTS: Final = 200


class SeenNames:
    """Remembers the names of the tenants that write rules just now."""

    def __init__(self, pool: Pool, *, clock: Callable[[], float] = monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._kept: OrderedDict[UUID, tuple[float, dsl.KnownNames | None]] = OrderedDict()

    async def of(self, scope: TenantScope) -> dsl.KnownNames | None:
        """Return what was seen in a tenant's traffic; None while no trace of it is stored."""
        kept = self._kept.get(scope.tenant_id)
        if kept is not None and self._clock() - kept[0] < KEPT_S:
            return kept[1]
        known = await self._read(scope)
        self._kept[scope.tenant_id] = (self._clock(), known)
        self._kept.move_to_end(scope.tenant_id)
        while len(self._kept) > _TENANTS:
            self._kept.popitem(last=False)
        return known

    async def _read(self, scope: TenantScope) -> dsl.KnownNames | None:
        async with tenant_transaction(self._pool, scope) as connection:
            recent = queries("traces").recent(
                connection, spans_max=SPANS, limit=TRACES, spans_in_all=SPANS
            )
            trace_ids = [row["trace_id"] async for row in recent]
            rows = queries("traces").names_of_many(connection, trace_ids=trace_ids)
            spans = [
                dsl.Span(b"", row["name"], attributes=row["attributes"], resource=row["resource"])
                async for row in rows
            ]
        return await asyncio.to_thread(known_from, spans) if spans else None
