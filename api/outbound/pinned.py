"""Connections that go where the check was made: resolved once, checked, and that address is used.

A name that leads somewhere else a moment later (DNS rebinding) is not asked again. TLS and the Host
header keep the name, since only the connection below them is pinned.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import httpcore

from api.auth.addresses import Networks
from api.outbound.reachable import reachable_addresses

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a name. Raises OSError."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(where[0]) for *_, where in found))


class PinnedBackend(httpcore.AsyncNetworkBackend):
    """Opens TCP connections of httpcore to checked addresses only."""

    def __init__(self, *, allowed: Networks, resolve: Resolve) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._below = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of a name that answers.

        Raises AddressForbidden, httpcore.ConnectError, httpcore.ConnectTimeout.
        """
        try:
            async with asyncio.timeout(timeout):
                texts = await self._resolve(host.strip("[]"), port)
        except (OSError, UnicodeError) as error:  # TimeoutError is an OSError
            raise httpcore.ConnectError(f"{host} cannot be resolved") from error
        failure: Exception | None = None
        for address in reachable_addresses(texts, allowed=self._allowed):
            try:
                return await self._below.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise httpcore.ConnectError(f"{host} does not answer") from failure

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        """Refuse: no URL names a socket of this machine."""
        raise httpcore.ConnectError("Unix sockets are not called")

    async def sleep(self, seconds: float) -> None:
        """Sleep."""
        await self._below.sleep(seconds)
