"""From a request to a principal, and the permission that every route must name.

A route names its permission by depending on `require(Permission.…)`, says that it is open by
depending on `authenticated` or `anyone`, or that it is for operators by depending on `operator`. An
application with a route that does none of it does not start (`refuse_undeclared`).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from fastapi import FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from starlette.types import Scope

from api.audit.origin import route_pattern
from api.auth.addresses import Address, AddressRefused, Networks, caller_address
from api.auth.key_verifier import KeyVerifier
from api.auth.principal import (
    GRANTS,
    ApiKeyPrincipal,
    BearerPrincipal,
    Permission,
    Principal,
    UserPrincipal,
)
from api.auth.public import PUBLIC
from api.auth.sessions import Sessions
from api.identity.bearers import Bearers
from api.identity.tokens import TokenRefused, is_compact
from api.limits.costs import REFUSED_CREDENTIAL, cost_of
from api.limits.headers import rate_limit_headers
from api.limits.requests import RequestLimiter
from api.operators.principal import OperatorPrincipal
from api.operators.sign_in import Operators
from api.problems import ApiError, forbidden, not_in_anothers_place, unauthenticated

Access = Permission | Literal["known", "anybody", "operator"]
SESSION_COOKIE: Final = "betrace_session"
SECURE_SESSION_COOKIE: Final = "__Host-betrace_session"
OPERATOR_COOKIE: Final = "betrace_operator"
SECURE_OPERATOR_COOKIE: Final = "__Secure-betrace_operator"
CSRF_HEADER: Final = "X-CSRF-Token"
CSRF_FIELD: Final = "csrf_token"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_MAX_CREDENTIAL_LENGTH: Final = 8 * 1024


class Authenticator:
    """Finds who sent a request: by API key or access token, else by session cookie."""

    def __init__(
        self,
        keys: KeyVerifier,
        sessions: Sessions,
        *,
        limiter: RequestLimiter,
        operators: Operators,
        bearers: Bearers | None = None,
        proxies: Networks = (),
    ) -> None:
        """bearers: None where no access tokens are taken. proxies: whose X-Forwarded-For counts."""
        self._operators = operators
        self._keys = keys
        self._sessions = sessions
        self._limiter = limiter
        self._bearers = bearers
        self._proxies = proxies

    async def principal(self, request: Request) -> Principal:
        """Return who sent the request, and count it, once, against their limits.

        Raises ApiError 401; 403 for a session whose request may be forged and for a key that may
        not be used from there; 429.
        """
        if hasattr(request.state, "rate_limits"):
            # Asked again while it is being served, or of an open route, for its address.
            principal = await self._found(request)
        else:
            principal = await self._counted(request)
        if isinstance(principal, UserPrincipal):
            await _refuse_forgery(request, principal.csrf_token)
        return principal

    async def operator(self, request: Request) -> OperatorPrincipal:
        """Return which operator sent the request, and count it.

        Nobody else's credential is looked at. Raises ApiError 401, 403, 429 as `principal`.
        """
        address = self.address_of(request)
        await self._limiter.admit(address)
        found = await self._operator(request, address)
        if found is None:
            await self._count_stranger(request, address, cost=REFUSED_CREDENTIAL)
            raise unauthenticated()
        request.state.principal = found
        counted = await self._limiter.count_operator(found.key_id, cost=_cost_of(request))
        request.state.rate_limits = rate_limit_headers(counted)
        if found.csrf_token:
            await _refuse_forgery(request, found.csrf_token)
        return found

    async def _operator(
        self, request: Request, address: Address | None
    ) -> OperatorPrincipal | None:
        key = presented_key(
            request.headers.getlist("x-api-key"), request.headers.getlist("authorization")
        )
        token = operator_token(request)
        try:
            if key is not None:
                return await self._operators.by_key(key, address=address)
            return await self._operators.by_session(token, address=address) if token else None
        except AddressRefused as error:
            raise ApiError(403, "auth.address", error.sentence) from error

    async def _counted(self, request: Request) -> Principal:
        address = self.address_of(request)
        await self._hold_up(request, address)
        try:
            principal = await self._found(request)
        except ApiError as error:
            if error.status == 401:
                await self._count_stranger(request, address, cost=REFUSED_CREDENTIAL)
            raise
        request.state.principal = principal
        counted = await self._limiter.count(principal, cost=_cost_of(request))
        request.state.rate_limits = rate_limit_headers(counted)
        return principal

    async def count_stranger(self, request: Request) -> None:
        """Count a request to an open route for its address. Raises ApiError 429."""
        if cost := _cost_of(request):
            await self._count_stranger(request, self.address_of(request), cost=cost)

    async def _count_stranger(
        self, request: Request, address: Address | None, *, cost: int
    ) -> None:
        counted = await self._limiter.count_stranger(address, cost=cost)
        request.state.rate_limits = rate_limit_headers(counted)

    async def _hold_up(self, request: Request, address: Address | None) -> None:
        """Refuse an address over its limit before anything is looked up, but not a known key."""
        key = request.headers.get("x-api-key", "").strip()
        if not (key and self._keys.knows(key)):
            await self._limiter.admit(address)

    async def _found(self, request: Request) -> Principal:
        key = presented_key(
            request.headers.getlist("x-api-key"), request.headers.getlist("authorization")
        )
        if key is not None and self._bearers is not None and is_compact(key):
            return await self._bearer(self._bearers, key, request)
        if key is not None:
            return await self._holder(key, request)
        user = await self._user(request)
        if user is None:
            raise unauthenticated()
        return user

    def address_of(self, request: Request) -> Address | None:
        """Return the address of whoever sent the request, None if it cannot be known."""
        peer = request.client.host if request.client else ""
        forwarded_for = request.headers.getlist("x-forwarded-for")
        return caller_address(peer, forwarded_for, trusted=self._proxies)

    async def _holder(self, key: str, request: Request) -> ApiKeyPrincipal:
        try:
            found = await self._keys.verify(key, address=self.address_of(request))
        except AddressRefused as error:
            raise ApiError(403, "auth.address", error.sentence) from error
        if found is None:
            raise unauthenticated()
        return found

    async def _bearer(self, bearers: Bearers, token: str, request: Request) -> BearerPrincipal:
        if "x-api-key" in request.headers:
            raise unauthenticated()
        try:
            return await bearers.principal(token)
        except TokenRefused as error:
            request.state.refused_token = error.reason
            raise _token_refused(error.reason) from error

    async def _user(self, request: Request) -> UserPrincipal | None:
        token = session_token(request)
        if not token:
            return None
        address = self.address_of(request)
        return await self._sessions.find(token, address=str(address) if address else None)


def _token_refused(reason: str) -> ApiError:
    """One text for every cause but the one that the holder can mend; the record names it."""
    expired = reason == "expired"
    return ApiError(
        401,
        "auth.token_expired" if expired else "auth.token_invalid",
        "This access token has expired: get another one."
        if expired
        else "This is no access token that the identity provider made for this API. The audit log "
        "says what is wrong with it.",
        headers={"WWW-Authenticate": 'Bearer realm="betrace", error="invalid_token"'},
    )


def presented_key(api_key_headers: list[str], authorization_headers: list[str]) -> str | None:
    """Return the API key or access token of a request, None if it presents none.

    Raises ApiError 401 if it presents several, another scheme than Bearer, or too long a one.
    """
    presented = [value.strip() for value in api_key_headers]
    for value in authorization_headers:
        scheme, _, token = value.strip().partition(" ")
        if scheme.lower() != "bearer":
            raise unauthenticated()
        presented.append(token.strip())
    if not presented:
        return None
    if len(presented) > 1 or not 0 < len(presented[0]) <= _MAX_CREDENTIAL_LENGTH:
        raise unauthenticated()
    return presented[0]


def session_token(request: Request) -> str | None:
    """Return the token of the session cookie."""
    return request.cookies.get(SECURE_SESSION_COOKIE) or request.cookies.get(SESSION_COOKIE)


def operator_token(request: Request) -> str | None:
    """Return the token of the cookie of an operator's session."""
    return request.cookies.get(SECURE_OPERATOR_COOKIE) or request.cookies.get(OPERATOR_COOKIE)


class Require:
    """A dependency: the principal of the request, who has the permission."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, request: Request) -> Principal:
        """Return the principal. Raises ApiError 401 and 403."""
        authenticator: Authenticator = request.app.state.services.authenticator
        principal = await authenticator.principal(request)
        request.state.permission = self.permission.value
        if principal.may(self.permission):
            return principal
        if principal.holds(self.permission) and principal.delete_after is not None:
            raise _paused(principal.delete_after)
        raise _lacking(principal, self.permission)


def _paused(delete_after: datetime) -> ApiError:
    return ApiError(
        403,
        "tenant.to_be_deleted",
        f"This tenant is to be deleted after {delete_after.isoformat(timespec='seconds')}. Until "
        "then it is there to be read and exported: it takes no spans and no rules. An admin can "
        "keep it.",
    )


def _lacking(principal: Principal, permission: Permission) -> ApiError:
    """Return why somebody has not a permission: by the role, or by acting in another's place."""
    if isinstance(principal, ApiKeyPrincipal) or permission not in GRANTS[principal.role]:
        return forbidden(permission)
    return not_in_anothers_place()


def require(permission: Permission) -> Require:
    """Return the dependency of a route that needs the permission."""
    return Require(permission)


async def authenticated(request: Request) -> Principal:
    """Return the principal of a route that everybody with a valid credential may use."""
    authenticator: Authenticator = request.app.state.services.authenticator
    return await authenticator.principal(request)


async def operator(request: Request) -> OperatorPrincipal:
    """Return the operator, for a route that is theirs alone."""
    authenticator: Authenticator = request.app.state.services.authenticator
    return await authenticator.operator(request)


async def anyone(request: Request) -> None:
    """Mark a route as open to everybody, by depending on this. Raises ApiError 429."""
    authenticator: Authenticator = request.app.state.services.authenticator
    await authenticator.count_stranger(request)


@dataclass(frozen=True, slots=True)
class RouteAccess:
    """Who may call a route: who has a permission, whoever is known, operators, anybody; None: not
    said."""

    path: str
    methods: frozenset[str]
    access: Access | None


def route_access(app: FastAPI) -> list[RouteAccess]:
    """Return who may call each route of an application, those of included routers as well."""
    return [
        RouteAccess(
            context.path or "",
            frozenset(context.methods or ()),
            _access(getattr(context, "dependant", None)),
        )
        for context in iter_route_contexts(app.routes)
    ]


def refuse_undeclared(app: FastAPI) -> None:
    """Stop the start of an application with a route that nobody decided about.

    One that does not say who may call it, or that is open and not on the list of public ones.
    """
    undeclared, unlisted = [], []
    for route in route_access(app):
        listed = all((method, route.path) in PUBLIC for method in route.methods - {"HEAD"})
        if route.access is None and not listed:
            undeclared.append(route.path)
        if route.access == "anybody" and not listed:
            unlisted.append(route.path)
    if undeclared:
        raise RuntimeError(f"routes without a permission: {', '.join(undeclared)}")
    if unlisted:
        raise RuntimeError(f"open routes that api/auth/public.py lacks: {', '.join(unlisted)}")


def _access(dependant: Dependant | None) -> Access | None:
    for dependency in dependant.dependencies if dependant else ():
        if isinstance(dependency.call, Require):
            return dependency.call.permission
        if dependency.call is authenticated:
            return "known"
        if dependency.call is operator:
            return "operator"
        if dependency.call is anyone:
            return "anybody"
        if found := _access(dependency):
            return found
    return None


def rate_limits_of(scope: Scope) -> Mapping[str, str]:
    """Return the headers that say what is left of the limits a request was counted against."""
    headers: Mapping[str, str] = scope.get("state", {}).get("rate_limits", {})
    return headers


def _cost_of(request: Request) -> int:
    return cost_of(request.method, route_pattern(request.scope))


async def _refuse_forgery(request: Request, csrf_token: str) -> None:
    """A browser sends cookies along by itself: what changes something must prove its origin."""
    if request.method in _SAFE_METHODS:
        return
    sent = request.headers.get(CSRF_HEADER) or await _form_token(request)
    if not hmac.compare_digest(sent.encode(), csrf_token.encode()):
        raise ApiError(
            403,
            "auth.csrf",
            f"Send the session's CSRF token in {CSRF_HEADER} or the field {CSRF_FIELD}.",
        )


async def _form_token(request: Request) -> str:
    content_type = request.headers.get("content-type", "")
    if not content_type.startswith(("application/x-www-form-urlencoded", "multipart/form-data")):
        return ""
    value = (await request.form()).get(CSRF_FIELD)
    return value if isinstance(value, str) else ""
