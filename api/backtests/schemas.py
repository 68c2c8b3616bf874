"""Backtests as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal, Self
from uuid import UUID

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.auth.principal import Principal
from api.backtests.asking import RULES_MAX
from api.backtests.model import (
    Backtest,
    BacktestPage,
    BacktestState,
    Result,
    ResultPage,
    RuleKind,
    Summary,
)
from api.backtests.service import BacktestRequest

_EXAMPLE_RULE: Final[JsonDict] = {
    "id": "large-payments-are-checked",
    "rule": "when { payment.charge.where(amount > 500) }\nalways { fraud.check }",
}


class BacktestRequestBody(BaseModel):
    """What is tried, on which range, and what it is compared with.

    rules: objects with an `id` and nothing else (the saved rule), with `version` as well (a saved
    version), or with a `rule`: a draft, a whole rule object or its text alone, which then keeps the
    other fields of the saved rule. A `correlate` looks at signals of the rules that it names as
    they are in this list, else as they are saved. from, to: `now`, a time ago (`2h`), or ISO 8601.
    against: `live`, the saved rules of the same ids that are not off; `nothing`; or a list like
    `rules`.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"rules": [_EXAMPLE_RULE], "from": "2h", "to": "now"}]},
    )
    rules: list[dict[str, Any]] = Field(min_length=1, max_length=RULES_MAX)
    from_text: str = Field(default="1h", alias="from", max_length=64)
    to_text: str = Field(default="now", alias="to", max_length=64)
    against: Literal["live", "nothing"] | list[dict[str, Any]] = "live"

    def request(self) -> BacktestRequest:
        """Return what is asked for."""
        return BacktestRequest(
            rules=self.rules,
            from_text=self.from_text,
            to_text=self.to_text,
            against=self.against,
        )


class VersionBody(BaseModel):
    """A version of a rule; version: null for a draft. text: null for who may not read rules."""

    version: int | None
    text: str | None


class RuleOfBacktestBody(BaseModel):
    """A rule that is tried, and the version it is compared with."""

    id: str
    name: str
    severity: str
    kind: RuleKind
    now: VersionBody
    was: VersionBody | None


class ProgressBody(BaseModel):
    """How far it is. records: of the log; spans, traces: of the tenant, traces of the range.

    gathering: all partitions are judged; rules over many traces are judged by what was found there.
    """

    share: float
    records_read: int
    records_total: int
    spans: int
    traces: int
    partitions_done: int
    partitions_total: int
    gathering: bool
    seconds_left: float | None


class ChangeBody(BaseModel):
    """So many traces have another verdict now; of a rule over many traces: signals, and keys."""

    was: str
    now: str
    traces: int


class SummaryBody(BaseModel):
    """All traces of the range by the verdicts of one rule; was: null if nothing is compared.

    Of a rule over many traces the signals that begin in the range are `violated`, and keys that
    were seen there without one `satisfied`. A signal that only one side raises is a change.
    """

    rule_id: str
    now: dict[str, int]
    was: dict[str, int] | None
    changed: int
    changes: list[ChangeBody]

    @classmethod
    def of(cls, summary: Summary) -> Self:
        """Lay out what is known of a rule."""
        return cls(
            rule_id=summary.rule.id,
            now=dict(summary.now),
            was=dict(summary.was) if summary.was is not None else None,
            changed=summary.changed_count,
            changes=[
                ChangeBody(was=change.was, now=change.now, traces=change.trace_count)
                for change in summary.changes
            ],
        )


class BacktestBody(BaseModel):
    """A backtest and what is known so far. A verdict `open`: the log ended before the trace did.

    log_end_at: event time at which the log ended when it was planned. problem: why it failed.
    summary: counts all traces of the partitions that are done.
    """

    id: UUID
    state: BacktestState
    from_at: datetime = Field(
        validation_alias=AliasChoices("from_at", "from"), serialization_alias="from"
    )
    to_at: datetime = Field(validation_alias=AliasChoices("to_at", "to"), serialization_alias="to")
    requested_by: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    log_end_at: datetime | None
    problem: str | None
    rules: list[RuleOfBacktestBody]
    progress: ProgressBody
    open_traces: int
    summary: list[SummaryBody]

    @classmethod
    def of(cls, backtest: Backtest, principal: Principal, *, now: datetime) -> Self:
        """Lay out a backtest as of now."""
        backtest = backtest.shown_to(principal)
        progress = backtest.progress
        return cls(
            id=backtest.id,
            state=backtest.state,
            from_at=backtest.from_at,
            to_at=backtest.to_at,
            requested_by=backtest.requested_by,
            created_at=backtest.created_at,
            started_at=backtest.started_at,
            finished_at=backtest.finished_at,
            log_end_at=backtest.log_end_at,
            problem=backtest.problem or None,
            rules=[RuleOfBacktestBody.model_validate(rule.to_dict()) for rule in backtest.rules],
            progress=ProgressBody(
                share=progress.share,
                records_read=progress.records_read,
                records_total=progress.records_total,
                spans=progress.span_count,
                traces=progress.trace_count,
                partitions_done=progress.parts_done,
                partitions_total=progress.parts_total,
                gathering=progress.gathers,
                seconds_left=backtest.seconds_left(now),
            ),
            open_traces=backtest.open_count,
            summary=[SummaryBody.of(summary) for summary in backtest.summaries()],
        )


class BacktestPageBody(BaseModel):
    """A page of backtests, newest first."""

    items: list[BacktestBody]
    next_cursor: str | None

    @classmethod
    def of(cls, page: BacktestPage, principal: Principal, *, now: datetime) -> Self:
        """Lay out a page."""
        return cls(
            items=[BacktestBody.of(backtest, principal, now=now) for backtest in page.items],
            next_cursor=page.next_cursor,
        )


class OutcomeBody(BaseModel):
    """What one side says of a trace. signal_id, revision: of the signal it raises, if it does."""

    verdict: str
    broken_clause: str
    reasons: list[str]
    incomplete: bool
    judged_at: datetime | None
    signal_id: str | None
    revision: int | None

    @classmethod
    def of(cls, verdict: str, outcome: dict[str, Any]) -> Self:
        """Lay out an outcome."""
        judged_ms = outcome["judged_ms"]
        return cls(
            verdict=verdict,
            broken_clause=outcome["broken"],
            reasons=outcome["reasons"],
            incomplete=outcome["incomplete"],
            judged_at=judged_ms / 1000 if judged_ms else None,
            signal_id=outcome["signal_id"] or None,
            revision=outcome["revision"] or None,
        )


class ResultBody(BaseModel):
    """A trace whose verdict differs, or that would signal. copied: its spans are kept.

    Of a rule over many traces: a signal, or a key; trace_id is null, and seen tells the key, and of
    each side that signals its window and members, or its gap. begin_at: when it began, was due, or
    was first seen.
    explanations: `{was, now}` as for signals, of copied traces and only when asked for.
    """

    rule_id: str
    trace_id: str | None
    changed: bool
    was: OutcomeBody | None
    now: OutcomeBody
    begin_at: datetime
    root_name: str
    root_service: str
    span_count: int
    copied: bool
    seen: dict[str, Any] | None
    explanations: dict[str, Any] | None

    @classmethod
    def of(cls, result: Result) -> Self:
        """Lay out a result."""
        was = result.was_outcome
        return cls(
            rule_id=result.rule_id,
            trace_id=None if result.seen else result.trace_id,
            changed=result.changed,
            was=OutcomeBody.of(result.was, dict(was)) if was is not None else None,
            now=OutcomeBody.of(result.now, dict(result.now_outcome)),
            begin_at=result.begin_at,
            root_name=result.root_name,
            root_service=result.root_service,
            span_count=result.span_count,
            copied=result.copied,
            seen=dict(result.seen) if result.seen else None,
            explanations=dict(result.explanations) if result.explanations else None,
        )


class ResultPageBody(BaseModel):
    """A page of results in the order in which traces began."""

    items: list[ResultBody]
    next_cursor: str | None

    @classmethod
    def of(cls, page: ResultPage) -> Self:
        """Lay out a page."""
        return cls(
            items=[ResultBody.of(result) for result in page.items], next_cursor=page.next_cursor
        )
