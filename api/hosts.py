"""Which names this server answers to, and which other sites may read its answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from fastapi import FastAPI, Request
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import ApiError, problem_response

_HOST: Final = re.compile(
    r"(?P<name>[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\.?|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?"
)
_ALWAYS: Final = frozenset({"/health/live", "/health/ready"})
"""Probes ask by whatever address the machine has."""
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_SENT: Final = ("Authorization", "Content-Type", "If-Match", "X-API-Key", "X-Request-ID")
_READ: Final = (
    *("ETag", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-ID"),
)
_REMEMBERED_S: Final = 600


class HostCheck:
    """Refuse requests whose Host header is no name of this server: 421, or 400 if it is no name.

    allowed: names without ports, `*.example.com` for all below it; none: any name.
    """

    def __init__(self, app: ASGIApp, *, allowed: Sequence[str] = ()) -> None:
        self._app = app
        self._names = frozenset(name for name in allowed if not name.startswith("*."))
        self._endings = tuple(name[1:] for name in allowed if name.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        error = self._problem(scope) if scope["type"] == "http" else None
        if error is None:
            await self._app(scope, receive, send)
            return
        await problem_response(Request(scope), error)(scope, receive, send)

    def _problem(self, scope: Scope) -> ApiError | None:
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        match = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if match is None:
            return ApiError(400, "request.host", "Send one Host header that is a name or address.")
        name = match["name"].rstrip(".").lower()
        open_to_any = not (self._names or self._endings) or scope["path"] in _ALWAYS
        if open_to_any or name in self._names or name.endswith(self._endings):
            return None
        return ApiError(421, "request.host", "This server does not answer to that name.")


def allow_origins(app: FastAPI, origins: Sequence[str]) -> None:
    """Let pages of other origins read answers of the REST API, with a key and never a cookie."""
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=list(_METHODS),
            allow_headers=list(_SENT),
            expose_headers=list(_READ),
            allow_credentials=False,
            max_age=_REMEMBERED_S,
        )
