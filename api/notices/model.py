"""What a notice is to its readers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Self

from api.auth.principal import Permission

OVER_BUDGET: Final = "over_budget"
QUOTA: Final = "quota"
QUIET_CONTROL: Final = "quiet_control"
FAILING_TARGET: Final = "failing_target"
READERS: Final[Mapping[str, Permission]] = MappingProxyType(
    {
        OVER_BUDGET: Permission.RULES_READ,
        QUOTA: Permission.RULES_READ,
        QUIET_CONTROL: Permission.EVIDENCE_READ,
        FAILING_TARGET: Permission.TENANT_WRITE,
    }
)
"""Who is told, by kind: those who look after rules, after controls, and the tenant's admins."""
TAKERS: Final[Mapping[str, Permission]] = MappingProxyType(
    {
        OVER_BUDGET: Permission.RULES_WRITE,
        QUOTA: Permission.RULES_WRITE,
        QUIET_CONTROL: Permission.EVIDENCE_NOTICES,
        FAILING_TARGET: Permission.TENANT_WRITE,
    }
)
"""Who takes one for read."""
ITSELF: Final = "betrace"
"""Takes for read what is over."""
QUOTA_STEP = (
    "Spans are taken and judged all the same, also beyond the quota. Send fewer of them, or ask "
    "your operator for a larger one."
)
NEXT_STEP = (
    "Make the rule cheaper: see what checking it warns of as costly, name spans in its when more "
    "narrowly, or bind fewer of them. Then save it as a new version. Or switch it on again as it "
    "is."
)


QUIET_STEP = (
    "See whether the rules that name it are on and traces come, and whether the services that tell "
    "of it still do. If nothing is to be expected of it, take this for read."
)
TARGET_STEP = (
    "Look at the target: what it answered last, and whether its place and secret are right. What "
    "waits for it is sent once it answers; the log goes on meanwhile."
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
class QuietFigures:
    """Of a control nothing was seen for so many days. last_at: None: nothing ever was, and rules
    have looked since `since`, the day that begins it."""

    control: str
    days: int
    since: datetime
    last_at: datetime | None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Read what `api.evidence.quiet` wrote."""
        last_ms = told["last_ms"]
        return cls(
            control=told["control"],
            days=told["days"],
            since=_moment(told["since_ms"]),
            last_at=None if last_ms is None else _moment(last_ms),
        )

    @property
    def what(self) -> str:
        """What happened, as a sentence."""
        since = f"{self.since:%Y-%m-%d}"
        if self.last_at is None:
            return f"Rules have looked since {since}, and nothing of it was ever seen."
        return f"The last of it was seen on {since}, {self.days:,} days or more ago."


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFigures:
    """A target takes no checkpoints. kind: tsa, webhook, s3 or mail; reason: the last refusal."""

    target: str
    kind: str
    place: str
    failures: int
    since: datetime
    reason: str

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Read what sql/queries/anchors.sql wrote."""
        return cls(
            target=told["target"],
            kind=told["kind"],
            place=told["place"],
            failures=told["failures"],
            since=datetime.fromisoformat(told["since"]),
            reason=told["reason"],
        )

    @property
    def what(self) -> str:
        """What happened, as a sentence."""
        return (
            f"It took no checkpoint {self.failures:,} times since {self.since:%Y-%m-%d %H:%M} UTC. "
            f"The last time: {self.reason}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A rule was put into quarantine, a part of a quota is used, nothing is seen of a control, or a
    target takes no checkpoints.

    Of a rule: rule_version, the one that ran out of its budget; owner, as the rule has it; at, when
    it was put into quarantine, as version quarantined_version; figures. Of others: quota,
    quiet or target alone.
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
    quiet: QuietFigures | None
    target: TargetFigures | None
    at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None

    @property
    def what(self) -> str:
        """What happened, as a sentence."""
        told = self.quota or self.quiet or self.target or self.figures
        return told.what if told else ""

    @property
    def next_step(self) -> str:
        """What can be done about it."""
        return _STEPS[self.kind]

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of sql/queries/notices.sql."""
        kind, figures = row["kind"], row["figures"]
        return cls(
            id=str(row["id"]),
            kind=kind,
            rule_id=row["rule_id"],
            rule_name=row["rule_name"] or row["rule_id"],
            rule_version=row["rule_version"],
            quarantined_version=row["quarantined_version"],
            owner=row["owner"] or "",
            figures=Figures.of(figures) if kind == OVER_BUDGET else None,
            quota=QuotaFigures(**figures) if kind == QUOTA else None,
            quiet=QuietFigures.of(figures) if kind == QUIET_CONTROL else None,
            target=TargetFigures.of(figures) if kind == FAILING_TARGET else None,
            at=row["at"],
            acknowledged_at=row["acknowledged_at"],
            acknowledged_by=row["acknowledged_by"],
        )


@dataclass(frozen=True, slots=True)
class NoticePage:
    """A page of notices, newest first."""

    items: tuple[Notice, ...]
    next_cursor: str | None


_STEPS: Final[Mapping[str, str]] = MappingProxyType(
    {
        OVER_BUDGET: NEXT_STEP,
        QUOTA: QUOTA_STEP,
        QUIET_CONTROL: QUIET_STEP,
        FAILING_TARGET: TARGET_STEP,
    }
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _moment(time_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=time_ms)
