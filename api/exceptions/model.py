"""What an exception would do, as far as that can be shown before it is saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from api.signals.model import Disposition, Status
from dsl.exceptions import RuleException
from dsl.problems import Problem

PAST_DAYS: Final = 30
PAST_SIGNALS: Final = 200
"""The newest ones, which are asked."""
PAST_SPANS: Final = 20_000
"""Of the traces of all signals that are asked together, and so of one."""
PAST_SECONDS: Final = 3.0
"""Of a core; what is not asked by then is told as such."""
SAMPLES: Final = 5
REASON_MAX: Final = 2_000
OWNER_MAX: Final = 200
WHERE_MAX: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PastSignal:
    """A signal of the rule, as it is asked. span_count: of the copy of its trace, None: there is
    none. closed: it was judged with its trace closed. key: of a rule over many traces.
    """

    id: str
    rule_id: str
    name: str
    at: datetime
    status: Status
    disposition: Disposition | None
    version: int
    violated: bool
    closed: bool
    trace_id: str | None
    span_count: int | None
    rule_text: str
    key: Mapping[str, str] | None = None

    @property
    def true_problem(self) -> bool:
        """Whether somebody resolved it, and not as what was to be expected."""
        return self.status is Status.RESOLVED and self.disposition is not Disposition.EXPECTED

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> PastSignal:
        """Build from a row of `exceptions.sql`."""
        ended, trace_id = row["disposition"], row["trace_id"]
        return cls(
            id=bytes(row["id"]).hex(),
            rule_id=row["rule_id"],
            name=row["root_name"] or row["rule_name"] or row["rule_id"],
            at=row["occurred_at"],
            status=Status(row["status"]),
            disposition=Disposition(ended) if ended else None,
            version=row["version"],
            violated=row["verdict"] == "violated",
            closed=row["closed"],
            trace_id=bytes(trace_id).hex() if trace_id is not None else None,
            span_count=row["span_count"],
            rule_text=row["rule_text"],
            key=row["group_values"] if row["of_many"] else None,
        )


@dataclass(frozen=True, slots=True)
class Kept:
    """A test or a case that expects a violation. case_id: empty for a test kept with the rule."""

    name: str
    case_id: str = ""


@dataclass(frozen=True, slots=True)
class Unproven:
    """A test or a case that could not be asked, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """Signals of the rule of the last days.

    asked: of how many it is known; silenced: so many of them. unknown: of so many it is not, since
    their traces are not stored, or over a bound. more: there are older ones that were not asked.
    true_problems: of the silenced ones those that somebody resolved as such.
    """

    days: int
    asked: int
    silenced: int
    unknown: int
    more: bool
    true_problems: int
    samples: tuple[PastSignal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What an exception would do.

    signal: whether it silences the signal it was made for; None: that cannot be told, or there is
    none. silences: tests and cases whose expected violations it would silence, for which it is
    refused. held: how many others expect one. past: None where it was not asked.
    """

    exception: RuleException
    rule_version: int
    signal: bool | None
    silences: tuple[Kept, ...]
    held: int
    unproven: tuple[Unproven, ...]
    warnings: tuple[Problem, ...]
    past: Past | None

    @property
    def refused(self) -> bool:
        """Whether it may not be saved."""
        return bool(self.silences) or self.signal is False
