"""Whom somebody may let in, change or remove: nobody gives or takes more than they have."""

from __future__ import annotations

from datetime import UTC, datetime

from api.auth.principal import GRANTS, Role
from api.keys.authority import Authority
from api.members.model import MEMBERSHIP_MAX, Terms
from api.problems import ApiError


def may_decide(authority: Authority, role: Role) -> bool:
    """Return whether the authority covers all that a role may do."""
    return GRANTS[role] <= authority.permissions


def refuse_over(authority: Authority, role: Role) -> None:
    """Raise ApiError 403 for a role that may do more than the authority covers."""
    missing = sorted(GRANTS[role] - authority.permissions)
    if missing:
        raise ApiError(
            403,
            "member.exceeds",
            f"Nobody decides about a role that may do more than they may: {', '.join(missing)}.",
            missing=missing,
        )


def refuse_terms(authority: Authority, terms: Terms) -> None:
    """Raise ApiError 403 for terms beyond the authority, 400 for an end that cannot be."""
    refuse_over(authority, terms.role)
    if authority.networks:
        raise ApiError(
            403,
            "member.exceeds",
            "The key you use is bound to addresses, and people are not: use another one.",
        )
    ends_at = authority.expires_at
    if ends_at is not None and (terms.until is None or terms.until > ends_at):
        raise ApiError(
            403,
            "member.exceeds",
            f"The key you use ends at {ends_at.isoformat()}: let the membership end no later.",
        )
    _refuse_end(terms.until, now=datetime.now(UTC))


def _refuse_end(until: datetime | None, *, now: datetime) -> None:
    if until is None:
        return
    if until <= now:
        raise ApiError(400, "member.until", "The end is over: give a time to come, or none.")
    if until - now > MEMBERSHIP_MAX:
        raise ApiError(400, "member.until", "The end is over ten years away: give none.")
