"""A snooze of a rule, and what one may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

REASON_MAX: Final = 500
LONGEST: Final = timedelta(days=30)
LISTED_MAX: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Snooze:
    """A rule alerts nobody from from_at until until_at, or until somebody ended it before.

    actor, ended_by: as the audit log names people. acting: who acted in the actor's place, empty:
    nobody.
    """

    id: str
    rule_id: str
    from_at: datetime
    until_at: datetime
    reason: str
    actor: str
    acting: str
    ended_at: datetime | None
    ended_by: str | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Snooze:
        """Build from a row that has the columns of the fields."""
        return cls(**{**{name: row[name] for name in cls.__slots__}, "id": str(row["id"])})
