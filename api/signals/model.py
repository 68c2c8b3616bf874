"""What a signal is to its readers, and the life cycle that people move it through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Self

_HEX_LENGTH: Final = 32
_HEX: Final = frozenset("0123456789abcdef")


class Status(StrEnum):
    """Where people are with a signal."""

    OPEN = "open"
    INVESTIGATING = "investigating"
    RESOLVED = "resolved"
    FALSE_POSITIVE = "false_positive"


class Severity(StrEnum):
    """Severity of the rule when it was violated."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"


class Shown(StrEnum):
    """Which signals a list holds: what alerts, what shadow rules say, what is excepted, or all."""

    ALERTS = "alerts"
    SHADOW = "shadow"
    EXCEPTED = "excepted"
    ALL = "all"


class VerdictName(StrEnum):
    """The newest verdict of the engine."""

    VIOLATED = "violated"
    SATISFIED = "satisfied"
    NOT_APPLICABLE = "not_applicable"
    INCONCLUSIVE = "inconclusive"


TRANSITIONS: Final[Mapping[Status, frozenset[Status]]] = MappingProxyType(
    {
        Status.OPEN: frozenset({Status.INVESTIGATING, Status.FALSE_POSITIVE}),
        Status.INVESTIGATING: frozenset({Status.OPEN, Status.RESOLVED, Status.FALSE_POSITIVE}),
        Status.RESOLVED: frozenset({Status.OPEN}),
        Status.FALSE_POSITIVE: frozenset({Status.OPEN}),
    }
)
"""Which status may follow which. To open from a closed one is to reopen."""

NEEDS_REASON: Final = frozenset({Status.RESOLVED, Status.FALSE_POSITIVE})


class Disposition(StrEnum):
    """How a closed signal ended."""

    FIXED = "fixed"
    WONT_FIX = "wont_fix"
    EXPECTED = "expected"
    DUPLICATE = "duplicate"
    RULE_TOO_BROAD = "rule_too_broad"
    TEST_TRAFFIC = "test_traffic"
    BAD_DATA = "bad_data"


DISPOSITIONS: Final[Mapping[Status, tuple[Disposition, ...]]] = MappingProxyType(
    {
        Status.RESOLVED: (
            Disposition.FIXED,
            Disposition.WONT_FIX,
            Disposition.EXPECTED,
            Disposition.DUPLICATE,
        ),
        Status.FALSE_POSITIVE: (
            Disposition.RULE_TOO_BROAD,
            Disposition.TEST_TRAFFIC,
            Disposition.BAD_DATA,
        ),
    }
)
"""Which dispositions a closed status may have; each may have none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One violation of one rule. Ids are lower-case hex; times are event times.

    many: what a rule over many traces saw, None for a promise; then there is no trace_id.
    exception: the exception of its rule that silences it (where, reason, owner, until), or the
    snooze of its rule (where is empty, and `snooze` is its id), or the signal that it repeats
    (where is empty, and `repeats` is the id of that one).
    exception_due: it waits for its exceptions to be asked.
    disposition: how it ended, as far as somebody said. until_regression: it is resolved until
    another signal of its group is raised. group: what signals of its group have in common, empty
    until its trace is explained.
    """

    id: str
    revision: int
    rule_id: str
    rule_version: int
    rule_name: str
    severity: Severity
    controls: tuple[str, ...]
    tags: tuple[str, ...]
    shadow: bool
    verdict: VerdictName
    broken_clause: str
    incomplete: bool
    doubtful: bool
    reasons: tuple[str, ...]
    trace_id: str | None
    many: dict[str, Any] | None
    root_name: str
    root_service: str
    services: tuple[str, ...]
    span_count: int
    first_span_at: datetime
    last_span_at: datetime
    closed_at: datetime | None
    judged_at: datetime
    occurred_at: datetime
    correction_reason: str | None
    status: Status
    status_reason: str | None
    assignee: str | None
    version: int
    updated_at: datetime
    exception: dict[str, str] | None
    exception_due: bool
    disposition: Disposition | None
    until_regression: bool
    group: str = ""

    @property
    def alerts(self) -> bool:
        """Whether it is news for people: not of a shadow rule, nor silenced."""
        return not self.shadow and not self.exception_due and self.exception is None

    def is_shown(self, shown: Shown) -> bool:
        """Return whether a list of these signals holds it: what the database does for pages."""
        match shown:
            case Shown.ALERTS:
                return self.alerts
            case Shown.SHADOW:
                return self.shadow
            case Shown.EXCEPTED:
                return self.exception is not None
            case Shown.ALL:
                return True

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Signal:
        """Build from a row that has the columns of the fields, and perhaps more."""
        values = {name: row[name] for name in cls.__slots__ if name != "group"}
        values["group"] = bytes(row["group_fingerprint"] or b"").hex()
        values["id"] = bytes(values["id"]).hex()
        if values["trace_id"] is not None:
            values["trace_id"] = bytes(values["trace_id"]).hex()
        for name in ("controls", "tags", "reasons", "services"):
            values[name] = tuple(values[name])
        values["severity"] = Severity(values["severity"])
        values["verdict"] = VerdictName(values["verdict"])
        values["status"] = Status(values["status"])
        if values["disposition"] is not None:
            values["disposition"] = Disposition(values["disposition"])
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One change of a signal: of its status or assignee by people, of its verdict by the engine.

    acting: who acted in the actor's place, empty: nobody. other_id: the signal that was linked or
    unlinked, or whose raising opened this one again.
    """

    at: datetime
    actor: str
    acting: str
    change: str
    from_status: str | None
    to_status: str | None
    from_verdict: str | None
    to_verdict: str | None
    assignee: str | None
    reason: str | None
    version: int
    revision: int
    disposition: str | None = None
    until_regression: bool = False
    other_id: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class GroupKey:
    """A group of signals: its fingerprint in hex, or a rule's signals whose group is not known."""

    fingerprint: str = ""
    rule_id: str = ""

    def __str__(self) -> str:
        return self.fingerprint or f"rule:{self.rule_id}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the group that `str` wrote, or None."""
        if text.startswith("rule:"):
            return cls(rule_id=text.removeprefix("rule:")) if text != "rule:" else None
        lower = text.lower()
        return cls(lower) if len(lower) == _HEX_LENGTH and _HEX.issuperset(lower) else None

    def holds(self, signal: Signal) -> bool:
        """Return whether a signal belongs to the group."""
        if self.fingerprint:
            return signal.group == self.fingerprint
        return not signal.group and signal.rule_id == self.rule_id


NOBODY: Final = ""
"""The assignee of signals that nobody has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalFilter:
    """Which signals to list. None and empty mean any; of several values one must fit.

    verdicts: without, those that were ever violated, withdrawn and doubtful ones among them.
    assignees: addresses, NOBODY for signals without. from_at, to_at: half-open range of
    occurred_at.
    """

    shown: Shown = Shown.ALERTS
    rule_ids: tuple[str, ...] = ()
    statuses: tuple[Status, ...] = ()
    severities: tuple[Severity, ...] = ()
    verdicts: tuple[VerdictName, ...] = ()
    assignees: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    groups: tuple[GroupKey, ...] = ()
    trace_id: str | None = None
    service: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None

    def admits(self, signal: Signal) -> bool:
        """Return whether a signal that was raised fits: what the database does for pages."""
        return (
            signal.is_shown(self.shown)
            and (not self.rule_ids or signal.rule_id in self.rule_ids)
            and (not self.statuses or signal.status in self.statuses)
            and (not self.severities or signal.severity in self.severities)
            and (not self.verdicts or signal.verdict in self.verdicts)
            and (not self.assignees or (signal.assignee or NOBODY) in self.assignees)
            and (not self.tags or not set(self.tags).isdisjoint(signal.tags))
            and (not self.groups or any(group.holds(signal) for group in self.groups))
            and self.trace_id in (None, signal.trace_id)
            and self.service in (None, signal.root_service, *signal.services)
            and (self.from_at is None or signal.occurred_at >= self.from_at)
            and (self.to_at is None or signal.occurred_at < self.to_at)
        )


class Sort(StrEnum):
    """In which order a list stands. Within a severity or status the newest come first."""

    NEWEST = "newest"
    OLDEST = "oldest"
    SEVERITY = "severity"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class SignalPage:
    """A page of signals, and where the next begins."""

    items: tuple[Signal, ...]
    next_cursor: str | None
