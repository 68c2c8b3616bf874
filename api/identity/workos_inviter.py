"""Invitations into organisations of WorkOS, by its SDK."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from workos import (
    AsyncWorkOSClient,
    BadRequestError,
    ConflictError,
    NotFoundError,
    UnprocessableEntityError,
    WorkOSError,
)
from workos.user_management.models import Invitation

from api.identity.provider import InvitationRefused, Sent
from api.identity.remembered import ProviderUnavailable

_PENDING = "pending"
_ACCEPTED = "accepted"
_NOT_THIS = (BadRequestError, ConflictError, UnprocessableEntityError)
"""What WorkOS answers about an invitation that is there already, or is not pending any more."""


class WorkosInviter:
    """An `Inviter`: WorkOS mails the link, and its organisations have the members."""

    def __init__(self, sdk: AsyncWorkOSClient, *, issuer: str, label: str) -> None:
        self._calls = sdk.user_management
        self.issuer = issuer
        self.label = label

    async def send(self, email: str, *, organisation: str, group: str, days: int) -> Sent:
        """Invite an address; one that it has invited already gets that invitation again."""
        with _refusals():
            try:
                made = await self._calls.send_invitation(
                    email=email,
                    organization_id=organisation,
                    role_slug=group,
                    expires_in_days=days,
                )
            except _NOT_THIS:
                found = await self._pending(email, organisation)
                if found is None:
                    raise
                made = await self._calls.resend_invitation(found.id)
        return Sent(made.id, made.expires_at)

    async def resend(self, invitation_id: str) -> Sent:
        """Send an invitation again."""
        with _refusals():
            made = await self._calls.resend_invitation(invitation_id)
        return Sent(made.id, made.expires_at)

    async def revoke(self, invitation_id: str) -> None:
        """Take an invitation back; one that is over already does no harm, but an accepted one."""
        with _refusals():
            try:
                await self._calls.revoke_invitation(invitation_id)
            except _NOT_THIS:
                found = await self._calls.get_invitation(invitation_id)
                if found.state == _PENDING:
                    raise
                if found.state == _ACCEPTED:
                    raise InvitationRefused("the invitation was accepted already") from None

    async def _pending(self, email: str, organisation: str) -> Invitation | None:
        page = await self._calls.list_invitations(email=email, organization_id=organisation)
        return next((each for each in page.data if each.state == _PENDING), None)


@contextmanager
def _refusals() -> Iterator[None]:
    """Tell what lies with the invitation from an outage."""
    try:
        yield
    except (*_NOT_THIS, NotFoundError) as error:
        raise InvitationRefused(f"{error.message} ({error.code or error.status_code})") from error
    except WorkOSError as error:
        raise ProviderUnavailable(f"WorkOS: {type(error).__name__}") from error
