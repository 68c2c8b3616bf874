"""Controls that went quiet: nothing was seen of them for as many days as their tenant set.

Looked for are controls that had evidence, or that rules have looked for: of others nobody expects
any. Each is told once, by a notice that names its last evidence; what comes later makes another
notice possible, and takes the old one for read.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final
from uuid import UUID

from psycopg.types.json import Jsonb

from api.auth.principal import TenantScope, grant_scope
from api.database import Connection, Pool, purpose_transaction, queries, tenant_transaction
from api.evidence.search import DAY_MS, PATIENCE_MS, controls_with_records, ms_of
from api.notices.model import ITSELF
from api.problems import ApiError, not_found
from api.repeating import again_and_again
from api.tenants.settings import TenantSettings
from dsl.controls import sort_key

_FIRST_S: Final = 60.0
"""A process that starts has other things to do first."""
_PAUSE_S: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class QuietControl:
    """A control of which nothing was seen since so long. last_ms: None: it never was."""

    id: str
    since_ms: int
    last_ms: int | None

    @property
    def subject(self) -> str:
        """What a notice of it is about: itself, and its last evidence."""
        return f"{self.id} {'never' if self.last_ms is None else self.last_ms}"


@dataclass(frozen=True, slots=True)
class Quiet:
    """What is quiet. days: as the tenant set it; None: nothing is told."""

    days: int | None
    controls: tuple[QuietControl, ...] = ()

    def of(self, framework: str) -> tuple[QuietControl, ...]:
        """Return those of a framework."""
        return tuple(one for one in self.controls if one.id.partition(".")[0] == framework)


async def keep_listening(pool: Pool) -> None:
    """Tell of quiet controls of all tenants again and again, until cancelled."""
    await again_and_again(
        partial(_tell_all, pool), pause_s=_PAUSE_S, first_s=_FIRST_S, trouble="evidence.quiet"
    )


async def read_quiet(pool: Pool, scope: TenantScope, *, now: datetime) -> Quiet:
    """Return the controls of the tenant that are quiet now. Raises ApiError 404."""
    async with tenant_transaction(pool, scope, timeout_ms=PATIENCE_MS) as connection:
        days = await _days(connection)
        return Quiet(days, _quiet(await _known(connection), days, now))


async def tell_quiet(pool: Pool, scope: TenantScope, *, now: datetime) -> Quiet:
    """Leave a notice of each control that is quiet now and was not told of; return all of them.

    Notices of controls of which something was seen since are taken for read. Raises ApiError 404.
    """
    async with tenant_transaction(pool, scope, timeout_ms=PATIENCE_MS) as connection:
        days = await _days(connection)
        known = await _known(connection)
        found = Quiet(days, _quiet(known, days, now))
        for one in found.controls:
            figures = {
                "control": one.id,
                "days": days,
                "since_ms": one.since_ms,
                "last_ms": one.last_ms,
            }
            await queries("notices").tell_quiet(
                connection, subject=one.subject, figures=Jsonb(figures)
            )
        await queries("notices").settle_quiet(
            connection, subjects=[one.subject for one in known], actor=ITSELF
        )
    return found


async def _tell_all(pool: Pool) -> None:
    async with purpose_transaction(pool, "operator") as connection:
        tenants: list[UUID] = [row["id"] async for row in queries("usage").tenants(connection)]
    for tenant_id in tenants:
        with suppress(ApiError):  # deleted since
            await tell_quiet(pool, grant_scope(tenant_id, actor=ITSELF), now=datetime.now(UTC))


async def _days(connection: Connection) -> int | None:
    settings = await queries("tenants").settings(connection)
    if settings is None:
        raise not_found("tenant")
    return TenantSettings.from_dict(settings).quiet_days


async def _known(connection: Connection) -> list[QuietControl]:
    """Return every control that has records, in order, with its last evidence."""
    ids = sorted(await controls_with_records(connection), key=sort_key)
    rows = {
        row["control"]: row
        async for row in queries("evidence_search").since_when(connection, controls=ids)
    }
    return [
        QuietControl(
            one,
            ms_of(rows[one]["first_day"]) if rows[one]["last_ms"] is None else rows[one]["last_ms"],
            rows[one]["last_ms"],
        )
        for one in ids
        if one in rows
    ]


def _quiet(
    known: Sequence[QuietControl], days: int | None, now: datetime
) -> tuple[QuietControl, ...]:
    if days is None:
        return ()
    latest_ms = int(now.timestamp() * 1_000) - days * DAY_MS
    return tuple(one for one in known if one.since_ms <= latest_ms)
