"""Ed25519 signatures (RFC 8032), and signing keys of sources that cannot sign themselves."""

from __future__ import annotations

from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from udfs.keysource.keys import Binding, NewKey, NewSigner, Sealed
from udfs.keysource.source import Sign


class Wraps(Protocol):
    """The part of a source that a wrapped signing key needs."""

    def generate(self, binding: Binding) -> NewKey:
        """Make a key of random bytes."""

    def unwrap(self, sealed: Sealed, binding: Binding) -> bytes:
        """Return the key."""


def new_wrapped_signer(source: Wraps, binding: Binding) -> NewSigner:
    """Make an Ed25519 key whose seed is wrapped by the source."""
    made = source.generate(binding)
    key = Ed25519PrivateKey.from_private_bytes(made.secret)
    return NewSigner(key.public_key().public_bytes_raw(), made.sealed)


def wrapped_signer(source: Wraps, sealed: Sealed, binding: Binding) -> Sign:
    """Unwrap a signing key once; what is returned signs with it in this process's memory."""
    return Ed25519PrivateKey.from_private_bytes(source.unwrap(sealed, binding)).sign


def is_signature(signature: bytes, message: bytes, *, public_key: bytes) -> bool:
    """Return whether a signature is one of the message by the key; whether to trust the key is not
    asked (`trust`). public_key: 32 bytes; of another length none is a signature's.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
