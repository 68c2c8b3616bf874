"""Signing in and out, and how the console looks."""

from __future__ import annotations

import hmac
import secrets
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.access import anyone, authenticated, session_token
from api.auth.cookies import clear_session, client_of, set_session
from api.auth.sessions import SignedIn
from api.auth.sign_in import CodeNeeded
from api.problems import ApiError
from api.services import services_of
from api.web.render import THEME_COOKIE, home_href, render
from api.web.views.chrome import theme_of
from api.web.views.links import local_path
from api.web.views.notice import CodePage, ProviderButton, SignInPage
from api.web.views.provider import leave_page
from api.web.views.words import good

router = APIRouter(include_in_schema=False)

HOME: Final = "/home"
SIGN_IN_COOKIE: Final = "betrace_sign_in"
TICKET_COOKIE: Final = "betrace_sign_in_ticket"
DONE: Final = {
    "reset": "The password is set. Sign in with it.",
    "joined": "Your account is made. Sign in with it.",
    "left": "You have left the tenant. Signing in leads to your others, if you have some.",
}
_A_YEAR_S: Final = 365 * 24 * 60 * 60
_EXPIRED: Final = "This form was open for too long. Please sign in again."


@router.get("/", dependencies=[Depends(anyone)])
async def home(request: Request) -> Response:
    """Lead to the signals, or to the controls, for whom there is no more."""
    return RedirectResponse(await _home_of(request), 303)


@router.get("/sign-in", dependencies=[Depends(anyone)])
async def sign_in_form(
    request: Request,
    next: str = "",  # noqa: A002 - of the URL
    done: str = "",
) -> Response:
    """Show the form; whoever is signed in goes on at once. done: what led here, said on top."""
    token = session_token(request)
    found = await services_of(request).sessions.find(token) if token else None
    if found:
        return RedirectResponse(local_path(next, otherwise=home_href(found)), 303)
    return _form(request, next=next, done=done)


@router.post("/sign-in", dependencies=[Depends(anyone)])
async def sign_in(
    request: Request,
    email: Annotated[str, Form(max_length=320)] = "",
    password: Annotated[str, Form(max_length=1_024)] = "",
    csrf_token: Annotated[str, Form(max_length=100)] = "",
    next: Annotated[str, Form(max_length=2_000)] = "",  # noqa: A002 - a field of the form
) -> Response:
    """Begin a session and go where the person wanted to go, or ask for the second factor."""
    if not _is_ours(request, csrf_token):
        return _form(request, next=next, email=email, problem=_EXPIRED, status=403)
    try:
        step = await services_of(request).sign_in.with_password(
            email, password, client=client_of(request), replaces=session_token(request)
        )
    except ApiError as error:
        answer = _form(request, next=next, email=email, problem=error.detail, status=error.status)
        answer.headers.update(error.headers)
        return answer
    if isinstance(step, CodeNeeded):
        response = RedirectResponse(f"/sign-in/code?{urlencode({'next': next})}", 303)
        _set_short(request, response, TICKET_COOKIE, step.ticket)
        return response
    return _enter(request, step, next=next)


@router.get("/sign-in/code", dependencies=[Depends(anyone)])
async def code_form(request: Request, next: str = "") -> Response:  # noqa: A002 - of the URL
    """Ask for a code of the second factor."""
    if not request.cookies.get(TICKET_COOKIE):
        return RedirectResponse("/sign-in", 303)
    return _code_form(request, next=next)


@router.post("/sign-in/code", dependencies=[Depends(anyone)])
async def sign_in_with_code(
    request: Request,
    code: Annotated[str, Form(max_length=50)] = "",
    csrf_token: Annotated[str, Form(max_length=100)] = "",
    next: Annotated[str, Form(max_length=2_000)] = "",  # noqa: A002 - a field of the form
) -> Response:
    """Begin a session with the second step."""
    if not _is_ours(request, csrf_token):
        return _form(request, next=next, problem=_EXPIRED, status=403)
    try:
        signed_in = await services_of(request).sign_in.with_code(
            request.cookies.get(TICKET_COOKIE, ""),
            code,
            client=client_of(request),
            replaces=session_token(request),
        )
    except ApiError as error:
        again = _form if error.status == 401 else _code_form
        answer = again(request, next=next, problem=error.detail, status=error.status)
        answer.headers.update(error.headers)
        return answer
    return _enter(request, signed_in, next=next)


@router.post("/sign-out", dependencies=[Depends(authenticated)])
async def sign_out(
    request: Request,
    next: Annotated[str, Form(max_length=2_000)] = "",  # noqa: A002 - a field of the form
) -> Response:
    """End the session, and lead on to the provider if it came by one.

    By a page: the policy for contents stops the redirect of a form to another site.
    next: where to go on after signing in again.
    """
    services, token = services_of(request), session_token(request)
    provider, href = services.provider, ""
    if token:
        href = await provider.sign_out_url(token) if provider else ""
        await services.sessions.sign_out(token)
    request.state.principal = None
    form = f"/sign-in?{urlencode({'next': next})}" if next else "/sign-in"
    response: Response = RedirectResponse(form, 303)
    if provider and href:
        response = render(request, "onward.html", page=leave_page(provider.label, href))
    clear_session(response)
    return response


@router.post("/preferences/theme", dependencies=[Depends(anyone)])
async def choose_theme(
    theme: Annotated[str, Form(max_length=20)],
    back: Annotated[str, Form(max_length=2_000)] = HOME,
) -> Response:
    """Remember light, dark or the system's look; nothing that needs protection."""
    response = RedirectResponse(local_path(back, otherwise=HOME), 303)
    response.set_cookie(
        THEME_COOKIE, theme_of(theme), max_age=_A_YEAR_S, path="/", httponly=True, samesite="lax"
    )
    return response


async def _home_of(request: Request) -> str:
    token = session_token(request)
    found = await services_of(request).sessions.find(token) if token else None
    return home_href(found) if found else HOME


def _is_ours(request: Request, csrf_token: str) -> bool:
    """There is no session yet that could hold a token: form and cookie say the same."""
    cookie = request.cookies.get(SIGN_IN_COOKIE, "")
    return bool(cookie) and hmac.compare_digest(cookie.encode(), csrf_token.encode())


def _enter(request: Request, signed_in: SignedIn, *, next: str) -> Response:  # noqa: A002
    home = home_href(signed_in.principal)
    response = RedirectResponse(local_path(next, otherwise=home), 303)
    set_session(request, response, signed_in)
    for name in (SIGN_IN_COOKIE, TICKET_COOKIE):
        response.delete_cookie(name, path="/sign-in")
    return response


def _form(
    request: Request,
    *,
    next: str,  # noqa: A002
    email: str = "",
    problem: str = "",
    status: int = 200,
    done: str = "",
) -> Response:
    token = request.cookies.get(SIGN_IN_COOKIE) or secrets.token_urlsafe(24)
    page = SignInPage(
        problem=problem,
        csrf_token=token,
        next=local_path(next, otherwise=""),
        email=email,
        message=good(DONE[done]) if done in DONE else None,
        passwords=services_of(request).settings.local_accounts,
        provider=_button(request, next=local_path(next, otherwise="")),
    )
    response = render(request, "sign_in.html", page=page, status=status)
    _set_short(request, response, SIGN_IN_COOKIE, token)
    return response


def _button(request: Request, *, next: str) -> ProviderButton | None:  # noqa: A002
    provider = services_of(request).provider
    if provider is None:
        return None
    query = f"?{urlencode({'next': next})}" if next else ""
    return ProviderButton(provider.label, f"/sign-in/provider{query}")


def _code_form(
    request: Request,
    *,
    next: str,  # noqa: A002
    problem: str = "",
    status: int = 200,
) -> Response:
    token = request.cookies.get(SIGN_IN_COOKIE) or secrets.token_urlsafe(24)
    page = CodePage(problem=problem, csrf_token=token, next=local_path(next, otherwise=""))
    response = render(request, "sign_in_code.html", page=page, status=status)
    _set_short(request, response, SIGN_IN_COOKIE, token)
    return response


def _set_short(request: Request, response: Response, name: str, value: str) -> None:
    """Set a cookie for the time of signing in."""
    response.set_cookie(
        name,
        value,
        path="/sign-in",
        httponly=True,
        samesite="strict",
        secure=services_of(request).settings.cookie_secure,
    )
