"""Where a request comes from: address, browser, and whether the account was signed in there before.

    cookie of a known browser = <nonce>.<HMAC of purpose, address of the account and nonce>

The cookie opens nothing. Whoever holds it has signed in to that account here before, so failures of
others do not slow them down (see `api.auth.attempts`).
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import Final

from api.auth.hashes import keyed_hash

AGENT_LENGTH: Final = 300
ADDRESS_LENGTH: Final = 100


@dataclass(frozen=True, slots=True)
class Client:
    """address: as the server saw it; agent: the User-Agent header; browser: its cookie or empty."""

    address: str
    agent: str = ""
    browser: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "address", _clean(self.address, ADDRESS_LENGTH))
        object.__setattr__(self, "agent", _clean(self.agent, AGENT_LENGTH))


def mark_browser(email: str, *, pepper: bytes) -> str:
    """Return the cookie of a browser in which somebody has signed in to an account."""
    nonce = secrets.token_urlsafe(16)
    return f"{nonce}.{_mac(email, nonce, pepper=pepper)}"


def knows_browser(cookie: str, email: str, *, pepper: bytes) -> bool:
    """Return whether a cookie is one that `mark_browser` made for the account."""
    nonce, _, mac = cookie.partition(".")
    return hmac.compare_digest(mac.encode(), _mac(email, nonce, pepper=pepper).encode())


def _mac(email: str, nonce: str, *, pepper: bytes) -> str:
    return keyed_hash(pepper, "browser", f"{email}\0{nonce}").hex()


def _clean(text: str, length: int) -> str:
    """Postgres stores no NUL, and a header is anybody's text."""
    return "".join(character for character in text if character.isprintable())[:length]
