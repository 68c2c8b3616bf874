"""The evidence log as JSON. Hashes and bytes are base64."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import asdict
from typing import Annotated, Final, Self
from uuid import UUID

from pydantic import AliasChoices, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from api.evidence.model import LogState, Outage, StoredCheckpoint
from api.evidence.packing import Asked
from api.evidence.reading import Proven
from udfs.evidence.pack import Disclosure

_EXPORT: Final[JsonDict] = {
    "from": "2026-10-01T00:00:00Z",
    "to": "2026-11-01T00:00:00Z",
    "frameworks": ["soc2"],
    "controls": [],
    "disclosure": "all",
    "payloads": True,
}
Name = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[!-~]+$")]


class CheckpointBody(BaseModel):
    """A signed head of the log. note: C2SP signed note; late_ms: by how much later than due."""

    number: int
    size: int
    root: str
    time_ms: int
    late_ms: int
    key_id: UUID
    note: str

    @classmethod
    def of(cls, stored: StoredCheckpoint) -> Self:
        """Return it as JSON."""
        return cls(
            number=stored.number,
            size=stored.size,
            root=_text(stored.root),
            time_ms=stored.time_ms,
            late_ms=stored.late_ms,
            key_id=stored.key_id,
            note=stored.note,
        )


class CheckpointsBody(BaseModel):
    """Checkpoints, the newest first. next_before: for the next page; null: there is none."""

    items: list[CheckpointBody]
    next_before: int | None


class OutageBody(BaseModel):
    """The source of keys does not sign: records are sealed meanwhile, and signed later."""

    began_ms: int
    attempts: int
    cause: str

    @classmethod
    def of(cls, outage: Outage) -> Self:
        """Return it as JSON."""
        return cls(began_ms=outage.began_ms, attempts=outage.attempts, cause=outage.cause)


class PastOutageBody(BaseModel):
    """The source of keys did not sign: records from one size to another were signed late."""

    began_ms: int
    ended_ms: int
    from_size: int
    to_size: int
    attempts: int
    cause: str

    @classmethod
    def of(cls, outage: Outage) -> Self:
        """Return it as JSON."""
        return cls.model_validate(asdict(outage))


class LogBody(BaseModel):
    """A tenant's log. origin: null while nothing was sealed.

    waiting: handed over and not sealed, up to 100,000. pending: sealed and under no checkpoint that
    counts. newest: the newest one that does. late: checkpoints that were signed late; outages: the
    last twenty that are over, newest first.
    """

    origin: str | None
    size: int
    root: str
    sealed_ms: int
    waiting: int
    pending: int
    checkpoints: int
    late: int
    newest: CheckpointBody | None
    outage: OutageBody | None
    outages: list[PastOutageBody]
    verifier_keys: list[str]

    @classmethod
    def of(cls, state: LogState) -> Self:
        """Return it as JSON."""
        return cls(
            origin=state.origin,
            size=state.size,
            root=_text(state.root),
            sealed_ms=state.sealed_ms,
            waiting=state.waiting,
            pending=state.pending,
            checkpoints=state.checkpoints,
            late=state.late,
            newest=CheckpointBody.of(state.newest) if state.newest else None,
            outage=OutageBody.of(state.outage) if state.outage else None,
            outages=[PastOutageBody.of(each) for each in state.outages],
            verifier_keys=list(state.verifier_keys),
        )


class PersonalBody(BaseModel):
    """What is personal in a record: SHA-256 of salt and text is the record's commitment."""

    payload: str
    salt: str


class RecordBody(BaseModel):
    """A record and what proves it.

    line: the canonical bytes as text; leaf: SHA-256 of a zero byte and these. proof: the RFC 6962
    audit path to the root of the checkpoint. pending: no checkpoint covers it yet.
    """

    seq: int
    sealed_ms: int
    line: str
    leaf: str
    pending: bool
    checkpoint: CheckpointBody | None
    proof: list[str]
    personal: PersonalBody | None
    erased: bool

    @classmethod
    def of(cls, proven: Proven) -> Self:
        """Return it as JSON."""
        record, checkpoint, personal = proven.record, proven.checkpoint, proven.personal
        return cls(
            seq=record.seq,
            sealed_ms=record.sealed_ms,
            line=record.line.decode(),
            leaf=_text(record.leaf),
            pending=checkpoint is None,
            checkpoint=CheckpointBody.of(checkpoint) if checkpoint else None,
            proof=[_text(each) for each in proven.proof],
            personal=(
                PersonalBody(payload=personal[0], salt=_text(personal[1])) if personal else None
            ),
            erased=proven.erased,
        )


class ConsistencyBody(BaseModel):
    """The RFC 6962 proof that the log of `to` records begins with what it was at `from`."""

    model_config = ConfigDict(populate_by_name=True)
    old: int = Field(validation_alias=AliasChoices("old", "from"), serialization_alias="from")
    size: int = Field(validation_alias=AliasChoices("size", "to"), serialization_alias="to")
    hashes: list[str]

    @classmethod
    def of(cls, old: int, size: int, proof: tuple[bytes, ...]) -> Self:
        """Return it as JSON."""
        return cls(old=old, size=size, hashes=[_text(each) for each in proof])


class ExportBody(BaseModel):
    """What a pack is to be of. from: inclusive, without it the log's beginning; to: exclusive,
    without it the time of the newest checkpoint.

    A record is asked for by a framework or by one of the controls; without any all are.
    disclosure: "all" shows every record of the period, so that none is left out can be computed;
    "selected" shows what is asked for, and hashes in place of the rest.
    """

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXPORT]})
    from_at: AwareDatetime | None = Field(default=None, alias="from")
    to_at: AwareDatetime | None = Field(default=None, alias="to")
    frameworks: list[Name] = Field(default=[], max_length=20)
    controls: list[Name] = Field(default=[], max_length=200)
    disclosure: Disclosure = Disclosure.ALL
    payloads: bool = True

    @property
    def asked(self) -> Asked:
        """What was asked for."""
        return Asked(
            from_ms=_ms(self.from_at),
            to_ms=_ms(self.to_at),
            frameworks=tuple(sorted(set(self.frameworks))),
            controls=tuple(sorted(set(self.controls))),
            disclosure=self.disclosure,
            payloads=self.payloads,
        )


def _ms(at: AwareDatetime | None) -> int | None:
    return None if at is None else max(0, int(at.timestamp() * 1000))


def _text(raw: bytes) -> str:
    return b64encode(raw).decode()
