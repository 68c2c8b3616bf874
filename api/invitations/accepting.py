"""Accepting an invitation: with a new account, or by somebody who has one and is signed in.

The token stands for whoever reads the mail of the invited address, so a new account needs no other
proof of it. An account that is there already is joined only by its person, signed in: a link that
was handed on must not be enough to act for somebody.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import structlog
from psycopg.errors import UniqueViolation

from api.audit.trail import record
from api.auth.passwords import Passwords, refuse_weak
from api.auth.principal import Role, UserPrincipal, grant_scope
from api.database import Connection, Pool, credential_transaction, queries, set_local
from api.invitations.model import InvitationMaker
from api.members.model import Terms
from api.problems import ApiError
from api.tenants.turns import take_turn
from api.tiers.allowance import refuse_full

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What an invitation offers to whoever holds its link. has_account: the address has one."""

    id: UUID
    tenant_id: UUID
    tenant_name: str
    email: str
    terms: Terms
    invited_by: str
    expires_at: datetime
    has_account: bool


async def read_offer(pool: Pool, token: str, *, maker: InvitationMaker) -> Offer | None:
    """Return what a link offers; None if it is over."""
    token_hash = maker.hash_of(token)
    async with credential_transaction(pool, token_hash) as connection:
        return await _offer(connection, token_hash)


async def accept_with_new_account(
    pool: Pool,
    token: str,
    *,
    maker: InvitationMaker,
    passwords: Passwords,
    name: str,
    password: str,
) -> Offer:
    """Make the account of the invited address and let it belong to the tenant.

    Raises ApiError 410 for a link that is over, 400 for a weak password or no name; the link can be
    used again then. 409 if the address has an account, or the tenant no room.
    """
    offer = await read_offer(pool, token, maker=maker)
    if offer is None:
        raise invitation_over()
    if offer.has_account:
        raise _has_account()
    name = _name(name)
    refuse_weak(password, email=offer.email, name=name)
    password_hash = await passwords.hash(password)
    user_id = uuid4()
    try:
        async with credential_transaction(pool, maker.hash_of(token)) as connection:
            offer = await _take(connection, maker.hash_of(token), user_id)
            await queries("auth").insert_user(
                connection, id=user_id, email=offer.email, name=name, password_hash=password_hash
            )
            await _join(connection, offer, user_id, new_account=True)
    except UniqueViolation as error:
        raise _has_account() from error
    log.info("invitation.accepted", user_id=str(user_id), tenant_id=str(offer.tenant_id))
    return offer


async def accept_as(pool: Pool, token: str, who: UserPrincipal, *, maker: InvitationMaker) -> Offer:
    """Let a signed-in person belong to the tenant of their invitation.

    Raises ApiError 410 for a link that is over, 403 for another person's, 409 for a member
    and where there is no room.
    """
    token_hash = maker.hash_of(token)
    async with credential_transaction(pool, token_hash) as connection:
        offer = await _take(connection, token_hash, who.user_id)
        if offer.email != who.email:
            raise ApiError(
                403,
                "invitation.not_yours",
                f"The invitation is for {offer.email}, and you are {who.email}. Sign out first.",
            )
        await _join(connection, offer, who.user_id, new_account=False)
    log.info("invitation.accepted", user_id=str(who.user_id), tenant_id=str(offer.tenant_id))
    return offer


def invitation_over() -> ApiError:
    """The refusal of a link that was used, replaced, cancelled or is too old."""
    return ApiError(
        410, "invitation.over", "This invitation is over. Ask whoever invited you for another one."
    )


async def _offer(connection: Connection, token_hash: bytes) -> Offer | None:
    """Return the offer, and go on in its tenant."""
    row: dict[str, Any] | None = await queries("invitations").of_token(
        connection, token_hash=token_hash
    )
    if row is None:
        return None
    await set_local(connection, tenant_id=str(row["tenant_id"]), email=row["email"])
    tenant_name: str | None = await queries("invitations").tenant_of_token(connection)
    if tenant_name is None:
        return None
    user = await queries("auth").user_by_email(connection, email=row["email"])
    return Offer(
        id=row["id"],
        tenant_id=row["tenant_id"],
        tenant_name=tenant_name,
        email=row["email"],
        terms=Terms(Role(row["role"]), row["member_until"]),
        invited_by=row["invited_by"],
        expires_at=row["expires_at"],
        has_account=user is not None,
    )


async def _take(connection: Connection, token_hash: bytes, user_id: UUID) -> Offer:
    """Use the token up, and go on as the person. Of two at once, one finds it over."""
    offer = await _offer(connection, token_hash)
    if offer is None or not await queries("invitations").accept(connection, token_hash=token_hash):
        raise invitation_over()
    await set_local(connection, user_id=str(user_id))
    return offer


async def _join(connection: Connection, offer: Offer, user_id: UUID, *, new_account: bool) -> None:
    await take_turn(connection)
    await refuse_full(connection, joining=True)
    joined = await queries("members").join(
        connection,
        user_id=user_id,
        role=offer.terms.role.value,
        expires_at=offer.terms.until,
    )
    if not joined:
        raise ApiError(409, "member.exists", f"You are a member of {offer.tenant_name} already.")
    whose = f"user:{user_id}"
    scope = grant_scope(offer.tenant_id, actor=offer.email)
    if new_account:
        await record(connection, scope, "user.created", whose, actor=whose)
    await record(
        connection,
        scope,
        "invitation.accepted",
        f"invitation:{offer.id}",
        actor=whose,
        role=offer.terms.role.value,
    )


def _has_account() -> ApiError:
    return ApiError(
        409,
        "invitation.sign_in",
        "There is an account with this address: sign in, and accept the invitation then.",
    )


def _name(text: str) -> str:
    name = " ".join(text.split())
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise ApiError(400, "user.name", "Say how others shall call you, in 1 to 100 characters.")
    return name
