"""Personal payloads behind salted hashes: erased, they leave every proof as it was.

The log holds SHA-256(salt, payload); payload and salt lie apart. Without the salt the hash says
nothing of a payload that could be guessed (an e-mail address), so both are erased together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from udfs.evidence.canonical import Json, canonical

SALT_BYTES: Final = 32
"""Fixed, so that where the salt ends is never in doubt."""


@dataclass(frozen=True, slots=True)
class Payload:
    """What is personal in a record: its canonical text, and the salt of its commitment."""

    text: str
    salt: bytes

    @property
    def commitment(self) -> str:
        """Lower-case hex of SHA-256 over the salt and the text's UTF-8 bytes."""
        return sha256(self.salt + self.text.encode()).hexdigest()


def commit(payload: Mapping[str, Json], *, salt: bytes) -> Payload:
    """Put a payload apart. salt: SALT_BYTES fresh random bytes, never used before.

    Raises NotCanonical, and ValueError for a salt of another length.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes, not {len(salt)}")
    return Payload(canonical(payload).decode(), salt)
