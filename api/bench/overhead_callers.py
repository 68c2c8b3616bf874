"""The ways to say who one is, each made ready for the bench of what requests cost.

Everything is what the application has, on its Postgres (and Redis if one is set), but for the
identity provider: its name and key are made here, and nobody has to be asked for them.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID, uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from fastapi import Request
from jwt.algorithms import RSAAlgorithm
from prometheus_client import CollectorRegistry

from api.auth.access import SESSION_COOKIE, Authenticator
from api.auth.client import Client
from api.auth.key_verifier import KeyVerifier
from api.auth.principal import Principal, Role, TenantScope
from api.database import Pool, queries, set_local, vouched_transaction
from api.identity.bearers import Bearers
from api.identity.config import IdentitySettings, OidcConfig, identity_config
from api.identity.grants import Grant, Kind, put_grant
from api.identity.provider_keys import ProviderKeys
from api.identity.tokens import TokenRules, TokenVerifier
from api.keys.authority import OPERATOR
from api.keys.model import KeyDraft
from api.keys.service import create_key
from api.limits.buckets import LocalBuckets
from api.limits.metrics import LimitMetrics
from api.limits.requests import RequestLimiter
from api.limits.settings import RequestLimits
from api.limits.shared import SharedBuckets, open_redis_buckets
from api.services import Services
from api.tenants.service import create_user

KNOWN_KEY: Final = "API key, known"
KEY: Final = "API key, asked for"
SESSION: Final = "session"
PROGRAM: Final = "access token of a program"
PERSON: Final = "access token of a person"
NO_LIMIT: Final = 10**9
_AUDIENCE: Final = "https://betrace.invalid/api"
_TOKEN_S: Final = 24 * 60 * 60

Find = Callable[[], Awaitable[Principal | None]]
"""Looks up who one is, as the authenticator does, without counting."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody, and one way to say who that is. header: name and value that say it."""

    kind: str
    header: tuple[bytes, bytes]
    authenticator: Authenticator
    find: Find


class Introduced(Authenticator):
    """Knows who sends each request without looking, and counts nobody: what is left is a route."""

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    async def principal(self, request: Request) -> Principal:
        """Return the one who sends everything."""
        request.state.principal = self._principal
        return self._principal


@dataclass(frozen=True, slots=True)
class _Provider:
    """An OpenID provider that is a name and a key."""

    issuer: str = field(default_factory=lambda: f"https://{uuid4()}.invalid")
    key: RSAPrivateKey = field(default_factory=lambda: generate_private_key(65537, 2048))

    def bearers(self, pool: Pool) -> Bearers:
        """Return what takes its access tokens."""
        config = identity_config(
            IdentitySettings(
                oidc_issuer=self.issuer, oidc_client_id="betrace", oidc_audience=_AUDIENCE
            ),
            site="https://betrace.invalid",
        )
        assert isinstance(config, OidcConfig), "those are the settings of one"
        rules = TokenRules(config.issuer, config.algorithms, config.leeway_s)
        return Bearers(pool, TokenVerifier(rules, ProviderKeys(self._jwks)), config)

    async def _jwks(self) -> dict[str, Any]:
        described: dict[str, Any] = RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {"keys": [{**described, "kid": "bench", "alg": "RS256", "use": "sig"}]}

    def token(self, subject: str, *, client: str) -> str:
        """Return an access token for the API."""
        now_s = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": subject,
            "client_id": client,
            "aud": _AUDIENCE,
            "iat": now_s,
            "exp": now_s + _TOKEN_S,
        }
        headers = {"kid": "bench", "typ": "at+jwt"}
        return jwt.encode(claims, self.key, algorithm="RS256", headers=headers)


@dataclass(frozen=True, slots=True)
class Callers:
    """Makes callers of a tenant. limiter: counts them, and lets everybody through."""

    services: Services
    scope: TenantScope
    limiter: RequestLimiter

    @classmethod
    async def opened(
        cls, services: Services, scope: TenantScope, *, until: AsyncExitStack
    ) -> Callers:
        """Count in the Redis of the settings, if there is one, until the stack is left."""
        metrics, settings = LimitMetrics(CollectorRegistry()), services.settings
        redis = await until.enter_async_context(
            open_redis_buckets(settings.redis, prefix=settings.topic_prefix, metrics=metrics)
        )
        limits = RequestLimits(
            tenant_per_min=NO_LIMIT, person_per_min=NO_LIMIT, key_per_min=NO_LIMIT
        )
        buckets = SharedBuckets(LocalBuckets(), redis, metrics=metrics)
        return cls(services, scope, RequestLimiter(buckets, limits, metrics=metrics))

    async def made(self) -> list[Caller]:
        """Make one of each kind."""
        key, user_id = await self._key(), await self._user()
        provider = _Provider()
        return [
            self._with_key(KNOWN_KEY, key, self._keys()),
            self._with_key(KEY, key, self._keys(remembered_s=0.0)),
            await self._with_session(user_id),
            await self._program(provider),
            await self._person(provider, user_id),
        ]

    def _with_key(self, kind: str, key: str, keys: KeyVerifier) -> Caller:
        return Caller(
            kind,
            (b"x-api-key", key.encode()),
            self._authenticator(keys=keys),
            lambda: keys.verify(key, address=None),
        )

    async def _with_session(self, user_id: UUID) -> Caller:
        sessions = self.services.sessions
        begun = await sessions.begin(user_id, client=Client("127.0.0.1"))
        assert begun is not None, "the person was made a moment ago"
        return Caller(
            SESSION,
            (b"cookie", f"{SESSION_COOKIE}={begun.token}".encode()),
            self._authenticator(),
            lambda: sessions.find(begun.token),
        )

    async def _program(self, provider: _Provider) -> Caller:
        grant = Grant(issuer=provider.issuer, kind=Kind.CLIENT, value="bench", role=Role.ADMIN)
        await put_grant(self.services.pool, self.scope, grant)
        return self._with_token(PROGRAM, provider, provider.token("bench", client="bench"))

    async def _person(self, provider: _Provider, user_id: UUID) -> Caller:
        async with vouched_transaction(
            self.services.pool, issuer=provider.issuer, subject="ada"
        ) as connection:
            await set_local(connection, user_id=str(user_id))
            await queries("identity").insert_identity(connection, user_id=user_id)
        return self._with_token(PERSON, provider, provider.token("ada", client="bench"))

    def _with_token(self, kind: str, provider: _Provider, token: str) -> Caller:
        bearers = provider.bearers(self.services.pool)
        return Caller(
            kind,
            (b"authorization", f"Bearer {token}".encode()),
            self._authenticator(bearers=bearers),
            lambda: bearers.principal(token),
        )

    def _authenticator(
        self, *, keys: KeyVerifier | None = None, bearers: Bearers | None = None
    ) -> Authenticator:
        return Authenticator(
            keys or self._keys(),
            self.services.sessions,
            limiter=self.limiter,
            operators=self.services.operators,
            bearers=bearers,
        )

    def _keys(self, *, remembered_s: float = 3600.0) -> KeyVerifier:
        return KeyVerifier(
            self.services.pool, pepper=self.services.settings.pepper, ttl_s=remembered_s
        )

    async def _key(self) -> str:
        draft = KeyDraft(name=f"bench-{uuid4()}", role=Role.ADMIN)
        maker = self.services.key_maker
        made = await create_key(
            self.services.pool, self.scope, draft, maker=maker, authority=OPERATOR
        )
        return made.text

    async def _user(self) -> UUID:
        return await create_user(
            self.services.pool,
            self.scope,
            email=f"{uuid4()}@bench.invalid",
            name="Bench",
            role=Role.ADMIN,
            password=secrets.token_urlsafe(32),
        )
