"""The settings of one's own account, and going on in another tenant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.account_routes import Alone, Me
from api.auth.accounts import Person
from api.auth.cookies import set_session
from api.auth.second_factor import Enrolment
from api.problems import ApiError
from api.services import services_of
from api.web.render import home_href, render
from api.web.views.account import DONE, Refusal, Ways, account_page
from api.web.views.words import Message, good

router = APIRouter(include_in_schema=False)

ACCOUNT: Final = "/settings/account"
_DIFFERENT: Final = "The two new passwords are not the same."

Secret = Annotated[str, Form(max_length=1_024)]


@router.get("/settings")
async def settings(who: Me) -> Response:
    """Lead to the first of the settings pages."""
    return RedirectResponse(ACCOUNT, 303)


@router.get(ACCOUNT)
async def account(request: Request, who: Me, done: str = "") -> Response:
    """Show the account. done: what a form has just done, said on top."""
    return await _page(request, who, message=good(DONE[done]) if done in DONE else None)


@router.post(f"{ACCOUNT}/password")
async def change_password(
    request: Request, who: Alone, current: Secret = "", new: Secret = "", again: Secret = ""
) -> Response:
    """Set another password."""
    if new != again:
        return await refused_form(request, who, ApiError(400, "", _DIFFERENT), form="password")
    try:
        signed_in = await services_of(request).accounts.change_password(
            who, current=current, new=new
        )
    except ApiError as error:
        return await refused_form(request, who, error, form="password")
    response = _back("password")
    set_session(request, response, signed_in)
    return response


@router.post(f"{ACCOUNT}/second-factor")
async def begin_factor(request: Request, who: Alone, password: Secret = "") -> Response:
    """Show a new secret for an authenticator app. Not after a redirect: nobody else may see it."""
    try:
        enrolment = await services_of(request).accounts.begin_factor(who, password=password)
    except ApiError as error:
        return await refused_form(request, who, error, form="begin")
    return await _page(request, who, enrolment=enrolment)


@router.post(f"{ACCOUNT}/second-factor/confirm")
async def confirm_factor(
    request: Request, who: Alone, code: Annotated[str, Form(max_length=50)] = ""
) -> Response:
    """Switch the second factor on and show its recovery codes, once."""
    accounts = services_of(request).accounts
    try:
        done = await accounts.confirm_factor(who, code=code)
    except ApiError as error:
        enrolment = await accounts.pending_factor(who)
        form = "confirm" if enrolment else "begin"
        return await refused_form(request, who, error, form=form, enrolment=enrolment)
    request.state.principal = done.signed_in.principal
    now = Person(done.signed_in.principal, done.signed_in.token, who.client)
    response = await _page(
        request,
        now,
        recovery_codes=done.recovery_codes,
        message=good("The second factor is on, and your other sessions are ended."),
    )
    set_session(request, response, done.signed_in)
    return response


@router.post(f"{ACCOUNT}/second-factor/off")
async def factor_off(request: Request, who: Alone, password: Secret = "") -> Response:
    """Do without a second factor."""
    try:
        await services_of(request).accounts.factor_off(who, password=password)
    except ApiError as error:
        return await refused_form(request, who, error, form="off")
    return _back("factor-off")


@router.post(f"{ACCOUNT}/second-factor/recovery-codes")
async def new_recovery_codes(request: Request, who: Alone, password: Secret = "") -> Response:
    """Replace the recovery codes and show the new ones, once."""
    try:
        codes = await services_of(request).accounts.new_recovery_codes(who, password=password)
    except ApiError as error:
        return await refused_form(request, who, error, form="codes")
    return await _page(request, who, recovery_codes=codes, message=good("New recovery codes."))


@router.post(f"{ACCOUNT}/sessions/end-others")
async def end_others(request: Request, who: Alone) -> Response:
    """End all sessions but this one."""
    await services_of(request).sessions.end_all(who.user_id, keep=who.token)
    return _back("others")


@router.post(f"{ACCOUNT}/sessions/{{session_id}}/end")
async def end_session(request: Request, who: Alone, session_id: UUID) -> Response:
    """End one session."""
    await services_of(request).sessions.end(who.user_id, session_id)
    return _back("session")


@router.post("/switch-tenant")
async def switch_tenant(request: Request, who: Me, tenant_id: Annotated[UUID, Form()]) -> Response:
    """Go on in another tenant, with a session of its own."""
    signed_in = await services_of(request).sessions.renew(
        who.token, client=who.client, tenant_id=tenant_id
    )
    response = RedirectResponse(home_href(signed_in.principal), 303)
    set_session(request, response, signed_in)
    return response


def _back(done: str) -> Response:
    return RedirectResponse(f"{ACCOUNT}?done={done}", 303)


async def refused_form(
    request: Request,
    who: Person,
    error: ApiError,
    *,
    form: str,
    enrolment: Enrolment | None = None,
) -> Response:
    """Show the page again, with what was wrong in the panel of the form."""
    sentences = tuple(error.members.get("weaknesses", (error.detail,)))
    response = await _page(
        request,
        who,
        enrolment=enrolment,
        refusal=Refusal(form, sentences),
        status=error.status,
    )
    response.headers.update(error.headers)
    return response


async def _page(
    request: Request,
    who: Person,
    *,
    enrolment: Enrolment | None = None,
    recovery_codes: Sequence[str] = (),
    message: Message | None = None,
    refusal: Refusal | None = None,
    status: int = 200,
) -> Response:
    services = services_of(request)
    provider = services.provider
    ways = Ways(
        password=await services.accounts.has_password(who),
        provider=provider.label if provider else "",
        linked=await provider.is_linked(who.user_id) if provider else False,
    )
    page = account_page(
        who.principal.email,
        await services.accounts.factor_state(who),
        await services.sessions.of_user(who.user_id, token=who.token),
        ways,
        alone=not who.principal.acting,
        enrolment=enrolment,
        recovery_codes=recovery_codes,
        message=message,
        refusal=refusal,
    )
    return render(request, "settings/account.html", page=page, status=status)
