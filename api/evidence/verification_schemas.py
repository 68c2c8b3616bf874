"""Verifications as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PrivateAttr, model_validator
from pydantic.config import JsonDict

from api.evidence.search import OUTCOMES, EvidenceFilter
from api.evidence.search_schemas import VerificationBody, ms_of_moment
from api.evidence.verification import Badge
from api.evidence.verifying import (
    RECORDS_MAX,
    Finding,
    FoundThen,
    HistoryPage,
    Verification,
    VerificationPage,
    Verified,
)
from udfs.evidence.canonical import MAX_INT
from udfs.evidence.records import Kind

TEXT: Final = r"^[^\x00]*$"
_BY_NUMBER: Final[JsonDict] = {"records": [3, 17, 18]}
_BY_FILTER: Final[JsonDict] = {
    "filter": {"control": "soc2.CC6.1", "from": "2026-10-01T00:00:00Z"},
    "limit": 1_000,
}
Seq = Annotated[int, Field(ge=0, le=MAX_INT)]


class FilterBody(BaseModel):
    """Which records, as `GET /evidence/records` takes it; what is left out asks for all."""

    model_config = ConfigDict(extra="forbid")
    framework: str = Field("", max_length=100, pattern=TEXT, examples=["soc2"])
    control: str = Field("", max_length=200, pattern=TEXT, examples=["soc2.CC6.1"])
    rule: str = Field("", max_length=255, pattern=TEXT)
    service: str = Field("", max_length=300, pattern=TEXT)
    text: str = Field("", max_length=200, pattern=TEXT, description="Words that a record says.")
    kind: list[Kind] = Field([], max_length=10)
    outcome: list[str] = Field([], max_length=20, description=", ".join(OUTCOMES))
    from_at: AwareDatetime | None = Field(None, alias="from", description="inclusive")
    to_at: AwareDatetime | None = Field(None, alias="to", description="exclusive")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.from_at and self.to_at and self.from_at > self.to_at:
            raise ValueError("`from` lies after `to`")
        unknown = sorted(set(self.outcome) - set(OUTCOMES))
        if unknown:
            raise ValueError(f"there is no outcome {unknown[0]!r}: {', '.join(OUTCOMES)}")
        return self

    @property
    def chosen(self) -> EvidenceFilter:
        """The filter as a value."""
        return EvidenceFilter(
            framework=self.framework,
            control=self.control,
            rule=self.rule,
            service=self.service,
            text=self.text.strip(),
            kinds=tuple(self.kind),
            outcomes=tuple(self.outcome),
            from_ms=ms_of_moment(self.from_at),
            to_ms=ms_of_moment(self.to_at),
        )


class VerifyBody(BaseModel):
    """What is to be verified: records by their numbers, or the newest that a filter chooses.

    cursor: `next_cursor` of the verification before, to go on with the older ones.
    """

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [_BY_NUMBER, _BY_FILTER]}
    )
    records: list[Seq] | None = Field(None, min_length=1, max_length=RECORDS_MAX)
    filter: FilterBody | None = None
    cursor: str | None = Field(None, max_length=200)
    limit: int = Field(RECORDS_MAX, ge=1, le=RECORDS_MAX)
    _chosen: EvidenceFilter = PrivateAttr(default_factory=EvidenceFilter)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.records is None) == (self.filter is None):
            raise ValueError("give either `records` or `filter`")
        if self.cursor and self.filter is None:
            raise ValueError("`cursor` goes with `filter`")
        if self.filter is not None:
            self._chosen = self.filter.chosen
        return self

    @property
    def chosen(self) -> EvidenceFilter:
        """The filter as a value."""
        return self._chosen


class FindingBody(VerificationBody):
    """What was found of a record of the log."""

    seq: int

    @classmethod
    def told(cls, finding: Finding) -> Self:
        """Return a finding as its readers get it."""
        return cls(seq=finding.seq, badge=finding.badge, code=finding.code, reason=finding.reason)


class VerificationHeadBody(BaseModel):
    """The checkpoint that records were followed to."""

    number: int
    size: int


class VerificationTold(BaseModel):
    """A verification that is on record.

    asked: numbers of records, or a filter by its names; actor: as on the audit log, actor_name:
    their address or the key's name, empty if they are gone. counts: records by what was found.
    """

    id: UUID
    at: datetime
    actor: str
    actor_name: str
    acting: str
    asked: dict[str, Any]
    checkpoint: VerificationHeadBody | None = Field(description="null: nothing was signed yet.")
    checked: int
    counts: dict[Badge, int]
    next_cursor: str | None = Field(description="To verify the older ones; null: there are none.")

    @classmethod
    def told(cls, one: Verification) -> Self:
        """Return a verification as its readers get it."""
        return cls(**_columns(one))


class VerifiedBody(VerificationTold):
    """A verification with what it found of each record, those first that are not valid."""

    records: list[FindingBody]

    @classmethod
    def of(cls, found: Verified) -> Self:
        """Return a verification with its findings."""
        return cls(
            **_columns(found.verification),
            records=[FindingBody.told(one) for one in found.findings],
        )


class VerificationsBody(BaseModel):
    """A page of verifications, newest first."""

    items: list[VerificationTold]
    next_cursor: str | None

    @classmethod
    def of(cls, page: VerificationPage) -> Self:
        """Return a page as its readers get it."""
        return cls(
            items=[VerificationTold.told(one) for one in page.items],
            next_cursor=page.next_cursor,
        )


class FoundThenBody(BaseModel):
    """What a verification found of the record."""

    verification_id: UUID
    at: datetime
    actor: str
    actor_name: str
    acting: str
    found: VerificationBody

    @classmethod
    def of(cls, one: FoundThen) -> Self:
        """Return a finding of the past as its readers get it."""
        found = one.finding
        return cls(
            verification_id=one.verification_id,
            at=one.at,
            actor=one.actor,
            actor_name=one.actor_name,
            acting=one.acting,
            found=VerificationBody(badge=found.badge, code=found.code, reason=found.reason),
        )


class HistoryBody(BaseModel):
    """A page of what was found of a record, newest first."""

    items: list[FoundThenBody]
    next_cursor: str | None

    @classmethod
    def of(cls, page: HistoryPage) -> Self:
        """Return a page as its readers get it."""
        return cls(
            items=[FoundThenBody.of(one) for one in page.items], next_cursor=page.next_cursor
        )


def _columns(one: Verification) -> dict[str, Any]:
    has_head = one.head_number is not None and one.head_size is not None
    return {
        "id": one.id,
        "at": one.at,
        "actor": one.actor,
        "actor_name": one.actor_name,
        "acting": one.acting,
        "asked": dict(one.asked),
        "checkpoint": {"number": one.head_number, "size": one.head_size} if has_head else None,
        "checked": one.checked,
        "counts": dict(one.counts),
        "next_cursor": one.next_cursor,
    }
