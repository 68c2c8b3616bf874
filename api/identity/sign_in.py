"""Signing in by a provider: begun in a browser, finished in the same one with a session."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import NoReturn
from uuid import UUID

import structlog

from api.audit.sign_in import sign_in_refused
from api.auth.accounts import Accounts, Person
from api.auth.client import Client
from api.auth.sealing import Sealer, Unreadable
from api.auth.sessions import Sessions, SignedIn
from api.database import Pool, queries, user_transaction
from api.identity.claims import Identified, Standing
from api.identity.flow import Flow, Flows
from api.identity.people import People, unlink
from api.identity.provider import Answer, IdentityProvider
from api.identity.refusals import IdentityRefused, provider_away, refused
from api.identity.remembered import ProviderUnavailable

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Begun:
    """Where to send the browser, and the cookie that it must bring back."""

    url: str
    cookie: str


@dataclass(frozen=True, slots=True)
class Entered:
    """A session, and where the person wanted to go."""

    signed_in: SignedIn
    next: str


class Unplaced(Exception):
    """The provider vouches for somebody whom nothing gives a place here."""

    def __init__(self, who: Identified, refusal: IdentityRefused) -> None:
        super().__init__(refusal.detail)
        self.subject: str = who.subject
        self.issuer: str = who.issuer
        self.standing: Standing = who.standing
        self.refusal = refusal


class ProviderSignIn:
    """Signing in and out by one provider, and linking accounts with it."""

    def __init__(
        self,
        pool: Pool,
        provider: IdentityProvider,
        *,
        pepper: bytes,
        sessions: Sessions,
        accounts: Accounts,
        people: People,
    ) -> None:
        self._pool = pool
        self._provider = provider
        self._sessions = sessions
        self._accounts = accounts
        self._people = people
        self._flows = Flows(pepper)
        self._kept = Sealer(pepper, purpose="provider session")

    @property
    def label(self) -> str:
        """What people call the provider."""
        return self._provider.label

    @property
    def issuer(self) -> str:
        """The provider's name for itself."""
        return self._provider.issuer

    async def begin(self, *, next_path: str, anew: bool = False) -> Begun:
        """Begin a sign-in. anew: as whom the provider does not know yet. Raises ApiError 503."""
        return await self._begin(Flow(next=next_path), anew=anew)

    async def begin_link(self, who: Person, *, password: str) -> Begun:
        """Begin to link the account of somebody signed in. Raises ApiError 403, 429, 503."""
        await self._accounts.confirm(who, password)
        return await self._begin(Flow(links=who.user_id))

    async def finish(
        self, answer: Answer, cookie: str, *, client: Client, token: str | None
    ) -> Entered:
        """Begin a session for whom the provider vouches, or link the account that asked for it.

        cookie: of `begin`. token: of the browser's session so far, which ends.
        Raises IdentityRefused, and Unplaced for somebody who has no place here; each is on the
        record.
        """
        try:
            flow = self._flows.unseal(cookie)
            if flow is None or not hmac.compare_digest(flow.state.encode(), answer.state.encode()):
                raise refused("state")
            who = await self._provider.identify(answer, flow)
        except ProviderUnavailable as error:
            _refuse(provider_away(), cause=str(error))
        except IdentityRefused as refusal:
            _refuse(refusal)
        if flow.links is not None:
            return await self._link(who, flow.links, client=client, token=token)
        return await self._enter(who, flow, client=client, token=token)

    async def unlink(self, who: Person, *, password: str) -> None:
        """Let a person sign in by their password alone; all other sessions end.

        Raises ApiError 403, 409, 429.
        """
        await self._accounts.confirm(who, password)
        async with user_transaction(self._pool, who.user_id) as connection:
            await unlink(connection, who.user_id, issuer=self.issuer)
            await self._sessions.end_all_in(connection, keep=who.token)

    async def is_linked(self, user_id: UUID) -> bool:
        """Return whether a person can sign in by the provider."""
        async with user_transaction(self._pool, user_id) as connection:
            rows = queries("identity").of_user(connection)
            return self.issuer in {row["issuer"] async for row in rows}

    async def sign_out_url(self, token: str) -> str:
        """Return where a browser signs out at the provider, empty if its session came not by it.

        To be asked before the session ends. A provider that does not answer is left alone.
        """
        kept = await self._sessions.kept(token)
        if kept is None:
            return ""
        user_id, sealed = kept
        try:
            text = self._kept.unseal(sealed, bound_to=self._owner(user_id))
            return await self._provider.sign_out_url(text)
        except Unreadable:
            return ""  # the session began by a provider that was set up before this one
        except ProviderUnavailable as error:
            log.warning("identity.no_sign_out", cause=str(error))
            return ""

    def _owner(self, user_id: UUID) -> bytes:
        """Whose a sealed text is: of one person, from one provider."""
        return user_id.bytes + self.issuer.encode()

    async def _begin(self, flow: Flow, *, anew: bool = False) -> Begun:
        try:
            url = await self._provider.authorization_url(flow, anew=anew)
        except ProviderUnavailable as error:
            _refuse(provider_away(), cause=str(error))
        return Begun(url, self._flows.seal(flow))

    async def _enter(
        self, who: Identified, flow: Flow, *, client: Client, token: str | None
    ) -> Entered:
        try:
            user_id = await self._people.enter(who)
        except IdentityRefused as refusal:
            if refusal.code == "identity.not_granted":
                _note(refusal, acting=who.acting)
                raise Unplaced(who, refusal) from refusal
            _refuse(refusal, acting=who.acting)
        begun = await self._sessions.begin(
            user_id,
            client=client,
            replaces=token,
            sealed_identity=self._kept.seal(who.kept, bound_to=self._owner(user_id)),
            acting=who.acting,
            facts={"by": who.issuer},
        )
        if begun is None:
            _refuse(refused("disabled", user_id=user_id), acting=who.acting)
        log.info("auth.signed_in", user_id=str(user_id), by="provider")
        return Entered(begun, flow.next)

    async def _link(
        self, who: Identified, user_id: UUID, *, client: Client, token: str | None
    ) -> Entered:
        here = await self._sessions.find(token) if token else None
        if here is None or token is None or here.user_id != user_id:
            _refuse(refused("other_session", user_id=user_id), acting=who.acting)
        try:
            await self._people.link(who, user_id)
        except IdentityRefused as refusal:
            _refuse(refusal, acting=who.acting)
        await self._sessions.end_all(user_id, keep=token)
        renewed = await self._sessions.renew(token, client=client)
        return Entered(renewed, "/settings/account?done=linked")


def _refuse(refusal: IdentityRefused, *, cause: str = "", acting: str = "") -> NoReturn:
    _note(refusal, cause=cause, acting=acting)
    raise refusal


def _note(refusal: IdentityRefused, *, cause: str = "", acting: str = "") -> None:
    log.info("identity.refused", reason=refusal.reason, cause=cause)
    sign_in_refused(refusal.reason, user_id=refusal.user_id, acting=acting)
