"""The verifier's own Ed25519, for where `cryptography` is not installed."""

from __future__ import annotations

import random

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from udfs.evidence.verify import slow_ed25519_holds

RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]
"""Section 7.1: public key, message, signature."""

ORDER = 2**252 + 27742317777372353535851937790883648493


@pytest.mark.parametrize(("key", "message", "signature"), RFC_8032)
def test_the_vectors_of_the_rfc_hold(key: str, message: str, signature: str) -> None:
    facts = bytes.fromhex(key), bytes.fromhex(signature), bytes.fromhex(message)
    assert slow_ed25519_holds(*facts)
    assert not slow_ed25519_holds(facts[0], facts[1], facts[2] + b"!")


def test_a_signature_with_the_order_added_is_another_one() -> None:
    key, message, signature = (bytes.fromhex(one) for one in RFC_8032[1])
    larger = int.from_bytes(signature[32:], "little") + ORDER
    assert not slow_ed25519_holds(key, signature[:32] + larger.to_bytes(32, "little"), message)


def test_it_agrees_with_openssl_on_whatever_comes() -> None:
    chance = random.Random(8)
    for number in range(60):
        secret = Ed25519PrivateKey.from_private_bytes(chance.randbytes(32))
        public, message = secret.public_key().public_bytes_raw(), chance.randbytes(number)
        signature = secret.sign(message)
        parts = [bytearray(public), bytearray(signature), bytearray(message)]
        if number % 4:
            part = parts[number % 3]
            if part:
                part[chance.randrange(len(part))] ^= 1 << chance.randrange(8)
        key, signed, said = map(bytes, parts)
        assert slow_ed25519_holds(key, signed, said) == _openssl_holds(key, signed, said)


@pytest.mark.parametrize("key", ["00" * 32, "01" + "00" * 31, "ff" * 32, "ed" + "ff" * 30 + "7f"])
def test_strange_keys_make_no_strange_signature_right(key: str) -> None:
    public = bytes.fromhex(key)
    for signature in (bytes(64), b"\x01" + bytes(63), b"\xff" * 64):
        expected = _openssl_holds(public, signature, b"message")
        assert slow_ed25519_holds(public, signature, b"message") == expected


def _openssl_holds(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
