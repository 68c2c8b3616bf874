"""Signing in and out by REST, and asking who one is. Pages use the same `Sessions`."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.audit.origin import acting_of
from api.auth.access import anyone, authenticated, session_token
from api.auth.cookies import clear_session, client_of, set_session
from api.auth.principal import BearerPrincipal, Permission, Principal, UserPrincipal
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
    code: str = Field(
        default="", max_length=50, description="Of the second factor, or a recovery code."
    )


class Identity(BaseModel):
    """Who sends the requests. role: null for an API key with scopes of its own.

    csrf_token: for signed-in people, to be sent in X-CSRF-Token. acting: who acts in the person's
    place, as the identity provider says; null: nobody.
    """

    kind: Literal["user", "api_key", "token"]
    name: str
    tenant_id: UUID
    role: str | None
    permissions: list[str]
    csrf_token: str | None = None
    acting: str | None = None


@router.post("/session", dependencies=[Depends(anyone)])
async def sign_in(body: SignIn, request: Request, response: Response) -> Identity:
    """Sign in with address and password, and a code where `auth.code_needed` asks for one.

    Sets the session cookie. A session that the request brought along ends.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise ApiError(403, "auth.cross_site", "Sign in from this site.")
    signed_in = await services_of(request).sign_in.with_both(
        body.email,
        body.password,
        code=body.code,
        client=client_of(request),
        replaces=session_token(request),
    )
    set_session(request, response, signed_in)
    return identity_of(signed_in.principal)


@router.delete("/session", status_code=204)
async def sign_out(
    request: Request, response: Response, _: Annotated[Principal, Depends(authenticated)]
) -> None:
    """End the session of the cookie."""
    token = session_token(request)
    if token:
        await services_of(request).sessions.sign_out(token)
    clear_session(response)


@router.get("/session")
async def who_am_i(principal: Annotated[Principal, Depends(authenticated)]) -> Identity:
    """Say who sends the request, and what they may do."""
    return identity_of(principal)


def identity_of(principal: Principal) -> Identity:
    """Return what a principal is told about itself."""
    permissions = sorted(permission.value for permission in Permission if principal.may(permission))
    if isinstance(principal, UserPrincipal):
        return Identity(
            kind="user",
            name=principal.email,
            tenant_id=principal.scope.tenant_id,
            role=principal.role,
            permissions=permissions,
            csrf_token=principal.csrf_token,
            acting=acting_of(principal) or None,
        )
    return Identity(
        kind="token" if isinstance(principal, BearerPrincipal) else "api_key",
        name=principal.name,
        tenant_id=principal.scope.tenant_id,
        role=principal.role,
        permissions=permissions,
        acting=acting_of(principal) or None,
    )
