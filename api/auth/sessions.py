"""Signing in with a password, and the server-side sessions that follow.

The cookie holds a random token; the database its HMAC, the person, the tenant and a CSRF token.
Failed attempts are counted per address and per client, and slow down both.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import math
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from api.audit.sign_in import sign_in_refused
from api.audit.trail import record, record_sign_out
from api.auth.principal import Role, UserPrincipal, grant_scope
from api.database import (
    Connection,
    Pool,
    credential_transaction,
    email_transaction,
    queries,
    set_local,
)
from api.problems import ApiError

LIFETIME: Final = timedelta(days=7)
IDLE_LIMIT: Final = timedelta(hours=24)
THROTTLE_WINDOW: Final = timedelta(minutes=15)
FAILURES_PER_EMAIL: Final = 10
FAILURES_PER_CLIENT: Final = 50
PASSWORD_MIN_LENGTH: Final = 12
_PASSWORD_MAX_LENGTH: Final = 1_024


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session: the token for the cookie, and who it is for."""

    token: str
    principal: UserPrincipal


@cache
def password_hasher() -> PasswordHasher:
    """Return the argon2id hasher (RFC 9106, second recommended option: 64 MiB, 3 passes)."""
    return PasswordHasher()


@cache
def _nobodys_hash() -> str:
    """Return a hash to verify against when there is no such person, so that time tells nothing."""
    return password_hasher().hash(secrets.token_urlsafe(16))


class Sessions:
    """Signs people in and out, and finds the person of a session."""

    def __init__(self, pool: Pool, *, pepper: bytes) -> None:
        self._pool = pool
        self._pepper = pepper

    async def sign_in(self, email: str, password: str, *, client: str) -> SignedIn:
        """Begin a session in the person's first tenant.

        client: the address of the caller, for throttling.
        Raises ApiError 401 (one text for every cause) and 429 with Retry-After.
        """
        email = email.strip().lower()
        subjects = {
            self._hash(b"email", email): FAILURES_PER_EMAIL,
            self._hash(b"client", client): FAILURES_PER_CLIENT,
        }
        async with email_transaction(self._pool, email) as connection:
            await _refuse_if_throttled(connection, subjects)
            user = await queries("auth").user_by_email(connection, email=email)
        known_hash = user["password_hash"] if user and not user["disabled_at"] else None
        right = await asyncio.to_thread(_verify, known_hash or _nobodys_hash(), password)
        if known_hash is None or not right:
            async with email_transaction(self._pool, email) as connection:
                await queries("auth").insert_failures(connection, subjects=list(subjects))
            sign_in_refused("password", user_id=user["id"] if user else None)
            raise wrong_sign_in()
        return await self._begin(user["id"], email_subject=self._hash(b"email", email))

    async def find(self, token: str) -> UserPrincipal | None:
        """Return the person of a session that is neither over nor idle for too long."""
        token_hash = self._hash(b"session", token)
        async with credential_transaction(self._pool, token_hash) as connection:
            session = await queries("auth").session_by_hash(
                connection, token_hash=token_hash, idle_limit=IDLE_LIMIT
            )
            if session is None:
                return None
            if session["seen_a_while_ago"]:
                await queries("auth").touch_session(connection, token_hash=token_hash)
            return await _principal(
                connection, session["user_id"], session["tenant_id"], csrf=session["csrf_token"]
            )

    async def sign_out(self, token: str) -> None:
        """End a session; one that is over already does no harm."""
        token_hash = self._hash(b"session", token)
        async with credential_transaction(self._pool, token_hash) as connection:
            await record_sign_out(connection, token_hash)
            await queries("auth").delete_session(connection, token_hash=token_hash)

    def hash_of(self, token: str) -> bytes:
        """Return the hash under which a session of the token is stored."""
        return self._hash(b"session", token)

    async def _begin(self, user_id: UUID, *, email_subject: bytes) -> SignedIn:
        token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        token_hash = self._hash(b"session", token)
        async with credential_transaction(self._pool, token_hash) as connection:
            await set_local(connection, user_id=str(user_id))
            memberships = [
                row
                async for row in queries("auth").memberships_of_user(connection, user_id=user_id)
            ]
            if not memberships:
                raise wrong_sign_in()
            tenant_id = memberships[0]["tenant_id"]
            await queries("auth").insert_session(
                connection,
                token_hash=token_hash,
                user_id=user_id,
                tenant_id=tenant_id,
                csrf_token=csrf,
                lifetime=LIFETIME,
            )
            await queries("auth").forget_failures(connection, subject=email_subject)
            principal = await _principal(connection, user_id, tenant_id, csrf=csrf)
            if principal is not None:
                await record(connection, principal.scope, "session.began", actor=f"user:{user_id}")
        if principal is None:
            raise wrong_sign_in()
        return SignedIn(token, principal)

    def _hash(self, purpose: bytes, text: str) -> bytes:
        return hmac.digest(self._pepper, purpose + b"\0" + text.encode(), hashlib.sha256)


def wrong_sign_in() -> ApiError:
    """The refusal of a sign-in, the same for every cause."""
    return ApiError(401, "auth.wrong_sign_in", "The address or the password is wrong.")


async def _principal(
    connection: Connection, user_id: UUID, tenant_id: UUID, *, csrf: str
) -> UserPrincipal | None:
    await set_local(connection, user_id=str(user_id), tenant_id=str(tenant_id))
    row = await queries("auth").member(connection, user_id=user_id, tenant_id=tenant_id)
    if row is None:
        return None
    scope = grant_scope(tenant_id, actor=row["email"])
    return UserPrincipal(user_id, row["email"], row["name"], Role(row["role"]), scope, csrf)


async def _refuse_if_throttled(connection: Connection, subjects: dict[bytes, int]) -> None:
    async for row in queries("auth").failures_of(
        connection, subjects=list(subjects), window=THROTTLE_WINDOW
    ):
        if row["failed_count"] < subjects[bytes(row["subject"])]:
            continue
        sign_in_refused("throttled")
        left = row["first_failed_at"] + THROTTLE_WINDOW - datetime.now(UTC)
        raise ApiError(
            429,
            "auth.throttled",
            "Too many failed attempts to sign in. Wait before the next one.",
            headers={"Retry-After": str(max(1, math.ceil(left.total_seconds())))},
        )


def _verify(password_hash: str, password: str) -> bool:
    if len(password) > _PASSWORD_MAX_LENGTH:
        return False
    try:
        return password_hasher().verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False
