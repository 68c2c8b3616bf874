"""What stands where something was taken away, and how it is known again.

    [REDACTED]                        removed
    hash:<key id>:<32 hex digits>     HMAC-SHA-256, cut to 128 bits
    tok:<key id>:<32 hex digits>      the same of another purpose; a vault knows what it stands for
    enc:<key id>:<base64url>          nonce ‖ ciphertext ‖ tag of AES-256-GCM-SIV

All are functions of the key and the value, so equal values stay equal, wherever and whenever they
come, as long as the key is the same. Keys belong to one tenant.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

REMOVED: Final = "[REDACTED]"

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_KEY_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_TOKEN = re.compile(
    rb"(?:hash|tok):[0-9A-Za-z_-]{1,64}:[0-9a-f]{32}(?![0-9A-Za-z])"
    rb"|enc:[0-9A-Za-z_-]{1,64}:[0-9A-Za-z_-]{39,}"
    rb"|\[REDACTED\]"
)


class NotOurs(ValueError):
    """A text that no key of this id has encrypted."""


@dataclass(frozen=True, slots=True)
class RedactionKey:
    """A tenant's key for redaction: 32 random bytes, and the name under which it is found again.

    Raises ValueError for another size or an id that is not 1 to 64 letters, digits, `_` and `-`.
    """

    id: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != _KEY_BYTES:
            raise ValueError(f"a redaction key has {_KEY_BYTES} bytes, not {len(self.secret)}")
        if not _KEY_ID.fullmatch(self.id):
            raise ValueError("the id of a redaction key is 1 to 64 letters, digits, _ and -")


class Tokens:
    """Makes tokens with one key. A key of its own for every purpose is derived from it."""

    def __init__(self, key: RedactionKey) -> None:
        self._id = key.id
        self._hashing = _derived(key, b"hash")
        self._tokens = _derived(key, b"token")
        self._nonces = _derived(key, b"nonce")
        self._cipher = AESGCMSIV(_derived(key, b"encrypt"))

    def hashed(self, clear: bytes) -> str:
        """Return the keyed hash of a value: it can be compared, and not be undone."""
        return f"hash:{self._id}:{_mac(self._hashing, clear)}"

    def token(self, clear: bytes) -> str:
        """Return the token of a value, to be kept in a vault together with `encrypted`."""
        return f"tok:{self._id}:{_mac(self._tokens, clear)}"

    def encrypted(self, clear: bytes) -> str:
        """Return a value encrypted. The nonce is made of the value: equal values stay equal."""
        nonce = hmac.digest(self._nonces, clear, hashlib.sha256)[:_NONCE_BYTES]
        sealed = nonce + self._cipher.encrypt(nonce, clear, self._id.encode())
        return f"enc:{self._id}:{base64.urlsafe_b64encode(sealed).rstrip(b'=').decode()}"

    def decrypted(self, text: str) -> bytes:
        """Return the value behind `enc:…`. Raises NotOurs."""
        kind, _, rest = text.partition(":")
        key_id, _, body = rest.partition(":")
        if kind != "enc" or key_id != self._id:
            raise NotOurs(f"this key has the id {self._id}, the text names {key_id or 'none'}")
        try:
            sealed = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
            nonce, box = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            return self._cipher.decrypt(nonce, box, self._id.encode())
        except (binascii.Error, InvalidTag, ValueError) as error:
            raise NotOurs("the text was not encrypted with this key, or was changed") from error


def is_protected(text: bytes) -> bool:
    """Whether a whole text is a token or the sign of something removed."""
    return _TOKEN.fullmatch(text) is not None


def protected_parts(text: bytes) -> list[tuple[int, int]]:
    """Return (start, end) of what was redacted before."""
    return [match.span() for match in _TOKEN.finditer(text)]


def _derived(key: RedactionKey, purpose: bytes) -> bytes:
    return hmac.digest(key.secret, b"betrace redaction v1 " + purpose, hashlib.sha256)


def _mac(secret: bytes, clear: bytes) -> str:
    return hmac.digest(secret, clear, hashlib.sha256)[:16].hex()
