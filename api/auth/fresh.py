"""What only a person may do who has just proved who they are: a session left open is not enough."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from api.auth.principal import Principal, UserPrincipal
from api.problems import ApiError

FRESH: Final = timedelta(minutes=15)


def is_fresh(principal: Principal, *, now: datetime) -> bool:
    """Return whether a person has signed in within FRESH. now: aware."""
    if not isinstance(principal, UserPrincipal) or principal.signed_in_at is None:
        return False
    return now - principal.signed_in_at <= FRESH


def refuse_stale(principal: Principal, *, now: datetime) -> None:
    """Raise ApiError 403 for a key or a program, and for a person who signed in long ago."""
    if not isinstance(principal, UserPrincipal):
        raise ApiError(
            403,
            "auth.person",
            "Only a person who is signed in may do this: no API key and no program.",
        )
    if not is_fresh(principal, now=now):
        minutes = FRESH // timedelta(minutes=1)
        raise ApiError(
            403,
            "auth.stale",
            f"For this you must have signed in within the last {minutes} minutes: sign out and in "
            "again.",
        )
