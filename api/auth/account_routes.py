"""/account: what people do with their own account. Machines have none (403)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.auth.access import authenticated, session_token
from api.auth.accounts import Person
from api.auth.cookies import client_of, set_session
from api.auth.principal import Membership, Principal, UserPrincipal
from api.auth.routes import Identity, identity_of
from api.auth.sessions import SessionInfo
from api.problems import ApiError, not_in_anothers_place, unauthenticated
from api.services import services_of

router = APIRouter(prefix="/account", tags=["account"])

Password = Annotated[str, Field(max_length=1_024)]


async def person_of(
    request: Request, principal: Annotated[Principal, Depends(authenticated)]
) -> Person:
    """Return the signed-in person. Raises ApiError 403 for machines."""
    if not isinstance(principal, UserPrincipal):
        raise ApiError(403, "account.people_only", "Keys and tokens have no account: sign in.")
    token = session_token(request)
    if token is None:
        raise unauthenticated()
    request.state.principal = principal
    return Person(principal, token, client_of(request))


Me = Annotated[Person, Depends(person_of)]


async def person_alone(who: Me) -> Person:
    """Return the signed-in person. Raises ApiError 403 for somebody who acts in their place."""
    if who.principal.acting:
        raise not_in_anothers_place()
    return who


Alone = Annotated[Person, Depends(person_alone)]
"""For what only the person may do: whatever would outlast the visit of somebody in their place."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PasswordChange(_Body):
    """The password so far, and the one from now on."""

    current_password: Password
    new_password: Password


class PasswordAgain(_Body):
    """The password, asked for again."""

    password: Password


class FirstCode(_Body):
    """A code that the authenticator app shows."""

    code: str = Field(max_length=50)


class TenantChoice(_Body):
    """A tenant of the person."""

    tenant_id: UUID


class TenantBody(BaseModel):
    """A tenant that the person belongs to. current: the one of this session."""

    id: UUID
    name: str
    role: str
    current: bool


class AccountBody(BaseModel):
    """The account. second_factor: whether a code is asked for at sign-in."""

    email: str
    name: str
    second_factor: bool
    recovery_codes_left: int
    tenants: list[TenantBody]


class SessionBody(BaseModel):
    """One session. current: the one that asks; user_agent: as the browser named itself; acting: who
    acts in it in the person's place, null: nobody."""

    id: UUID
    tenant_id: UUID
    user_agent: str
    address: str
    created_at: datetime
    last_seen_at: datetime
    acting: str | None
    current: bool


class SessionList(BaseModel):
    """The sessions, the current one first, then by last use."""

    items: list[SessionBody]


class EnrolmentBody(BaseModel):
    """What to give an authenticator app: secret in base 32, and the same as otpauth URI."""

    secret: str
    uri: str


class RecoveryCodes(BaseModel):
    """Codes that each work once in place of the app's. They are shown now and never again."""

    recovery_codes: list[str]


class FactorOnBody(RecoveryCodes):
    """The second factor is on; the session has a new token, and this CSRF token."""

    csrf_token: str


@router.get("")
async def read_account(request: Request, who: Me) -> AccountBody:
    """Return the account of the person who asks."""
    state = await services_of(request).accounts.factor_state(who)
    me = who.principal
    here = Membership(me.scope.tenant_id, me.tenant_name, me.role)
    return AccountBody(
        email=me.email,
        name=me.name,
        second_factor=state.on,
        recovery_codes_left=state.recovery_codes_left,
        tenants=[_tenant(tenant, current=tenant is here) for tenant in (here, *me.others)],
    )


@router.put("/password")
async def change_password(
    request: Request, response: Response, who: Alone, body: PasswordChange
) -> Identity:
    """Set another password. All other sessions end; this one gets a new cookie and CSRF token."""
    signed_in = await services_of(request).accounts.change_password(
        who, current=body.current_password, new=body.new_password
    )
    set_session(request, response, signed_in)
    return identity_of(signed_in.principal)


@router.post("/tenant")
async def switch_tenant(
    request: Request, response: Response, who: Me, body: TenantChoice
) -> Identity:
    """Go on in another tenant: the session ends, a new one for that tenant takes its place."""
    signed_in = await services_of(request).sessions.renew(
        who.token, client=who.client, tenant_id=body.tenant_id
    )
    set_session(request, response, signed_in)
    return identity_of(signed_in.principal)


@router.get("/sessions")
async def list_sessions(request: Request, who: Me) -> SessionList:
    """List the person's sessions in all tenants."""
    found = await services_of(request).sessions.of_user(who.user_id, token=who.token)
    return SessionList(items=[_session(session) for session in found])


@router.delete("/sessions", status_code=204)
async def end_other_sessions(request: Request, who: Alone) -> None:
    """End all sessions of the person but this one. The next request of each is refused."""
    await services_of(request).sessions.end_all(who.user_id, keep=who.token)


@router.delete("/sessions/{session_id}", status_code=204)
async def end_session(request: Request, who: Alone, session_id: UUID) -> None:
    """End one session of the person. Its next request is refused."""
    await services_of(request).sessions.end(who.user_id, session_id)


@router.post("/second-factor", status_code=201)
async def begin_second_factor(request: Request, who: Alone, body: PasswordAgain) -> EnrolmentBody:
    """Make a secret for an authenticator app. It counts once a first code of it was sent."""
    made = await services_of(request).accounts.begin_factor(who, password=body.password)
    return EnrolmentBody(secret=made.secret, uri=made.uri)


@router.post("/second-factor/confirm")
async def confirm_second_factor(
    request: Request, response: Response, who: Alone, body: FirstCode
) -> FactorOnBody:
    """Switch the second factor on. All other sessions end; this one gets a new cookie."""
    done = await services_of(request).accounts.confirm_factor(who, code=body.code)
    set_session(request, response, done.signed_in)
    return FactorOnBody(
        recovery_codes=done.recovery_codes, csrf_token=done.signed_in.principal.csrf_token
    )


@router.post("/second-factor/off", status_code=204)
async def second_factor_off(request: Request, who: Alone, body: PasswordAgain) -> None:
    """Do without a second factor from now on."""
    await services_of(request).accounts.factor_off(who, password=body.password)


@router.post("/second-factor/recovery-codes")
async def renew_recovery_codes(request: Request, who: Alone, body: PasswordAgain) -> RecoveryCodes:
    """Replace the recovery codes; the old ones work no more."""
    made = await services_of(request).accounts.new_recovery_codes(who, password=body.password)
    return RecoveryCodes(recovery_codes=made)


def _tenant(tenant: Membership, *, current: bool) -> TenantBody:
    return TenantBody(
        id=tenant.tenant_id, name=tenant.tenant_name, role=tenant.role, current=current
    )


def _session(session: SessionInfo) -> SessionBody:
    return SessionBody(
        id=session.id,
        tenant_id=session.tenant_id,
        user_agent=session.agent,
        address=session.address,
        created_at=session.created_at,
        last_seen_at=session.last_seen_at,
        acting=session.acting or None,
        current=session.current,
    )
