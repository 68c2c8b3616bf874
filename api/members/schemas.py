"""Members as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, PrivateAttr, model_validator
from pydantic.config import JsonDict

from api.auth.principal import Role
from api.members.model import Member, Terms

_MEMBER: Final[JsonDict] = {
    "id": "6f1f4a0e-8a57-4c0b-9d43-0f2f7c3d0a11",
    "email": "ada@example.com",
    "name": "Ada",
    "role": "developer",
    "joined_at": "2026-11-23T21:00:12.340Z",
    "until": None,
    "ended": False,
    "last_seen_at": "2026-11-24T08:11:40.002Z",
}


class TermsBody(BaseModel):
    """As what somebody belongs to the tenant.

    until: when that ends by itself; null: it does not. An auditor's must end.
    """

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"role": "developer", "until": None}]}
    )
    role: Role
    until: AwareDatetime | None = None
    _terms: Terms = PrivateAttr()

    @model_validator(mode="after")
    def _as_terms(self) -> Self:
        self._terms = Terms(self.role, self.until)
        return self

    @property
    def terms(self) -> Terms:
        """The terms."""
        return self._terms


class MemberBody(BaseModel):
    """Somebody who belongs to the tenant.

    until: when that ends by itself; ended: it has. last_seen_at: null without a session here.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_MEMBER]})
    id: UUID
    email: str
    name: str
    role: Role
    joined_at: datetime
    until: datetime | None
    ended: bool
    last_seen_at: datetime | None

    @classmethod
    def of(cls, member: Member) -> Self:
        """Return a member as JSON."""
        return cls(
            id=member.id,
            email=member.email,
            name=member.name,
            role=member.terms.role,
            joined_at=member.joined_at,
            until=member.terms.until,
            ended=member.ended,
            last_seen_at=member.last_seen_at,
        )


class MemberPageBody(BaseModel):
    """A page of members, by address."""

    items: list[MemberBody]
    next_cursor: str | None


class RemovedBody(BaseModel):
    """Somebody was removed. keys: API keys that they made, and that go on: look at them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"keys": 2}]})
    keys: int
