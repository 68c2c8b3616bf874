"""What people do with their own account: password, second factor, sessions, a forgotten password.

What a stolen session must not be able to do asks for the password again. Whatever changes how one
signs in ends all other sessions and renews the one at hand.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from api.audit.trail import record_of_person
from api.auth.attempts import ACCOUNT, Subject, begin_attempt, forget
from api.auth.client import Client
from api.auth.hashes import keyed_hash
from api.auth.passwords import Passwords, refuse_weak
from api.auth.principal import UserPrincipal
from api.auth.second_factor import Enrolment, FactorState, SecondFactors
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
from api.problems import ApiError, not_found

log = structlog.get_logger(__name__)

RESET_LIFETIME: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Person:
    """A signed-in person with the token of the session they act in, and where from."""

    principal: UserPrincipal
    token: str
    client: Client

    @property
    def user_id(self) -> UUID:
        """Whose account it is."""
        return self.principal.user_id


@dataclass(frozen=True, slots=True)
class FactorOn:
    """A second factor just switched on: recovery codes to be shown once, and the new session."""

    recovery_codes: list[str]
    signed_in: SignedIn


class Accounts:
    """Changes to accounts, by the people themselves."""

    def __init__(
        self,
        pool: Pool,
        *,
        pepper: bytes,
        passwords: Passwords,
        sessions: Sessions,
        factors: SecondFactors,
    ) -> None:
        self._pool = pool
        self._pepper = pepper
        self._passwords = passwords
        self._sessions = sessions
        self._factors = factors

    async def change_password(self, who: Person, *, current: str, new: str) -> SignedIn:
        """Set another password; all other sessions end, this one gets a new token.

        Raises ApiError 403 if the current one is wrong, 400 if the new one is weak, 429.
        """
        await self.confirm(who, current)
        refuse_weak(new, email=who.principal.email, name=who.principal.name)
        made = await self._passwords.hash(new)
        async with user_transaction(self._pool, who.user_id) as connection:
            await self._set_password(connection, made, keep=who.token)
            await record_of_person(connection, who.user_id, "user.password_changed")
        log.info("auth.password_changed", user_id=str(who.user_id))
        return await self._sessions.renew(who.token, client=who.client)

    async def has_password(self, who: Person) -> bool:
        """Return whether the person has a password here, and not only a provider's word."""
        async with user_transaction(self._pool, who.user_id) as connection:
            user = await queries("accounts").password_of_user(connection)
        return bool(user and user["password_hash"])

    async def factor_state(self, who: Person) -> FactorState:
        """Return whether the person has a second factor."""
        async with user_transaction(self._pool, who.user_id) as connection:
            return await self._factors.state(connection)

    async def begin_factor(self, who: Person, *, password: str) -> Enrolment:
        """Make a secret for an authenticator app. Raises ApiError 403, 409, 429."""
        await self.confirm(who, password)
        async with user_transaction(self._pool, who.user_id) as connection:
            return await self._factors.enrol(connection, who.user_id, email=who.principal.email)

    async def pending_factor(self, who: Person) -> Enrolment | None:
        """Return the secret that waits for its first code, if one does."""
        async with user_transaction(self._pool, who.user_id) as connection:
            return await self._factors.pending(connection, who.user_id, email=who.principal.email)

    async def confirm_factor(self, who: Person, *, code: str) -> FactorOn:
        """Switch the second factor on; all other sessions end. Raises ApiError 400, 409."""
        async with user_transaction(self._pool, who.user_id) as connection:
            codes = await self._factors.confirm(connection, who.user_id, code)
            await self._sessions.end_all_in(connection, keep=who.token)
            await record_of_person(connection, who.user_id, "user.second_factor_on")
        log.info("auth.factor_on", user_id=str(who.user_id))
        return FactorOn(codes, await self._sessions.renew(who.token, client=who.client))

    async def factor_off(self, who: Person, *, password: str) -> None:
        """Do without a second factor from now on. Raises ApiError 403, 429."""
        await self.confirm(who, password)
        async with user_transaction(self._pool, who.user_id) as connection:
            await queries("accounts").drop_factor(connection)
            await record_of_person(connection, who.user_id, "user.second_factor_off")
        log.info("auth.factor_off", user_id=str(who.user_id))

    async def new_recovery_codes(self, who: Person, *, password: str) -> list[str]:
        """Replace the recovery codes. Raises ApiError 403, 409 without a second factor, 429."""
        await self.confirm(who, password)
        async with user_transaction(self._pool, who.user_id) as connection:
            if not await queries("accounts").has_factor(connection):
                raise ApiError(409, "account.factor_off", "There is no second factor.")
            codes = await self._factors.new_recovery_codes(connection, who.user_id)
            await record_of_person(connection, who.user_id, "user.recovery_codes_changed")
            return codes

    async def reset_is_open(self, token: str) -> bool:
        """Return whether a link for a forgotten password can still be used."""
        token_hash = self._hash(token)
        async with credential_transaction(self._pool, token_hash) as connection:
            return await Ticket.RESET.holder(connection, token_hash) is not None

    async def reset_password(self, token: str, *, new: str) -> None:
        """Set a password with a link, which is used up; all sessions of the person end.

        A second factor stays. Raises ApiError 400 if the link is over or the password is weak;
        the link can be used again then.
        """
        token_hash = self._hash(token)
        async with credential_transaction(self._pool, token_hash) as connection:
            user_id = await Ticket.RESET.holder(connection, token_hash)
            if user_id is None:
                raise reset_over()
            user = await queries("accounts").password_of_user(connection)
        if user is None:
            raise reset_over()
        refuse_weak(new, email=user["email"], name=user["name"])
        made = await self._passwords.hash(new)
        async with credential_transaction(self._pool, token_hash) as connection:
            if not await Ticket.RESET.use(connection, token_hash):
                raise reset_over()
            await set_local(connection, user_id=str(user_id))
            await self._set_password(connection, made)
            await forget(connection, [keyed_hash(self._pepper, "account", user["email"])])
            await record_of_person(connection, user_id, "user.password_reset")
        log.info("auth.password_reset", user_id=str(user_id))

    async def confirm(self, who: Person, password: str) -> None:
        """Ask for the password again, as slowly as at sign-in. Raises ApiError 403, 429."""
        subject = Subject(keyed_hash(self._pepper, "confirm", str(who.user_id)), ACCOUNT)
        async with user_transaction(self._pool, who.user_id) as connection:
            await begin_attempt(connection, [subject])
            user = await queries("accounts").password_of_user(connection)
        stored = user["password_hash"] if user else None
        if not await self._passwords.verify(password, stored) or stored is None:
            raise ApiError(403, "account.wrong_password", "The current password is wrong.")
        async with user_transaction(self._pool, who.user_id) as connection:
            await forget(connection, [subject.hash])

    async def _set_password(
        self, connection: Connection, password_hash: str, *, keep: str | None = None
    ) -> None:
        """Store it, and let nothing that was begun with the old one go on."""
        await queries("accounts").set_password(connection, password_hash=password_hash)
        for kind in Ticket:
            await kind.drop(connection)
        await self._sessions.end_all_in(connection, keep=keep)

    def _hash(self, token: str) -> bytes:
        return Ticket.RESET.hash(token, pepper=self._pepper)


def reset_over() -> ApiError:
    """The refusal of a link that was used, replaced or is too old."""
    return ApiError(
        400, "account.reset_over", "This link is used up or too old. Ask for another one."
    )


async def issue_reset(pool: Pool, email: str, *, pepper: bytes, actor: str) -> str:
    """Return the token of a link with which a person sets a password. For operators.

    Links made before for the person stop working. Raises ApiError 404.
    """
    async with _as_person(pool, email) as (connection, user_id):
        await Ticket.RESET.drop(connection)
        token = await Ticket.RESET.issue(
            connection, user_id, lifetime=RESET_LIFETIME, pepper=pepper
        )
        await record_of_person(connection, user_id, "user.reset_link_made", actor=actor)
    return token


async def remove_factor(pool: Pool, email: str, *, actor: str) -> bool:
    """Take a person's second factor away: app and recovery codes are lost. For operators.

    Returns whether there was one. Raises ApiError 404.
    """
    async with _as_person(pool, email) as (connection, user_id):
        dropped: int = await queries("accounts").drop_factor(connection)
        if dropped:
            await record_of_person(connection, user_id, "user.second_factor_off", actor=actor)
    return dropped == 1


async def end_sessions(pool: Pool, email: str, *, actor: str) -> int:
    """End all sessions of a person and return how many there were. For operators."""
    async with _as_person(pool, email) as (connection, user_id):
        ended: int = await queries("sessions").end_all(connection, keep=None)
        if ended:
            await record_of_person(connection, user_id, "session.ended", actor=actor, count=ended)
    return ended


@asynccontextmanager
async def _as_person(pool: Pool, email: str) -> AsyncIterator[tuple[Connection, UUID]]:
    email = email.strip().lower()
    async with email_transaction(pool, email) as connection:
        user = await queries("auth").user_by_email(connection, email=email)
        if user is None:
            raise not_found("user")
        await set_local(connection, user_id=str(user["id"]))
        yield connection, user["id"]
