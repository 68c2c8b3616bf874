"""What a notice is to its readers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

NEXT_STEP = (
    "Make the rule cheaper: see what checking it warns of as costly, name spans in its when more "
    "narrowly, or bind fewer of them. Then save it as a new version. Or switch it on again as it "
    "is."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How often a budget ran out: in so many of the judgements between two event times.

    minutes: in how many minutes of them.
    """

    over_budget: int
    judged: int
    minutes: int
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A rule was put into quarantine. rule_version: the one that ran out of its budget.

    owner: as the rule has it. at: when it was put into quarantine, as version quarantined_version.
    """

    id: str
    kind: str
    rule_id: str
    rule_name: str
    rule_version: int
    quarantined_version: int
    owner: str
    figures: Figures
    at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None

    @property
    def what(self) -> str:
        """What happened, as a sentence."""
        figures = self.figures
        return (
            f"Its budget ran out in {figures.over_budget:,} of {figures.judged:,} judgements, in "
            f"{figures.minutes} of ten minutes. It is not judged any more."
        )

    @property
    def next_step(self) -> str:
        """What can be done about it."""
        return NEXT_STEP

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of sql/queries/notices.sql."""
        told = row["figures"]
        return cls(
            id=str(row["id"]),
            kind=row["kind"],
            rule_id=row["rule_id"],
            rule_name=row["rule_name"] or row["rule_id"],
            rule_version=row["rule_version"],
            quarantined_version=row["quarantined_version"],
            owner=row["owner"] or "",
            figures=Figures(
                over_budget=told["over_budget"],
                judged=told["judged"],
                minutes=told["minutes"],
                since=datetime.fromisoformat(told["since"]),
                until=datetime.fromisoformat(told["until"]),
            ),
            at=row["at"],
            acknowledged_at=row["acknowledged_at"],
            acknowledged_by=row["acknowledged_by"],
        )


@dataclass(frozen=True, slots=True)
class NoticePage:
    """A page of notices, newest first."""

    items: tuple[Notice, ...]
    next_cursor: str | None
