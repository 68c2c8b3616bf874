"""Exporting a tenant: all of its rows as they are at one moment, in one archive.

Everything is read in one transaction of the tenant, so that row-level security decides what is in
it, and rows of different files fit together.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from psycopg import sql

from api.audit.trail import record
from api.auth.principal import TenantScope
from api.database import Connection, Pool, snapshot_transaction, tenant_transaction
from api.exports.archive import Archive
from api.exports.kinds import KINDS, LEFT_OUT, Kind
from api.exports.places import ExportPlaces

FORMAT: Final = "betrace.tenant-export/1"
AT_ONCE: Final = 2
"""Exports of a process: each holds a connection and an old snapshot for as long as it takes."""
_STATEMENT_MS: Final = 60_000
_IDLE_MS: Final = 60_000
"""A reader that takes nothing for so long is given up."""
_LONGEST_S: Final = 3_600.0
_ROWS: Final = 500
_NOTE: Final = (
    "One JSON object a line. Bytes are hexadecimal after \\x, times in UTC. left_out: what the "
    "database holds of the tenant besides, and why it is not here."
)


class Exporter:
    """Makes archives, some at a time."""

    def __init__(self, pool: Pool, *, at_once: int = AT_ONCE) -> None:
        self._pool = pool
        self._places = ExportPlaces(at_once, others="Other exports are under way")

    async def begin(self, scope: TenantScope) -> AsyncIterator[bytes]:
        """Put an export on the record, and return its archive in pieces.

        Raises ApiError 503 while too many others are under way.
        """
        pieces = self._archive(scope)
        # Begun here, so that its place is given back even if nobody ever asks for the rest.
        return _with_first(await anext(pieces), pieces)

    async def _archive(self, scope: TenantScope) -> AsyncIterator[bytes]:
        with self._places.taken():
            async with tenant_transaction(self._pool, scope) as connection:
                await record(connection, scope, "tenant.exported", f"tenant:{scope.tenant_id}")
            async for piece in archive_of(self._pool, scope):
                yield piece


async def _with_first(first: bytes, others: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in others:
        yield piece


async def archive_of(pool: Pool, scope: TenantScope) -> AsyncIterator[bytes]:
    """Yield the archive of the tenant. Raises DatabaseUnavailable, QueryTooSlow, TimeoutError."""
    taken_at = datetime.now(UTC)
    archive, ends_s = Archive(taken_at), time.monotonic() + _LONGEST_S
    async with snapshot_transaction(
        pool, scope, timeout_ms=_STATEMENT_MS, idle_ms=_IDLE_MS
    ) as connection:
        for kind in KINDS:
            lines = _lines(connection, kind, scope)
            async for piece in archive.add(f"{kind.name}.jsonl", lines, what=kind.what):
                if time.monotonic() > ends_s:
                    raise TimeoutError(f"an export took longer than {_LONGEST_S:.0f} s")
                yield piece
    yield archive.finish(
        {
            "format": FORMAT,
            "export_id": str(uuid4()),
            "tenant_id": str(scope.tenant_id),
            "taken_at": taken_at.isoformat(),
            "note": _NOTE,
            "left_out": dict(LEFT_OUT),
        }
    )


async def _lines(connection: Connection, kind: Kind, scope: TenantScope) -> AsyncIterator[str]:
    """Yield the rows of a table as JSON, a part in memory at a time."""
    async with connection.cursor(name=f"export_{kind.table}") as rows:
        rows.itersize = _ROWS
        withheld = [*kind.withheld, "tenant_id"]
        await rows.execute(_query(kind), {"withheld": withheld, "tenant": scope.tenant_id})
        async for row in rows:
            yield row["line"]


def _query(kind: Kind) -> sql.Composed:
    """Return the statement; its tenant is a second wall beside row-level security."""
    table = sql.Identifier(kind.table)
    whose = sql.SQL("id" if kind.table == "tenants" else "tenant_id")
    told, joined = sql.SQL(""), sql.SQL("")
    if kind.of_person:
        told = sql.SQL(" || jsonb_build_object('email', u.email, 'name', u.name)")
        joined = sql.SQL(" join users u on u.id = t.user_id")
    return sql.SQL(
        "select (to_jsonb(t) - %(withheld)s::text[]{told})::text as line from {table} t{joined}"
        " where t.{whose} = %(tenant)s order by {order}"
    ).format(
        told=told,
        table=table,
        joined=joined,
        whose=whose,
        order=sql.SQL(", ").join(sql.SQL("t.") + sql.Identifier(name) for name in kind.order),
    )
