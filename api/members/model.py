"""What a member is, and on which terms somebody belongs to a tenant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Self
from uuid import UUID

from api.auth.principal import Role

PEOPLE_ROLES: Final = tuple(role for role in Role if role is not Role.API_CLIENT)
MEMBERSHIP_MAX: Final = timedelta(days=3_660)


@dataclass(frozen=True, slots=True)
class Terms:
    """As what somebody belongs to a tenant. until: aware, None: without an end.

    Raises ValueError for what no membership can be.
    """

    role: Role
    until: datetime | None = None

    def __post_init__(self) -> None:
        if self.role not in PEOPLE_ROLES:
            raise ValueError(f"{self.role} is a role of keys: choose one of people")
        if self.role is Role.AUDITOR and self.until is None:
            raise ValueError("an auditor is one for a time: say until when")
        if self.until is not None and self.until.tzinfo is None:
            raise ValueError("the end of a membership needs a time zone, such as Z at its end")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Somebody who belongs to a tenant.

    ended: the end of the terms has come, and the member is nothing any more. last_seen_at: of the
    sessions in this tenant that are not over, None without one.
    """

    id: UUID
    email: str
    name: str
    terms: Terms
    joined_at: datetime
    ended: bool
    last_seen_at: datetime | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of sql/queries/members.sql."""
        return cls(
            id=row["user_id"],
            email=row["email"],
            name=row["name"],
            terms=Terms(Role(row["role"]), row["expires_at"]),
            joined_at=row["joined_at"],
            ended=row["ended"],
            last_seen_at=row["last_seen_at"],
        )


@dataclass(frozen=True, slots=True)
class MemberPage:
    """A page of members, by address."""

    items: tuple[Member, ...]
    next_cursor: str | None
