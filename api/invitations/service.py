"""Inviting, sending again, cancelling, and lists of invitations.

Those who invite into one tenant take turns. An address has at most one open invitation; another
link for it makes the one before worthless.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from api.audit.trail import record
from api.auth.principal import TenantScope
from api.cursors import decode_cursor, encode_cursor
from api.database import Connection, Pool, queries, tenant_transaction
from api.identity.provider import Sent
from api.invitations.model import Invitation, InvitationMaker, InvitationPage, Made
from api.keys.authority import Authority
from api.members.authority import refuse_over, refuse_terms
from api.members.model import Terms
from api.problems import ApiError, not_found
from api.tenants.turns import take_turn
from api.tiers.allowance import refuse_full

PAGE_MAX: Final = 1_000
OPEN_MAX: Final = 100
"""Of one tenant: each may become a mail to somebody who does not know us."""
OF_ADDRESS_MAX: Final = 5
"""New ones to one address within a day, so that cancelling is no way to send mails without end."""
RESEND_PAUSE: Final = timedelta(minutes=1)


async def invite(
    pool: Pool,
    scope: TenantScope,
    email: str,
    terms: Terms,
    *,
    maker: InvitationMaker,
    authority: Authority,
) -> Made:
    """Invite an address, of the form of `address_of`.

    Raises ApiError 403 for more than the authority covers, 400 for an end that cannot be, 409 for a
    member, for an address that has an invitation, and for too many of either.
    """
    refuse_terms(authority, terms)
    async with tenant_transaction(pool, scope) as connection:
        return await invite_in(connection, scope, email, terms, maker=maker)


async def invite_in(
    connection: Connection,
    scope: TenantScope,
    email: str,
    terms: Terms,
    *,
    maker: InvitationMaker,
) -> Made:
    """As `invite`, within a transaction of the tenant, by somebody who may."""
    await take_turn(connection)
    await _refuse_invited(connection, email)
    await refuse_full(connection)
    invitation_id, token = uuid4(), secrets.token_urlsafe(32)
    await queries("invitations").insert(
        connection,
        id=invitation_id,
        email=email,
        role=terms.role.value,
        member_until=terms.until,
        token_hash=maker.hash_of(token),
        lifetime=maker.lifetime,
        invited_by=scope.actor,
    )
    await record(
        connection,
        scope,
        "invitation.created",
        f"invitation:{invitation_id}",
        role=terms.role.value,
        until=terms.until,
    )
    return Made(await _read(connection, invitation_id), token)


async def renew_invitation(
    pool: Pool,
    scope: TenantScope,
    invitation_id: UUID,
    *,
    maker: InvitationMaker,
    authority: Authority,
) -> Made:
    """Make another link; the one before opens nothing any more.

    Raises ApiError 404, 403 as `invite`, 409 for one that is accepted or cancelled, 429 right after
    a mail.
    """
    token = secrets.token_urlsafe(32)
    async with tenant_transaction(pool, scope) as connection:
        await take_turn(connection)
        row = await queries("invitations").one(connection, id=invitation_id, pause=RESEND_PAUSE)
        if row is None:
            raise not_found("invitation")
        invitation = Invitation.from_row(row)
        _refuse_closed(invitation)
        refuse_terms(authority, invitation.terms)
        if row["mailed_just_now"]:
            pause_s = int(RESEND_PAUSE.total_seconds())
            raise ApiError(
                429,
                "invitation.just_mailed",
                "A mail has just been sent. Wait a minute before the next one.",
                headers={"Retry-After": str(pause_s)},
            )
        await queries("invitations").renew(
            connection,
            id=invitation_id,
            token_hash=maker.hash_of(token),
            lifetime=maker.lifetime,
        )
        await record(connection, scope, "invitation.renewed", f"invitation:{invitation_id}")
        return Made(await _read(connection, invitation_id), token)


async def cancel_invitation(
    pool: Pool, scope: TenantScope, invitation_id: UUID, *, authority: Authority
) -> Invitation:
    """Take an invitation back. Raises ApiError 404, 403, 409 for one that was accepted.

    One that is cancelled already stays as it is.
    """
    async with tenant_transaction(pool, scope) as connection:
        await take_turn(connection)
        invitation = await _read(connection, invitation_id)
        if invitation.is_open:
            refuse_over(authority, invitation.terms.role)
            await queries("invitations").cancel(connection, id=invitation_id)
            await record(connection, scope, "invitation.cancelled", f"invitation:{invitation_id}")
        elif invitation.state == "accepted":
            _refuse_closed(invitation)
        return await _read(connection, invitation_id)


async def read_invitation(pool: Pool, scope: TenantScope, invitation_id: UUID) -> Invitation:
    """Return an invitation. Raises ApiError 404."""
    async with tenant_transaction(pool, scope) as connection:
        return await _read(connection, invitation_id)


async def note_sent(
    pool: Pool, scope: TenantScope, invitation_id: UUID, *, issuer: str, sent: Sent
) -> Invitation:
    """Write down that the identity provider has sent an invitation. Raises ApiError 404."""
    async with tenant_transaction(pool, scope) as connection:
        await queries("invitations").sent_by_provider(
            connection,
            id=invitation_id,
            issuer=issuer,
            provider_id=sent.id,
            expires_at=sent.expires_at,
        )
        return await _read(connection, invitation_id)


async def note_mailed(pool: Pool, scope: TenantScope, invitation_id: UUID) -> Invitation:
    """Write down that the mail server took the newest link. Raises ApiError 404."""
    async with tenant_transaction(pool, scope) as connection:
        await queries("invitations").mailed(connection, id=invitation_id)
        return await _read(connection, invitation_id)


async def list_invitations(
    pool: Pool,
    scope: TenantScope,
    *,
    ended: bool = False,
    cursor: str | None = None,
    limit: int = PAGE_MAX,
) -> InvitationPage:
    """Return a page, newest first. ended: those as well that were accepted or cancelled.

    Raises ApiError 400 for a cursor that is none.
    """
    before_at, before_id = decode_cursor(cursor, datetime, UUID) if cursor else (None, None)
    async with tenant_transaction(pool, scope) as connection:
        rows = queries("invitations").page(
            connection, ended=ended, before_at=before_at, before_id=before_id, limit=limit + 1
        )
        found = [Invitation.from_row(row) async for row in rows]
    items = tuple(found[:limit])
    more = len(found) > limit
    return InvitationPage(
        items, encode_cursor(items[-1].created_at, items[-1].id) if more else None
    )


async def _read(connection: Connection, invitation_id: UUID) -> Invitation:
    row = await queries("invitations").one(connection, id=invitation_id, pause=RESEND_PAUSE)
    if row is None:
        raise not_found("invitation")
    return Invitation.from_row(row)


async def _refuse_invited(connection: Connection, email: str) -> None:
    """Raise ApiError 409 for a member, an address with an open invitation, and too many of them."""
    if await queries("members").is_member(connection, email=email):
        raise ApiError(409, "member.exists", f"{email} is a member already.")
    if await queries("invitations").is_open(connection, email=email):
        raise ApiError(
            409, "invitation.exists", f"{email} is invited already: send that invitation again."
        )
    if await queries("invitations").count_open(connection) >= OPEN_MAX:
        raise ApiError(
            409,
            "invitation.too_many",
            f"{OPEN_MAX} invitations are open. Cancel those that nobody will accept.",
            limit=OPEN_MAX,
        )
    lately = await queries("invitations").count_lately(
        connection, email=email, window=timedelta(days=1)
    )
    if lately >= OF_ADDRESS_MAX:
        raise ApiError(
            409,
            "invitation.too_many",
            f"{email} was invited {lately} times within a day. Wait until tomorrow.",
            limit=OF_ADDRESS_MAX,
        )


def _refuse_closed(invitation: Invitation) -> None:
    if not invitation.is_open:
        raise ApiError(
            409, "invitation.over", f"The invitation is {invitation.state}: invite anew instead."
        )
