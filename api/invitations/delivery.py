"""How the link of an invitation gets to its person: by mail, or handed over by whoever invited."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from api.auth.principal import TenantScope
from api.database import Pool
from api.invitations.model import Invitation, Made
from api.invitations.service import note_mailed
from api.mail import Mail, Mailer, MailUnavailable

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of a link. link: to be handed over, empty if a mail was sent.

    problem: why a mail was not sent, empty without a mail server.
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
) -> Delivered:
    """Mail the link of an invitation that is committed; hand it out where that does not work.

    site: how browsers reach the pages. tenant_name: as people know it.
    """
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
