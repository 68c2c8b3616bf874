"""Counting the spans of days, reading months, and warning of quotas.

The job accounts by minute and lane; a month of that is up to a million rows. Days are summed up
every few minutes, yesterday's and today's anew each time, since accounts of a minute still grow
while it lasts. Two processes that do it at once write the same.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

from psycopg.types.json import Jsonb

from api.auth.principal import TenantScope, grant_scope
from api.database import (
    Connection,
    Pool,
    purpose_transaction,
    queries,
    tenant_transaction,
)
from api.problems import ApiError, not_found
from api.repeating import again_and_again
from api.tenants.settings import TenantSettings
from api.usage.model import Usage, UsedDay, midnight, month_after, month_of

_FIRST_S: Final = 30.0
"""A process that starts has other things to do first."""
_PAUSE_S: Final = 300.0
_PATIENCE_MS: Final = 60_000


async def read_usage(pool: Pool, scope: TenantScope, month: date) -> Usage:
    """Return a month of the tenant, as it was counted last. month: its first day."""
    async with tenant_transaction(pool, scope) as connection:
        return await _read(connection, month)


async def keep_usage(pool: Pool) -> None:
    """Count the days of all tenants again and again, until cancelled."""
    await again_and_again(
        partial(_count_all, pool), pause_s=_PAUSE_S, first_s=_FIRST_S, trouble="usage.failed"
    )


async def _count_all(pool: Pool) -> None:
    async with purpose_transaction(pool, "operator") as connection:
        tenants: list[UUID] = [row["id"] async for row in queries("usage").tenants(connection)]
    for tenant_id in tenants:
        scope = grant_scope(tenant_id, actor="betrace")
        with suppress(ApiError):  # deleted since
            await count_usage(pool, scope, now=datetime.now(UTC))


async def count_usage(pool: Pool, scope: TenantScope, *, now: datetime) -> Usage:
    """Sum up the newest days of a tenant, warn of its quota, and return the month.

    Raises ApiError 404.
    """
    today = now.astimezone(UTC).date()
    async with tenant_transaction(pool, scope, timeout_ms=_PATIENCE_MS) as connection:
        counted = await queries("usage").has_counted(connection)
        since = today - timedelta(days=1) if counted else month_of(today)
        await queries("usage").count_days(connection, since=midnight(since))
        usage = await _read(connection, month_of(today))
        await _warn(connection, usage)
    return usage


async def _read(connection: Connection, month: date) -> Usage:
    rows = [
        row
        async for row in queries("usage").days(connection, first=month, after=month_after(month))
    ]
    settings = await queries("tenants").settings(connection)
    if settings is None:
        raise not_found("tenant")
    return Usage(
        month,
        tuple(UsedDay(row["day"], row["spans"]) for row in rows),
        TenantSettings.from_dict(settings).monthly_spans,
        max((row["counted_at"] for row in rows), default=None),
    )


async def _warn(connection: Connection, usage: Usage) -> None:
    """Leave a notice the first time that a part of the quota is used up."""
    if usage.passed is None:
        return
    month = f"{usage.month:%Y-%m}"
    figures = {
        "used": usage.spans,
        "quota": usage.quota,
        "percent": usage.passed,
        "month": month,
    }
    await queries("usage").warn(
        connection, subject=f"spans {month} {usage.passed} {usage.quota}", figures=Jsonb(figures)
    )
