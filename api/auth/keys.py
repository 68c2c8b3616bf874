"""API keys: how they look, and how they are kept.

    betrace_live_<43 characters: 32 random bytes in base 62><6 characters: CRC-32 in base 62>
    betrace_test_…

The checksum tells a mistyped key from a wrong one without asking the database, and lets scanners
find leaked keys. Only HMAC-SHA-256 of the whole key under the pepper is stored: 256 random bits
need no slow hash.
"""

from __future__ import annotations

import hmac
import re
import secrets
from binascii import crc32
from enum import StrEnum
from typing import Final

from api.auth.hashes import keyed_hash


class KeyKind(StrEnum):
    """What a key is for. Test keys are good only where the operator accepts them."""

    LIVE = "live"
    TEST = "test"

    @property
    def prefix(self) -> str:
        """What keys of the kind begin with."""
        return f"betrace_{self.value}_"


_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_BYTES: Final = 32
_SECRET_LENGTH: Final = 43
_CHECKSUM_LENGTH: Final = 6
_SHOWN_OF_SECRET: Final = 6
_FORM: Final = re.compile(r"betrace_(live|test)_([0-9A-Za-z]+)")
_SECRET_FORM: Final = re.compile(
    rf"([0-9A-Za-z]{{{_SECRET_LENGTH}}})([0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})"
)


def new_key(kind: KeyKind = KeyKind.LIVE) -> str:
    """Return a new random key. It is shown once and kept nowhere."""
    return f"{kind.prefix}{random_secret()}"


def random_secret() -> str:
    """Return what stands behind the prefix of a key: random bytes and their checksum."""
    secret = _base62(secrets.randbits(8 * _SECRET_BYTES), _SECRET_LENGTH)
    return f"{secret}{_checksum(secret)}"


def has_checksum(text: str) -> bool:
    """Return whether a text may stand behind the prefix of a key."""
    match = _SECRET_FORM.fullmatch(text)
    return match is not None and hmac.compare_digest(_checksum(match[1]), match[2])


def kind_of(key: str) -> KeyKind | None:
    """Return the kind of a well-formed key; None for a text of another form or checksum."""
    match = _FORM.fullmatch(key)
    if match is None or not has_checksum(match[2]):
        return None
    return KeyKind(match[1])


def is_well_formed(key: str) -> bool:
    """Return whether a text has the form of a key and its checksum is right."""
    return kind_of(key) is not None


def shown_part(key: str) -> str:
    """Return the beginning of a well-formed key, by which people know it again."""
    return key[: len(KeyKind.LIVE.prefix) + _SHOWN_OF_SECRET]


def kind_of_shown(shown: str) -> KeyKind:
    """Return the kind of a key of which the beginning is known."""
    return next(kind for kind in KeyKind if shown.startswith(kind.prefix))


def hash_key(key: str, *, pepper: bytes) -> bytes:
    """Return the 32 bytes under which a key is stored."""
    return keyed_hash(pepper, "api-key", key)


def _checksum(secret: str) -> str:
    return _base62(crc32(secret.encode()), _CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
