"""An operator who was authenticated, and the proof of it.

An `OperatorScope` is to the whole installation what a `TenantScope` is to a tenant, and is none: no
function that reads a tenant's rows takes it. Only `grant_operator` makes one, and only the
authentication of operators calls it (a test looks).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

_SEAL: Final = object()


@dataclass(frozen=True, slots=True)
class OperatorScope:
    """What a transaction of an operator presents, and who is written into records.

    Not to be built by hand: see `grant_operator`.
    """

    credential_hash: bytes = field(repr=False)
    actor: str
    seal: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise TypeError("an OperatorScope is granted by authentication, never built")


def grant_operator(name: str, *, credential_hash: bytes) -> OperatorScope:
    """Return the scope of an operator who has just been authenticated."""
    return OperatorScope(credential_hash, f"operator:{name}", _SEAL)


@dataclass(frozen=True, slots=True)
class OperatorPrincipal:
    """A request of an operator. csrf_token: of a browser's session; empty: with a key."""

    key_id: UUID
    name: str
    scope: OperatorScope
    csrf_token: str = ""
