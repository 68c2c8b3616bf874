"""Sessions of people: begun after signing in, found by the cookie's token, ended by their person.

The cookie holds a random token; the database its HMAC, the person, the tenant and a CSRF token.
Every request asks the database, so a session that was ended is gone with the next request to any
replica; streams that are open look again before they tell something (`api.auth.streams`).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from api.audit.trail import record, record_of_person, record_session_end
from api.auth.client import Client
from api.auth.hashes import keyed_hash
from api.auth.principal import Membership, Role, UserPrincipal, grant_scope
from api.database import (
    Connection,
    Pool,
    credential_transaction,
    one_statement,
    queries,
    set_local,
    user_transaction,
)
from api.limits.settings import TenantLimits
from api.problems import not_found, unauthenticated

OTHERS: Final = 50
"""So many of a person's other tenants are named."""
ACTING_LIFETIME: Final = timedelta(hours=1)
"""Of a session in which somebody acts in the person's place, as long as WorkOS lets one last."""


@dataclass(frozen=True, slots=True)
class SessionTimes:
    """idle: since the last request; absolute: since signing in, whatever tenants came after."""

    idle: timedelta = timedelta(hours=24)
    absolute: timedelta = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session: the token for the cookie, and who it is for."""

    token: str
    principal: UserPrincipal


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A session as its person sees it. current: the one that asks. acting: who acts in it in the
    person's place, empty: nobody."""

    id: UUID
    tenant_id: UUID
    agent: str
    address: str
    created_at: datetime
    last_seen_at: datetime
    acting: str
    current: bool


class Sessions:
    """Begins, finds, lists and ends sessions."""

    def __init__(self, pool: Pool, *, pepper: bytes, times: SessionTimes | None = None) -> None:
        self._pool = pool
        self._pepper = pepper
        self.times = times or SessionTimes()

    async def begin(
        self,
        user_id: UUID,
        *,
        client: Client,
        tenant_id: UUID | None = None,
        expires_at: datetime | None = None,
        replaces: str | None = None,
        sealed_identity: bytes | None = None,
        acting: str = "",
        facts: Mapping[str, Any] = MappingProxyType({}),
    ) -> SignedIn | None:
        """Begin a session of somebody who has just proved who they are.

        tenant_id: else the person's first tenant. expires_at: else after the absolute time.
        replaces: the token of a session that ends with it, so that no token outlives a sign-in.
        sealed_identity: what `kept` gives back. acting: who acts in the person's place; such a
        session is a short one. facts: of the sign-in, for the record.
        Returns None if the person has no such tenant, or no account any more.
        """
        token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        token_hash = self.hash_of(token)
        async with user_transaction(self._pool, user_id) as connection:
            tenant = await _tenant_of(connection, user_id, wanted=tenant_id)
            if tenant is None:
                return None
            principal = await _principal(connection, user_id, tenant, csrf=csrf, acting=acting)
            if principal is None:
                return None
            await queries("sessions").insert(
                connection,
                token_hash=token_hash,
                user_id=user_id,
                tenant_id=tenant,
                csrf_token=csrf,
                expires_at=expires_at,
                absolute=self._absolute(acting),
                agent=client.agent,
                address=client.address,
                sealed_identity=sealed_identity,
                acting=acting,
            )
            known = {**facts, "acting": acting or None}
            await record(
                connection, principal.scope, "session.began", actor=f"user:{user_id}", **known
            )
            if replaces:
                await set_local(connection, credential=self.hash_of(replaces).hex())
                await self._end(connection, self.hash_of(replaces))
        return SignedIn(token, principal)

    async def find(self, token: str, *, address: str | None = None) -> UserPrincipal | None:
        """Return the person of a session that is neither over nor idle for too long.

        address: where it is used from now, kept for the person to see.
        """
        async with one_statement(self._pool) as connection:
            rows = [
                row
                async for row in queries("sessions").at_hand(
                    connection,
                    token_hash=self.hash_of(token),
                    idle=self.times.idle,
                    address=address or None,
                    limit=OTHERS + 1,
                )
            ]
        if not rows:
            return None
        first = rows[0]
        found = _member(
            rows,
            first["user_id"],
            first["session_tenant_id"],
            csrf=first["csrf_token"],
            acting=first["acting"],
        )
        # A session that replaces another ends when that one would have: signing in is what counts.
        signed_in_at = first["session_ends_at"] - self.times.absolute
        return replace(found, signed_in_at=signed_in_at) if found else None

    async def renew(self, token: str, *, client: Client, tenant_id: UUID | None = None) -> SignedIn:
        """Replace a session by a new one that ends when the old one would have.

        tenant_id: of another tenant of the person; else the same one.
        Raises ApiError 401 if the session is over, 404 if the person has no such tenant.
        """
        token_hash = self.hash_of(token)
        async with credential_transaction(self._pool, token_hash) as connection:
            session = await self._row(connection, token_hash)
            kept = await queries("sessions").kept(connection, token_hash=token_hash)
        if session is None:
            raise unauthenticated()
        begun = await self.begin(
            session["user_id"],
            client=client,
            tenant_id=tenant_id or session["tenant_id"],
            expires_at=session["expires_at"],
            replaces=token,
            sealed_identity=kept["sealed_identity"] if kept else None,
            acting=session["acting"],
        )
        if begun is None:
            raise not_found("tenant")
        return begun

    async def kept(self, token: str) -> tuple[UUID, bytes] | None:
        """Return the person of a session and what was sealed when it began by a provider."""
        token_hash = self.hash_of(token)
        async with credential_transaction(self._pool, token_hash) as connection:
            row = await queries("sessions").kept(connection, token_hash=token_hash)
        return (row["user_id"], bytes(row["sealed_identity"])) if row else None

    async def of_user(self, user_id: UUID, *, token: str) -> list[SessionInfo]:
        """Return a person's sessions in all tenants, the one of the token first."""
        async with user_transaction(self._pool, user_id) as connection:
            return [
                SessionInfo(**row)
                async for row in queries("sessions").of_user(
                    connection, token_hash=self.hash_of(token), idle=self.times.idle
                )
            ]

    async def sign_out(self, token: str) -> None:
        """End a session; one that is over already does no harm."""
        token_hash = self.hash_of(token)
        async with credential_transaction(self._pool, token_hash) as connection:
            await self._end(connection, token_hash)

    async def end(self, user_id: UUID, session_id: UUID) -> None:
        """End one session of a person. Raises ApiError 404."""
        async with user_transaction(self._pool, user_id) as connection:
            if await queries("sessions").end_one(connection, id=session_id) == 0:
                raise not_found("session")
            await record_of_person(connection, user_id, "session.ended")

    async def end_all(self, user_id: UUID, *, keep: str | None = None) -> int:
        """End a person's sessions in all tenants but the one of a token; return how many."""
        async with user_transaction(self._pool, user_id) as connection:
            ended = await self.end_all_in(connection, keep=keep)
            if ended:
                await record_of_person(connection, user_id, "session.ended", count=ended)
            return ended

    async def end_all_in(self, connection: Connection, *, keep: str | None = None) -> int:
        """As `end_all`, within a transaction of the person."""
        ended: int = await queries("sessions").end_all(
            connection, keep=self.hash_of(keep) if keep else None
        )
        return ended

    def _absolute(self, acting: str) -> timedelta:
        return min(ACTING_LIFETIME, self.times.absolute) if acting else self.times.absolute

    async def _end(self, connection: Connection, token_hash: bytes) -> None:
        """End a session, on the record of its tenant; one that is over already does no harm."""
        await record_session_end(connection, token_hash)
        await queries("sessions").end_by_hash(connection, token_hash=token_hash)

    async def _row(self, connection: Connection, token_hash: bytes) -> dict[str, Any] | None:
        row: dict[str, Any] | None = await queries("sessions").by_hash(
            connection, token_hash=token_hash, idle=self.times.idle
        )
        return row

    def hash_of(self, token: str) -> bytes:
        """Return the hash under which a session of the token is stored."""
        return keyed_hash(self._pepper, "session", token)


async def _tenant_of(connection: Connection, user_id: UUID, *, wanted: UUID | None) -> UUID | None:
    found: Sequence[UUID] = [
        row["tenant_id"]
        async for row in queries("auth").memberships_of_user(connection, user_id=user_id)
    ]
    if wanted is not None:
        return wanted if wanted in found else None
    return found[0] if found else None


async def _principal(
    connection: Connection, user_id: UUID, tenant_id: UUID, *, csrf: str, acting: str
) -> UserPrincipal | None:
    rows = [
        row
        async for row in queries("auth").member(
            connection, user_id=user_id, tenant_id=tenant_id, limit=OTHERS + 1
        )
    ]
    return _member(rows, user_id, tenant_id, csrf=csrf, acting=acting)


def _member(
    rows: Sequence[Mapping[str, Any]], user_id: UUID, tenant_id: UUID, *, csrf: str, acting: str
) -> UserPrincipal | None:
    """Return the person in one of their tenants, None if it is theirs no more."""
    if not rows or rows[0]["tenant_id"] != tenant_id:
        return None
    row = rows[0]
    return UserPrincipal(
        user_id,
        row["email"],
        row["name"],
        Role(row["role"]),
        grant_scope(tenant_id, actor=row["email"]),
        csrf,
        tenant_name=row["tenant_name"],
        others=tuple(
            Membership(other["tenant_id"], other["tenant_name"], Role(other["role"]))
            for other in rows[1:]
        ),
        limits=TenantLimits.from_settings(row["tenant_settings"]),
        delete_after=row["delete_after"],
        acting=acting,
    )
