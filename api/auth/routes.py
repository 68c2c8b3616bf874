"""Signing in and out by REST, and asking who one is. Pages use the same `Sessions`."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.auth.access import (
    SECURE_SESSION_COOKIE,
    SESSION_COOKIE,
    anyone,
    authenticated,
    session_token,
)
from api.auth.principal import Permission, Principal, UserPrincipal
from api.auth.sessions import LIFETIME
from api.problems import ApiError
from api.services import services_of

router = APIRouter(tags=["session"])


class SignIn(BaseModel):
    """What a person types."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"email": "ada@example.com", "password": "…"}]},
    )
    email: str = Field(max_length=320)
    password: str = Field(max_length=1_024)


class Identity(BaseModel):
    """Who sends the requests. role: null for an API key with scopes of its own.

    csrf_token: for signed-in people, to be sent in X-CSRF-Token.
    """

    kind: Literal["user", "api_key"]
    name: str
    tenant_id: UUID
    role: str | None
    permissions: list[str]
    csrf_token: str | None = None


@router.post("/session", dependencies=[Depends(anyone)])
async def sign_in(body: SignIn, request: Request, response: Response) -> Identity:
    """Sign in with address and password; sets the session cookie."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise ApiError(403, "auth.cross_site", "Sign in from this site.")
    services = services_of(request)
    signed_in = await services.sessions.sign_in(
        body.email, body.password, client=client_address(request)
    )
    set_session_cookie(response, signed_in.token, secure=services.settings.cookie_secure)
    return _identity(signed_in.principal)


@router.delete("/session", status_code=204)
async def sign_out(
    request: Request, response: Response, _: Annotated[Principal, Depends(authenticated)]
) -> None:
    """End the session of the cookie."""
    token = session_token(request)
    if token:
        await services_of(request).sessions.sign_out(token)
    clear_session_cookie(response)


@router.get("/session")
async def who_am_i(principal: Annotated[Principal, Depends(authenticated)]) -> Identity:
    """Say who sends the request, and what they may do."""
    return _identity(principal)


def set_session_cookie(response: Response, token: str, *, secure: bool) -> None:
    """Hand the token of a session to the browser."""
    response.set_cookie(
        SECURE_SESSION_COOKIE if secure else SESSION_COOKIE,
        token,
        max_age=int(LIFETIME.total_seconds()),
        path="/",
        httponly=True,
        samesite="lax",
        secure=secure,
    )


def clear_session_cookie(response: Response) -> None:
    """Make the browser forget its session."""
    response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="lax")
    response.delete_cookie(
        SECURE_SESSION_COOKIE, path="/", httponly=True, samesite="lax", secure=True
    )


def client_address(request: Request) -> str:
    """Return the address of the caller: the peer, or whom a trusted proxy names."""
    return str(services_of(request).authenticator.address_of(request) or "unknown")


def _identity(principal: Principal) -> Identity:
    permissions = sorted(permission.value for permission in Permission if principal.may(permission))
    if isinstance(principal, UserPrincipal):
        return Identity(
            kind="user",
            name=principal.email,
            tenant_id=principal.scope.tenant_id,
            role=principal.role,
            permissions=permissions,
            csrf_token=principal.csrf_token,
        )
    return Identity(
        kind="api_key",
        name=principal.name,
        tenant_id=principal.scope.tenant_id,
        role=principal.role,
        permissions=permissions,
    )
