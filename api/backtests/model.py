"""What a backtest is to its readers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from api.auth.principal import Permission, Principal

VERDICTS: Final = ("violated", "satisfied", "inconclusive", "not_applicable", "open")
"""What can become of a trace; `open`: the log ended before it did."""
NOTHING: Final = ""
"""In place of the earlier verdict, where there is no version to compare with."""


class BacktestState(StrEnum):
    """Where a backtest is on its way."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    DONE = "done"
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self in (BacktestState.CANCELLED, BacktestState.DONE, BacktestState.FAILED)


class RuleKind(StrEnum):
    """What a rule judges: each trace, what many have in common, or that something comes."""

    PROMISE = "promise"
    CORRELATE = "correlate"
    EXPECT = "expect"


@dataclass(frozen=True, slots=True)
class Version:
    """One side of a rule. number: None for a draft that was never saved.

    text: None where it is laid out for somebody who may not read rules.
    """

    number: int | None
    text: str | None

    @property
    def without_text(self) -> Version:
        """The same for somebody who may not read rules."""
        return replace(self, text=None)


@dataclass(frozen=True, slots=True)
class ComparedRule:
    """A rule that is tried. was: the version it is compared with, None if there is none."""

    id: str
    name: str
    severity: str
    kind: RuleKind
    now: Version
    was: Version | None

    @property
    def without_texts(self) -> ComparedRule:
        """The same for somebody who may not read rules."""
        was = self.was.without_text if self.was else None
        return replace(self, now=self.now.without_text, was=was)

    @property
    def over_many_traces(self) -> bool:
        """Whether it raises signals for keys rather than judging each trace."""
        return self.kind is not RuleKind.PROMISE

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as it is stored."""
        return {
            "id": self.id,
            "name": self.name,
            "severity": self.severity,
            "kind": self.kind.value,
            "now": {"version": self.now.number, "text": self.now.text},
            "was": {"version": self.was.number, "text": self.was.text} if self.was else None,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ComparedRule:
        """Read what `to_dict` wrote."""
        was = values["was"]
        return cls(
            values["id"],
            values["name"],
            values["severity"],
            RuleKind(values.get("kind", RuleKind.PROMISE)),
            Version(values["now"]["version"], values["now"]["text"]),
            Version(was["version"], was["text"]) if was else None,
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is. records: of the log, those of other tenants and heartbeats among them.

    to_gather: rules over many traces wait until all partitions are judged.
    """

    records_read: int
    records_total: int
    span_count: int
    trace_count: int
    parts_done: int
    parts_total: int
    to_gather: bool = False

    @property
    def gathers(self) -> bool:
        """Whether all that is left is to judge the rules over many traces."""
        return self.to_gather and self.parts_done == self.parts_total

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.records_read / self.records_total if self.records_total else 0.0


@dataclass(frozen=True, slots=True)
class Count:
    """So many traces were judged so by a rule; was: NOTHING where nothing is compared.

    Of a rule over many traces each signal counts, and each key that was seen and has none.
    """

    rule_id: str
    was: str
    now: str
    trace_count: int

    @property
    def changed(self) -> bool:
        """Whether the versions differ."""
        return self.was not in (NOTHING, self.now)


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of all traces under one rule.

    now, was: traces by verdict; was: None where nothing is compared. changes: largest first.
    """

    rule: ComparedRule
    now: Mapping[str, int]
    was: Mapping[str, int] | None
    changes: tuple[Count, ...]

    @property
    def changed_count(self) -> int:
        """Traces whose verdict differs."""
        return sum(count.trace_count for count in self.changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """A backtest as stored. log_end_at: event time when the log ended, once it is planned."""

    id: UUID
    state: BacktestState
    requested_by: str
    created_at: datetime
    from_at: datetime
    to_at: datetime
    rules: tuple[ComparedRule, ...]
    started_at: datetime | None
    finished_at: datetime | None
    log_end_at: datetime | None
    problem: str
    progress: Progress
    open_count: int
    counts: tuple[Count, ...]

    def shown_to(self, principal: Principal) -> Backtest:
        """Return what somebody may see of it: texts only who may read rules, drafts among them."""
        if principal.may(Permission.RULES_READ):
            return self
        return replace(self, rules=tuple(rule.without_texts for rule in self.rules))

    def seconds_left(self, now: datetime) -> float | None:
        """Return how long it will take at the pace so far, None as long as that is not known."""
        share = self.progress.share
        if self.state is not BacktestState.RUNNING or self.started_at is None or not share:
            return None
        if self.progress.gathers:
            return None
        return (now - self.started_at).total_seconds() * (1 - share) / share

    def summaries(self) -> tuple[Summary, ...]:
        """Return what is known so far, rule by rule."""
        return tuple(_summary(rule, self.counts) for rule in self.rules)

    @classmethod
    def from_row(cls, row: Mapping[str, Any], counts: Sequence[Count]) -> Backtest:
        """Build from a row of the queries `backtests`."""
        return cls(
            id=row["id"],
            state=BacktestState(row["state"]),
            requested_by=row["requested_by"],
            created_at=row["created_at"],
            from_at=row["from_at"],
            to_at=row["to_at"],
            rules=tuple(map(ComparedRule.from_dict, row["rules"])),
            started_at=row["started_at"],
            finished_at=row["finished_at"],
            log_end_at=row["log_end_at"],
            problem=row["problem"],
            progress=Progress(
                records_read=row["records_read"],
                records_total=row["records_total"],
                span_count=row["span_count"],
                trace_count=row["trace_count"],
                parts_done=row["parts_done"],
                parts_total=row["parts_total"],
                to_gather=row["to_gather"],
            ),
            open_count=row["open_count"],
            counts=tuple(counts),
        )


@dataclass(frozen=True, slots=True)
class Result:
    """A trace as both sides judge it. Outcomes are as the worker stores them.

    seen: of a rule over many traces {key, was, now}, the sides as `api.worker.many` tells a signal,
    None where there is none; then trace_id names the row, and nothing is known of a root.
    """

    rule_id: str
    trace_id: str
    was: str
    now: str
    begin_at: datetime
    root_name: str
    root_service: str
    span_count: int
    was_outcome: Mapping[str, Any] | None
    now_outcome: Mapping[str, Any]
    explanations: Mapping[str, Any] | None
    copied: bool
    seen: Mapping[str, Any] | None = None

    @property
    def changed(self) -> bool:
        """Whether the versions differ."""
        return self.was not in (NOTHING, self.now)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Result:
        """Build from a row of the query `results`."""
        values = {name: row[name] for name in cls.__slots__}
        return cls(**{**values, "trace_id": row["trace_id"].hex()})


@dataclass(frozen=True, slots=True)
class ResultPage:
    """A page of results in the order in which traces began, and where the next begins."""

    items: tuple[Result, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFilter:
    """What is wanted of the results; None: all. changed: only differences, or none of them."""

    rule_id: str | None = None
    was: str | None = None
    now: str | None = None
    changed: bool | None = None


@dataclass(frozen=True, slots=True)
class BacktestPage:
    """A page of backtests, newest first."""

    items: tuple[Backtest, ...]
    next_cursor: str | None


def _summary(rule: ComparedRule, counts: Iterable[Count]) -> Summary:
    own = [count for count in counts if count.rule_id == rule.id]
    changes = sorted(
        (count for count in own if count.changed), key=lambda c: (-c.trace_count, c.was, c.now)
    )
    return Summary(
        rule,
        now=_by_verdict((count.now, count.trace_count) for count in own),
        was=_by_verdict((count.was, count.trace_count) for count in own) if rule.was else None,
        changes=tuple(changes),
    )


def _by_verdict(counts: Iterable[tuple[str, int]]) -> dict[str, int]:
    summed = dict.fromkeys(VERDICTS, 0)
    for verdict, count in counts:
        summed[verdict] = summed.get(verdict, 0) + count
    return {verdict: count for verdict, count in summed.items() if verdict != NOTHING}
