"""Signals as JSON, and what a change of one may say."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from api.markdown import markdown_html
from api.signals.comparison import Comparison
from api.signals.model import Disposition, Severity, Status, VerdictName
from api.signals.notes import TEXT_MAX, Note
from api.signals.service import Keep, SignalChange, SignalDetail
from api.traces.schemas import SpanBody

_EXAMPLE: Final[JsonDict] = {
    "id": "0f8fad5bd9cb469fa16570867728950e",
    "revision": 28585432105600,
    "rule_id": "pii-needs-audit",
    "rule_version": 3,
    "rule_name": "PII access is audited",
    "severity": "high",
    "controls": ["soc2.CC7.2"],
    "tags": ["privacy"],
    "shadow": False,
    "verdict": "violated",
    "broken_clause": "always",
    "incomplete": False,
    "doubtful": False,
    "reasons": [],
    "trace_id": "5b8aa5a2d2c872e8321cf37308d69df2",
    "many": None,
    "root_name": "GET /customer",
    "root_service": "crm",
    "services": ["crm", "billing"],
    "span_count": 17,
    "first_span_at": "2026-11-23T21:00:00.120Z",
    "last_span_at": "2026-11-23T21:00:02.340Z",
    "closed_at": "2026-11-23T21:00:12.340Z",
    "judged_at": "2026-11-23T21:00:12.340Z",
    "occurred_at": "2026-11-23T21:00:12.340Z",
    "correction_reason": None,
    "status": "open",
    "status_reason": None,
    "assignee": None,
    "version": 1,
    "updated_at": "2026-11-23T21:00:13.100Z",
    "alerts": True,
    "exception": None,
    "exception_due": False,
    "disposition": None,
    "until_regression": False,
    "group": "9d2f1c7ab04e5f6388aa1b2c3d4e5f60",
}


class ExceptionBody(BaseModel):
    """What silences a signal: an exception of its rule, a snooze of it, or its suppression window.

    where: what the exception fits, else empty. snooze: id of the snooze. repeats: id of the signal
    of its group that alerts, within the window.
    """

    where: str
    reason: str
    owner: str = ""
    until: str = ""
    snooze: str = ""
    repeats: str = ""


class SignalBody(BaseModel):
    """One violation of one rule, by one trace or, of a rule over many, by what it saw.

    trace_id: null for a `correlate` or an `expect`; many is what they saw, null for a promise:
    `kind`, `key`, and of a `correlate` `count`, `since_ns`, `last_ns`, `members` (the first and the
    last that contribute, with their traces or signals) and `measured`, of an `expect`
    `last_seen_ns`, `due_ns`, `until_ns` and how it `ended`.
    occurred_at: event time of the first judgement; lists are ordered by it. version: of what people
    changed; send it along with a change. alerts: false for signals of shadow rules and for those
    that an exception or a snooze silences (`exception`); exception_due: the exceptions of its rule
    are yet to be asked.
    disposition: how it was closed, as far as somebody said; until_regression: it opens again when
    another signal of its group is raised. group: what signals of its group have in common (rule and
    `group_by`), empty until its trace is explained.
    """

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [_EXAMPLE]})
    id: str
    revision: int
    rule_id: str
    rule_version: int
    rule_name: str
    severity: Severity
    controls: list[str]
    tags: list[str]
    shadow: bool
    verdict: VerdictName
    broken_clause: str
    incomplete: bool
    doubtful: bool
    reasons: list[str]
    trace_id: str | None
    many: dict[str, Any] | None
    root_name: str
    root_service: str
    services: list[str]
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
    alerts: bool
    exception: ExceptionBody | None
    exception_due: bool
    disposition: Disposition | None
    until_regression: bool
    group: str


class SignalPageBody(BaseModel):
    """A page of signals, in the order asked for."""

    model_config = ConfigDict(from_attributes=True)
    items: list[SignalBody]
    next_cursor: str | None


class ExampleBody(BaseModel):
    """A trace whose signal was folded. copied: whether `/traces/{trace_id}` has it."""

    model_config = ConfigDict(from_attributes=True)
    trace_id: str
    copied: bool


class FoldBody(BaseModel):
    """What was folded of one version of a rule in one minute of event time.

    raised: traces that broke the promise, each counted once. withdrawn, renewed: how often, in this
    minute, a folded one was found not to break it any more, or not for certain, and to break it
    again. Over all minutes raised + renewed - withdrawn of them stand. first_at, last_at: when the
    first and the last of those raised were judged; null if none was. examples: at most five.
    """

    model_config = ConfigDict(from_attributes=True)
    rule_id: str
    rule_version: int
    rule_name: str
    severity: Severity
    shadow: bool
    minute: datetime
    raised: int
    renewed: int
    withdrawn: int
    first_at: datetime | None
    last_at: datetime | None
    examples: list[ExampleBody]


class FoldPageBody(BaseModel):
    """A page of minutes, newest first."""

    model_config = ConfigDict(from_attributes=True)
    items: list[FoldBody]
    next_cursor: str | None


class HistoryBody(BaseModel):
    """One change of a signal; actor `engine` is the job.

    change: status, verdict, assignee, linked or unlinked. acting: who acted in the actor's place,
    null: nobody. other_id: the signal that was linked, or whose raising opened this one again.
    """

    model_config = ConfigDict(from_attributes=True)
    at: datetime
    actor: str
    acting: Annotated[str | None, BeforeValidator(lambda acting: acting or None)]
    change: str
    from_status: str | None
    to_status: str | None
    from_verdict: str | None
    to_verdict: str | None
    assignee: str | None
    reason: str | None
    version: int
    revision: int
    disposition: str | None
    until_regression: bool
    other_id: str | None


class SignalDetailBody(SignalBody):
    """A signal with all that explains it.

    explanation: null until made; trace_state (none, waiting, copied, lost, failed) says how far.
    group_values: what the `group_by` of its rule found.
    """

    rule_text: str
    witness_span_ids: list[str]
    explanation: dict[str, Any] | None
    explained_revision: int | None
    explain_mismatch: bool
    trace_state: str
    trace_problem: str
    group_values: dict[str, Any]
    spans: list[SpanBody]
    history: list[HistoryBody]

    @classmethod
    def of(cls, detail: SignalDetail) -> Self:
        """Lay the signal and what explains it side by side."""
        return cls.model_validate(
            {
                **SignalBody.model_validate(detail.signal).model_dump(),
                "rule_text": detail.rule_text,
                "witness_span_ids": detail.witness_span_ids,
                "explanation": detail.explanation,
                "explained_revision": detail.explained_revision,
                "explain_mismatch": detail.explain_mismatch,
                "trace_state": detail.trace_state,
                "trace_problem": detail.trace_problem,
                "group_values": detail.group_values,
                "spans": [SpanBody.model_validate(span) for span in detail.spans],
                "history": [HistoryBody.model_validate(entry) for entry in detail.history],
            }
        )


class SignalChangeBody(BaseModel):
    """What to change. Without `version` the newest is changed, whatever it is.

    disposition: `fixed`, `wont_fix`, `expected` or `duplicate` with `resolved`; `rule_too_broad`,
    `test_traffic` or `bad_data` with `false_positive`. until_regression: with `resolved`, it opens
    again when another signal of its group is raised.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"status": "investigating", "assignee": "ada@example.com", "version": 1},
                {
                    "status": "resolved",
                    "reason": "Fixed in release 4.2.",
                    "disposition": "fixed",
                    "until_regression": True,
                    "version": 2,
                },
            ]
        },
    )
    status: Status | None = None
    reason: str | None = Field(default=None, max_length=4_000)
    disposition: Disposition | None = None
    until_regression: bool = False
    assignee: str | None = Field(default=None, max_length=320)
    version: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _something_to_do(self) -> Self:
        if self.status is None and "assignee" not in self.model_fields_set:
            raise ValueError("name a status or an assignee")
        if self.status is None and (self.disposition is not None or self.until_regression):
            raise ValueError("a disposition goes with a status")
        return self

    def change(self) -> SignalChange:
        """Return the change; an assignee that is not named stays."""
        named = "assignee" in self.model_fields_set
        return SignalChange(
            status=self.status,
            reason=self.reason,
            disposition=self.disposition,
            until_regression=self.until_regression,
            assignee=self.assignee if named else Keep.AS_IS,
            version=self.version,
        )


class NoteBody(BaseModel):
    """A note of somebody. text: Markdown as kept, redacted; html: the same, safe for a page.

    text_sha256: of the text as kept last, as the audit log has it. A note that was removed has no
    text and says when and by whom.
    """

    model_config = ConfigDict(from_attributes=True)
    id: str
    signal_id: str
    text: str
    html: str
    text_sha256: str
    author: str
    acting: Annotated[str | None, BeforeValidator(lambda acting: acting or None)]
    version: int
    created_at: datetime
    changed_at: datetime | None
    removed_at: datetime | None
    removed_by: str | None

    @classmethod
    def of(cls, note: Note) -> Self:
        """Put a note into JSON."""
        values = {name: getattr(note, name) for name in Note.__slots__}
        sha256 = values.pop("text_hash")
        return cls.model_validate(
            {**values, "html": markdown_html(note.text), "text_sha256": sha256}
        )


class NotePageBody(BaseModel):
    """Notes of a signal, newest first."""

    items: list[NoteBody]
    next_cursor: str | None


class NoteTextBody(BaseModel):
    """The text of a note, in Markdown. Personal data and secrets are masked before it is kept."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"text": "The **flag** was off: see the deploy of 14:02."}]
        },
    )
    text: str = Field(min_length=1, max_length=TEXT_MAX)


class RelatedBody(BaseModel):
    """Signals that have to do with one, by how; at most 20 of each, newest first.

    linked: by people. of_trace: about the same trace. of_group: of the same rule with the same
    values of `group_by`. group_count: how many the group has in all, this one among them, at most
    10,000; first_at, last_at: when the first and the last of these were raised.
    """

    model_config = ConfigDict(from_attributes=True)
    linked: list[SignalBody]
    of_trace: list[SignalBody]
    of_group: list[SignalBody]
    group_count: int
    first_at: datetime | None
    last_at: datetime | None


class StepBody(BaseModel):
    """A span on the way from a root: its service and name."""

    service: str
    name: str


class MetBody(BaseModel):
    """What a trace has on a path; duration_ns: of all these spans together."""

    model_config = ConfigDict(from_attributes=True)
    span_count: int
    error_count: int
    duration_ns: int


class DifferentBody(BaseModel):
    """A path on which two traces differ.

    kind: `missing` here, `added` here, another `count`, `failed` here alone, `slower` here.
    row: its first row in the signal's trace as the waterfall counts them without ghosts, -1: none.
    """

    kind: str
    path: list[StepBody]
    row: int
    this: MetBody
    other: MetBody


class ComparisonBody(BaseModel):
    """The signal's trace beside one that kept the promise.

    trace_id: null if no such trace is stored. tried: how many stored traces of the same root were
    judged. left_out: how many differences are not listed. alike_count: paths that do not differ.
    """

    trace_id: str | None
    tried: int
    items: list[DifferentBody]
    left_out: int
    alike_count: int

    @classmethod
    def of(cls, comparison: Comparison) -> Self:
        """Put a comparison into JSON."""
        told = comparison.difference
        return cls(
            trace_id=comparison.trace_id or None,
            tried=comparison.tried,
            items=[
                DifferentBody(
                    kind=one.kind.value,
                    path=[StepBody(service=service, name=name) for service, name in one.path],
                    row=one.row,
                    this=MetBody.model_validate(one.this),
                    other=MetBody.model_validate(one.other),
                )
                for one in (told.items if told else ())
            ],
            left_out=told.left_out if told else 0,
            alike_count=told.alike_count if told else 0,
        )
