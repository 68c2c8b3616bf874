"""Cases and their runs as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.cases.service import NAME_MAX, NewCase

_WITHOUT_NUL = r"^[^\x00]*$"
Verdict = Literal["violated", "satisfied", "not_applicable", "inconclusive"]


class NewCaseBody(BaseModel):
    """A case to be kept. name: without one, as its sample is called."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"sample": "payment-without-fraud-check", "expect": "violated"}]
        },
    )
    sample: Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=_WITHOUT_NUL)]
    expect: Verdict
    name: Annotated[str, StringConstraints(max_length=NAME_MAX, pattern=_WITHOUT_NUL)] = ""

    def new_case(self) -> NewCase:
        """Return it for the service."""
        return NewCase(self.sample, self.expect, self.name)


class LastResultBody(BaseModel):
    """What came of a case the last time. rule_version: null for a draft."""

    model_config = ConfigDict(from_attributes=True)
    at: datetime
    run_id: str
    rule_version: int | None
    verdict: str
    passed: bool


class CaseBody(BaseModel):
    """What a rule has to say of a sample. last: null before the first run."""

    model_config = ConfigDict(from_attributes=True)
    id: str
    rule_id: str
    name: str
    sample: str
    sample_name: str
    expect: str
    created_by: str
    created_at: datetime
    last: LastResultBody | None


class CasesBody(BaseModel):
    """All cases of a rule, oldest first."""

    items: list[CaseBody]


class AskedRunBody(BaseModel):
    """What is to be run. rule: a text in place of the rule's own; a draft."""

    model_config = ConfigDict(extra="forbid")
    rule: Annotated[str, StringConstraints(max_length=262_144, pattern=_WITHOUT_NUL)] = Field(
        "", examples=["when { payment.charge } always { fraud.check }"]
    )


class ResultBody(BaseModel):
    """What came of a case.

    rule_version: null for a draft. text_hash: SHA-256 of the text that was judged. verdict:
    `rejected` where the text does not check, `error` where the case could not be judged.
    explanation: of a failure.
    """

    model_config = ConfigDict(from_attributes=True)
    case_id: str
    case_name: str
    rule_id: str
    rule_version: int | None
    text_hash: str
    sample: str
    expect: str
    verdict: str
    passed: bool
    explanation: dict[str, Any] | None


class RunBody(BaseModel):
    """A run of cases.

    rule_id: empty: of every rule. digest: SHA-256 of the results without their explanations, as
    JSON with sorted keys and without spaces; the audit log and the evidence log tell it too.
    """

    model_config = ConfigDict(from_attributes=True)
    id: str
    at: datetime
    actor: str
    acting: str
    rule_id: str
    draft: bool
    case_count: int
    passed_count: int
    failed_count: int
    passed: bool
    duration_ms: int
    digest: str


class RunWithResultsBody(RunBody):
    """A run with what came of each case."""

    results: list[ResultBody]


class RunPageBody(BaseModel):
    """A page of runs, newest first."""

    model_config = ConfigDict(from_attributes=True)
    items: list[RunBody]
    next_cursor: str | None
