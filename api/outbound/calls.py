"""One call to a URL that somebody else chose.

https, or http where the setting allows it; no user or password in the URL; only to addresses that
`reachable` lets through; no redirects, no proxies of the environment, no compressed answers; an
answer has a bound in size and the whole call one in time.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

import httpcore

from api.auth.addresses import Networks
from api.outbound.pinned import PinnedBackend, Resolve, resolve
from api.outbound.reachable import AddressForbidden

_MAX_URL_LENGTH: Final = 2_048
_PORTS: Final = {"https": 443, "http": 80}
_FIRST_FREE_PORT: Final = 1_024
"""Below it only the ports of the web are called: mail and the like listen there."""


class CallRefused(Exception):
    """The URL may not be called; the text says why, and nothing about what is behind it."""


class CallFailed(Exception):
    """There is no usable answer: nobody answers, too late, too large, no HTTP."""


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Bounds of one call."""

    connect_s: float = 5.0
    total_s: float = 15.0
    max_answer_bytes: int = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. headers: names in lower case; of several alike the last."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Outbound:
    """Makes calls. Every call has a connection of its own, so every call is checked."""

    def __init__(
        self,
        *,
        allowed: Networks = (),
        plain_http: bool = False,
        limits: CallLimits | None = None,
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """allowed: networks that may be called although they are private.

        plain_http: whether http:// is called at all. resolve, tls: in place of the system's.
        """
        self._backend = PinnedBackend(allowed=allowed, resolve=resolve)
        self._plain_http = plain_http
        self._limits = limits or CallLimits()
        self._tls = tls or ssl.create_default_context()

    async def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        body: bytes = b"",
    ) -> Reply:
        """Send a request and return its answer, whatever its status. A redirect is an answer.

        Raises CallRefused, CallFailed.
        """
        refuse_url(url, plain_http=self._plain_http)
        try:
            async with asyncio.timeout(self._limits.total_s):
                return await self._call(method, url, headers, body)
        except AddressForbidden as error:
            raise CallRefused("The host of this URL is not one that may be called.") from error
        except TimeoutError as error:
            raise CallFailed(f"No answer within {self._limits.total_s:g} s.") from error
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            raise CallFailed(f"The call failed: {_words(error)}.") from error

    async def _call(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        connect_s = self._limits.connect_s
        async with (
            httpcore.AsyncConnectionPool(
                ssl_context=self._tls,
                max_keepalive_connections=0,
                http2=False,
                network_backend=self._backend,
            ) as pool,
            pool.stream(
                method,
                url,
                headers=[("accept-encoding", "identity"), *headers.items()],
                content=body,
                extensions={"timeout": {"connect": connect_s, "pool": connect_s}},
            ) as response,
        ):
            taken = bytearray()
            async for chunk in response.aiter_stream():
                taken += chunk
                if len(taken) > self._limits.max_answer_bytes:
                    raise CallFailed(
                        f"The answer has more than {self._limits.max_answer_bytes} bytes."
                    )
            told = {n.decode("latin-1").lower(): v.decode("latin-1") for n, v in response.headers}
            return Reply(response.status, told, bytes(taken))


def refuse_url(url: str, *, plain_http: bool = False) -> None:
    """Raise CallRefused for a URL that is not to be called, whatever its host leads to."""
    if len(url) > _MAX_URL_LENGTH or not url.isascii() or any(c <= " " or c == "\x7f" for c in url):
        raise CallRefused("The URL is too long, or holds characters that a URL does not have.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise CallRefused("That is no URL.") from error
    schemes = ("https", "http") if plain_http else ("https",)
    if parts.scheme not in schemes or not parts.hostname or "\\" in url:
        raise CallRefused(f"Give a URL that begins with {' or '.join(schemes)}:// and has a host.")
    if parts.username is not None or parts.password is not None:
        raise CallRefused("Leave user and password out of the URL.")
    if port is not None and port < _FIRST_FREE_PORT and port not in _PORTS.values():
        raise CallRefused(f"Port {port} is not called.")


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
