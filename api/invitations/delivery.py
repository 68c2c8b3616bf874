"""How an invitation gets to its person: by the identity provider, by mail, or handed over by
whoever invited."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from api.auth.principal import TenantScope
from api.database import Pool
from api.identity.provider import Inviter
from api.invitations.by_provider import NotSent, place_at_provider, send_by_provider
from api.invitations.model import Invitation, Made
from api.invitations.service import note_mailed
from api.mail import Mail, Mailer, MailUnavailable

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of an invitation. link: to be handed over, empty if it was sent, or could not be
    and is to be sent again.

    problem: why it was not sent, empty without a mail server.
    """

    invitation: Invitation
    link: str
    problem: str = ""


async def deliver(
    pool: Pool,
    scope: TenantScope,
    made: Made,
    *,
    mailer: Mailer | None,
    site: str,
    tenant_name: str,
    inviter: Inviter | None = None,
) -> Delivered:
    """Send an invitation that is committed; hand its link out where that does not work.

    site: how browsers reach the pages. tenant_name: as people know it. inviter: of the
    identity provider, if it has one.
    """
    place = await place_at_provider(pool, scope, made.invitation.terms, inviter)
    if inviter is not None and place is not None:
        try:
            invitation = await send_by_provider(pool, scope, made.invitation, place, inviter)
        except NotSent as error:
            return Delivered(made.invitation, "", str(error))
        return Delivered(invitation, "")
    link = f"{site}/invitations/{made.token}"
    if mailer is None:
        return Delivered(made.invitation, link)
    try:
        await mailer.send(_mail(made.invitation, link, tenant_name=tenant_name))
    except MailUnavailable as error:
        log.warning("invitation.not_mailed", cause=str(error))
        return Delivered(made.invitation, link, f"The mail server did not take the mail: {error}.")
    return Delivered(await note_mailed(pool, scope, made.invitation.id), "")


def _mail(invitation: Invitation, link: str, *, tenant_name: str) -> Mail:
    text = f"""\
Hello,

{invitation.invited_by} invites you to {tenant_name} in BeTrace, as {invitation.terms.role}.

Accept here, by {_day(invitation.expires_at)}:
{link}

The link is for {invitation.email} and works once. If you did not expect this, do nothing.
"""
    return Mail(invitation.email, f"Invitation to {tenant_name} in BeTrace", text)


def _day(at: datetime) -> str:
    return f"{at.astimezone(UTC):%-d %B %Y, %H:%M} UTC"
