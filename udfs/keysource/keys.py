"""A tenant's keys as values: what they are for, what they are bound to, what is on record of them.

Nothing here holds a key in the clear but `NewKey`, on its way from a source to who asked for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

KEY_BYTES: Final = 32
"""Of every key: an Ed25519 seed, an AES-256 key, an HMAC-SHA-256 key."""


class Purpose(StrEnum):
    """What a key is for; a key of one purpose is good for no other."""

    SIGNING = "signing"
    """Ed25519: evidence."""
    DATA = "data"
    """AES-256-GCM: values that are to be read again, and stored secrets."""
    REDACTION = "redaction"
    """HMAC-SHA-256: hashes and tokens of redacted values."""


class Form(StrEnum):
    """Where the private part of a key is."""

    WRAPPED = "wrapped"
    """On record, under a master key of the source."""
    HELD = "held"
    """In the source, which gives it out by a name that is on record."""
    INSIDE = "inside"
    """In the source, which never gives it out and signs by itself."""


class KeyState(StrEnum):
    """What may be done with a key."""

    ACTIVE = "active"
    """All of it."""
    RETIRED = "retired"
    """Verify and read; another one signs, seals and hashes."""
    REVOKED = "revoked"
    """Verify what is older than the compromise; read only for whoever asks for that by name."""
    DESTROYED = "destroyed"
    """Verify, if it is a signing key. The private part is nowhere."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What a key is bound to when it is wrapped. Unwrapping with another binding fails."""

    tenant: UUID
    purpose: Purpose
    key_id: UUID

    @property
    def context(self) -> dict[str, str]:
        """The binding as names and values, for sources that take it so."""
        return {"tenant": str(self.tenant), "purpose": self.purpose.value, "key": str(self.key_id)}

    @property
    def authenticated(self) -> bytes:
        """The binding as bytes: `betrace.key.v1`, tenant, purpose and key, with NUL between."""
        return b"\0".join([b"betrace.key.v1", *(text.encode() for text in self.context.values())])


@dataclass(frozen=True, slots=True)
class Sealed:
    """A key as it is kept.

    provider: which kind of source can open it. master: which of its master keys, "" where that is
    the source's own affair. material: ciphertext, or the name of a key that is in the source.
    """

    provider: str
    master: str
    form: Form
    material: bytes


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made. secret: KEY_BYTES random bytes."""

    secret: bytes = field(repr=False)
    sealed: Sealed


@dataclass(frozen=True, slots=True)
class NewSigner:
    """A signing key just made. public_key: 32 bytes, RFC 8032."""

    public_key: bytes
    sealed: Sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """Why a key is not trusted any more. untrusted_from: signatures of then and later are not."""

    at: datetime
    by: str
    reason: str
    untrusted_from: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """What is on record of a key.

    generation: counts the keys of a tenant and purpose from 1. sealed: None once destroyed.
    public_key: of signing keys, for ever. retired_at: when its successor was made.
    """

    id: UUID
    tenant: UUID
    purpose: Purpose
    generation: int
    sealed: Sealed | None
    public_key: bytes | None
    created_at: datetime
    created_by: str
    retired_at: datetime | None = None
    revocation: Revocation | None = None
    destroyed_at: datetime | None = None

    @property
    def binding(self) -> Binding:
        """What the key is bound to."""
        return Binding(self.tenant, self.purpose, self.id)

    @property
    def state(self) -> KeyState:
        """What may be done with the key now."""
        if self.destroyed_at is not None:
            return KeyState.DESTROYED
        if self.revocation is not None:
            return KeyState.REVOKED
        return KeyState.ACTIVE if self.retired_at is None else KeyState.RETIRED


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDraft:
    """A key to be put on record; when it was made is the record's to say."""

    id: UUID
    tenant: UUID
    purpose: Purpose
    generation: int
    sealed: Sealed
    public_key: bytes | None
    created_by: str
