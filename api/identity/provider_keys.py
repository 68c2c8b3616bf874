"""The public keys with which a provider signs, found by their ids.

Only keys that the provider's own JWKS lists are ever used. An id that is not among them is looked
for once more, at most once a minute however many tokens ask; keys that the provider takes out of
the list are forgotten within ten minutes.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
from jwt.exceptions import PyJWTError

from api.identity.remembered import ProviderUnavailable, Remembered, Times

TIMES: Final = Times(fresh=10 * 60, kept=60 * 60, renewed=60)
_KINDS: Final = {"R": "RSA", "P": "RSA", "E": "EC"}
"""By the first letter of an algorithm's name."""
_MAX_KEYS: Final = 100

Jwks = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class _Listed:
    """The provider's list, and what was made of its keys: that takes longer than to verify."""

    keys: Jwks
    made: dict[tuple[str, str], jwt.PyJWK | None] = field(default_factory=dict)

    def usable(self, key_id: str, algorithm: str) -> jwt.PyJWK | None:
        """Return the key with an id, None if there is none for the algorithm."""
        asked = key_id, algorithm
        if asked not in self.made and key_id in self.keys:
            self.made[asked] = _usable(self.keys[key_id], algorithm)
        return self.made.get(asked)


class ProviderKeys:
    """Keys by id, remembered."""

    def __init__(
        self,
        fetch: Callable[[], Awaitable[dict[str, Any]]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        async def ask() -> _Listed:
            return _Listed(read_jwks(await fetch()))

        self._listed = Remembered(ask, times=TIMES, clock=clock)

    async def find(self, key_id: str, *, algorithm: str) -> jwt.PyJWK | None:
        """Return the key with an id if it may be used with the algorithm, else None.

        Raises ProviderUnavailable.
        """
        listed = await self._listed.get()
        if key_id not in listed.keys:
            listed = await self._listed.renew()
        return listed.usable(key_id, algorithm)


def read_jwks(document: Mapping[str, Any]) -> Jwks:
    """Return the keys of a JWK Set that have an id and are for signatures.

    Raises ProviderUnavailable if there is none: such a list would refuse everybody.
    """
    listed = document.get("keys")
    keys = {
        key["kid"]: key
        for key in (listed if isinstance(listed, list) else [])[:_MAX_KEYS]
        if isinstance(key, dict)
        and isinstance(key.get("kid"), str)
        and key.get("use", "sig") == "sig"
        and key.get("kty") in ("RSA", "EC", "OKP")
    }
    if not keys:
        raise ProviderUnavailable("the provider's JWKS lists no key for signatures with an id")
    return keys


def _usable(key: Mapping[str, Any], algorithm: str) -> jwt.PyJWK | None:
    """A key is for one kind of algorithm; what the token's header says does not change that."""
    kind = "OKP" if algorithm == "EdDSA" else _KINDS[algorithm[0]]
    if key["kty"] != kind or key.get("alg", algorithm) != algorithm:
        return None
    try:
        return jwt.PyJWK(dict(key), algorithm=algorithm)
    except PyJWTError:
        return None
