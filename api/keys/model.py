"""What a key is to those who look after it, and what is asked for with a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self
from uuid import UUID

from api.auth.addresses import Networks, parse_networks
from api.auth.key_verifier import known_scopes
from api.auth.keys import KeyKind, kind_of_shown
from api.auth.principal import GRANTS, MACHINE_ROLES, Permission, Role

NAME_LENGTH: Final = 50
NETWORKS_MAX: Final = 50


class KeyState(StrEnum):
    """What became of a key. REPLACED: it goes on beside its successor until `expires_at`."""

    ACTIVE = "active"
    REPLACED = "replaced"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDraft:
    """A key to be made: a role, or chosen scopes, and nothing by default.

    networks: where it may be used from, empty: anywhere. expires_at: aware, None: never.
    Raises ValueError for what no key can be.
    """

    name: str
    role: Role | None = None
    scopes: frozenset[Permission] | None = None
    kind: KeyKind = KeyKind.LIVE
    networks: Networks = ()
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.name) <= NAME_LENGTH or not self.name.isprintable():
            raise ValueError(f"a key's name has 1 to {NAME_LENGTH} printable characters")
        if (self.role is None) == (self.scopes is None):
            raise ValueError("a key has either a role or scopes: give one of them")
        if self.role is not None and self.role not in MACHINE_ROLES:
            raise ValueError(f"{self.role} is a role of people: give the key scopes")
        if self.scopes is not None and not self.scopes:
            raise ValueError("a key without any scope could do nothing: name at least one")
        if len(self.networks) > NETWORKS_MAX:
            raise ValueError(f"a key has at most {NETWORKS_MAX} networks")
        if self.expires_at is not None and self.expires_at.tzinfo is None:
            raise ValueError("expires_at needs a time zone, such as Z at its end")

    @property
    def permissions(self) -> frozenset[Permission]:
        """What the key may do."""
        return GRANTS[self.role] if self.role else self.scopes or frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key as stored, without what would let one use it.

    shown: its beginning. last_used_at: to some seconds. replaced_by: the key it was rotated to.
    """

    id: UUID
    name: str
    kind: KeyKind
    state: KeyState
    role: Role | None
    scopes: frozenset[Permission] | None
    shown: str
    networks: Networks
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None
    replaced_by: UUID | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Read a row of sql/queries/keys.sql."""
        state = _state(row)
        revoked = state is KeyState.REVOKED
        return cls(
            id=row["id"],
            name=row["name"],
            kind=kind_of_shown(row["shown"]),
            state=state,
            role=Role(row["role"]) if row["role"] else None,
            scopes=None if row["scopes"] is None else known_scopes(row["scopes"]),
            shown=row["shown"],
            networks=parse_networks(row["networks"]),
            created_by=row["created_by"],
            created_at=row["created_at"],
            expires_at=row["expires_at"],
            last_used_at=row["last_used_at"],
            revoked_at=row["revoked_at"] if revoked else None,
            revoked_by=row["revoked_by"] if revoked else None,
            replaced_by=row["replaced_by"],
        )

    @property
    def permissions(self) -> frozenset[Permission]:
        """What the key may do."""
        return GRANTS[self.role] if self.role else self.scopes or frozenset()

    @property
    def in_use(self) -> bool:
        """Whether the key is accepted now."""
        return self.state in (KeyState.ACTIVE, KeyState.REPLACED)

    def successor(self, *, made_at: datetime, expires_at: datetime | None) -> KeyDraft:
        """Return the key that replaces this one: the same but for the secret and its end.

        expires_at: None: it lasts as long as this one was made to last.
        """
        if expires_at is None and self.expires_at is not None:
            expires_at = made_at + (self.expires_at - self.created_at)
        return KeyDraft(
            name=self.name,
            role=self.role,
            scopes=self.scopes,
            kind=self.kind,
            networks=self.networks,
            expires_at=expires_at,
        )


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A key just made. `text` is shown now and never again."""

    key: Key
    text: str


@dataclass(frozen=True, slots=True)
class KeyPage:
    """A page of keys, newest first."""

    items: tuple[Key, ...]
    next_cursor: str | None


def _state(row: Mapping[str, Any]) -> KeyState:
    """Whatever ended a key first is what it died of."""
    ends_at, revoked_at = row["expires_at"], row["revoked_at"]
    if revoked_at is not None and (ends_at is None or revoked_at < ends_at):
        return KeyState.REVOKED
    if ends_at is not None and ends_at <= row["asked_at"]:
        return KeyState.EXPIRED
    return KeyState.ACTIVE if row["replaced_by"] is None else KeyState.REPLACED
