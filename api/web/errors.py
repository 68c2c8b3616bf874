"""Refusals as pages: what happened, in one sentence, and where to go from there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from api.problems import ApiError
from api.web.assets import BundleMissing
from api.web.render import chrome_of, environment, render
from api.web.views.chrome import EVIDENCE_HOME
from api.web.views.notice import Notice
from api.web.views.words import Link

_SIGNALS: Final = Link("/signals", "Signals")
_RULES: Final = Link("/rules", "Rules")
_CONTROLS: Final = Link(EVIDENCE_HOME, "Controls")
_EVIDENCE: Final = Link("/evidence", "Evidence")
_AGAIN: Final = "Try again"

_LOOKS: Final[Mapping[int, tuple[str, str]]] = {
    400: ("That cannot be read", "circle-alert"),
    401: ("Sign in first", "user"),
    403: ("Not for your role", "ban"),
    404: ("Nothing here", "search"),
    405: ("Nothing here", "search"),
    409: ("Somebody was faster", "history"),
    413: ("Too much at once", "circle-alert"),
    429: ("Too many requests", "clock"),
    503: ("Not available right now", "triangle-alert"),
    504: ("That took too long", "clock"),
}
"""Status to title and icon."""
_LOOKS_OF_CODE: Final[Mapping[str, tuple[str, str]]] = {
    "auth.acting": ("Not in somebody's place", "ban"),
    "evidence.not_sealed": ("Not sealed yet", "clock"),
    "evidence.empty": ("Nothing is sealed yet", "clock"),
    "evidence.no_keys": ("Nothing is sealed here", "key-round"),
}
"""Where the status says too little."""


def error_page(request: Request, error: ApiError) -> Response | None:
    """Answer a refusal of a page; None leaves it to the problem document.

    Whoever is not signed in is sent to sign in and comes back. Streams, static files and programs
    that do not ask for HTML get the document.
    """
    if not _wants_page(request):
        return None
    if error.status == 401 and request.method == "GET":
        return _to_sign_in(request)
    try:
        environment()
    except BundleMissing:
        return None
    title, icon = _LOOKS_OF_CODE.get(error.code) or _LOOKS.get(
        error.status, ("Something went wrong", "triangle-alert")
    )
    request_id = getattr(request.state, "request_id", "")
    notice = Notice(
        title=title,
        detail=error.detail,
        icon=icon,
        reference=f"Request {request_id}" if error.status >= 500 and request_id else "",
        actions=_actions(request, error),
    )
    response = render(request, "notice.html", page=notice, status=error.status)
    response.headers.update(error.headers)
    return response


def _wants_page(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "") or "hx-request" in request.headers


def _to_sign_in(request: Request) -> Response:
    """A deep link survives signing in; a part of a page asks the browser to leave the page."""
    if request.url.path.startswith("/operator"):
        return RedirectResponse("/operator/sign-in", 303)
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if "hx-request" in request.headers:
        return Response(status_code=204, headers={"HX-Redirect": "/sign-in"})
    href = "/sign-in" if path in ("/", "/home") else f"/sign-in?{urlencode({'next': path})}"
    return RedirectResponse(href, 303)


def _actions(request: Request, error: ApiError) -> tuple[Link, ...]:
    if request.url.path.startswith("/operator"):
        return (Link("/operator", "Tenants"),)
    if error.status == 401:
        return (Link("/sign-in", "Sign in"),)
    viewer = chrome_of(request).viewer
    for_evidence = viewer is not None and viewer.home == EVIDENCE_HOME
    home = _CONTROLS if for_evidence else _SIGNALS
    if error.status >= 500 and request.method == "GET":
        return (Link(str(request.url.path), _AGAIN), home)
    return (home, _EVIDENCE) if for_evidence else (_SIGNALS, _RULES)
