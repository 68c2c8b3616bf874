"""Signing in and out, and how the console looks."""

from __future__ import annotations

import hmac
import secrets
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from api.auth.access import anyone, authenticated, session_token
from api.auth.routes import clear_session_cookie, client_address, set_session_cookie
from api.problems import ApiError
from api.services import services_of
from api.web.render import THEME_COOKIE, render
from api.web.views.chrome import theme_of
from api.web.views.links import local_path
from api.web.views.notice import SignInPage

router = APIRouter(include_in_schema=False)

HOME: Final = "/signals"
SIGN_IN_COOKIE: Final = "betrace_sign_in"
_A_YEAR_S: Final = 365 * 24 * 60 * 60
_EXPIRED: Final = "This form was open for too long. Please sign in again."


@router.get("/", dependencies=[Depends(anyone)])
async def home() -> Response:
    """Lead to the signals."""
    return RedirectResponse(HOME, 303)


@router.get("/sign-in", dependencies=[Depends(anyone)])
async def sign_in_form(request: Request, next: str = "") -> Response:  # noqa: A002 - of the URL
    """Show the form; whoever is signed in goes on at once."""
    token = session_token(request)
    if token and await services_of(request).sessions.find(token):
        return RedirectResponse(local_path(next, otherwise=HOME), 303)
    return _form(request, next=next)


@router.post("/sign-in", dependencies=[Depends(anyone)])
async def sign_in(
    request: Request,
    email: Annotated[str, Form(max_length=320)] = "",
    password: Annotated[str, Form(max_length=1_024)] = "",
    csrf_token: Annotated[str, Form(max_length=100)] = "",
    next: Annotated[str, Form(max_length=2_000)] = "",  # noqa: A002 - a field of the form
) -> Response:
    """Begin a session and go where the person wanted to go."""
    cookie = request.cookies.get(SIGN_IN_COOKIE, "")
    if not cookie or not hmac.compare_digest(cookie.encode(), csrf_token.encode()):
        return _form(request, next=next, email=email, problem=_EXPIRED, status=403)
    services = services_of(request)
    try:
        signed_in = await services.sessions.sign_in(email, password, client=client_address(request))
    except ApiError as error:
        answer = _form(request, next=next, email=email, problem=error.detail, status=error.status)
        answer.headers.update(error.headers)
        return answer
    response = RedirectResponse(local_path(next, otherwise=HOME), 303)
    set_session_cookie(response, signed_in.token, secure=services.settings.cookie_secure)
    response.delete_cookie(SIGN_IN_COOKIE, path="/sign-in")
    return response


@router.post("/sign-out", dependencies=[Depends(authenticated)])
async def sign_out(request: Request) -> Response:
    """End the session."""
    token = session_token(request)
    if token:
        await services_of(request).sessions.sign_out(token)
    response = RedirectResponse("/sign-in", 303)
    clear_session_cookie(response)
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


def _form(
    request: Request,
    *,
    next: str,  # noqa: A002
    email: str = "",
    problem: str = "",
    status: int = 200,
) -> Response:
    token = request.cookies.get(SIGN_IN_COOKIE) or secrets.token_urlsafe(24)
    page = SignInPage(
        problem=problem, csrf_token=token, next=local_path(next, otherwise=""), email=email
    )
    response = render(request, "sign_in.html", page=page, status=status)
    response.set_cookie(
        SIGN_IN_COOKIE,
        token,
        path="/sign-in",
        httponly=True,
        samesite="strict",
        secure=services_of(request).settings.cookie_secure,
    )
    return response
