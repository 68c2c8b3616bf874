"""What a provider of identities does for us, whichever kind it is."""

from __future__ import annotations

from dataclasses import dataclass
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


class IdentityProvider(Protocol):
    """A provider. Its methods raise `ProviderUnavailable` where it does not answer."""

    @property
    def issuer(self) -> str:
        """Whose subjects and grants these are."""

    @property
    def label(self) -> str:
        """What people call it."""

    async def authorization_url(self, flow: Flow) -> str:
        """Return where to send a browser that begins to sign in."""

    async def identify(self, answer: Answer, flow: Flow) -> Identified:
        """Return who the browser that came back has shown to be. Raises ApiError."""

    async def sign_out_url(self, kept: str) -> str:
        """Return where to send a browser that signs out there too; empty: it offers no such thing.

        kept: of the `Identified` that the session began with.
        """
