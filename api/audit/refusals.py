"""From a refused request to the outbox: what counts as a decision, and what is said of it."""

from __future__ import annotations

from typing import Final

from fastapi import Request

from api.audit.decisions import Credential, Decision
from api.audit.origin import Origin, origin_of
from api.auth.access import presented_key, session_token
from api.auth.keys import hash_key, is_well_formed
from api.limits.requests import LIMITED
from api.operators.keys import is_operator_key
from api.problems import ApiError
from api.services import services_of

_NO_PERMISSION: Final = frozenset({"auth.forbidden", "auth.acting"})
_UNKNOWN: Final = "auth.unauthenticated"
_MISSING: Final = "credential.missing"
_TOKEN: Final = frozenset({"auth.token_expired", "auth.token_invalid"})
_SIGN_IN: Final = frozenset({"auth.wrong_sign_in", "auth.throttled", "auth.local_off"})
"""Refusals that the sessions have noted already, for pages and REST alike."""


def note_refusal(request: Request, error: ApiError) -> None:
    """Put a refusal on the record if it is one of access or a limit.

    Never waits, and raises nothing.
    """
    if error.status not in (401, 403, 429) or error.code in _SIGN_IN:
        return
    services_of(request).decisions.note(_decision(request, error, origin_of(request.scope)))


def _decision(request: Request, error: ApiError, origin: Origin) -> Decision:
    if error.code in _NO_PERMISSION:
        needed = getattr(request.state, "permission", "")
        return Decision(
            action="permission.refused", reason=error.code, origin=origin, permission=needed
        )
    if error.code == LIMITED:
        over = "+".join(error.members["violated-policies"])
        return Decision(action="limit.reached", reason=over, origin=origin)
    if error.code in _TOKEN:
        reason = f"token.{request.state.refused_token}"
        return Decision(action="credential.refused", reason=reason, origin=origin)
    presented = _presented(request)
    credential = presented if isinstance(presented, Credential) else None
    if error.code != _UNKNOWN:
        return Decision(
            action="request.refused", reason=error.code, origin=origin, credential=credential
        )
    reason = credential.kind if credential else str(presented)
    return Decision(
        action="credential.refused", reason=reason, origin=origin, credential=credential
    )


def _presented(request: Request) -> Credential | str:
    """Return what the request presents, by its hash, or why that is no credential at all."""
    try:
        key = presented_key(
            request.headers.getlist("x-api-key"), request.headers.getlist("authorization")
        )
    except ApiError:
        return "credential.malformed"
    services = services_of(request)
    if key is not None:
        if is_operator_key(key):
            return "operator.refused"
        if not is_well_formed(key):
            return "key.malformed"
        return Credential("key", hash_key(key, pepper=services.settings.pepper))
    token = session_token(request)
    return Credential("session", services.sessions.hash_of(token)) if token else _MISSING
