"""Keys that sign a log, as others name them: a verifier key of the C2SP signed note.

    betrace.example/log/6f0c…+8a1b2c3d+AZ3k…
    name                     key id   base64 of 0x01 and the 32 bytes of the Ed25519 public key

The key id is the first four bytes of SHA-256(name, newline, 0x01, public key). It finds a key, it
does not prove one: whoever verifies holds the whole verifier key.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from udfs.evidence.malformed import Malformed

ED25519: Final = b"\x01"
"""Signature type of C2SP signed-note."""

_NAME: Final = re.compile(r"[^\s+\x00-\x1f]+")
_VERIFIER_KEY: Final = re.compile(r"([^\s+\x00-\x1f]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]{44})")


class Signer(Protocol):
    """Whatever signs: a key in memory, or one that never leaves a key service."""

    @property
    def key_id(self) -> str:
        """The id of the key where it is kept."""

    @property
    def public_key(self) -> bytes:
        """The Ed25519 public key, 32 bytes (RFC 8032)."""

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature, 64 bytes. Raises what its keeper raises."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A named public key; the name is the log's origin."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} names no key: it is empty or has a space or a plus")
        if len(self.public_key) != 32:
            raise ValueError(f"an Ed25519 public key has 32 bytes, not {len(self.public_key)}")

    @property
    def id(self) -> bytes:
        """The four bytes that stand before each signature."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public_key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{b64encode(ED25519 + self.public_key).decode()}"

    def accepts(self, signature: bytes, message: bytes) -> bool:
        """Tell whether the key made this signature over exactly this message."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except InvalidSignature:
            return False
        return True


def parse_verifier_key(text: str) -> VerifierKey | Malformed:
    """Read name+id+base64; the id must be that of the key."""
    found = _VERIFIER_KEY.fullmatch(text)
    if not found:
        return Malformed("a verifier key reads name+8 hex digits+base64 of 33 bytes")
    try:
        packed = b64decode(found[3], validate=True)
    except NotBase64:
        return Malformed("the last part of the verifier key is not base64")
    if packed[:1] != ED25519 or len(packed) != 33:
        return Malformed("the verifier key is not an Ed25519 key (type 01 and 32 bytes)")
    key = VerifierKey(found[1], packed[1:])
    if key.id.hex() != found[2]:
        return Malformed(f"the key id {found[2]} is not that of the key, {key.id.hex()}")
    return key
