"""All tenants in numbers, as operators see them: counts, times and quotas, nothing of theirs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

from api.cursors import decode_cursor, encode_cursor
from api.database import Pool, credential_transaction, queries
from api.operators.principal import OperatorScope
from api.problems import not_found
from api.retention.terms import HoldBy
from api.tenants.settings import QUOTAS, TenantSettings
from api.tiers.model import own_quotas

PAGE_MAX: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantInNumbers:
    """A tenant. title: as its people call it. settings: of which quotas count; own: not the tier's.

    delete_after: when all of it is deleted; None: it is not to be. last_span_at: the minute in
    which spans were judged last; None: none were.
    """

    id: UUID
    name: str
    title: str
    tier: str
    settings: TenantSettings
    own: frozenset[str]
    created_at: datetime
    suspended_at: datetime | None
    delete_after: datetime | None
    held_at: datetime | None
    held_by: HoldBy | None
    spans_this_month: int
    rule_count: int
    quarantined_count: int
    member_count: int
    last_span_at: datetime | None
    last_signal_at: datetime | None

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """Read a row of the function tenants_overview."""
        same = (
            *("id", "name", "tier", "created_at", "suspended_at", "delete_after"),
            *("held_at", "held_by"),
            *("spans_this_month", "rule_count", "quarantined_count", "member_count"),
            *("last_span_at", "last_signal_at"),
        )
        return cls(
            title=row["display_name"] or row["name"],
            settings=TenantSettings.from_dict(row["quotas"]),
            own=own_quotas(row["own_quotas"]),
            **{name: row[name] for name in same},
        )

    @property
    def percent(self) -> int | None:
        """How much of the month's quota is used, rounded down; None without one."""
        quota = self.settings.monthly_spans
        return None if quota is None else self.spans_this_month * 100 // quota

    @property
    def quotas(self) -> dict[str, int | None]:
        """The quotas that hold, by name."""
        return {name: getattr(self.settings, name) for name in sorted(QUOTAS)}


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """Some tenants by name. next_cursor: None: there are no more."""

    items: tuple[TenantInNumbers, ...]
    next_cursor: str | None


async def list_overview(
    pool: Pool, scope: OperatorScope, *, sought: str = "", cursor: str | None = None, limit: int
) -> OverviewPage:
    """Return a page of tenants. sought: part of a name.

    Raises ApiError 400 for a cursor that is none.
    """
    after = decode_cursor(cursor, str)[0] if cursor else None
    found = await _read(pool, scope, only_id=None, sought=sought, after=after, most=limit + 1)
    items = tuple(found[:limit])
    more = len(found) > limit
    return OverviewPage(items, encode_cursor(items[-1].name) if more else None)


async def read_overview(pool: Pool, scope: OperatorScope, tenant_id: UUID) -> TenantInNumbers:
    """Return one tenant. Raises ApiError 404."""
    found = await _read(pool, scope, only_id=tenant_id, sought="", after=None, most=1)
    if not found:
        raise not_found("tenant")
    return found[0]


async def _read(
    pool: Pool,
    scope: OperatorScope,
    *,
    only_id: UUID | None,
    sought: str,
    after: str | None,
    most: int,
) -> list[TenantInNumbers]:
    async with credential_transaction(pool, scope.credential_hash) as connection:
        rows = queries("operators").overview(
            connection, only_id=only_id, sought=sought, after=after, most=most
        )
        return [TenantInNumbers.from_row(row) async for row in rows]
