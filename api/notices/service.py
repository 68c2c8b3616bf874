"""Lists of notices, and taking one for read."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final
from uuid import UUID

from api.audit.trail import record
from api.auth.principal import Principal, TenantScope
from api.cursors import decode_cursor, encode_cursor
from api.database import Connection, Pool, queries, tenant_transaction
from api.notices.model import READERS, TAKERS, Notice, NoticePage
from api.problems import ApiError, not_found

PAGE_MAX: Final = 1_000


def kinds_for(principal: Principal) -> frozenset[str]:
    """Return the kinds of notices that somebody is told."""
    return frozenset(kind for kind, needed in READERS.items() if principal.may(needed))


def kinds_of_taker(principal: Principal) -> frozenset[str]:
    """Return the kinds of notices that somebody may take for read."""
    return frozenset(kind for kind, needed in TAKERS.items() if principal.may(needed))


async def list_notices(
    pool: Pool,
    scope: TenantScope,
    *,
    kinds: Collection[str],
    acknowledged: bool | None = None,
    rule_id: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> NoticePage:
    """Return a page of notices of some kinds, newest first.

    Raises ApiError 400 for a cursor that is none.
    """
    before_at, before_id = decode_cursor(cursor, datetime, UUID) if cursor else (None, None)
    async with tenant_transaction(pool, scope) as connection:
        rows = queries("notices").page(
            connection,
            kinds=sorted(kinds),
            acknowledged=acknowledged,
            rule_id=rule_id,
            before_at=before_at,
            before_id=before_id,
            limit=limit + 1,
        )
        notices = [Notice.from_row(row) async for row in rows]
    items = tuple(notices[:limit])
    return NoticePage(items, _cursor(items[-1]) if len(notices) > limit else None)


async def count_new(pool: Pool, scope: TenantScope, *, kinds: Collection[str]) -> int:
    """Return how many notices of some kinds nobody has acknowledged."""
    async with tenant_transaction(pool, scope) as connection:
        count: int = await queries("notices").count_new(connection, kinds=sorted(kinds))
    return count


async def acknowledge(pool: Pool, principal: Principal, notice_id: str) -> Notice:
    """Take a notice for read; who did so first stays on record.

    Raises ApiError 404, also for a kind that they are not told of, and 403 for one that others
    take for read.
    """
    wanted, scope = _parse(notice_id), principal.scope
    async with tenant_transaction(pool, scope) as connection:
        notice = await _read(connection, wanted)
        if notice.kind not in kinds_for(principal):
            raise not_found("notice")
        if notice.kind not in kinds_of_taker(principal):
            needed = TAKERS[notice.kind]
            raise ApiError(
                403, "notice.others", f"Who takes this for read has the permission {needed}."
            )
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
