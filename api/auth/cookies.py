"""The cookies of signing in: the session's token, and the mark of a browser that an account knows.

Out of reach of scripts; sent along from other sites by a followed link and by nothing else. Over
https their names begin with __Host-, so that no other host of the domain can set them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from fastapi import Request, Response

from api.auth.access import SECURE_SESSION_COOKIE, SESSION_COOKIE
from api.auth.client import Client, knows_browser, mark_browser
from api.auth.sessions import SignedIn
from api.services import services_of

BROWSER_COOKIE: Final = "betrace_browser"
SECURE_BROWSER_COOKIE: Final = "__Host-betrace_browser"
_BROWSER_LIFE: Final = timedelta(days=365)
_MAX_COOKIE_LENGTH: Final = 200


def client_of(request: Request) -> Client:
    """Return where a request comes from: the peer, or whom a trusted proxy names."""
    browser = request.cookies.get(SECURE_BROWSER_COOKIE) or request.cookies.get(BROWSER_COOKIE, "")
    return Client(
        address=str(services_of(request).authenticator.address_of(request) or "unknown"),
        agent=request.headers.get("user-agent", ""),
        browser=browser[:_MAX_COOKIE_LENGTH],
    )


def set_session(request: Request, response: Response, signed_in: SignedIn) -> None:
    """Hand the token of a session to the browser, and mark the browser as one the account knows."""
    services = services_of(request)
    secure = services.settings.cookie_secure
    _set(
        response,
        SECURE_SESSION_COOKIE if secure else SESSION_COOKIE,
        signed_in.token,
        life=services.sessions.times.absolute,
        secure=secure,
    )
    email, pepper = signed_in.principal.email, services.settings.pepper
    if not knows_browser(client_of(request).browser, email, pepper=pepper):
        _set(
            response,
            SECURE_BROWSER_COOKIE if secure else BROWSER_COOKIE,
            mark_browser(email, pepper=pepper),
            life=_BROWSER_LIFE,
            secure=secure,
        )


def clear_session(response: Response) -> None:
    """Make the browser forget its session."""
    response.delete_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="lax")
    response.delete_cookie(
        SECURE_SESSION_COOKIE, path="/", httponly=True, samesite="lax", secure=True
    )


def _set(response: Response, name: str, value: str, *, life: timedelta, secure: bool) -> None:
    response.set_cookie(
        name,
        value,
        max_age=int(life.total_seconds()),
        path="/",
        httponly=True,
        samesite="lax",
        secure=secure,
    )
