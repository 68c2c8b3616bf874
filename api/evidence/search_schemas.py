"""Evidence, controls and the matrix as JSON."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Self

from pydantic import AliasChoices, BaseModel, Field

from api.evidence.matrix import ControlRow, Matrix, RuleSums, Standing
from api.evidence.model import SealedRecord
from api.evidence.search import EvidencePage
from api.evidence.verification import Badge, Checked, Verified
from dsl.controls import Catalogue, Control
from udfs.evidence.records import Kind

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def moment_of(time_ms: int) -> datetime:
    """Return milliseconds of Unix time as a datetime in UTC."""
    return _EPOCH + timedelta(milliseconds=time_ms)


def ms_of_moment(at: datetime | None) -> int | None:
    """Return an aware datetime as milliseconds of Unix time; None stays None."""
    return None if at is None else (at - _EPOCH) // timedelta(milliseconds=1)


class VerificationBody(BaseModel):
    """What this server found of a record; `valid` has neither code nor reason."""

    badge: Badge = Field(
        description="`valid`; `invalid`, with a reason; `unsigned`: no checkpoint covers it yet; "
        "`unverified`: it could not be found out."
    )
    code: str = Field(examples=["records_altered"])
    reason: str

    @classmethod
    def of(cls, checked: Checked) -> Self:
        """Return it as its readers get it."""
        return cls(badge=checked.badge, code=checked.code, reason=checked.reason)


class EvidenceBody(BaseModel):
    """A sealed record. `record`: its canonical JSON as an object; `seq`: its place in the log."""

    seq: int
    kind: Kind
    time: datetime
    sealed_at: datetime
    has_payload: bool = Field(description="Something personal belongs to it, kept apart.")
    record: dict[str, Any]
    verification: VerificationBody | None = Field(description="null: it was not asked for.")

    @classmethod
    def of(cls, sealed: SealedRecord, checked: Checked | None) -> Self:
        """Return a record as its readers get it."""
        return cls(
            seq=sealed.seq,
            kind=sealed.kind,
            time=moment_of(sealed.time_ms),
            sealed_at=moment_of(sealed.sealed_ms),
            has_payload=sealed.has_payload,
            record=_object(sealed.line),
            verification=VerificationBody.of(checked) if checked else None,
        )


class EvidencePageBody(BaseModel):
    """One page, newest first by event time. total: of all pages, exactly."""

    items: list[EvidenceBody]
    next_cursor: str | None
    total: int

    @classmethod
    def of(cls, page: EvidencePage, verified: Verified | None) -> Self:
        """Return a page as its readers get it."""
        found = verified.by_seq if verified else {}
        return cls(
            items=[EvidenceBody.of(one, found.get(one.seq)) for one in page.items],
            next_cursor=page.next_cursor,
            total=page.total or 0,
        )


class ProofBody(BaseModel):
    """All it takes to verify a record by oneself, once a key of the log is known.

    line: base64 of the canonical bytes, whose RFC 6962 leaf hash leads by `proof` (base64, lowest
    first) to the root in `checkpoint`, a C2SP signed note.
    """

    seq: int
    verification: VerificationBody
    line: str
    proof: list[str]
    checkpoint: str = Field(description="Empty while nothing was signed.")
    verifier_keys: list[str] = Field(description="Every key of the log, oldest first.")

    @classmethod
    def of(cls, sealed: SealedRecord, verified: Verified) -> Self:
        """Return a record with what proves it."""
        checked = verified.by_seq[sealed.seq]
        return cls(
            seq=sealed.seq,
            verification=VerificationBody.of(checked),
            line=b64encode(sealed.line).decode(),
            proof=[b64encode(one).decode() for one in checked.proof],
            checkpoint=verified.head.note if verified.head else "",
            verifier_keys=[key.verifier_key for key in verified.keys],
        )


class ControlBody(BaseModel):
    """A control as its catalogue describes it, in words of our own."""

    id: str = Field(examples=["soc2.CC6.1"])
    title: str
    asks: str
    shows: str = Field(description="How traces are evidence of it.")
    lacks: str = Field(description="What traces cannot show.")

    @classmethod
    def of(cls, control: Control) -> Self:
        """Return a control as its readers get it."""
        return cls(
            id=control.id,
            title=control.title,
            asks=control.asks,
            shows=control.shows,
            lacks=control.lacks,
        )


class CatalogueBody(BaseModel):
    """A catalogue. beyond: names of other controls of the framework, and why traces show nothing
    of them."""

    id: str = Field(examples=["soc2"])
    title: str
    edition: str
    about: str
    controls: list[ControlBody]
    beyond: dict[str, str]

    @classmethod
    def of(cls, catalogue: Catalogue) -> Self:
        """Return a catalogue as its readers get it."""
        return cls(
            id=catalogue.id,
            title=catalogue.title,
            edition=catalogue.edition,
            about=catalogue.about,
            controls=[ControlBody.of(one) for one in catalogue.controls],
            beyond=dict(catalogue.beyond),
        )


class CataloguesBody(BaseModel):
    """Every catalogue."""

    items: list[CatalogueBody]


class RuleSumsBody(BaseModel):
    """What the coverage of a rule says of a control in a period."""

    rule: str
    intervals: int
    judged: int
    satisfied: int
    violated: int
    inconclusive: int
    late: int
    dropped: int
    days: int = Field(description="In which it judged something.")

    @classmethod
    def of(cls, sums: RuleSums) -> Self:
        """Return sums as their readers get them."""
        return cls(
            rule=sums.rule,
            intervals=sums.intervals,
            judged=sums.judged,
            satisfied=sums.satisfied,
            violated=sums.violated,
            inconclusive=sums.inconclusive,
            late=sums.late,
            dropped=sums.dropped,
            days=sums.day_count,
        )


class ControlRowBody(BaseModel):
    """A control in a period. Nothing here says that a control is effective, or anybody compliant.

    satisfied, violated, inconclusive: judgements of rules, and what services and acts say; said:
    the latter by outcome; verdicts: records of single verdicts by outcome.
    """

    id: str
    control: ControlBody | None = Field(description="null: no catalogue describes it.")
    standing: Standing = Field(
        description="`violated`, `inconclusive`, `satisfied`: the first of these that occurred; "
        "`watched`: rules looked, and nothing they concern happened; `none`: no evidence."
    )
    satisfied: int
    violated: int
    inconclusive: int
    rules: list[RuleSumsBody]
    said: dict[str, int]
    verdicts: dict[str, int]
    days_with_evidence: int
    last_evidence: datetime | None = Field(description="At any time; null: never.")
    days_without: int | None = Field(
        description="Whole days between the last evidence and the end of the period; null: never."
    )

    @classmethod
    def of(cls, row: ControlRow) -> Self:
        """Return a control as its readers get it."""
        return cls(
            id=row.id,
            control=ControlBody.of(row.described) if row.described else None,
            standing=row.standing,
            satisfied=row.satisfied,
            violated=row.violated,
            inconclusive=row.inconclusive,
            rules=[RuleSumsBody.of(one) for one in row.rules],
            said=dict(row.said),
            verdicts=dict(row.verdicts),
            days_with_evidence=row.day_count,
            last_evidence=None if row.last_ms is None else moment_of(row.last_ms),
            days_without=row.days_without,
        )


class MatrixBody(BaseModel):
    """Controls in a period of days (UTC), from inclusive, to exclusive."""

    framework: str
    from_day: date = Field(
        validation_alias=AliasChoices("from_day", "from"), serialization_alias="from"
    )
    to_day: date = Field(validation_alias=AliasChoices("to_day", "to"), serialization_alias="to")
    controls: list[ControlRowBody]

    @classmethod
    def of(cls, matrix: Matrix, rows: tuple[ControlRow, ...]) -> Self:
        """Return some rows of a matrix as their readers get them."""
        return cls(
            framework=matrix.framework,
            from_day=matrix.from_day,
            to_day=matrix.to_day,
            controls=[ControlRowBody.of(row) for row in rows],
        )


def _object(line: bytes) -> dict[str, Any]:
    """Return a record's JSON; bytes that are none are told as such and not hidden."""
    try:
        value = json.loads(line)
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {"malformed": b64encode(line).decode()}
