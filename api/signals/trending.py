"""Reads what trends are made of: the last hour's signals, and those of the same hour before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from api.auth.principal import TenantScope
from api.database import Connection, Pool, queries, tenant_transaction
from api.signals.trends import Trend, trending

HOURS: Final = 1
DAYS: Final = 14
LISTED: Final = 10


@dataclass(frozen=True, slots=True)
class Trends:
    """Rules and services that stand out in the hours from from_at to to_at, most of all first."""

    from_at: datetime
    to_at: datetime
    rules: tuple[Trend, ...]
    services: tuple[Trend, ...]


async def read_trends(
    pool: Pool, scope: TenantScope, *, hours: int = HOURS, now: datetime | None = None
) -> Trends:
    """Return what is trending in the last hours, against the same hours of DAYS days before."""
    to_at = now or datetime.now(UTC)
    from_at = to_at - timedelta(hours=hours)
    async with tenant_transaction(pool, scope) as connection:
        rules = await _trends(connection, "rules_by_day_back", from_at, to_at)
        services = await _trends(connection, "services_by_day_back", from_at, to_at)
    return Trends(from_at, to_at, rules, services)


async def _trends(
    connection: Connection, statement: str, from_at: datetime, to_at: datetime
) -> tuple[Trend, ...]:
    read = getattr(queries("signal_sums"), statement)
    counts: dict[str, dict[int, int]] = {}
    names: dict[str, str] = {}
    async for row in read(connection, from_at=from_at, to_at=to_at, days=DAYS):
        counts.setdefault(row["subject"], {})[row["back"]] = row["signal_count"]
        names[row["subject"]] = row["name"]
    known = max((back for by_day in counts.values() for back in by_day), default=0)
    return trending(counts, names, days=DAYS, known_days=known, limit=LISTED)
