"""Refusals of `ingest` on the audit log, through the outbox that the API has as well.

Noting one is a step in a dictionary: nothing here waits, and Postgres is asked only when a minute
is over, beside the requests. Of alike refusals of a minute the first is a line in the log of the
process.
"""

from __future__ import annotations

from api.audit.decisions import Credential, Decision, Decisions
from api.audit.origin import Origin
from api.auth.keys import hash_key, is_well_formed
from api.auth.principal import ApiKeyPrincipal, Permission
from api.ingest.credentials import Caller, MayNotSend, Sender
from api.ingest.refusals import Refusal, Refused


class StoredRecords:
    """Implements `Records`."""

    def __init__(self, decisions: Decisions, *, pepper: bytes) -> None:
        self._decisions = decisions
        self._pepper = pepper

    def note(self, refused: Refused, caller: Caller, sender: Sender | None) -> None:
        """Put a refusal down; see `Records`."""
        self._decisions.note(self._decision(refused, caller, sender))

    def _decision(self, refused: Refused, caller: Caller, sender: Sender | None) -> Decision:
        if refused.kind is Refusal.RATE_LIMITED:
            return Decision(
                action="limit.reached",
                reason="+".join(refused.policies),
                origin=_origin(caller, sender.principal if sender else None),
            )
        if isinstance(refused.__cause__, MayNotSend):
            return Decision(
                action="permission.refused",
                reason="auth.forbidden",
                origin=_origin(caller, refused.__cause__.principal),
                permission=Permission.SPANS_INGEST.value,
            )
        if not is_well_formed(caller.key):
            reason = "key.malformed" if caller.key else "credential.missing"
            return Decision(action="credential.refused", reason=reason, origin=_origin(caller))
        known = refused.kind is Refusal.FORBIDDEN
        return Decision(
            action="request.refused" if known else "credential.refused",
            reason="auth.address" if known else "key",
            origin=_origin(caller),
            credential=Credential("key", hash_key(caller.key, pepper=self._pepper)),
        )


def _origin(caller: Caller, principal: ApiKeyPrincipal | None = None) -> Origin:
    return Origin(
        principal=principal,
        method="POST",
        route=caller.route,
        address=str(caller.address or ""),
        user_agent=caller.user_agent,
    )
