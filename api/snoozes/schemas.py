"""Snoozes as the API tells them."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.snoozes.model import REASON_MAX, Snooze


class SnoozeDraftBody(BaseModel):
    """A rule is to alert nobody until a moment, 30 days from now at most."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"until": "2026-11-28T18:00:00+01:00", "reason": "The bank's sandbox is down."}
            ]
        },
    )
    until: AwareDatetime
    reason: str = Field(max_length=REASON_MAX)


class SnoozeBody(BaseModel):
    """A time in which a rule alerts nobody. ended_at: null unless somebody ended it before."""

    model_config = ConfigDict(from_attributes=True)
    id: str
    rule_id: str
    from_at: datetime
    until_at: datetime
    reason: str
    actor: str
    acting: str
    ended_at: datetime | None
    ended_by: str | None


class SnoozeListBody(BaseModel):
    """The snoozes of a rule, newest first."""

    items: list[SnoozeBody]

    @classmethod
    def of(cls, snoozes: tuple[Snooze, ...]) -> Self:
        """Put snoozes into JSON."""
        return cls(items=[SnoozeBody.model_validate(snooze) for snooze in snoozes])
