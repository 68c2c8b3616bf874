"""One sign-in on its way through a provider: what our browser must bring back.

The whole of it travels in a cookie of the browser that began, sealed: no replica need know of it,
and nobody else can go on with it.
"""

from __future__ import annotations

import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from api.auth.sealing import Sealer, Unreadable

LIFETIME_S: Final = 10 * 60


def _random() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A sign-in that was begun.

    state: comes back by the browser (RFC 6749, 10.12); nonce: comes back in the ID token; verifier:
    of PKCE (RFC 7636). next: where the person wanted to go. links: the person who, signed in, wants
    to be known by the provider from now on; None: a sign-in.
    """

    state: str = field(default_factory=_random)
    nonce: str = field(default_factory=_random)
    verifier: str = field(default_factory=_random)
    next: str = ""
    links: UUID | None = None


class Flows:
    """Makes cookies of flows, and flows of cookies."""

    def __init__(self, pepper: bytes, *, clock: Callable[[], float] = time.time) -> None:
        self._sealer = Sealer(pepper, purpose="provider sign-in")
        self._clock = clock

    def seal(self, flow: Flow) -> str:
        """Return the cookie of a flow that begins now."""
        values = {
            "at": int(self._clock()),
            "state": flow.state,
            "nonce": flow.nonce,
            "verifier": flow.verifier,
            "next": flow.next,
            "links": str(flow.links) if flow.links else None,
        }
        return urlsafe_b64encode(self._sealer.seal(json.dumps(values))).decode()

    def unseal(self, cookie: str) -> Flow | None:
        """Return the flow of a cookie, None if it is none of ours or was begun too long ago."""
        try:
            values = json.loads(self._sealer.unseal(urlsafe_b64decode(cookie.encode())))
        except (NotBase64, Unreadable):
            return None
        if self._clock() - values.pop("at") > LIFETIME_S:
            return None
        links = values.pop("links")
        return Flow(**values, links=UUID(links) if links else None)
