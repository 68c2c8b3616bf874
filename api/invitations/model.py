"""What an invitation is, and how its token is kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Self
from uuid import UUID

from api.auth.hashes import keyed_hash
from api.auth.principal import Role
from api.members.model import Terms

EMAIL_LENGTH: Final = 320
_ADDRESS: Final = re.compile(
    r"[^@\s\x00-\x1f\x7f<>()\[\]\\,;:\"]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
)


class InvitationState(StrEnum):
    """What became of an invitation. EXPIRED: it can be sent again, and accepted then."""

    PENDING = "pending"
    EXPIRED = "expired"
    ACCEPTED = "accepted"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class InvitationMaker:
    """What makes invitations of this installation: the key of their hashes, how long they last."""

    pepper: bytes
    lifetime: timedelta = timedelta(days=7)

    def hash_of(self, token: str) -> bytes:
        """Return the 32 bytes under which a token is stored."""
        return keyed_hash(self.pepper, "invitation", token)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """An invitation as stored, without what lets one accept it.

    expires_at: of the link. mailed_at: when the link was given to the mail server or the identity
    provider sent its own, None: it is to be handed over. issuer, provider_id: of the identity
    provider that sends it, and what that calls it; None: the link is ours.
    """

    id: UUID
    email: str
    terms: Terms
    state: InvitationState
    expires_at: datetime
    invited_by: str
    created_at: datetime
    mailed_at: datetime | None
    issuer: str | None = None
    provider_id: str | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of sql/queries/invitations.sql."""
        return cls(
            id=row["id"],
            email=row["email"],
            terms=Terms(Role(row["role"]), row["member_until"]),
            state=_state(row),
            expires_at=row["expires_at"],
            invited_by=row["invited_by"],
            created_at=row["created_at"],
            mailed_at=row["mailed_at"],
            issuer=row["issuer"],
            provider_id=row["provider_id"],
        )

    @property
    def is_open(self) -> bool:
        """Whether it can still become a membership, if only by another link."""
        return self.state in (InvitationState.PENDING, InvitationState.EXPIRED)


@dataclass(frozen=True, slots=True)
class Made:
    """An invitation with a link just made. `token` is known now and never again."""

    invitation: Invitation
    token: str


@dataclass(frozen=True, slots=True)
class InvitationPage:
    """A page of invitations, newest first."""

    items: tuple[Invitation, ...]
    next_cursor: str | None


def address_of(text: str) -> str:
    """Return an address of mail as accounts have it. Raises ValueError for what is none."""
    email = text.strip().lower()
    if len(email) > EMAIL_LENGTH or not _ADDRESS.fullmatch(email):
        raise ValueError("that is not an address of mail, such as ada@example.com")
    return email


def _state(row: Mapping[str, Any]) -> InvitationState:
    if row["accepted_at"] is not None:
        return InvitationState.ACCEPTED
    if row["cancelled_at"] is not None:
        return InvitationState.CANCELLED
    return InvitationState.EXPIRED if row["expired"] else InvitationState.PENDING
