"""What an editor of rules asks, and drafts on stored traces, as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.rules.editing import Marks
from api.rules.from_trace import KEYS_MAX
from api.rules.playground import RECENT_TRACES, OfSignal, On, OneTrace, Played, Recent
from api.rules.schemas import RULE_TEXT, ProblemBody
from dsl.drafting import MAX_PICKS, Draft, Shape
from dsl.editor.completion import Completion
from dsl.editor.hover import Hover
from dsl.editor.tokens import TokenKind
from dsl.problems import Problem

TEXT_MAX: Final = 65_536
"""Characters of a text; what the language takes is counted in bytes, and told as a problem."""
Text = Annotated[str, Field(max_length=TEXT_MAX, examples=[RULE_TEXT])]


class TextBody(BaseModel):
    """A rule text as it stands in an editor."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"text": RULE_TEXT}]})
    text: Text


class TextAtBody(BaseModel):
    """A rule text and a place in it: how many characters (code points) stand before it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"text": "when { payment.ch", "offset": 17}]},
    )
    text: Text
    offset: int = Field(ge=0, le=TEXT_MAX)


class FixBody(BaseModel):
    """A text that would put a problem right, in place of what stands from start to end."""

    title: str
    start: int
    end: int
    insert: str


class MarkedBody(ProblemBody):
    """A problem (level `error`) or warning, and which characters of the text it is about."""

    level: str
    start: int
    end: int
    fix: FixBody | None


class MarksBody(BaseModel):
    """What is wrong with a text, and what each of its words is: [start, end, kind]."""

    problems: list[MarkedBody]
    tokens: list[tuple[int, int, TokenKind]]

    @classmethod
    def of(cls, marks: Marks) -> Self:
        """Lay out the marks of a text."""
        return cls(
            problems=[MarkedBody.model_validate(one.to_dict()) for one in marks.problems],
            tokens=[(token.start, token.end, token.kind) for token in marks.tokens],
        )


class CompletionBody(BaseModel):
    """What may be written in place of the text from start to end.

    caret: where the cursor goes then, counted in `insert`. documentation: Markdown.
    """

    label: str
    kind: str
    insert: str
    start: int
    end: int
    caret: int
    detail: str
    documentation: str


class CompletionsBody(BaseModel):
    """What may be written at a place, the likeliest first."""

    items: list[CompletionBody]

    @classmethod
    def of(cls, completions: list[Completion]) -> Self:
        """Lay out completions."""
        return cls(items=[CompletionBody.model_validate(one.to_dict()) for one in completions])


class HoverBody(BaseModel):
    """What the word from start to end means, as Markdown; empty where there is nothing to say."""

    markdown: str
    start: int
    end: int

    @classmethod
    def of(cls, found: Hover | None, *, offset: int) -> Self:
        """Lay out what was found at an offset."""
        if found is None:
            return cls(markdown="", start=offset, end=offset)
        return cls(markdown=found.markdown, start=found.start, end=found.end)


class StoredTrialBody(BaseModel):
    """A draft, and which stored traces it is tried on: the newest, one, or that of a signal."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"rule": RULE_TEXT, "recent": RECENT_TRACES}]},
    )
    rule: Text
    recent: int | None = Field(None, ge=1, le=RECENT_TRACES)
    trace_id: str | None = Field(None, max_length=32)
    signal_id: str | None = Field(None, max_length=32)

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [one for one in (self.recent, self.trace_id, self.signal_id) if one is not None]
        if len(given) != 1:
            raise ValueError("give one of recent, trace_id and signal_id")
        return self

    def on(self) -> On:
        """Return what the draft is tried on."""
        if self.trace_id is not None:
            return OneTrace(self.trace_id)
        if self.signal_id is not None:
            return OfSignal(self.signal_id)
        return Recent(self.recent or RECENT_TRACES)


class PlayedTraceBody(BaseModel):
    """A stored trace that a draft was tried on, and what the draft says of it.

    whole: false if the log no longer held all of it when it was copied. verdict, explanation: null
    for a rule over many traces, which looks at all of them together.
    """

    trace_id: str
    root_name: str
    root_service: str
    began_at: datetime | None
    span_count: int
    whole: bool
    verdict: str | None
    explanation: dict[str, Any] | None


class TogetherBody(BaseModel):
    """What a rule over many traces says of all of them."""

    verdict: str
    explanation: dict[str, Any]


class PlayedBody(BaseModel):
    """What a draft says of stored traces, newest first. A draft with problems is not judged."""

    problems: list[ProblemBody]
    warnings: list[ProblemBody]
    traces: list[PlayedTraceBody]
    together: TogetherBody | None

    @classmethod
    def of(cls, played: Played) -> Self:
        """Lay out what a try came to."""
        told = None
        if played.together and played.verdicts:
            [one] = played.verdicts
            told = TogetherBody(verdict=one.verdict, explanation=dict(one.explanation))
        verdicts = [None] * len(played.traces) if played.together else list(played.verdicts)
        return cls(
            problems=_bodies((*played.checked.problems, *played.redacted.problems)),
            warnings=_bodies((*played.checked.warnings, *played.redacted.warnings)),
            traces=[
                PlayedTraceBody(
                    trace_id=trace.trace_id,
                    root_name=trace.root_name,
                    root_service=trace.root_service,
                    began_at=trace.began_at,
                    span_count=len(trace.spans),
                    whole=trace.whole,
                    verdict=said.verdict if said else None,
                    explanation=dict(said.explanation) if said else None,
                )
                for trace, said in zip(played.traces, verdicts, strict=bool(played.verdicts))
            ],
            together=told,
        )


class PickBody(BaseModel):
    """A span of the trace, and the attributes of it that the rule asks for."""

    model_config = ConfigDict(extra="forbid")
    span_id: str = Field(max_length=16, examples=["00f067aa0ba902b7"])
    keys: list[Annotated[str, Field(max_length=255)]] = Field(
        default_factory=list, max_length=KEYS_MAX, examples=[["amount"]]
    )


class PicksBody(BaseModel):
    """Picked spans, and what is promised of them: the earliest says when the promise applies.

    shape: `in_order` (the others follow, one after the other), `together` (they happen too),
    `never` (none of them happens).
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "picks": [
                        {"span_id": "00f067aa0ba902b7", "keys": ["amount"]},
                        {"span_id": "53995c3f42cd8ad8"},
                    ],
                    "shape": "in_order",
                }
            ]
        },
    )
    picks: list[PickBody] = Field(min_length=1, max_length=MAX_PICKS)
    shape: Shape = Shape.IN_ORDER

    def by_id(self) -> dict[str, list[str]]:
        """Return the keys by span id."""
        return {pick.span_id: pick.keys for pick in self.picks}


class DraftBody(BaseModel):
    """A rule that checks, and two tests that pass: one keeps the promise, one breaks it.

    shape: what came of the wanted one; spans that start together have no order.
    """

    rule: str
    tests: list[dict[str, Any]]
    shape: Shape

    @classmethod
    def of(cls, draft: Draft) -> Self:
        """Lay out a draft."""
        tests = [test.to_dict() for test in draft.tests]
        return cls(rule=draft.text, tests=tests, shape=draft.shape)


def _bodies(problems: tuple[Problem, ...]) -> list[ProblemBody]:
    return [ProblemBody.model_validate(one.to_dict()) for one in problems]
