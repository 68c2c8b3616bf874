"""Invitations as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Self
from uuid import UUID

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)
from pydantic.config import JsonDict

from api.auth.principal import Role
from api.invitations.delivery import Delivered
from api.invitations.model import EMAIL_LENGTH, Invitation, InvitationState, address_of
from api.members.model import Terms

_DRAFT: Final[JsonDict] = {"email": "ada@example.com", "role": "developer", "member_until": None}
_INVITATION: Final[JsonDict] = {
    "id": "6f1f4a0e-8a57-4c0b-9d43-0f2f7c3d0a11",
    "email": "ada@example.com",
    "role": "developer",
    "member_until": None,
    "state": "pending",
    "expires_at": "2026-11-30T21:00:12.340Z",
    "invited_by": "grace@example.com",
    "created_at": "2026-11-23T21:00:12.340Z",
    "mailed_at": "2026-11-23T21:00:12.620Z",
    "issuer": None,
}


class InvitationDraftBody(BaseModel):
    """Whom to invite, and as what. member_until: when the membership ends; an auditor's must."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_DRAFT]})
    email: str = Field(max_length=EMAIL_LENGTH)
    role: Role
    member_until: AwareDatetime | None = None
    _terms: Terms = PrivateAttr()

    @field_validator("email")
    @classmethod
    def _is_address(cls, text: str) -> str:
        return address_of(text)

    @model_validator(mode="after")
    def _as_terms(self) -> Self:
        self._terms = Terms(self.role, self.member_until)
        return self

    @property
    def terms(self) -> Terms:
        """What the person becomes by accepting."""
        return self._terms


class InvitationBody(BaseModel):
    """An invitation. expires_at: of its link; mailed_at: null: the link is to be handed over.

    issuer: of the identity provider that sends it and lets its person in; null: BeTrace does.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_INVITATION]})
    id: UUID
    email: str
    role: Role
    member_until: datetime | None
    state: InvitationState
    expires_at: datetime
    invited_by: str
    created_at: datetime
    mailed_at: datetime | None
    issuer: str | None

    @classmethod
    def of(cls, invitation: Invitation) -> Self:
        """Return an invitation as JSON."""
        return cls.model_validate(_fields(invitation))


class DeliveredBody(InvitationBody):
    """An invitation with a link just made.

    link: to be handed over, and never shown again; null if it was mailed. problem: why it was not.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**_INVITATION, "link": None, "problem": None}]}
    )
    link: str | None
    problem: str | None

    @classmethod
    def delivered(cls, delivered: Delivered) -> Self:
        """Return what became of a link as JSON."""
        return cls.model_validate(
            {
                **_fields(delivered.invitation),
                "link": delivered.link or None,
                "problem": delivered.problem or None,
            }
        )


class InvitationPageBody(BaseModel):
    """A page of invitations, newest first."""

    items: list[InvitationBody]
    next_cursor: str | None


class AcceptanceBody(BaseModel):
    """The end of the link, and for a new account a name and a password.

    Signed in, with the session's cookie and CSRF token, the token alone is enough.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"token": "…", "name": "Ada", "password": "seven green umbrellas"}]
        },
    )
    token: str = Field(max_length=100)
    name: str = Field(default="", max_length=200)
    password: str = Field(default="", max_length=1_024)


class AcceptedBody(BaseModel):
    """What one belongs to now. Sign in, or go on in the tenant with POST /account/tenant."""

    tenant_id: UUID
    tenant_name: str
    role: Role


def _fields(invitation: Invitation) -> dict[str, object]:
    return {
        "id": invitation.id,
        "email": invitation.email,
        "role": invitation.terms.role,
        "member_until": invitation.terms.until,
        "state": invitation.state,
        "expires_at": invitation.expires_at,
        "invited_by": invitation.invited_by,
        "created_at": invitation.created_at,
        "mailed_at": invitation.mailed_at,
        "issuer": invitation.issuer,
    }
