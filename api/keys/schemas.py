"""Keys as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PrivateAttr, model_validator
from pydantic.config import JsonDict

from api.auth.addresses import parse_networks
from api.auth.keys import KeyKind
from api.auth.principal import Permission, Role
from api.keys.model import NAME_LENGTH, NETWORKS_MAX, Key, KeyDraft, KeyState, MadeKey
from api.keys.service import OVERLAP, OVERLAP_MAX

_DRAFT: Final[JsonDict] = {
    "name": "collectors",
    "scopes": ["spans.ingest"],
    "expires_at": "2027-02-01T00:00:00Z",
    "networks": ["203.0.113.0/24", "2001:db8::/32"],
}
_KEY: Final[JsonDict] = {
    "id": "6f1f4a0e-8a57-4c0b-9d43-0f2f7c3d0a11",
    "name": "collectors",
    "kind": "live",
    "state": "active",
    "role": None,
    "scopes": ["spans.ingest"],
    "permissions": ["spans.ingest"],
    "shown": "betrace_live_3kP9xQ",
    "networks": ["203.0.113.0/24", "2001:db8::/32"],
    "created_by": "ada@example.com",
    "created_at": "2026-11-23T21:00:12.340Z",
    "expires_at": "2027-02-01T00:00:00Z",
    "last_used_at": "2026-11-24T08:11:40.002Z",
    "revoked_at": None,
    "revoked_by": None,
    "replaced_by": None,
}


class KeyDraftBody(BaseModel):
    """A key to be made, with either a role or scopes.

    scopes: names of permissions; a key may do nothing else. kind: `test` keys are good only where
    the operator accepts them. networks: addresses or networks in CIDR notation that the key may be
    used from; empty: anywhere. expires_at: null: it does not end by itself.
    """

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_DRAFT]})
    name: str = Field(max_length=NAME_LENGTH)
    role: Role | None = None
    scopes: list[Permission] | None = Field(default=None, max_length=len(Permission))
    kind: KeyKind = KeyKind.LIVE
    networks: list[Annotated[str, Field(max_length=64)]] = Field(
        default=[], max_length=NETWORKS_MAX
    )
    expires_at: AwareDatetime | None = None
    _draft: KeyDraft = PrivateAttr()

    @model_validator(mode="after")
    def _as_draft(self) -> Self:
        self._draft = KeyDraft(
            name=self.name.strip(),
            role=self.role,
            scopes=None if self.scopes is None else frozenset(self.scopes),
            kind=self.kind,
            networks=parse_networks(self.networks),
            expires_at=self.expires_at,
        )
        return self

    @property
    def draft(self) -> KeyDraft:
        """The key to be made."""
        return self._draft


class RotationBody(BaseModel):
    """How a key is replaced.

    overlap_seconds: for so long the old key goes on, unless it ends before that; 0: not at all.
    expires_at: end of the new key; null: it lasts as long as the old one was made to last.
    """

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"overlap_seconds": 86_400}]}
    )
    overlap_seconds: int = Field(
        default=int(OVERLAP.total_seconds()), ge=0, le=int(OVERLAP_MAX.total_seconds())
    )
    expires_at: AwareDatetime | None = None


class KeyBody(BaseModel):
    """A key, without what would let one use it.

    state: `replaced` keys go on until expires_at beside the one that `replaced_by` names. shown:
    the beginning of the key. permissions: what it may do, by its role or its scopes.
    last_used_at: to half a minute.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_KEY]})
    id: UUID
    name: str
    kind: KeyKind
    state: KeyState
    role: Role | None
    scopes: list[Permission] | None
    permissions: list[Permission]
    shown: str
    networks: list[str]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None
    replaced_by: UUID | None

    @classmethod
    def of(cls, key: Key) -> Self:
        """Return a key as JSON."""
        return cls.model_validate(_fields(key))


class MadeKeyBody(KeyBody):
    """A key just made, with the key itself: it is shown now and never again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_KEY, "key": "betrace_live_…"}]})
    key: str

    @classmethod
    def made(cls, made: MadeKey) -> Self:
        """Return a key just made as JSON."""
        return cls.model_validate({**_fields(made.key), "key": made.text})


class KeyPageBody(BaseModel):
    """A page of keys, newest first."""

    items: list[KeyBody]
    next_cursor: str | None


def _fields(key: Key) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "kind": key.kind,
        "state": key.state,
        "role": key.role,
        "scopes": None if key.scopes is None else sorted(key.scopes),
        "permissions": sorted(key.permissions),
        "shown": key.shown,
        "networks": [str(network) for network in key.networks],
        "created_by": key.created_by,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
        "revoked_by": key.revoked_by,
        "replaced_by": key.replaced_by,
    }
