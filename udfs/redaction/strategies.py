"""What is written in place of a value: one function for each strategy.

Every strategy gives the same for the same value, and leaves alone what it has made, so that
redacting twice changes nothing. Any failure removes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from ipaddress import ip_address, ip_network

from udfs.redaction import kinds
from udfs.redaction.tokens import REMOVED, RedactionKey, Tokens, is_protected
from udfs.redaction.vault import Vault


class Strategy(StrEnum):
    """What a policy may ask for."""

    REMOVE = "remove"
    MASK = "mask"
    HASH = "hash"
    TOKENIZE = "tokenize"
    ENCRYPT = "encrypt"
    GENERALIZE = "generalize"
    ALLOW = "allow"

    @property
    def keeps_equality(self) -> bool:
        """Whether equal values stay equal and others different, as `==`, `in` and joins need."""
        return self in _KEEP_EQUALITY


_KEEP_EQUALITY = frozenset({Strategy.HASH, Strategy.TOKENIZE, Strategy.ENCRYPT, Strategy.ALLOW})

_NO_KEY = RedactionKey("none", bytes(32))
"""Takes the place of a key that there is none of; nothing is made with it."""

_SHOWN = 4
"""Characters at the end that a mask leaves, of eight or more."""
_DOMAIN = re.compile(r"@([^@\s<>]+)")
_YEAR = re.compile(r"(?<!\d)(1[89]\d\d|2[01]\d\d)(?!\d)")
_WIDTH = {4: 24, 6: 48}


_NEED_A_KEY = frozenset({Strategy.HASH, Strategy.TOKENIZE, Strategy.ENCRYPT})


class Hand:
    """Applies strategies with a tenant's key. Without one it removes what would need it."""

    def __init__(self, key: RedactionKey | None, vault: Vault) -> None:
        self._has_key = key is not None
        self._tokens = Tokens(key or _NO_KEY)
        self._vault = vault
        self._by_strategy: dict[Strategy, Callable[[str, bytes], str]] = {
            Strategy.REMOVE: lambda _kind, _clear: REMOVED,
            Strategy.MASK: lambda kind, clear: mask(kind, _text(clear)),
            Strategy.HASH: lambda _kind, clear: self._tokens.hashed(clear),
            Strategy.TOKENIZE: self._tokenized,
            Strategy.ENCRYPT: lambda _kind, clear: self._tokens.encrypted(clear),
            Strategy.GENERALIZE: lambda kind, clear: generalize(kind, _text(clear)),
            Strategy.ALLOW: lambda _kind, clear: _text(clear),
        }

    def replace(self, strategy: Strategy, kind: str, clear: bytes) -> bytes:
        """Return what stands for a value; what was redacted before stays. Raises what fails."""
        if is_protected(clear) or not clear:
            return clear
        done = self._by_strategy[self.really(strategy)](kind, clear)
        return done.encode(errors="surrogateescape")

    def really(self, strategy: Strategy) -> Strategy:
        """Return what is done where a strategy is asked for."""
        return strategy if self._has_key or strategy not in _NEED_A_KEY else Strategy.REMOVE

    def _tokenized(self, _kind: str, clear: bytes) -> str:
        token = self._tokens.token(clear)
        self._vault.keep(token, self._tokens.encrypted(clear))
        return token


def mask(kind: str, clear: str) -> str:
    """Return the shape of a value: signs stay, letters and digits become stars but for a few.

    Of secrets not even the shape; of mail addresses two first letters and the top domain; of names
    the first letters; of all else the last four of eight or more.
    """
    if kind in kinds.SECRETS:
        return "****"
    if kind == kinds.EMAIL:
        return _masked_mail(clear)
    if kind == kinds.PERSON_NAME:
        return " ".join(word[:1] + "*" * len(word[1:]) for word in clear.split(" "))
    hidden = [at for at, character in enumerate(clear) if character.isalnum() or character == "*"]
    shown = set(hidden[-_SHOWN:]) if len(hidden) >= 2 * _SHOWN else set()
    stars = set(hidden) - shown
    return "".join("*" if at in stars else character for at, character in enumerate(clear))


def _masked_mail(clear: str) -> str:
    local, at, domain = clear.rpartition("@")
    if not at:
        return "****"
    name, dot, top = domain.rpartition(".")
    return f"{local[:1]}***@{name[:1]}***{dot}{top}" if dot else f"{local[:1]}***@***"


def generalize(kind: str, clear: str) -> str:
    """Return what a value is one of: network, domain, year; or only what kind of thing it is."""
    if kind.startswith(kinds.CUSTOM_PREFIX):
        return REMOVED  # whose pattern might find its own name
    maker = _GENERAL.get(kind)
    general = maker(clear) if maker else None
    return f"[{kind}]" if general is None else general


def _network(clear: str) -> str | None:
    address, _, bits = clear.partition("/")
    try:
        width = _WIDTH[ip_address(address).version]
        network = ip_network(f"{address}/{min(width, int(bits or width))}", strict=False)
    except ValueError:
        return None
    return str(network)


def _domain(clear: str) -> str | None:
    match = _DOMAIN.search(clear)
    return f"*@{match[1]}" if match else None


def _year(clear: str) -> str | None:
    match = _YEAR.search(clear)
    return match[1] if match else None


def _bucket(clear: str) -> str | None:
    try:
        return f"{round_down(float(clear)):g}"
    except ValueError:
        return None


def _degree(clear: str) -> str | None:
    try:
        return f"{math.floor(float(clear))}"
    except (ValueError, OverflowError):
        return None


_GENERAL: dict[str, Callable[[str], str | None]] = {
    kinds.IP_ADDRESS: _network,
    kinds.EMAIL: _domain,
    kinds.BIRTH_DATE: _year,
    kinds.LOCATION: _degree,
    kinds.DB_LITERAL: lambda _clear: "?",
    kinds.CHOSEN: _bucket,
}


def round_down(number: float) -> float:
    """Return a number with one digit that counts, towards zero: 1234 → 1000."""
    if number == 0 or not math.isfinite(number):
        return 0.0
    exact = Decimal(repr(number))
    sign, digits, _ = exact.as_tuple()
    return float(Decimal((sign, digits[:1], exact.adjusted())))


def _text(clear: bytes) -> str:
    return clear.decode(errors="surrogateescape")
