"""How often a request waits for Postgres before its own work begins. Counted on the wire.

Whoever adds a question to what every request does has to raise a number here, and to say why.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from api.auth.access import SESSION_COOKIE, Authenticator
from api.auth.client import Client
from api.auth.key_verifier import KeyVerifier
from api.auth.principal import Role, TenantScope
from api.auth.sessions import Sessions
from api.database import Pool, open_pool, tenant_transaction
from api.identity.bearers import Bearers
from api.identity.config import IdentitySettings, OidcConfig, identity_config
from api.identity.grants import Grant, Kind, put_grant
from api.identity.provider_keys import ProviderKeys
from api.identity.tokens import TokenRules, TokenVerifier
from api.limits.buckets import LocalBuckets
from api.limits.metrics import LimitMetrics
from api.limits.requests import RequestLimiter
from api.limits.settings import RequestLimits
from api.limits.shared import SharedBuckets
from api.operators.sign_in import Operators
from api.tenants.service import create_user
from tests.integration.api.conftest import client_of
from tests.support.oidc import AUDIENCE, SITE, OidcServer, SigningKey
from tests.support.postgres import Database
from tests.support.tenants import PASSWORD, PEPPER, make_key
from tests.support.wire import Tap, Traffic, tapped

ME = "/api/v1/session"
"""A route with no work of its own."""


@pytest.fixture
async def tap(shared_database: Database) -> AsyncIterator[Tap]:
    async with tapped(shared_database.app) as opened:
        yield opened


@pytest.fixture
async def tapped_pool(tap: Tap) -> AsyncIterator[Pool]:
    """A pool of one connection, which is there already."""
    async with open_pool(tap.dsn, size=1) as pool:
        await pool.wait()
        yield pool


@pytest.fixture
def provider() -> OidcServer:
    """A provider's name and key: all that tokens need of it."""
    return OidcServer(f"https://{uuid4()}.example", SigningKey(), {})


@pytest.fixture
async def http(
    app: FastAPI, tapped_pool: Pool, provider: OidcServer
) -> AsyncIterator[httpx.AsyncClient]:
    """The application, which asks who sends a request through the tap and all else beside it."""
    app.state.services = dataclasses.replace(
        app.state.services, authenticator=_authenticator(tapped_pool, provider)
    )
    async with client_of(app) as client:
        yield client


def _authenticator(pool: Pool, provider: OidcServer) -> Authenticator:
    async def jwks() -> dict[str, Any]:
        return {"keys": [provider.key.public_jwk]}

    config = identity_config(
        IdentitySettings(
            oidc_issuer=provider.issuer,
            oidc_client_id="betrace",
            oidc_audience=AUDIENCE,
            oidc_tenant_claim="org_id",
        ),
        site=SITE,
    )
    assert isinstance(config, OidcConfig)
    rules = TokenRules(config.issuer, config.algorithms, config.leeway_s)
    metrics = LimitMetrics(CollectorRegistry())
    return Authenticator(
        KeyVerifier(pool, pepper=PEPPER),
        Sessions(pool, pepper=PEPPER),
        limiter=RequestLimiter(
            SharedBuckets(LocalBuckets(), None, metrics=metrics), RequestLimits(), metrics=metrics
        ),
        operators=Operators(pool, pepper=PEPPER),
        bearers=Bearers(pool, TokenVerifier(rules, ProviderKeys(jwks)), config),
    )


async def _traffic(tap: Tap, http: httpx.AsyncClient, **headers: str) -> Traffic:
    """Return what one request to the route without work costs."""
    with tap.counting() as counted:
        answer = await http.get(ME, headers=headers)
    assert answer.status_code == 200, answer.text
    return counted[0]


async def _session(pool: Pool, scope: TenantScope) -> tuple[str, str]:
    """Begin a session of somebody new; return its token and the person's id."""
    user_id = await create_user(
        pool, scope, email=f"{uuid4()}@example.com", name="Ada", role=Role.SRE, password=PASSWORD
    )
    begun = await Sessions(pool, pepper=PEPPER).begin(user_id, client=Client("192.0.2.1"))
    assert begun is not None
    return begun.token, str(user_id)


async def test_a_session_is_asked_for_in_one_round_trip(
    tap: Tap, http: httpx.AsyncClient, pool: Pool, scope: TenantScope
) -> None:
    token, _ = await _session(pool, scope)
    cookie = f"{SESSION_COOKIE}={token}"
    assert await _traffic(tap, http, cookie=cookie) == Traffic(1, 1)


async def test_that_a_session_goes_on_is_written_in_the_same_round_trip_once_a_minute(
    tap: Tap,
    http: httpx.AsyncClient,
    pool: Pool,
    scope: TenantScope,
    shared_database: Database,
) -> None:
    token, user_id = await _session(pool, scope)
    cookie = f"{SESSION_COOKIE}={token}"
    with psycopg.connect(shared_database.admin, autocommit=True) as connection:
        connection.execute(
            "update sessions set last_seen_at = now() - interval '61 s' where user_id = %s",
            [user_id],
        )
        seen = []
        for _ in range(2):
            assert await _traffic(tap, http, cookie=cookie) == Traffic(1, 1)
            row = connection.execute(
                "select xmin, last_seen_at > now() - interval '30 s' from sessions"
                " where user_id = %s",
                [user_id],
            ).fetchone()
            seen.append(row)
    assert seen[0] == seen[1], "the second request wrote nothing"
    assert seen[0] is not None
    assert seen[0][1] is True


async def test_a_key_is_asked_for_in_one_round_trip_and_then_in_none(
    tap: Tap, http: httpx.AsyncClient, pool: Pool, scope: TenantScope
) -> None:
    key = await make_key(pool, scope)
    costs = [await _traffic(tap, http, **{"x-api-key": key}) for _ in range(2)]
    assert costs == [Traffic(1, 1), Traffic(0, 0)]


async def test_a_token_of_a_program_is_asked_for_in_two_round_trips(
    tap: Tap, http: httpx.AsyncClient, pool: Pool, scope: TenantScope, provider: OidcServer
) -> None:
    for kind, value in ((Kind.CLIENT, "ci"), (Kind.SUBJECT, "ci@clients")):
        grant = Grant(issuer=provider.issuer, kind=kind, value=value, role=Role.SRE)
        await put_grant(pool, scope, grant)
    for subject in ("ci", "ci@clients"):
        token = provider.key.sign(provider.claims(sub=subject), typ="at+jwt")
        assert await _traffic(tap, http, authorization=f"Bearer {token}") == Traffic(2, 2), subject


async def test_a_token_of_a_person_is_asked_for_in_two_round_trips(
    tap: Tap,
    http: httpx.AsyncClient,
    pool: Pool,
    scope: TenantScope,
    provider: OidcServer,
    shared_database: Database,
) -> None:
    _, user_id = await _session(pool, scope)
    with psycopg.connect(shared_database.admin) as connection:
        connection.execute(
            "insert into identities (issuer, subject, user_id) values (%s, 'ada', %s)",
            [provider.issuer, user_id],
        )
    token = provider.key.sign(provider.claims(sub="ada", client_id="cli"), typ="at+jwt")
    assert await _traffic(tap, http, authorization=f"Bearer {token}") == Traffic(2, 2)


async def test_a_refused_credential_costs_no_more_than_a_good_one(
    tap: Tap, http: httpx.AsyncClient
) -> None:
    with tap.counting() as counted:
        answer = await http.get(ME, headers={"cookie": f"{SESSION_COOKIE}={uuid4()}"})
    assert (answer.status_code, counted) == (401, [Traffic(1, 1)])


async def test_a_transaction_costs_two_round_trips_beside_its_statements(
    tap: Tap, tapped_pool: Pool, scope: TenantScope
) -> None:
    """One that begins it and says who is asking, and one that ends it."""
    with tap.counting() as counted:
        async with tenant_transaction(tapped_pool, scope) as connection:
            await connection.execute("select id from rules")
    assert counted == [Traffic(3, 4)]
