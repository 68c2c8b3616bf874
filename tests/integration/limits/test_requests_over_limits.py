"""Requests of the API over their limits: who is refused, what they are told, and who is not."""

from __future__ import annotations

import math
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from api.auth.keys import new_key
from api.auth.principal import Role, TenantScope
from api.database import Pool
from api.limits.costs import COSTS, EXEMPT
from api.limits.settings import RequestLimits
from api.main import create_app
from api.settings import Settings
from api.tenants.service import change_settings
from api.tenants.settings import TenantSettings
from tests.integration.api.conftest import client_of
from tests.support.postgres import Database
from tests.support.redis import RedisServer
from tests.support.tenants import make_key, make_tenant

CHEAP = "/api/v1/session"
"""Asks nothing of the database for a key that was good a moment ago."""


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals are answered at once; holding them back has a test of its own."""
    monkeypatch.setattr("api.limits.requests.HELD_BACK_S", 0.0)


@asynccontextmanager
async def running(settings: Settings, **limits: int) -> AsyncIterator[FastAPI]:
    """An application with limits in place of the defaults."""
    app = create_app(settings, limits=RequestLimits.model_validate(limits))
    async with app.router.lifespan_context(app):
        yield app


def with_redis(settings: Settings, server: RedisServer) -> Settings:
    return settings.model_copy(update={"redis_url": SecretStr(server.url)})


async def until_refused(
    clients: list[httpx.AsyncClient], *, most: int
) -> tuple[int, httpx.Response]:
    """Send to one after the other; return how many were granted, and the refusal."""
    for number in range(most):
        answer = await clients[number % len(clients)].get(CHEAP)
        if answer.status_code != 200:
            return number, answer
    raise AssertionError(f"{most} requests were granted")


async def test_the_1001st_request_of_a_minute_is_refused_on_two_replicas_together(
    settings: Settings, shared_redis: RedisServer, pool: Pool
) -> None:
    scope = await make_tenant(pool)
    keys = [await make_key(pool, scope) for _ in range(2)]  # each may have 1,000 by itself
    shared = with_redis(settings, shared_redis)
    async with (
        running(shared) as one,
        running(shared) as two,
        client_of(one, key=keys[0]) as first,
        client_of(two, key=keys[1]) as second,
    ):
        begun_s = time.monotonic()
        granted, refused = await until_refused([first, second], most=20_000)
        gained = (time.monotonic() - begun_s) * 1_000 / 60
    assert 1_000 <= granted <= 1_000 + gained + 1
    assert refused.status_code == 429
    body = refused.json()
    assert (body["code"], body["violated-policies"], body["retry_after_s"]) == (
        "request.limited", ["tenant"], 1,
    )  # fmt: skip
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["ratelimit-policy"] == '"tenant";q=1000;w=60, "key";q=1000;w=60'
    left = re.fullmatch(r'"tenant";r=0;t=(\d+), "key";r=(\d+);t=\d+', refused.headers["ratelimit"])
    assert left is not None
    assert int(left[1]) == 60
    assert int(left[2]) >= 1_000 - math.ceil(granted / 2)


async def test_answers_say_what_is_left(settings: Settings, pool: Pool) -> None:
    key = await make_key(pool, await make_tenant(pool))
    async with running(settings, key_per_min=5) as app, client_of(app, key=key) as client:
        answers = [await client.get(CHEAP) for _ in range(3)]
    assert [re.sub(r";t=\d+", "", answer.headers["ratelimit"]) for answer in answers] == [
        f'"tenant";r={tenant}, "key";r={key}' for tenant, key in ((999, 4), (998, 3), (997, 2))
    ]


async def test_one_key_over_its_limit_holds_up_no_other_of_its_tenant(
    settings: Settings, pool: Pool
) -> None:
    scope = await make_tenant(pool)
    async with (
        running(settings, key_per_min=3) as app,
        client_of(app, key=await make_key(pool, scope)) as busy,
        client_of(app, key=await make_key(pool, scope)) as other,
    ):
        granted, refused = await until_refused([busy], most=10)
        assert (granted, refused.json()["violated-policies"]) == (3, ["key"])
        assert (await other.get(CHEAP)).status_code == 200


async def test_one_tenant_over_its_limit_holds_up_no_other(settings: Settings, pool: Pool) -> None:
    async with (
        running(settings, tenant_per_min=3) as app,
        client_of(app, key=await make_key(pool, await make_tenant(pool))) as busy,
        client_of(app, key=await make_key(pool, await make_tenant(pool))) as other,
    ):
        assert (await until_refused([busy], most=10))[0] == 3
        assert (await other.get(CHEAP)).status_code == 200


async def test_a_tenant_may_have_limits_of_its_own(settings: Settings, pool: Pool) -> None:
    scope = await make_tenant(pool)
    await change_settings(pool, scope, TenantSettings(requests_per_min=7))
    key = await make_key(pool, scope)
    async with running(settings, tenant_per_min=3) as app, client_of(app, key=key) as client:
        assert (await until_refused([client], most=20))[0] == 7


async def test_what_is_dear_costs_more(settings: Settings, pool: Pool) -> None:
    key = await make_key(pool, await make_tenant(pool))
    async with running(settings, key_per_min=120) as app, client_of(app, key=key) as client:
        statuses = [(await client.get("/api/v1/audit/export")).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        assert (await client.get(CHEAP)).status_code == 200


async def test_made_up_keys_are_refused_after_a_while_without_a_look_into_the_database(
    settings: Settings, pool: Pool
) -> None:
    key = await make_key(pool, await make_tenant(pool))
    async with running(settings, address_per_min=60) as app, client_of(app) as client:
        good = {"X-API-Key": key}
        assert (await client.get(CHEAP, headers=good)).status_code == 200
        statuses = []
        for _ in range(5):
            answer = await client.get(CHEAP, headers={"X-API-Key": new_key()})
            statuses.append(answer.status_code)
        assert statuses == [401, 401, 401, 429, 429]
        assert answer.json()["violated-policies"] == ["address"]
        # who shares the address and is known already goes on
        assert (await client.get(CHEAP, headers=good)).status_code == 200
        asked = []
        app.state.services.authenticator._keys._look_up = asked.append
        assert (await client.get(CHEAP, headers={"X-API-Key": new_key()})).status_code == 429
        assert asked == []


async def test_signs_of_life_are_never_refused(settings: Settings) -> None:
    async with running(settings, address_per_min=1) as app, client_of(app) as client:
        assert (await client.get(CHEAP)).status_code == 401
        assert (await client.get(CHEAP)).status_code == 429
        assert {(await client.get("/health/live")).status_code for _ in range(5)} == {200}


async def test_a_limit_of_nought_is_none(settings: Settings, pool: Pool) -> None:
    key = await make_key(pool, await make_tenant(pool))
    none = dict.fromkeys(("tenant_per_min", "key_per_min"), 0)
    async with running(settings, **none) as app, client_of(app, key=key) as client:
        answer = await client.get(CHEAP)
    assert answer.status_code == 200
    assert "ratelimit" not in answer.headers


async def test_while_redis_is_away_requests_go_on_and_are_counted_here(
    settings: Settings, redis: RedisServer, pool: Pool
) -> None:
    key = await make_key(pool, await make_tenant(pool))
    async with running(with_redis(settings, redis), key_per_min=10) as app:
        async with client_of(app, key=key) as client:
            for _ in range(4):
                assert (await client.get(CHEAP)).status_code == 200
            redis.stop()
            granted, refused = await until_refused([client], most=20)
        figure = app.state.services.registry.get_sample_value
        assert 6 <= granted <= 8
        assert refused.status_code == 429
        assert figure("betrace_limits_redis_up") == 0
        assert figure("betrace_limits_counted_alone_total") >= 6
        assert figure("betrace_limits_refused_total", {"policy": "key"}) == 1


async def test_refusals_by_limits_are_on_the_record_of_the_tenant_once_a_minute(
    settings: Settings, pool: Pool, shared_database: Database
) -> None:
    scope = await make_tenant(pool)
    key = await make_key(pool, scope, Role.VIEWER)
    async with running(settings, key_per_min=1) as app, client_of(app, key=key) as client:
        statuses = [(await client.get(CHEAP)).status_code for _ in range(4)]
        await app.state.services.decisions.flush(whole=True)
    assert statuses == [200, 429, 429, 429]
    assert limit_rows(shared_database, scope) == [("limit.reached", "key", CHEAP, 3)]


def limit_rows(database: Database, scope: TenantScope) -> list[tuple[str, str, str, int]]:
    """Return action, reason, route and how often; alike rows of two minutes together."""
    with psycopg.connect(database.admin) as connection:
        return connection.execute(
            "select action, reason, route, sum(times)::int from audit_log"
            " where tenant_id = %s and outcome = 'refused' group by 1, 2, 3 order by 1, 2, 3",
            [scope.tenant_id],
        ).fetchall()


async def test_refusals_are_held_back_but_not_too_many(
    settings: Settings, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    key = await make_key(pool, await make_tenant(pool))
    async with running(settings, key_per_min=1) as app, client_of(app, key=key) as client:
        monkeypatch.setattr("api.limits.requests.HELD_BACK_S", 1.0)
        app.state.services.authenticator._limiter._sleep = sleep
        await client.get(CHEAP)
        assert (await client.get(CHEAP)).status_code == 429
        assert slept == [1.0]
        monkeypatch.setattr("api.limits.requests._HELD_AT_MOST", 0)
        assert (await client.get(CHEAP)).status_code == 429
        assert slept == [1.0]


async def test_costs_and_exemptions_are_of_routes_that_there_are(settings: Settings) -> None:
    from api.auth.access import route_access

    app = create_app(settings)
    there = {(method, route.path) for route in route_access(app) for method in route.methods}
    assert there >= set(COSTS)
    assert there >= EXEMPT
