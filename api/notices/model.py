"""What a notice is to its readers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

QUOTA = "quota"
QUOTA_STEP = (
    "Spans are taken and judged all the same, also beyond the quota. Send fewer of them, or ask "
    "your operator for a larger one."
)
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

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Read what the worker wrote."""
        return cls(
            over_budget=told["over_budget"],
            judged=told["judged"],
            minutes=told["minutes"],
            since=datetime.fromisoformat(told["since"]),
            until=datetime.fromisoformat(told["until"]),
        )

    @property
    def what(self) -> str:
        """What happened, as a sentence."""
        return (
            f"Its budget ran out in {self.over_budget:,} of {self.judged:,} judgements, in "
            f"{self.minutes} of ten minutes. It is not judged any more."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaFigures:
    """How much of a month's quota of spans was used when that was noticed. percent: reached."""

    used: int
    quota: int
    percent: int
    month: str

    @property
    def what(self) -> str:
        """What happened, as a sentence."""
        return f"{self.used:,} of {self.quota:,} spans came in {self.month}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A rule was put into quarantine, or a part of a quota is used.

    Of a rule: rule_version, the one that ran out of its budget; owner, as the rule has it; at, when
    it was put into quarantine, as version quarantined_version; figures. Of a quota: quota alone.
    """

    id: str
    kind: str
    rule_id: str | None
    rule_name: str | None
    rule_version: int | None
    quarantined_version: int | None
    owner: str
    figures: Figures | None
    quota: QuotaFigures | None
    at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None

    @property
    def what(self) -> str:
        """What happened, as a sentence."""
        told = self.quota or self.figures
        return told.what if told else ""

    @property
    def next_step(self) -> str:
        """What can be done about it."""
        return QUOTA_STEP if self.quota else NEXT_STEP

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of sql/queries/notices.sql."""
        of_quota = row["kind"] == QUOTA
        return cls(
            id=str(row["id"]),
            kind=row["kind"],
            rule_id=row["rule_id"],
            rule_name=row["rule_name"] or row["rule_id"],
            rule_version=row["rule_version"],
            quarantined_version=row["quarantined_version"],
            owner=row["owner"] or "",
            figures=None if of_quota else Figures.of(row["figures"]),
            quota=QuotaFigures(**row["figures"]) if of_quota else None,
            at=row["at"],
            acknowledged_at=row["acknowledged_at"],
            acknowledged_by=row["acknowledged_by"],
        )


@dataclass(frozen=True, slots=True)
class NoticePage:
    """A page of notices, newest first."""

    items: tuple[Notice, ...]
    next_cursor: str | None
