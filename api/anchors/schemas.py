"""Targets and anchors as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator
from pydantic.config import JsonDict

from api.anchors.drafts import LOCK_DAYS_MOST, TargetChange, TargetDraft
from api.anchors.model import (
    EVERY_S,
    Anchor,
    Authority,
    Bucket,
    Kind,
    Lock,
    Mailbox,
    State,
    Target,
    Webhook,
    Where,
)
from api.anchors.service import Anchored, MadeTarget
from api.anchors.work import Tried

_DRAFT: Final[JsonDict] = {
    "every_s": 3_600,
    "target": {"kind": "webhook", "url": "https://hooks.example.com/betrace"},
}
_TARGET: Final[JsonDict] = {
    "id": "6f1f4a0e-8a57-4c0b-9d43-0f2f7c3d0a11",
    "kind": "webhook",
    "place": "https://hooks.example.com/betrace",
    "every_s": 3_600,
    "enabled": True,
    "certificates": None,
    "bucket": None,
    "created_at": "2026-11-23T21:00:12.340Z",
    "created_by": "ada@example.com",
    "waiting": 0,
    "last_done_at": "2026-11-24T08:00:03.120Z",
    "failing_since": None,
    "failures": 0,
    "last_error": None,
    "next_try_at": None,
}
_ANCHOR: Final[JsonDict] = {
    "id": "0b0f9d1c-6f43-4d3e-8f0a-2f8f6a2f5b70",
    "target_id": "6f1f4a0e-8a57-4c0b-9d43-0f2f7c3d0a11",
    "kind": "tsa",
    "place": "https://freetsa.org/tsr",
    "checkpoint": 1_440,
    "state": "done",
    "attempts": 1,
    "reason": None,
    "created_at": "2026-11-24T08:00:02.000Z",
    "finished_at": "2026-11-24T08:00:03.120Z",
    "stamped_at": "2026-11-24T08:00:03.000Z",
}
Url = Annotated[str, Field(max_length=2_048)]
Every = Annotated[int, Field(description="Seconds between two checkpoints that go there.")]
Pem = Annotated[str, Field(max_length=60_000)]
Word = Annotated[str, Field(max_length=500)]
Days = Annotated[int, Field(ge=0, le=LOCK_DAYS_MOST)]


class TsaBody(BaseModel):
    """A time-stamping authority (RFC 3161). certificates: PEM of its root."""

    model_config = ConfigDict(extra="forbid")
    kind: Literal["tsa"]
    url: Url
    certificates: Pem

    @property
    def where(self) -> Where:
        """The place."""
        return Authority(self.url, self.certificates)


class WebhookBody(BaseModel):
    """A URL that is called with a signed request. The answer shows its secret, once."""

    model_config = ConfigDict(extra="forbid")
    kind: Literal["webhook"]
    url: Url

    @property
    def where(self) -> Where:
        """The place."""
        return Webhook(self.url)


class S3Body(BaseModel):
    """A bucket. endpoint: of what speaks S3 outside of AWS. lock: of each object, for lock_days."""

    model_config = ConfigDict(extra="forbid")
    kind: Literal["s3"]
    name: Word
    region: Word
    endpoint: Annotated[str, Field(max_length=2_048)] = ""
    prefix: Word = ""
    access_key_id: Word
    secret: Word
    lock: Lock = Lock.NONE
    lock_days: Days = 0

    @property
    def where(self) -> Where:
        """The place."""
        return Bucket(
            name=self.name,
            region=self.region,
            endpoint=self.endpoint,
            prefix=self.prefix,
            access_key_id=self.access_key_id,
            lock=self.lock,
            lock_days=self.lock_days,
        )


class MailBody(BaseModel):
    """An address that mails go to."""

    model_config = ConfigDict(extra="forbid")
    kind: Literal["mail"]
    address: Annotated[str, Field(max_length=320)]

    @property
    def where(self) -> Where:
        """The place."""
        return Mailbox(self.address)


class TargetDraftBody(BaseModel):
    """A target to be made: what it is, and how often checkpoints go there."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_DRAFT]})
    every_s: Every = EVERY_S
    target: Annotated[TsaBody | WebhookBody | S3Body | MailBody, Field(discriminator="kind")]
    _draft: TargetDraft = PrivateAttr()

    @model_validator(mode="after")
    def _as_draft(self) -> Self:
        secret = self.target.secret if isinstance(self.target, S3Body) else ""
        self._draft = TargetDraft(where=self.target.where, every_s=self.every_s, secret=secret)
        return self

    @property
    def draft(self) -> TargetDraft:
        """The target to be made."""
        return self._draft


class TargetChangeBody(BaseModel):
    """What is to be other; what is not sent stays. new_secret: a webhook gets another secret."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"enabled": False}]})
    every_s: Every | None = None
    enabled: bool | None = None
    certificates: Pem | None = None
    access_key_id: Word | None = None
    secret: Word | None = None
    lock: Lock | None = None
    lock_days: Days | None = None
    new_secret: bool = False
    _change: TargetChange = PrivateAttr()

    @model_validator(mode="after")
    def _as_change(self) -> Self:
        self._change = TargetChange(**self.model_dump())
        return self

    @property
    def change(self) -> TargetChange:
        """What is to be other."""
        return self._change


class BucketBody(BaseModel):
    """A bucket, without the secret of its access key."""

    model_config = ConfigDict(from_attributes=True)
    name: str
    region: str
    endpoint: str
    prefix: str
    access_key_id: str
    lock: Lock
    lock_days: int


class TargetBody(BaseModel):
    """Where checkpoints go. place: a URL, s3://bucket/prefix or an address.

    waiting: checkpoints that were not taken yet. failing_since, last_error, next_try_at: null while
    it works.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_TARGET]})
    id: UUID
    kind: Kind
    place: str
    every_s: int
    enabled: bool
    certificates: str | None
    bucket: BucketBody | None
    created_at: datetime
    created_by: str
    waiting: int
    last_done_at: datetime | None
    failing_since: datetime | None
    failures: int
    last_error: str | None
    next_try_at: datetime | None

    @classmethod
    def of(cls, target: Target) -> Self:
        """Return it as JSON."""
        return cls(**_columns(target))


class MadeTargetBody(TargetBody):
    """A target, and the secret of a webhook that was made for it, which nothing shows again."""

    webhook_secret: str | None

    @classmethod
    def made(cls, made: MadeTarget) -> Self:
        """Return it as JSON."""
        return cls(**_columns(made.target), webhook_secret=made.secret or None)


class TargetListBody(BaseModel):
    """All targets of the tenant."""

    items: list[TargetBody]


class AnchorBody(BaseModel):
    """One checkpoint at one target. `done` is for good; `failed` was given up, for a reason.

    stamped_at: when a time-stamping authority says that it saw it.
    """

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [_ANCHOR]})
    id: UUID
    target_id: UUID
    kind: Kind
    place: str
    checkpoint: int
    state: State
    attempts: int
    reason: str | None
    created_at: datetime
    finished_at: datetime | None
    stamped_at: datetime | None

    @classmethod
    def of(cls, anchor: Anchor) -> Self:
        """Return it as JSON."""
        return cls.model_validate(anchor)


class TriedBody(BaseModel):
    """A checkpoint that was handed over by hand: whether it was taken, and if not, why.

    anchor: what is on record of it, which is an earlier success if there was one.
    """

    taken: bool
    refusal: str | None
    anchor: AnchorBody

    @classmethod
    def of(cls, tried: Tried) -> Self:
        """Return it as JSON."""
        return cls(
            taken=not tried.refusal,
            refusal=tried.refusal or None,
            anchor=AnchorBody.of(tried.anchor),
        )


class AnchoredBody(BaseModel):
    """A checkpoint with its anchors. note: the C2SP signed note."""

    number: int
    size: int
    sealed_at: datetime
    note: str
    anchors: list[AnchorBody]

    @classmethod
    def of(cls, anchored: Anchored) -> Self:
        """Return it as JSON."""
        head = anchored.head
        return cls(
            number=head.number,
            size=head.size,
            sealed_at=head.sealed_at,
            note=head.note.decode(),
            anchors=[AnchorBody.of(anchor) for anchor in anchored.anchors],
        )


class AnchoredPageBody(BaseModel):
    """A page of checkpoints, newest first."""

    items: list[AnchoredBody]
    next_cursor: str | None


def _columns(target: Target) -> dict[str, Any]:
    where = target.where
    return {
        "id": target.id,
        "kind": target.kind,
        "place": target.place,
        "every_s": target.every_s,
        "enabled": target.enabled,
        "certificates": where.certificates if isinstance(where, Authority) else None,
        "bucket": BucketBody.model_validate(where) if isinstance(where, Bucket) else None,
        "created_at": target.created_at,
        "created_by": target.created_by,
        "waiting": target.pending,
        "last_done_at": target.last_done_at,
        "failing_since": target.failing_since,
        "failures": target.failures,
        "last_error": target.last_error,
        "next_try_at": target.next_try_at,
    }
