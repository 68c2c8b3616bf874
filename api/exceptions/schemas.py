"""Exceptions and their proofs as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.exceptions.model import OWNER_MAX, REASON_MAX, WHERE_MAX, Past, Proof
from api.rules.schemas import ProblemBody
from api.signals.model import Disposition, Status
from api.traces.answers import WITHOUT_NUL
from dsl.exceptions import RuleException

_Where = Annotated[str, StringConstraints(max_length=WHERE_MAX, pattern=WITHOUT_NUL)]
_Until = Annotated[str, StringConstraints(max_length=40, pattern=WITHOUT_NUL)]
_SignalId = Annotated[str, StringConstraints(max_length=32, pattern=WITHOUT_NUL)]
_UNTIL = "The last day, or a moment with its offset from UTC; empty: without an end."
_SIGNAL = "The signal it is made for, which it has to silence."


class TriedExceptionBody(BaseModel):
    """An exception to be proven."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"where": "service == staging-crm"}]},
    )
    where: _Where
    until: _Until = Field("", description=_UNTIL)
    signal_id: _SignalId = Field("", description=_SIGNAL)

    def exception(self) -> RuleException:
        """Return it as the language has it."""
        return RuleException(self.where, "", until=self.until)


class NewExceptionBody(BaseModel):
    """An exception to be saved."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"where": "service == staging-crm", "reason": "load tests", "owner": "ada"}
            ]
        },
    )
    where: _Where
    reason: Annotated[str, StringConstraints(max_length=REASON_MAX, pattern=WITHOUT_NUL)]
    owner: Annotated[str, StringConstraints(max_length=OWNER_MAX, pattern=WITHOUT_NUL)] = ""
    until: _Until = Field("", description=_UNTIL)
    signal_id: _SignalId = Field("", description=_SIGNAL)

    def exception(self) -> RuleException:
        """Return it as the language has it."""
        return RuleException(self.where, self.reason, self.owner, self.until)


class KeptBody(BaseModel):
    """A test or a case that expects a violation. case_id: empty for a test kept with the rule."""

    model_config = ConfigDict(from_attributes=True)
    name: str
    case_id: str


class UnprovenBody(BaseModel):
    """A test or a case that could not be asked, and why."""

    model_config = ConfigDict(from_attributes=True)
    name: str
    why: str


class SampleBody(BaseModel):
    """A signal that would have been silenced. true_problem: somebody resolved it as one."""

    model_config = ConfigDict(from_attributes=True)
    id: str
    name: str
    at: datetime
    status: Status
    disposition: Disposition | None
    true_problem: bool


class PastBody(BaseModel):
    """Signals of the rule of the last days, the newest ones.

    asked: of how many it is known whether they would have been silenced; silenced: so many of them.
    unknown: traces that are not stored, or over a bound. more: there are older ones, not asked.
    true_problems: of the silenced ones those that somebody resolved as such.
    """

    model_config = ConfigDict(from_attributes=True)
    days: int
    asked: int
    silenced: int
    unknown: int
    more: bool
    true_problems: int
    samples: list[SampleBody]

    @classmethod
    def of(cls, past: Past) -> Self:
        """Lay out what became of the signals."""
        return cls.model_validate(past)


class ProofBody(BaseModel):
    """What an exception would do.

    refused: it may not be saved, since it silences what tests and cases of the rule have to find
    (`silences`), or not the signal it is made for (`signal` false; null: that cannot be told, or
    none was given). held: other tests and cases that expect a violation.
    """

    rule_version: int
    refused: bool
    signal: bool | None
    silences: list[KeptBody]
    held: int
    unproven: list[UnprovenBody]
    warnings: list[ProblemBody]
    past: PastBody | None

    @classmethod
    def of(cls, proof: Proof) -> Self:
        """Lay out a proof."""
        return cls(
            rule_version=proof.rule_version,
            refused=proof.refused,
            signal=proof.signal,
            silences=[KeptBody.model_validate(one) for one in proof.silences],
            held=proof.held,
            unproven=[UnprovenBody.model_validate(one) for one in proof.unproven],
            warnings=[ProblemBody.model_validate(one.to_dict()) for one in proof.warnings],
            past=PastBody.of(proof.past) if proof.past else None,
        )
