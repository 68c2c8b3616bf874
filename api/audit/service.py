"""Reading the audit log: pages, and all of it in order for an export."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from api.audit.record import Entry, Outcome
from api.audit.trail import record
from api.auth.principal import TenantScope
from api.cursors import decode_cursor, encode_cursor
from api.database import Pool, queries, tenant_transaction

PAGE_MAX: Final = 1_000
EXPORT_MAX: Final = 100_000
"""Rows of one export; a narrower range of time gets the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which rows. actor: as stored, the address of a member, or who acted in somebody's place.
    action: one, or all of a kind."""

    actor: str | None = None
    action: str | None = None
    target: str | None = None
    outcome: Outcome | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ShownEntry:
    """A row as its readers see it: with the name of the actor, if they are there still."""

    entry: Entry
    actor_name: str


@dataclass(frozen=True, slots=True)
class AuditPage:
    """One page, newest first."""

    items: tuple[ShownEntry, ...]
    next_cursor: str | None


async def list_entries(
    pool: Pool,
    scope: TenantScope,
    chosen: AuditFilter,
    *,
    cursor: str | None = None,
    limit: int = 50,
) -> AuditPage:
    """Return one page of the tenant's rows. Raises ApiError 400 for a cursor that is none."""
    before_at, before_id = decode_cursor(cursor, datetime, UUID) if cursor else (None, None)
    async with tenant_transaction(pool, scope) as connection:
        rows = queries("audit").page(
            connection,
            actor=chosen.actor,
            action=chosen.action,
            target=chosen.target,
            outcome=chosen.outcome.value if chosen.outcome else None,
            from_at=chosen.from_at,
            to_at=chosen.to_at,
            before_at=before_at,
            before_id=before_id,
            limit=limit + 1,
        )
        found = [_shown(row) async for row in rows]
    items = tuple(found[:limit])
    more = len(found) > limit
    return AuditPage(items, _cursor(items[-1].entry) if more else None)


async def export_entries(
    pool: Pool, scope: TenantScope, chosen: AuditFilter, *, page: int = PAGE_MAX
) -> AsyncIterator[ShownEntry]:
    """Yield the tenant's rows newest first, at most EXPORT_MAX, a page in memory at a time."""
    cursor: str | None = None
    for _ in range(EXPORT_MAX // page):
        found = await list_entries(pool, scope, chosen, cursor=cursor, limit=page)
        for item in found.items:
            yield item
        cursor = found.next_cursor
        if cursor is None:
            return


async def record_export(pool: Pool, scope: TenantScope, *, form: str) -> None:
    """Put on the record that the log was exported."""
    async with tenant_transaction(pool, scope) as connection:
        await record(connection, scope, "audit.exported", format=form)


def _shown(row: dict[str, Any]) -> ShownEntry:
    return ShownEntry(Entry.from_row(row), row["actor_name"])


def _cursor(last: Entry) -> str:
    return encode_cursor(last.at, last.id)
