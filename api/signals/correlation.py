"""Reads the signals that wait for people, and joins those that probably have one cause."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from api.auth.principal import TenantScope
from api.database import Pool, queries, tenant_transaction
from api.signals.incidents import Incident, Seen, incidents_of
from api.signals.model import Severity

HOURS: Final = 24
LOOKED_AT: Final = 500
LISTED: Final = 20
_SPANS: Final = 20


async def read_incidents(
    pool: Pool, scope: TenantScope, *, now: datetime | None = None
) -> tuple[Incident, ...]:
    """Return incidents among the newest LOOKED_AT unresolved signals of the last HOURS hours."""
    since = (now or datetime.now(UTC)) - timedelta(hours=HOURS)
    async with tenant_transaction(pool, scope) as connection:
        rows = queries("signal_sums").unresolved(
            connection, since=since, limit=LOOKED_AT, spans=_SPANS
        )
        seen = [_seen(row) async for row in rows]
    return incidents_of(seen, limit=LISTED)


def _seen(row: Mapping[str, Any]) -> Seen:
    services = {name for name in (row["root_service"], *row["services"]) if name}
    return Seen(
        id=bytes(row["id"]).hex(),
        rule_id=row["rule_id"],
        rule_name=row["rule_name"] or row["rule_id"],
        severity=Severity(row["severity"]),
        trace_id=bytes(row["trace_id"]).hex() if row["trace_id"] else "",
        services=tuple(sorted(services)),
        versions=tuple(row["versions"]),
        at=row["occurred_at"],
    )
