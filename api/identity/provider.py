"""What a provider of identities does for us, whichever kind it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from api.identity.claims import Identified
from api.identity.flow import Flow


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a browser brings back from the provider, as it stands in the address."""

    state: str = ""
    code: str = ""
    error: str = ""
    issuer: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """An invitation that the provider has sent. id: its own."""

    id: str
    expires_at: datetime


class InvitationRefused(Exception):
    """The provider does not send, or take back, an invitation; the text says why."""


class Inviter(Protocol):
    """A provider that invites people into its organisations.

    Its methods raise `ProviderUnavailable` where it does not answer, and `InvitationRefused`.
    """

    @property
    def issuer(self) -> str:
        """Whose invitations these are."""

    @property
    def label(self) -> str:
        """What people call the provider."""

    async def send(self, email: str, *, organisation: str, group: str, days: int) -> Sent:
        """Invite an address; one that it has invited already gets that invitation again."""

    async def resend(self, invitation_id: str) -> Sent:
        """Send an invitation again."""

    async def revoke(self, invitation_id: str) -> None:
        """Take an invitation back; one that is over already does no harm, but an accepted one."""


class IdentityProvider(Protocol):
    """A provider. Its methods raise `ProviderUnavailable` where it does not answer."""

    @property
    def issuer(self) -> str:
        """Whose subjects and grants these are."""

    @property
    def label(self) -> str:
        """What people call it."""

    @property
    def inviter(self) -> Inviter | None:
        """What invites people there, None if it cannot."""

    async def authorization_url(self, flow: Flow, *, anew: bool = False) -> str:
        """Return where to send a browser that begins to sign in.

        anew: the provider asks who it is, whomever it knows there already.
        """

    async def identify(self, answer: Answer, flow: Flow) -> Identified:
        """Return who the browser that came back has shown to be. Raises ApiError."""

    async def sign_out_url(self, kept: str) -> str:
        """Return where to send a browser that signs out there too; empty: it offers no such thing.

        kept: of the `Identified` that the session began with.
        """
