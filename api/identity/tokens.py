"""Whether a JSON Web Token is one of the provider's, for us, and good now (RFC 8725).

    header . claims . signature

The algorithm is one of the pinned ones, the key one of the provider's list by its id; what a
header says of keys elsewhere (jku, x5u) or brings along (jwk, x5c) makes a token refused. ID tokens
and access tokens are told apart by typ, by audience and by what each must have (RFC 9068).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
from jwt.exceptions import (
    DecodeError,
    ExpiredSignatureError,
    ImmatureSignatureError,
    InvalidAudienceError,
    InvalidIssuerError,
    InvalidSignatureError,
    MissingRequiredClaimError,
    PyJWTError,
)

from api.identity.claims import acting_of
from api.identity.provider_keys import ProviderKeys

MAX_LENGTH: Final = 16 * 1024
SUBJECT_LENGTH: Final = 255
_COMPACT: Final = re.compile(r"[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*")
_FOREIGN: Final = frozenset({"jku", "x5u", "jwk", "x5c", "crit"})
_ID_TOKEN_TYPES: Final = frozenset({"", "jwt"})
_ALWAYS: Final = ("iss", "sub", "aud", "exp", "iat")

SENTENCES: Final[Mapping[str, str]] = {
    "malformed": "is not well-formed",
    "algorithm": "is signed with an algorithm that is not accepted",
    "foreign_key": "names a key of its own",
    "type": "is of another type",
    "unknown_key": "is signed by a key that the provider does not list",
    "signature": "is not signed by the provider",
    "issuer": "is from another issuer",
    "audience": "is meant for somebody else",
    "expired": "has expired",
    "not_yet": "is not valid yet",
    "claims": "lacks a claim that it must have, or has it in another form",
    "nonce": "was not made for this sign-in",
    "subject": "is of somebody whose account is switched off",
}
"""What is wrong with a token, by reason, to follow `The token …`."""


class TokenRefused(Exception):
    """A token that is not accepted. reason: a key of SENTENCES."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the token {SENTENCES[reason]}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What every token of the provider must be."""

    issuer: str
    algorithms: tuple[str, ...]
    leeway_s: int


class TokenVerifier:
    """Verifies tokens of one provider."""

    def __init__(self, rules: TokenRules, keys: ProviderKeys) -> None:
        self._rules = rules
        self._keys = keys

    async def id_token(self, token: str, *, client_id: str, nonce: str) -> dict[str, Any]:
        """Return the claims of an ID token (OpenID Connect Core 1.0, 3.1.3.7).

        Raises TokenRefused, ProviderUnavailable.
        """
        claims = await self._claims(token, types=_ID_TOKEN_TYPES, audience=client_id)
        audience = claims["aud"]
        if claims.get("azp", client_id) != client_id or (
            isinstance(audience, list) and len(audience) > 1 and "azp" not in claims
        ):
            raise TokenRefused("audience")
        given = claims.get("nonce")
        if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
            raise TokenRefused("nonce")
        return claims

    async def access_token(self, token: str, *, audience: str, token_type: str) -> dict[str, Any]:
        """Return the claims of an access token. Raises TokenRefused, ProviderUnavailable."""
        return await self._claims(token, types=frozenset({token_type}), audience=audience)

    async def session_token(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that names no audience: its key is of one client alone.

        Only for one that came from the provider itself, in answer to a secret.
        Raises TokenRefused, ProviderUnavailable.
        """
        return await self._claims(token, types=_ID_TOKEN_TYPES, audience=None)

    async def _claims(
        self, token: str, *, types: frozenset[str], audience: str | None
    ) -> dict[str, Any]:
        if not is_compact(token):
            raise TokenRefused("malformed")
        key = await self._key(_header(token), types)
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key=key,
                algorithms=[key.algorithm_name],
                audience=audience,
                issuer=self._rules.issuer,
                leeway=self._rules.leeway_s,
                options={
                    "require": [name for name in _ALWAYS if name != "aud" or audience],
                    "verify_aud": audience is not None,
                    "enforce_minimum_key_length": True,
                },
            )
        except PyJWTError as error:
            raise TokenRefused(_reason(error)) from error
        try:
            acting_of(claims)
        except ValueError as error:
            raise TokenRefused("claims") from error
        subject = claims["sub"]
        if not 0 < len(subject) <= SUBJECT_LENGTH or not subject.isprintable():
            raise TokenRefused("claims")
        return claims

    async def _key(self, header: Mapping[str, Any], types: frozenset[str]) -> jwt.PyJWK:
        algorithm, key_id, kind = header.get("alg"), header.get("kid"), header.get("typ", "")
        if algorithm not in self._rules.algorithms:
            raise TokenRefused("algorithm")
        if _FOREIGN & header.keys():
            raise TokenRefused("foreign_key")
        if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in types:
            raise TokenRefused("type")
        if not isinstance(key_id, str):
            raise TokenRefused("unknown_key")
        key = await self._keys.find(key_id, algorithm=algorithm)
        if key is None:
            raise TokenRefused("unknown_key")
        return key


def is_compact(token: str) -> bool:
    """Return whether a text has the form of a signed token: three parts in base64url."""
    return len(token) <= MAX_LENGTH and _COMPACT.fullmatch(token) is not None


def _header(token: str) -> Mapping[str, Any]:
    try:
        header: Mapping[str, Any] = jwt.get_unverified_header(token)
    except PyJWTError as error:
        raise TokenRefused("malformed") from error
    return header


_REASONS: Final[tuple[tuple[type[PyJWTError], str], ...]] = (
    (ExpiredSignatureError, "expired"),
    (ImmatureSignatureError, "not_yet"),
    (InvalidAudienceError, "audience"),
    (InvalidIssuerError, "issuer"),
    (InvalidSignatureError, "signature"),
    (MissingRequiredClaimError, "claims"),
    (DecodeError, "malformed"),
)
"""Subclasses come first. Whatever else it is lies with a claim that has another form."""


def _reason(error: PyJWTError) -> str:
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), "claims")
