"""Signing in: a password, then a code where the person has a second factor, then a session.

Every refusal of a password is one answer after the same work, whether the account is unknown,
disabled or the password wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import structlog

from api.audit.sign_in import sign_in_refused
from api.auth.attempts import (
    ACCOUNT,
    CODE,
    KNOWN_BROWSER,
    NETWORK,
    Subject,
    begin_attempt,
    forget,
    forgive,
    network_of,
)
from api.auth.client import Client, knows_browser
from api.auth.hashes import keyed_hash
from api.auth.passwords import Passwords
from api.auth.second_factor import SecondFactors, wrong_code
from api.auth.sessions import Sessions, SignedIn
from api.auth.tickets import Ticket
from api.database import (
    Connection,
    Pool,
    credential_transaction,
    email_transaction,
    queries,
    set_local,
    user_transaction,
)
from api.problems import ApiError

log = structlog.get_logger(__name__)

CODE_LIFETIME: Final = timedelta(minutes=10)
"""How long after the password the code may come."""


@dataclass(frozen=True, slots=True)
class CodeNeeded:
    """The password was right; the ticket and a code of the second factor make a session."""

    ticket: str


class SignIn:
    """The steps of signing in."""

    def __init__(
        self,
        pool: Pool,
        *,
        pepper: bytes,
        passwords: Passwords,
        sessions: Sessions,
        factors: SecondFactors,
        enabled: bool = True,
    ) -> None:
        """enabled: whether people sign in with passwords here at all."""
        self._pool = pool
        self._enabled = enabled
        self._pepper = pepper
        self._passwords = passwords
        self._sessions = sessions
        self._factors = factors

    async def with_password(
        self, email: str, password: str, *, client: Client, replaces: str | None = None
    ) -> SignedIn | CodeNeeded:
        """Begin a session, or say that a code is needed.

        replaces: the token of the browser's session so far, which ends.
        Raises ApiError 401 (one text for every cause), 429 with Retry-After, and 403 where
        passwords are switched off.
        """
        if not self._enabled:
            sign_in_refused("local_off")
            raise local_off()
        email = email.replace("\0", "").strip().lower()  # Postgres knows no NUL
        async with email_transaction(self._pool, email) as connection:
            attempt = await _begin_attempt(connection, self._subjects(email, client))
            user = await queries("auth").user_by_email(connection, email=email)
        stored = user["password_hash"] if user and not user["disabled_at"] else None
        if not await self._passwords.verify(password, stored) or user is None or stored is None:
            log.info("auth.sign_in_failed", network=network_of(client.address))
            sign_in_refused("password", user_id=user["id"] if user else None)
            raise wrong_sign_in()
        await self._keep_current(user, password)
        async with user_transaction(self._pool, user["id"]) as connection:
            await forgive(connection, attempt)
            if await queries("accounts").has_factor(connection):
                ticket = await Ticket.CODE.issue(
                    connection, user["id"], lifetime=CODE_LIFETIME, pepper=self._pepper
                )
                return CodeNeeded(ticket)
            await self._forget(connection, email, user_id=user["id"], client=client)
        return await self._begin(user["id"], client=client, replaces=replaces)

    async def with_code(
        self, ticket: str, code: str, *, client: Client, replaces: str | None = None
    ) -> SignedIn:
        """Begin a session with a code of the second factor, or a recovery code.

        Raises ApiError 401 if the ticket is over, 400 if the code is wrong, 429.
        """
        ticket_hash = Ticket.CODE.hash(ticket, pepper=self._pepper)
        async with credential_transaction(self._pool, ticket_hash) as connection:
            user_id = await Ticket.CODE.holder(connection, ticket_hash)
            if user_id is None:
                raise sign_in_over()
            attempt = await _begin_attempt(
                connection, [self._code_subject(user_id)], user_id=user_id
            )
        async with credential_transaction(self._pool, ticket_hash) as connection:
            await set_local(connection, user_id=str(user_id))
            right = await self._factors.accept(connection, user_id, code)
            if right:
                if not await Ticket.CODE.use(connection, ticket_hash):
                    raise sign_in_over()
                await self._forget_all(connection, user_id, client=client)
                await forgive(connection, attempt)
        if not right:
            log.info("auth.code_failed", user_id=str(user_id))
            sign_in_refused("code", user_id=user_id)
            raise wrong_code()
        return await self._begin(user_id, client=client, replaces=replaces)

    async def with_both(
        self, email: str, password: str, *, code: str, client: Client, replaces: str | None = None
    ) -> SignedIn:
        """Sign in with everything at once.

        Raises ApiError 401 `auth.code_needed` where a code is needed and none was given.
        """
        step = await self.with_password(email, password, client=client, replaces=replaces)
        if isinstance(step, SignedIn):
            return step
        if not code:
            raise ApiError(
                401, "auth.code_needed", "Send a code of the second factor in `code` as well."
            )
        return await self.with_code(step.ticket, code, client=client, replaces=replaces)

    async def _forget_all(self, connection: Connection, user_id: UUID, *, client: Client) -> None:
        user = await queries("accounts").password_of_user(connection)
        if user is not None:
            await self._forget(connection, user["email"], user_id=user_id, client=client)

    async def _keep_current(self, user: dict[str, Any], password: str) -> None:
        """Hash a right password anew where the stored hash has yesterday's parameters."""
        if not self._passwords.is_outdated(user["password_hash"]):
            return
        made = await self._passwords.hash(password)
        async with user_transaction(self._pool, user["id"]) as connection:
            await queries("accounts").rehash_password(
                connection, password_hash=made, previous=user["password_hash"]
            )

    async def _begin(self, user_id: UUID, *, client: Client, replaces: str | None) -> SignedIn:
        begun = await self._sessions.begin(user_id, client=client, replaces=replaces)
        if begun is None:
            raise wrong_sign_in()
        log.info("auth.signed_in", user_id=str(user_id))
        return begun

    def _subjects(self, email: str, client: Client) -> list[Subject]:
        """Whose failures an attempt joins. A browser that the account knows stands for itself."""
        if knows_browser(client.browser, email, pepper=self._pepper):
            return [Subject(self._hash("known browser", client.browser), KNOWN_BROWSER)]
        return [
            Subject(self._hash("account", email), ACCOUNT),
            Subject(self._hash("network", network_of(client.address)), NETWORK),
        ]

    def _code_subject(self, user_id: UUID) -> Subject:
        return Subject(self._hash("code", str(user_id)), CODE)

    async def _forget(
        self, connection: Connection, email: str, *, user_id: UUID, client: Client
    ) -> None:
        subjects = [
            self._hash("account", email),
            self._hash("known browser", client.browser),
            self._code_subject(user_id).hash,
        ]
        await forget(connection, subjects)

    def _hash(self, purpose: str, text: str) -> bytes:
        return keyed_hash(self._pepper, purpose, text)


async def _begin_attempt(
    connection: Connection, subjects: Sequence[Subject], *, user_id: UUID | None = None
) -> UUID:
    try:
        return await begin_attempt(connection, subjects)
    except ApiError:
        sign_in_refused("throttled", user_id=user_id)
        raise


def wrong_sign_in() -> ApiError:
    """The refusal of a sign-in, the same for every cause."""
    return ApiError(401, "auth.wrong_sign_in", "The address or the password is wrong.")


def local_off() -> ApiError:
    """The refusal of every password where people sign in by a provider only."""
    return ApiError(
        403, "auth.local_off", "Passwords are switched off here: sign in by the identity provider."
    )


def sign_in_over() -> ApiError:
    """The refusal of a code that came too late, or twice."""
    return ApiError(401, "auth.sign_in_over", "This sign-in took too long. Begin again.")
