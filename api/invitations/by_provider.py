"""Invitations that the identity provider sends: into the organisation that is the tenant there.

A tenant is bound to the organisations that its grants name. The role invited to must be one that a
grant gives to a group there; the person then comes in by the claims of a sign-in, and our own link
is known to nobody. What claims cannot give, an end or a role without a group, is invited here.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TypeGuard
from uuid import UUID

from api.auth.principal import TenantScope
from api.database import Pool
from api.identity.grants import Place, place_of_role
from api.identity.provider import InvitationRefused, Inviter, Sent
from api.identity.refusals import provider_away
from api.identity.remembered import ProviderUnavailable
from api.invitations.model import Invitation
from api.invitations.service import cancel_invitation, note_sent, read_invitation
from api.keys.authority import Authority
from api.members.authority import refuse_over
from api.members.model import Terms
from api.problems import ApiError


class NotSent(Exception):
    """The provider did not send an invitation; the text says why, in a sentence."""


async def place_at_provider(
    pool: Pool, scope: TenantScope, terms: Terms, inviter: Inviter | None
) -> Place | None:
    """Return where the provider invites somebody on these terms; None: they are invited here."""
    if inviter is None or terms.until is not None:
        return None
    return await place_of_role(pool, scope, issuer=inviter.issuer, role=terms.role)


async def send_by_provider(
    pool: Pool,
    scope: TenantScope,
    invitation: Invitation,
    place: Place,
    inviter: Inviter,
) -> Invitation:
    """Let the provider send an invitation that is committed here, or send it again.

    Raises NotSent: the invitation stays open, and can be sent again.
    """
    try:
        sent = await _sent(invitation, place, inviter)
    except InvitationRefused as error:
        raise NotSent(f"{inviter.label} did not send the invitation: {error}.") from error
    except ProviderUnavailable as error:
        raise NotSent(f"{inviter.label} does not answer. Send the invitation again.") from error
    return await note_sent(pool, scope, invitation.id, issuer=inviter.issuer, sent=sent)


async def take_back(
    pool: Pool,
    scope: TenantScope,
    invitation_id: UUID,
    *,
    authority: Authority,
    inviter: Inviter | None,
) -> Invitation:
    """Cancel an invitation, at the provider first: nothing is cancelled that it still lets in.

    Raises ApiError as `cancel_invitation`, and 503 while the provider does not answer.
    """
    invitation = await read_invitation(pool, scope, invitation_id)
    if invitation.is_open and invitation.provider_id and _sends(inviter, invitation):
        refuse_over(authority, invitation.terms.role)
        await _revoke(inviter, invitation.provider_id)
    return await cancel_invitation(pool, scope, invitation_id, authority=authority)


async def _sent(invitation: Invitation, place: Place, inviter: Inviter) -> Sent:
    if invitation.provider_id and _sends(inviter, invitation):
        try:
            return await inviter.resend(invitation.provider_id)
        except InvitationRefused:
            pass  # it is over there, so that another one can be sent
    return await inviter.send(
        invitation.email,
        organisation=place.organisation,
        group=place.group,
        days=max(1, round((invitation.expires_at - datetime.now(UTC)) / timedelta(days=1))),
    )


async def _revoke(inviter: Inviter, provider_id: str) -> None:
    try:
        await inviter.revoke(provider_id)
    except InvitationRefused as error:
        raise ApiError(
            409, "invitation.over", f"{inviter.label} does not take it back: {error}."
        ) from error
    except ProviderUnavailable as error:
        raise provider_away() from error


def _sends(inviter: Inviter | None, invitation: Invitation) -> TypeGuard[Inviter]:
    return inviter is not None and invitation.issuer == inviter.issuer
