"""Where a request comes from, known wherever the work for it is done.

The middleware names the request of the current task; what writes the log asks here, so that
services need no more arguments than their work does. Outside a request nothing is known but the
actor of the scope.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.types import Scope

from api.auth.principal import ApiKeyPrincipal, BearerPrincipal, Principal, UserPrincipal
from api.operators.principal import OperatorPrincipal

ANONYMOUS: Final = "anonymous"
_REQUEST: ContextVar[Scope | None] = ContextVar("audited_request", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who asked for what, and from where.

    principal: None before it is known. acting: who acts in the principal's place, empty: nobody.
    """

    principal: Principal | OperatorPrincipal | None = None
    acting: str = ""
    method: str = ""
    route: str = ""
    address: str = ""
    user_agent: str = ""
    request_id: str = ""

    @property
    def actor(self) -> str:
        """The actor, by id and never by name."""
        return actor_of(self.principal) if self.principal else ANONYMOUS

    def columns(self) -> dict[str, Any]:
        """Return what a row says of a request."""
        return {
            "method": self.method,
            "route": self.route,
            "address": self.address,
            "user_agent": self.user_agent,
            "request_id": self.request_id,
        }


def actor_of(principal: Principal | OperatorPrincipal) -> str:
    """Return a principal as the log names it."""
    match principal:
        case UserPrincipal():
            return f"user:{principal.user_id}"
        case ApiKeyPrincipal():
            return f"key:{principal.key_id}"
        case BearerPrincipal():
            return principal.actor
        case OperatorPrincipal():
            return principal.scope.actor


def acting_of(principal: Principal | OperatorPrincipal) -> str:
    """Return who acts in a principal's place, empty if nobody does: keys and operators are never
    somebody else."""
    if isinstance(principal, ApiKeyPrincipal | OperatorPrincipal):
        return ""
    return principal.acting


@contextmanager
def serving(scope: Scope) -> Iterator[None]:
    """Name the request that the current task works for."""
    token = _REQUEST.set(scope)
    try:
        yield
    finally:
        _REQUEST.reset(token)


def current_request() -> Scope | None:
    """Return the ASGI scope of the request that the current task works for."""
    return _REQUEST.get()


def current_origin() -> Origin | None:
    """Return where the request of the current task comes from, None outside of one."""
    scope = _REQUEST.get()
    return origin_of(scope) if scope is not None else None


def origin_of(scope: Scope) -> Origin:
    """Return where a request comes from. route: the pattern, which holds no ids."""
    state: dict[str, Any] = scope.get("state", {})
    client, principal = scope.get("client"), state.get("principal")
    return Origin(
        principal=principal,
        acting=acting_of(principal) if principal else "",
        method=scope["method"],
        route=route_pattern(scope),
        address=client[0] if client else "",
        user_agent=Headers(scope=scope).get("user-agent", ""),
        request_id=state.get("request_id", ""),
    )


def route_pattern(scope: Scope) -> str:
    """Return the path of the route with names in place of ids, empty where none was found.

    A route of an included router does not know the prefix it was included with: what comes before
    its own part of the path.
    """
    route, path = scope.get("route"), scope["path"]
    if not isinstance(route, APIRoute):
        return ""
    starts = (index for index, letter in enumerate(path) if letter == "/")
    prefix = next((path[:at] for at in starts if route.path_regex.match(path[at:])), "")
    return f"{prefix}{route.path}"
