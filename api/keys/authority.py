"""What somebody may hand on by a key: no more than they have themselves.

A key that may make keys is the reason for the bounds on place and time: what it makes must not be
good anywhere else, nor for longer, than it is itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from api.auth.addresses import Networks, is_inside
from api.auth.principal import ApiKeyPrincipal, Permission, Principal
from api.keys.model import KeyDraft
from api.problems import ApiError


@dataclass(frozen=True, slots=True)
class Authority:
    """Permissions that may be granted, the places they are bound to, and until when."""

    permissions: frozenset[Permission]
    networks: Networks = ()
    expires_at: datetime | None = None


OPERATOR: Final = Authority(frozenset(Permission))
"""Whoever is at the database."""


def authority_of(principal: Principal) -> Authority:
    """Return what the sender of a request may hand on."""
    permissions = frozenset(filter(principal.holds, Permission))
    if isinstance(principal, ApiKeyPrincipal):
        return Authority(permissions, principal.networks, principal.expires_at)
    return Authority(permissions)


def refuse_excess(authority: Authority, draft: KeyDraft) -> None:
    """Raise ApiError 403 for a key that could do more than whoever asks for it."""
    missing = sorted(draft.permissions - authority.permissions)
    if missing:
        raise ApiError(
            403,
            "key.exceeds",
            f"Nobody grants what they may not do themselves: {', '.join(missing)}.",
            missing=missing,
        )
    if authority.networks and not (
        draft.networks and all(is_inside(net, authority.networks) for net in draft.networks)
    ):
        raise ApiError(
            403,
            "key.exceeds",
            "The key you use is bound to addresses: bind the new one to some of "
            f"{', '.join(map(str, authority.networks))}.",
        )
    if authority.expires_at is not None and (
        draft.expires_at is None or draft.expires_at > authority.expires_at
    ):
        raise ApiError(
            403,
            "key.exceeds",
            f"The key you use ends at {authority.expires_at.isoformat()}: "
            "let the new one end no later.",
        )
