"""Lists of members, and what is done to one: another role, removal, leaving.

Whatever could take the last admin away is done by one at a time of a tenant, within
`keeping_an_admin`, so that two who act at once cannot both be the last but one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from api.audit.trail import record
from api.auth.principal import TenantScope
from api.cursors import decode_cursor, encode_cursor
from api.database import Connection, Pool, queries, tenant_transaction
from api.keys.authority import Authority
from api.members.authority import refuse_over, refuse_terms
from api.members.model import Member, MemberPage, Terms
from api.problems import ApiError, not_found
from api.tenants.turns import take_turn

PAGE_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Removed:
    """Somebody who is no member any more. keys: that they made and that go on."""

    member: Member
    keys: int


async def list_members(
    pool: Pool, scope: TenantScope, *, cursor: str | None = None, limit: int = PAGE_MAX
) -> MemberPage:
    """Return a page of members by address. Raises ApiError 400 for a cursor that is none."""
    after = decode_cursor(cursor, str)[0] if cursor else None
    async with tenant_transaction(pool, scope) as connection:
        rows = queries("members").page(connection, after=after, limit=limit + 1)
        members = [Member.from_row(row) async for row in rows]
    items = tuple(members[:limit])
    more = len(members) > limit
    return MemberPage(items, encode_cursor(items[-1].email) if more else None)


async def read_member(pool: Pool, scope: TenantScope, member_id: UUID) -> Member:
    """Return a member. Raises ApiError 404."""
    async with tenant_transaction(pool, scope) as connection:
        return await _read(connection, member_id)


async def change_member(
    pool: Pool, scope: TenantScope, member_id: UUID, terms: Terms, *, authority: Authority
) -> Member:
    """Give a member other terms; they hold from the member's next request on.

    Raises ApiError 404, 403 for more than the authority covers, 400 for an end that cannot be, 409
    for the last admin.
    """
    async with tenant_transaction(pool, scope) as connection, keeping_an_admin(connection):
        before = await _read(connection, member_id)
        refuse_over(authority, before.terms.role)
        refuse_terms(authority, terms)
        await queries("members").change(
            connection, user_id=member_id, role=terms.role.value, expires_at=terms.until
        )
        await record(
            connection,
            scope,
            "member.changed",
            f"user:{member_id}",
            before=before.terms.role.value,
            role=terms.role.value,
            until=terms.until,
        )
        return await _read(connection, member_id)


async def remove_member(
    pool: Pool,
    scope: TenantScope,
    member_id: UUID,
    *,
    authority: Authority,
    by: UUID | None = None,
) -> Removed:
    """Let somebody be a member no more, and end their sessions in the tenant.

    by: the person who asks. Raises ApiError 404, 403 for somebody who may do more than the
    authority covers, 409 for oneself and for the last admin.
    """
    if by == member_id:
        raise ApiError(409, "member.self", "Nobody removes themselves: leave the tenant instead.")
    async with tenant_transaction(pool, scope) as connection, keeping_an_admin(connection):
        member = await _read(connection, member_id)
        refuse_over(authority, member.terms.role)
        await _end(connection, scope, member, "member.removed")
        keys: int = await queries("members").keys_made_by(connection, email=member.email)
    return Removed(member, keys)


async def leave(pool: Pool, scope: TenantScope, user_id: UUID) -> None:
    """Let a person belong to the tenant no more. Raises ApiError 409 for the last admin."""
    async with tenant_transaction(pool, scope) as connection, keeping_an_admin(connection):
        await _end(connection, scope, await _read(connection, user_id), "member.left")


@asynccontextmanager
async def keeping_an_admin(connection: Connection) -> AsyncIterator[None]:
    """Take turns with whoever else changes members; afterwards an admin must be left.

    connection: of a transaction of the tenant, which is rolled back otherwise. Counted are admins
    without an end. A tenant that had none may go on without.
    Raises ApiError 404 without a tenant, 409 if the last one would be gone.
    """
    await take_turn(connection)
    had = await queries("members").count_admins(connection)
    yield
    if had and not await queries("members").count_admins(connection):
        raise ApiError(
            409,
            "member.last_admin",
            "Somebody must look after the tenant: make another member an admin first.",
        )


async def _end(connection: Connection, scope: TenantScope, member: Member, action: str) -> None:
    sessions: int = await queries("members").end_sessions(connection, user_id=member.id)
    await queries("members").remove(connection, user_id=member.id)
    role = member.terms.role.value
    await record(connection, scope, action, f"user:{member.id}", role=role, sessions_ended=sessions)


async def _read(connection: Connection, member_id: UUID) -> Member:
    row = await queries("members").one(connection, user_id=member_id)
    if row is None:
        raise not_found("member")
    return Member.from_row(row)
