"""The evidence log as values: what is handed over to be sealed, and what was sealed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from udfs.evidence.canonical import Json
from udfs.evidence.records import Body, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What is to be sealed for a tenant: a record but for its place in the log.

    id: of what happened, at its source; of one kind and id a log has one record, however often it
    is offered. time_ms: event time. controls: <framework>.<control>, in any order. policy: version
    of the redaction policy it was made under, 0 for none. personal: what is kept apart from the
    record, erasable, behind a salted commitment.
    """

    tenant: UUID
    id: str
    time_ms: int
    body: Body
    controls: tuple[str, ...] = ()
    policy: int = 0
    personal: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """A record of the log. line: its canonical bytes; leaf: their hash, 32 bytes.

    sealed_ms: when it was put into the log. has_payload: something personal belongs to it, erased
    or not.
    """

    seq: int
    kind: Kind
    id: str
    time_ms: int
    sealed_ms: int
    has_payload: bool
    line: bytes
    leaf: bytes


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A signed head. number: from 1; late_ms: by how much later than due it was signed.

    key_id: of the tenant's keys. note: the C2SP signed note.
    """

    number: int
    size: int
    root: bytes
    time_ms: int
    late_ms: int
    key_id: UUID
    note: str


@dataclass(frozen=True, slots=True)
class Outage:
    """The source of keys did not sign: records were sealed, and signed later.

    ended_ms, to_size: None while it lasts. from_size: of the newest checkpoint before it.
    """

    began_ms: int
    ended_ms: int | None
    from_size: int
    to_size: int | None
    attempts: int
    cause: str


@dataclass(frozen=True, slots=True)
class LogState:
    """A tenant's log. origin: None while nothing was sealed.

    waiting: handed over and not sealed; pending: sealed and under no checkpoint yet, which is usual
    for a minute; outage: why it is longer, if it is. newest: the newest checkpoint that counts: its
    key was not revoked. late: checkpoints that were signed late; outages: the last of those that
    are over, newest first.
    verifier_keys: every key of the log, oldest first.
    """

    tenant: UUID
    origin: str | None
    size: int
    root: bytes
    sealed_ms: int
    waiting: int
    pending: int
    checkpoints: int
    late: int
    newest: StoredCheckpoint | None
    outage: Outage | None
    outages: tuple[Outage, ...]
    verifier_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unsigned:
    """Since when, and why, no key signs a log, and how many records are pending meanwhile."""

    outage: Outage
    pending: int
