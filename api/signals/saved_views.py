"""Views of the signals that people keep: filters and order under a name, for one or for all.

A view is a query string as the console has it after `?`. Only parameters of the list of signals are
kept, and in one order, so that a link in a view can lead nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode
from uuid import UUID, uuid4

import psycopg

from api.audit.trail import record
from api.auth.principal import TenantScope
from api.database import Connection, Pool, queries, tenant_transaction
from api.problems import ApiError, not_found, stale

VIEWS_MAX: Final = 50
"""Of one owner."""
LISTED_MAX: Final = 500
NAME_MAX: Final = 80
QUERY_MAX: Final = 2_000
PARAMETERS: Final = (
    "status",
    "severity",
    "rule_id",
    "service",
    "assignee",
    "tag",
    "group",
    "shown",
    "range",
    "from",
    "to",
    "sort",
    "grouped",
)
"""What a view may hold. grouped: whether it is of groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedView:
    """A view. owner: who made it, as the audit log names people. shared: everybody sees it."""

    id: str
    name: str
    query: str
    owner: str
    shared: bool
    version: int
    created_at: datetime
    changed_at: datetime

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> SavedView:
        """Build from a row that has the columns of the fields."""
        return cls(**{**{name: row[name] for name in cls.__slots__}, "id": str(row["id"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewDraft:
    """What a view is to be."""

    name: str
    query: str
    shared: bool = False


def canonical(query: str) -> str:
    """Return a query string with the parameters of the list alone, in their order.

    Raises ApiError 400 for too long a one.
    """
    pairs = parse_qsl(query.removeprefix("?"))
    kept = [(name, text) for name in PARAMETERS for key, text in pairs if key == name and text]
    found = urlencode(kept)
    if len(found) > QUERY_MAX:
        raise ApiError(400, "view.too_long", f"A view has at most {QUERY_MAX:,} characters.")
    return found


async def list_views(pool: Pool, scope: TenantScope) -> tuple[SavedView, ...]:
    """Return one's own views and those of all, own ones first, by name."""
    async with tenant_transaction(pool, scope) as connection:
        rows = queries("saved_views").views(connection, actor=scope.actor, limit=LISTED_MAX)
        return tuple([SavedView.from_row(row) async for row in rows])


async def add_view(pool: Pool, scope: TenantScope, draft: ViewDraft) -> SavedView:
    """Keep a view. Raises ApiError 400 without a name or for too many; 409 for a name in use."""
    made = _made(draft)
    id_ = uuid4()
    try:
        async with tenant_transaction(pool, scope) as connection:
            count = await queries("saved_views").count_of(connection, actor=scope.actor)
            if count >= VIEWS_MAX:
                raise ApiError(
                    400, "view.too_many", f"You have {VIEWS_MAX} views: remove one of them first."
                )
            await queries("saved_views").add(connection, id=id_, owner=scope.actor, **_row(made))
            await _record(connection, scope, "view.saved", id_, made)
            return await _read(connection, scope, id_)
    except psycopg.errors.UniqueViolation as error:
        raise _taken(made.name) from error


async def change_view(
    pool: Pool, scope: TenantScope, view_id: str, draft: ViewDraft, *, version: int | None
) -> SavedView:
    """Change a view; only who made it may.

    Raises ApiError 404; 403 for a view of somebody else; 409 if the version given is not the
    current one, or for a name in use; 400 as `add_view`.
    """
    made, id_ = _made(draft), _parse_id(view_id)
    try:
        async with tenant_transaction(pool, scope) as connection:
            await _lock(connection, scope, id_, version=version)
            await queries("saved_views").change(connection, id=id_, **_row(made))
            await _record(connection, scope, "view.changed", id_, made)
            return await _read(connection, scope, id_)
    except psycopg.errors.UniqueViolation as error:
        raise _taken(made.name) from error


async def remove_view(
    pool: Pool, scope: TenantScope, view_id: str, *, may_remove_shared: bool
) -> None:
    """Remove a view: one's own, or with may_remove_shared one of all. Raises ApiError 404, 403."""
    id_ = _parse_id(view_id)
    async with tenant_transaction(pool, scope) as connection:
        await _lock(connection, scope, id_, version=None, may_remove_shared=may_remove_shared)
        await queries("saved_views").remove(connection, id=id_)
        await record(connection, scope, "view.removed", f"view:{id_}")


def _made(draft: ViewDraft) -> ViewDraft:
    name = " ".join(draft.name.replace("\0", " ").split())
    if not name:
        raise ApiError(400, "view.name", "Give the view a name.")
    if len(name) > NAME_MAX:
        raise ApiError(400, "view.name", f"A name has at most {NAME_MAX} characters.")
    query = canonical(draft.query.replace("\0", ""))
    return ViewDraft(name=name, query=query, shared=draft.shared)


def _row(made: ViewDraft) -> dict[str, Any]:
    return {"name": made.name, "query": made.query, "shared": made.shared}


async def _read(connection: Connection, scope: TenantScope, id_: UUID) -> SavedView:
    row = await queries("saved_views").one(connection, id=id_, actor=scope.actor)
    if row is None:
        raise not_found("view")
    return SavedView.from_row(row)


async def _lock(
    connection: Connection,
    scope: TenantScope,
    id_: UUID,
    *,
    version: int | None,
    may_remove_shared: bool = False,
) -> None:
    row = await queries("saved_views").lock(connection, id=id_, actor=scope.actor)
    if row is None:
        raise not_found("view")
    if row["owner"] != scope.actor and not may_remove_shared:
        raise ApiError(403, "view.of_somebody_else", "Only who made a view changes it.")
    if version not in (None, row["version"]):
        raise stale("view", current=row["version"])


async def _record(
    connection: Connection, scope: TenantScope, action: str, id_: UUID, made: ViewDraft
) -> None:
    await record(
        connection, scope, action, f"view:{id_}", name=made.name, shared=str(made.shared).lower()
    )


def _taken(name: str) -> ApiError:
    return ApiError(409, "view.name_taken", f"There is a view with the name {name} already.")


def _parse_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise not_found("view") from error
