"""Bounds on bodies, before anything reads them: size, compression, and the shape of JSON.

A body is refused where it is read, so that the refusal is a problem document like all others.
"""

from __future__ import annotations

import re
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES: Final = 1024 * 1024
MAX_BODY_OF_STRANGER_BYTES: Final = 64 * 1024
"""Of a request that presents no credential at all: a form to sign in with is much smaller."""
MAX_DEPTH: Final = 64
MAX_VALUES: Final = 50_000
"""Of arrays and objects in a JSON body, and of the values in them."""
_CREDENTIALS: Final = ("x-api-key", "authorization", "cookie")
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{},]', re.DOTALL)
"""A string, ended or not, or what opens, closes and parts. Linear in the length of any body."""


class BodyGuard:
    """Refuse bodies that are too large, compressed, or JSON of an unreasonable shape.

    413 for what is too much, whether or not the length is announced; 415 for an encoding.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._app(scope, _Guarded(Headers(scope=scope), receive), send)


class _Guarded:
    """Receives a body within its bounds. A JSON body is gathered whole before it is handed on."""

    def __init__(self, headers: Headers, receive: Receive) -> None:
        self._receive = receive
        self._received_bytes = 0
        known = any(name in headers for name in _CREDENTIALS)
        self._max_bytes = MAX_BODY_BYTES if known else MAX_BODY_OF_STRANGER_BYTES
        self._is_json = _is_json(headers.get("content-type", ""))
        self._encoding = headers.get("content-encoding", "identity").strip().lower()

    async def __call__(self) -> Message:
        """Return the next message. Raises HTTPException."""
        message = await self._next()
        if not self._is_json or message["type"] != "http.request":
            return message
        parts = [message.get("body", b"")]
        while message.get("more_body", False):
            message = await self._next()
            if message["type"] != "http.request":
                return message
            parts.append(message.get("body", b""))
        self._is_json = False  # it has come; what follows is the end of the connection
        body = b"".join(parts)
        refuse_misshapen(body)
        return {"type": "http.request", "body": body, "more_body": False}

    async def _next(self) -> Message:
        message = await self._receive()
        size_bytes = len(message.get("body", b""))
        self._received_bytes += size_bytes
        if self._received_bytes > self._max_bytes:
            raise HTTPException(413, f"A body may have {self._max_bytes} bytes.")
        if size_bytes and self._encoding != "identity":
            raise HTTPException(415, "Send the body without Content-Encoding.")
        return message


def refuse_misshapen(body: bytes) -> None:
    """Raise HTTPException 413 for JSON that is nested too deeply or has too many values.

    What is no JSON at all is left to whoever reads it.
    """
    depth = values = 0
    for token in _TOKEN.finditer(body):
        match token.group()[:1]:
            case b"[" | b"{":
                depth += 1
                values += 1
            case b"]" | b"}":
                depth -= 1
            case b",":
                values += 1
        if depth > MAX_DEPTH:
            raise HTTPException(413, f"JSON may be nested {MAX_DEPTH} deep.")
        if values > MAX_VALUES:
            raise HTTPException(413, f"JSON may hold {MAX_VALUES} values.")


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type in ("", "application/json") or media_type.endswith("+json")
