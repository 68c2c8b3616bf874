"""Lists of notices, and taking one for read."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from api.audit.trail import record
from api.auth.principal import TenantScope
from api.cursors import decode_cursor, encode_cursor
from api.database import Connection, Pool, queries, tenant_transaction
from api.notices.model import Notice, NoticePage
from api.problems import not_found

PAGE_MAX: Final = 1_000


async def list_notices(
    pool: Pool,
    scope: TenantScope,
    *,
    acknowledged: bool | None = None,
    rule_id: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> NoticePage:
    """Return a page of notices, newest first. Raises ApiError 400 for a cursor that is none."""
    before_at, before_id = decode_cursor(cursor, datetime, UUID) if cursor else (None, None)
    async with tenant_transaction(pool, scope) as connection:
        rows = queries("notices").page(
            connection,
            acknowledged=acknowledged,
            rule_id=rule_id,
            before_at=before_at,
            before_id=before_id,
            limit=limit + 1,
        )
        notices = [Notice.from_row(row) async for row in rows]
    items = tuple(notices[:limit])
    return NoticePage(items, _cursor(items[-1]) if len(notices) > limit else None)


async def count_new(pool: Pool, scope: TenantScope) -> int:
    """Return how many notices nobody has acknowledged."""
    async with tenant_transaction(pool, scope) as connection:
        count: int = await queries("notices").count_new(connection)
    return count


async def acknowledge(pool: Pool, scope: TenantScope, notice_id: str) -> Notice:
    """Take a notice for read; who did so first stays on record. Raises ApiError 404."""
    wanted = _parse(notice_id)
    async with tenant_transaction(pool, scope) as connection:
        done = await queries("notices").acknowledge(connection, id=wanted, actor=scope.actor)
        if done:
            await record(connection, scope, "notice.acknowledged", f"notice:{wanted}")
        return await _read(connection, wanted)


async def _read(connection: Connection, wanted: UUID) -> Notice:
    row = await queries("notices").one(connection, id=wanted)
    if row is None:
        raise not_found("notice")
    return Notice.from_row(row)


def _parse(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise not_found("notice") from error


def _cursor(last: Notice) -> str:
    return encode_cursor(last.at, last.id)
