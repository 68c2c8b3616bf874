"""Texts that are stored or handed out, and that only this service can read.

12 bytes nonce ‖ AES-256-GCM(key derived from the pepper and a purpose, text, what it is bound to)
"""

from __future__ import annotations

import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_BYTES: Final = 12


class Unreadable(Exception):
    """Not sealed here, for this purpose and bound to this, or changed since."""


class Sealer:
    """Seals and unseals for one purpose; what was sealed for another is unreadable."""

    def __init__(self, pepper: bytes, *, purpose: str) -> None:
        key = HKDF(
            algorithm=SHA256(), length=32, salt=None, info=f"betrace {purpose}".encode()
        ).derive(pepper)
        self._cipher = AESGCM(key)

    def seal(self, text: str, *, bound_to: bytes = b"") -> bytes:
        """Return a text sealed; only the same bound_to unseals it."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, text.encode(), bound_to)

    def unseal(self, sealed: bytes, *, bound_to: bytes = b"") -> str:
        """Return the text. Raises Unreadable."""
        nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        if len(nonce) < _NONCE_BYTES:
            raise Unreadable
        try:
            return self._cipher.decrypt(nonce, rest, bound_to).decode()
        except InvalidTag as error:
            raise Unreadable from error
