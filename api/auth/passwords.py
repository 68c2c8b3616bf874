"""Passwords: which are taken, and how they are kept.

The rules are those of NIST SP 800-63B-4, section 3.1.1: fifteen characters, no classes of
characters to be mixed, no expiry, nothing that guessers try first and nothing that names the
person. They are kept as argon2id (RFC 9106).
"""

from __future__ import annotations

import asyncio
import secrets
import unicodedata
from base64 import b64encode
from collections.abc import Iterable
from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn import zxcvbn

from api.problems import ApiError

MIN_LENGTH: Final = 15
MAX_LENGTH: Final = 1_024
_MEMORY_KIB: Final = 64 * 1024
_PASSES: Final = 3
_LANES: Final = 4
"""RFC 9106, section 4, the second recommended option."""
_AT_A_TIME: Final = 2
"""So many passwords are looked at at once: each takes 64 MiB and a core for some 50 ms."""
_STRONG: Final = 3
"""zxcvbn's third of four scores: more than 10^8 guesses."""
_LOOKED_AT: Final = 72
"""zxcvbn takes the square of the length; a password whose first 72 characters hold is strong."""


def weaknesses(password: str, *, email: str, name: str) -> list[str]:
    """Return what is wrong with a new password, each as a sentence; none if it may be taken."""
    if len(password) > MAX_LENGTH:
        return [f"A password has at most {MAX_LENGTH} characters."]
    found = []
    if len(password) < MIN_LENGTH:
        found.append(f"A password has at least {MIN_LENGTH} characters; a sentence is a good one.")
    folded = password.casefold()
    if email.casefold() in folded:
        found.append("It holds your address.")
    elif _is_easily_guessed(folded, known=(email, *email.split("@"), name, "betrace")):
        found.append(
            "It is among the first that guessers try: common passwords and words, names, "
            "repetitions, rows of keys. Choose words that have nothing to do with each other."
        )
    return found


def refuse_weak(password: str, *, email: str, name: str) -> None:
    """Raise ApiError 400 with all that is wrong with a new password."""
    if found := weaknesses(password, email=email, name=name):
        raise ApiError(400, "user.weak_password", " ".join(found), weaknesses=found)


class Passwords:
    """Hashes and verifies passwords, beside the event loop and only few at a time."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(
            time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES, type=Type.ID
        )
        self._turns = asyncio.Semaphore(_AT_A_TIME)
        self._nobodys_hash = _hash_of_nothing()

    async def hash(self, password: str) -> str:
        """Return what is stored of a password."""
        async with self._turns:
            return await asyncio.to_thread(self._hasher.hash, _normal(password))

    async def verify(self, password: str, stored: str | None) -> bool:
        """Return whether a password is right. None, nobody's, takes as long and is never right."""
        async with self._turns:
            return await asyncio.to_thread(
                self._verify, stored or self._nobodys_hash, password[:MAX_LENGTH]
            )

    def is_outdated(self, stored: str) -> bool:
        """Return whether a stored hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, _normal(password))
        except (VerificationError, InvalidHashError):
            return False


def _is_easily_guessed(password: str, *, known: Iterable[str]) -> bool:
    found = zxcvbn(password[:_LOOKED_AT], user_inputs=[word for word in known if word])
    score: int = found["score"]
    return score < _STRONG


def _normal(password: str) -> str:
    """Keyboards write the same character in several ways (SP 800-63B-4: NFKC)."""
    return unicodedata.normalize("NFKC", password)


def _hash_of_nothing() -> str:
    """Return a hash with today's parameters that is the hash of no password."""
    salt, digest = (b64encode(secrets.token_bytes(size)).rstrip(b"=").decode() for size in (16, 32))
    return f"$argon2id$v=19$m={_MEMORY_KIB},t={_PASSES},p={_LANES}${salt}${digest}"
