"""Failed sign-ins on the record: known to the sessions alone, before anybody is."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from api.audit.decisions import Decision, Decisions
from api.audit.origin import current_request, origin_of


def sign_in_refused(reason: str, *, user_id: UUID | None = None, acting: str = "") -> None:
    """Put a sign-in that failed on the record of every tenant of the person, if they are known.

    acting: who wanted to act in the person's place. Never waits. Outside a request there is no
    record to put it on.
    """
    scope = current_request()
    if scope is None:
        return
    decisions: Decisions = scope["app"].state.services.decisions
    decisions.note(
        Decision(
            action="session.refused",
            reason=reason,
            origin=replace(origin_of(scope), acting=acting),
            user_id=user_id,
        )
    )
