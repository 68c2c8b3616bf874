"""API keys: how they look, how they are kept, and how a presented one is verified.

    betrace_live_<43 characters: 32 random bytes in base 62><6 characters: CRC-32 in base 62>

The checksum tells a mistyped key from a wrong one without asking the database, and lets scanners
find leaked keys. Only HMAC-SHA-256 of the key under the pepper is stored: 256 random bits need no
slow hash.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
import time
from binascii import crc32
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from api.auth.principal import ApiKeyPrincipal, Role, grant_scope
from api.database import Pool, credential_transaction, queries

PREFIX: Final = "betrace_live_"
SHOWN_LENGTH: Final = len(PREFIX) + 6
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_BYTES: Final = 32
_SECRET_LENGTH: Final = 43
_CHECKSUM_LENGTH: Final = 6
_FORM: Final = re.compile(
    rf"{PREFIX}[0-9A-Za-z]{{{_SECRET_LENGTH}}}[0-9A-Za-z]{{{_CHECKSUM_LENGTH}}}"
)


def new_key() -> str:
    """Return a new random key. It is shown once and kept nowhere."""
    secret = _base62(secrets.randbits(8 * _SECRET_BYTES), _SECRET_LENGTH)
    return f"{PREFIX}{secret}{_checksum(secret)}"


def is_well_formed(key: str) -> bool:
    """Return whether a text has the form of a key and its checksum is right."""
    if not _FORM.fullmatch(key):
        return False
    secret = key[len(PREFIX) : -_CHECKSUM_LENGTH]
    return hmac.compare_digest(_checksum(secret), key[-_CHECKSUM_LENGTH:])


def hash_key(key: str, *, pepper: bytes) -> bytes:
    """Return the 32 bytes under which a key is stored."""
    return hmac.digest(pepper, b"api-key\0" + key.encode(), hashlib.sha256)


@dataclass(frozen=True, slots=True)
class _Entry:
    expires_s: float
    found: asyncio.Task[ApiKeyPrincipal | None]


class KeyVerifier:
    """Verifies API keys against the database, remembering answers for a short time.

    A revoked key is refused after at most `ttl_s` seconds. Many requests with one key ask the
    database once. The memory holds at most `capacity` answers, by hash, never a key.
    One instance serves one event loop.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        pepper: bytes,
        ttl_s: float = 10.0,
        capacity: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._pepper = pepper
        self._ttl_s = ttl_s
        self._capacity = capacity
        self._clock = clock
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()

    async def verify(self, key: str) -> ApiKeyPrincipal | None:
        """Return who holds the key, or None if nobody does.

        Raises DatabaseUnavailable, QueryTooSlow.
        """
        if not is_well_formed(key):
            return None
        key_hash = hash_key(key, pepper=self._pepper)
        entry = self._entries.get(key_hash)
        if entry is None or entry.expires_s <= self._clock():
            entry = self._remember(key_hash)
        try:
            return await asyncio.shield(entry.found)
        except Exception:
            self._entries.pop(key_hash, None)
            raise

    def _remember(self, key_hash: bytes) -> _Entry:
        entry = _Entry(self._clock() + self._ttl_s, asyncio.create_task(self._look_up(key_hash)))
        self._entries[key_hash] = entry
        self._entries.move_to_end(key_hash)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)
        return entry

    async def _look_up(self, key_hash: bytes) -> ApiKeyPrincipal | None:
        async with credential_transaction(self._pool, key_hash) as connection:
            row = await queries("auth").key_by_hash(connection, key_hash=key_hash)
        if row is None:
            return None
        return _principal(row["id"], row["tenant_id"], name=row["name"], role=Role(row["role"]))


def _principal(key_id: UUID, tenant_id: UUID, *, name: str, role: Role) -> ApiKeyPrincipal:
    return ApiKeyPrincipal(key_id, name, role, grant_scope(tenant_id, actor=f"key:{name}"))


def _checksum(secret: str) -> str:
    return _base62(crc32(secret.encode()), _CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
