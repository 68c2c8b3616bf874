"""What is handed to whom, and what became of it. Values alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Self
from uuid import UUID

EVERY_S: Final = 3_600
EVERY_LEAST_S: Final = 60
EVERY_MOST_S: Final = 7 * 86_400


class Kind(StrEnum):
    """Who gets checkpoints.

    TSA: a time-stamping authority of RFC 3161. WEBHOOK, S3, MAIL: a sink that the customer holds.
    """

    TSA = "tsa"
    WEBHOOK = "webhook"
    S3 = "s3"
    MAIL = "mail"


class State(StrEnum):
    """What became of one checkpoint at one target. DONE is for good."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


class Lock(StrEnum):
    """How S3 keeps an object from being deleted or replaced before its time (Object Lock)."""

    NONE = "none"
    GOVERNANCE = "governance"
    COMPLIANCE = "compliance"


@dataclass(frozen=True, slots=True)
class Authority:
    """A time-stamping authority. certificates: PEM, of the roots it is trusted by."""

    url: str
    certificates: str


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where a signed request is sent; the secret is kept apart."""

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A bucket of S3, or of what speaks its protocol at another endpoint (a URL, empty: AWS).

    prefix: that names of objects begin with. lock_days: for how long the lock holds. The secret of
    the access key is kept apart.
    """

    name: str
    region: str
    endpoint: str
    prefix: str
    access_key_id: str
    lock: Lock = Lock.NONE
    lock_days: int = 0


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address that mails go to."""

    address: str


Where = Authority | Webhook | Bucket | Mailbox
_KINDS: Final[Mapping[type, Kind]] = {
    Authority: Kind.TSA,
    Webhook: Kind.WEBHOOK,
    Bucket: Kind.S3,
    Mailbox: Kind.MAIL,
}
WITH_SECRET: Final = frozenset({Kind.WEBHOOK, Kind.S3})


def kind_of(where: Where) -> Kind:
    """Return what a place is."""
    return _KINDS[type(where)]


def place_of(where: Where) -> str:
    """Return a place in one line, as people and the record name it."""
    match where:
        case Authority(url=url) | Webhook(url=url):
            return url
        case Bucket(name=name, prefix=prefix):
            return f"s3://{name}/{prefix}"
        case Mailbox(address=address):
            return address


def where_of(kind: Kind, place: str, options: Mapping[str, Any]) -> Where:
    """Return the place that `place_of` and `options_of` were made from."""
    match kind:
        case Kind.TSA:
            return Authority(place, options["certificates"])
        case Kind.WEBHOOK:
            return Webhook(place)
        case Kind.S3:
            return Bucket(**{**options, "lock": Lock(options["lock"])})
        case Kind.MAIL:
            return Mailbox(place)


def options_of(where: Where) -> dict[str, Any]:
    """Return what the one line leaves out, as JSON."""
    match where:
        case Authority(certificates=certificates):
            return {"certificates": certificates}
        case Bucket():
            return {
                "name": where.name,
                "region": where.region,
                "endpoint": where.endpoint,
                "prefix": where.prefix,
                "access_key_id": where.access_key_id,
                "lock": where.lock.value,
                "lock_days": where.lock_days,
            }
        case _:
            return {}


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """A secret that the tenant's data key of this id opens."""

    key_id: UUID
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where checkpoints of a tenant go, how often, and how that goes.

    every_s: the least time between two checkpoints that go there. failing_since, last_error,
    next_try_at: None while it works. pending: how many checkpoints wait.
    """

    id: UUID
    tenant_id: UUID
    where: Where
    every_s: int
    enabled: bool
    created_at: datetime
    created_by: str
    secret: SealedSecret | None = None
    failures: int = 0
    failing_since: datetime | None = None
    last_error: str | None = None
    next_try_at: datetime | None = None
    last_done_at: datetime | None = None
    pending: int = 0

    @property
    def kind(self) -> Kind:
        """What it is."""
        return kind_of(self.where)

    @property
    def place(self) -> str:
        """Where it is, in one line."""
        return place_of(self.where)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of sql/queries/anchors.sql."""
        sealed = row["secret"]
        return cls(
            id=row["id"],
            tenant_id=row["tenant_id"],
            where=where_of(Kind(row["kind"]), row["place"], row["options"]),
            every_s=row["every_s"],
            enabled=row["enabled"],
            created_at=row["created_at"],
            created_by=row["created_by"],
            secret=SealedSecret(row["secret_key_id"], bytes(sealed)) if sealed else None,
            failures=row["failures"],
            failing_since=row["failing_since"],
            last_error=row["last_error"],
            next_try_at=row["next_try_at"],
            last_done_at=row["last_done_at"],
            pending=row["pending"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A checkpoint as it is handed over. note: its bytes, as they were published."""

    number: int
    size: int
    time_ms: int
    note: bytes

    @property
    def sealed_at(self) -> datetime:
        """When it was signed, as it says itself."""
        return datetime.fromtimestamp(self.time_ms / 1000, UTC)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of sql/queries/anchors.sql."""
        return cls(
            number=row["number"],
            size=row["size"],
            time_ms=row["time_ms"],
            note=row["note"].encode(),
        )


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the other side said. answer: of an authority its DER TimeStampResp, else words.

    stamped_at: when an authority says that it saw the checkpoint.
    """

    answer: bytes
    stamped_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """One checkpoint at one target."""

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
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of sql/queries/anchors.sql."""
        return cls(
            id=row["id"],
            target_id=row["target_id"],
            kind=Kind(row["kind"]),
            place=row["place"],
            checkpoint=row["checkpoint"],
            state=State(row["state"]),
            attempts=row["attempts"],
            reason=row["reason"],
            created_at=row["created_at"],
            finished_at=row["finished_at"],
            stamped_at=row["stamped_at"],
        )


class NotAnchored(Exception):
    """The other side did not take a checkpoint; the text is one sentence for its owner."""
