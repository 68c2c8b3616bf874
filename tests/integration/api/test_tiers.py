"""Tiers: what they grant takes the place of what was set for everybody, in all that asks for it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from fastapi import FastAPI
from psycopg.types.json import Jsonb
from typer.testing import CliRunner
from yoyo import get_backend, read_migrations

import sql
from api.auth.client import Client
from api.auth.key_verifier import KeyVerifier
from api.auth.principal import Role, TenantScope
from api.auth.sessions import Sessions
from api.command.app import app as betrace
from api.database import Pool
from api.errors import OperatorError
from api.limits.settings import AS_INSTALLED, TenantLimits
from api.migrations import _yoyo_uri
from api.problems import ApiError
from api.retention.service import read_retention
from api.retention.terms import Kind, Term
from api.tenants.service import change_settings, create_user, read_tenant
from api.tenants.settings import QUOTAS, TenantSettings
from api.tiers.allowance import QUOTA_LABELS
from api.tiers.service import (
    change_quotas,
    change_term,
    drop_own_quotas,
    list_tiers,
    put_into_tier,
    read_tier,
)
from api.usage.service import count_usage
from tests.integration.api.conftest import NO_KAFKA, Caller, client_of
from tests.integration.api.test_tenant_and_usage import account, month, notices
from tests.support.postgres import Database, Server
from tests.support.tenants import PASSWORD, PEPPER, make_key, make_tenant

NOVEMBER = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def tier(shared_database: Database) -> str:
    """A tier of the test alone, with the times of the first one."""
    name = f"t-{uuid4()}"
    with psycopg.connect(shared_database.admin) as connection:
        connection.execute(
            "insert into tiers (name, position, retention, quotas)"
            " select %s, (select max(position) + 1 from tiers), retention, %s from tiers"
            " where name = 'standard'",
            [name, Jsonb({"max_rules": 1, "max_members": 2, "monthly_spans": 100})],
        )
    return name


async def test_the_tiers_that_there_are_differ_in_what_they_grant(pool: Pool) -> None:
    tiers = {each.name: each for each in await list_tiers(pool)}
    assert list(tiers)[:4] == ["standard", "free", "team", "enterprise"]
    rules = [tiers[name].settings.max_rules for name in ("free", "team", "standard", "enterprise")]
    assert rules == [10, 100, 1_000, 10_000]
    assert tiers["standard"].settings == TenantSettings()
    assert tiers["free"].retention[Kind.SIGNALS] == Term(30, 1, 30)
    assert all(each.quotas.keys() <= QUOTAS for each in tiers.values())
    assert QUOTA_LABELS.keys() == QUOTAS


async def test_a_tenant_gets_what_its_tier_grants_and_another_tenant_does_not(
    caller: Caller, stranger: Caller, pool: Pool, tier: str
) -> None:
    assert await put_into_tier(pool, caller.scope, tier)
    assert not await put_into_tier(pool, caller.scope, tier)
    for who, statuses in ((caller, [201, 409]), (stranger, [201, 201])):
        said = [
            (
                await who.client.put(
                    f"/api/v1/rules/{rule}", json={"rule": "when { a } never { b }"}
                )
            ).status_code
            for rule in ("one", "two")
        ]
        assert said == statuses
    usage = (await caller.client.get("/api/v1/usage")).json()
    assert (usage["tier"], usage["quota"]) == (tier, 100)
    quotas = {each["name"]: each for each in usage["quotas"]}
    assert quotas["max_rules"] == {"name": "max_rules", "most": 1, "used": 1, "own": False}
    log = (await caller.client.get("/api/v1/audit?action=tenant.tier")).json()["items"]
    assert [row["details"] for row in log] == [{"before": "standard", "tier": tier}]
    page = (await caller.client.get("/settings/usage")).text
    assert f"Tier: {tier.capitalize()}" in page
    assert "1 of 1" in page


async def test_warnings_go_by_the_tier_and_by_the_tenant_s_own_quota(
    caller: Caller, pool: Pool, shared_database: Database, tier: str
) -> None:
    await put_into_tier(pool, caller.scope, tier)
    account(shared_database, caller.scope, NOVEMBER, received=85)
    await count_usage(pool, caller.scope, now=NOVEMBER)
    assert await notices(caller) == [(80, 85)]
    own = (await read_tenant(pool, caller.scope)).settings.to_dict() | {"monthly_spans": 85}
    await change_settings(pool, caller.scope, TenantSettings.from_dict(own))
    await count_usage(pool, caller.scope, now=NOVEMBER)
    assert await notices(caller) == [(80, 85), (100, 85)]
    assert (await month(caller))["quota"] == 85


async def test_requests_and_spans_are_limited_by_the_tier(
    pool: Pool, scope: TenantScope, tier: str
) -> None:
    key, sessions = await make_key(pool, scope), Sessions(pool, pepper=PEPPER)
    user_id = await create_user(
        pool, scope, email=f"{uuid4()}@example.com", name="Ada", role=Role.SRE, password=PASSWORD
    )
    begun = await sessions.begin(user_id, client=Client("192.0.2.1"))
    assert begun is not None

    async def limits() -> set[TenantLimits]:
        by_key = await KeyVerifier(pool, pepper=PEPPER).verify(key, address=None)
        by_session = await sessions.find(begun.token, address=None)
        assert by_key is not None
        assert by_session is not None
        return {by_key.limits, by_session.limits}

    assert await limits() == {AS_INSTALLED}
    await put_into_tier(pool, scope, tier)
    changes = {"requests_per_min": 7, "spans_per_s": 8}
    await change_quotas(pool, tier, changes, actor="operator:test")
    assert await limits() == {TenantLimits(requests_per_min=7, spans_per_s=8)}


async def test_members_and_open_invitations_fit_into_the_tier(
    caller: Caller, pool: Pool, tier: str, app: FastAPI
) -> None:
    await put_into_tier(pool, caller.scope, tier)

    async def invite() -> Any:
        body = {"email": f"{uuid4()}@example.com", "role": "viewer"}
        return await caller.client.post("/api/v1/invitations", json=body)

    first, second = await invite(), await invite()
    refused = await invite()
    assert (refused.status_code, refused.json()["code"]) == (409, "member.too_many")
    await change_quotas(pool, tier, {"max_members": 1}, actor="operator:test")
    accepted = []
    async with client_of(app) as client:
        for made in (first, second):
            token = made.json()["link"].rsplit("/", 1)[1]
            body = {"token": token, "name": "Ada", "password": "seven green umbrellas at dusk"}
            accepted.append(await client.post("/api/v1/invitations/accept", json=body))
    assert [(each.status_code) for each in accepted] == [200, 409]
    assert accepted[1].json()["code"] == "member.too_many"


async def test_what_is_set_for_one_tenant_stays_its_own_through_other_tiers(
    caller: Caller, pool: Pool, tier: str
) -> None:
    await change_settings(pool, caller.scope, TenantSettings(max_rules=5))
    await put_into_tier(pool, caller.scope, tier)
    await caller.client.patch("/api/v1/tenant", json={"settings": {"settle_ms": 5_000}})
    found = await read_tenant(pool, caller.scope)
    assert (found.tier, found.own) == (tier, {"max_rules"})
    assert (found.settings.max_rules, found.settings.max_members) == (5, 2)
    assert found.settings.settle_ms == 5_000
    assert await drop_own_quotas(pool, caller.scope)
    assert not await drop_own_quotas(pool, caller.scope)
    found = await read_tenant(pool, caller.scope)
    assert (found.settings.max_rules, found.settings.settle_ms, found.own) == (1, 5_000, set())


async def test_a_tenant_may_be_without_a_quota_that_its_tier_has(
    pool: Pool, scope: TenantScope, tier: str
) -> None:
    await put_into_tier(pool, scope, tier)
    settings = (await read_tenant(pool, scope)).settings.to_dict() | {"monthly_spans": None}
    await change_settings(pool, scope, TenantSettings.from_dict(settings))
    found = await read_tenant(pool, scope)
    assert (found.settings.monthly_spans, found.own) == (None, {"monthly_spans"})


async def test_a_change_of_a_tier_reaches_its_tenants_but_not_what_is_their_own(
    pool: Pool, scope: TenantScope, tier: str
) -> None:
    other = await make_tenant(pool)
    await change_settings(pool, other, TenantSettings(max_rules=5))
    for each in (scope, other):
        await put_into_tier(pool, each, tier)
    await change_quotas(pool, tier, {"max_rules": 3, "monthly_spans": None}, actor="operator:test")
    found = [(await read_tenant(pool, each)).settings for each in (scope, other)]
    assert [settings.max_rules for settings in found] == [3, 5]
    assert {settings.monthly_spans for settings in found} == {None}
    await change_term(pool, tier, Kind.SIGNALS, Term(7, 1, 7), actor="operator:test")
    assert (await read_retention(pool, scope)).times[Kind.SIGNALS].days == 7


@pytest.mark.parametrize(
    "changes", [{"max_rules": 0}, {"settle_ms": 5}, {"monthly_spans": -1}, {"moods": 3}]
)
async def test_quotas_that_cannot_be_are_refused(
    pool: Pool, tier: str, changes: dict[str, Any]
) -> None:
    before = await read_tier(pool, tier)
    with pytest.raises(ApiError):
        await change_quotas(pool, tier, changes, actor="operator:test")
    assert await read_tier(pool, tier) == before


async def test_a_tier_that_is_not_there_is_not_found(pool: Pool, scope: TenantScope) -> None:
    with pytest.raises(ApiError, match="no such tier"):
        await put_into_tier(pool, scope, "platinum")


async def test_a_change_of_a_tier_is_on_the_operator_s_record(
    pool: Pool, tier: str, shared_database: Database
) -> None:
    await change_quotas(pool, tier, {"max_rules": 3}, actor="operator:ada")
    with psycopg.connect(shared_database.admin) as connection:
        found = connection.execute(
            "select tenant_id, actor, details from audit_log where target = %s", [f"tier:{tier}"]
        ).fetchall()
    assert found == [(None, "operator:ada", {"fields": "max_rules"})]


def test_what_was_set_before_there_were_tiers_is_the_tenant_s_own_and_the_rest_is_not(
    postgres: Server, tmp_path: Path
) -> None:
    dsn = postgres.empty_database()
    backend = get_backend(_yoyo_uri(dsn))
    migrations = read_migrations(str(sql.MIGRATIONS))
    settings = {
        "settle_ms": 2_000, "max_rules": 1_000, "monthly_spans": None, "requests_per_min": None,
        "max_trace_spans": 200_000,
    }  # fmt: skip
    with backend.lock():
        backend.apply_migrations(migrations.filter(lambda each: each.id < "0060"))
        with psycopg.connect(dsn) as connection:
            for name, own in (("usual", {}), ("own", {"max_rules": 7, "monthly_spans": 9})):
                connection.execute(
                    "insert into tenants (id, name, settings) values (%s, %s, %s)",
                    [uuid4(), name, Jsonb({**settings, **own})],
                )
        backend.apply_migrations(backend.to_apply(migrations))
    backend.connection.close()
    with psycopg.connect(dsn) as connection:
        found = dict(connection.execute("select name, settings from tenants").fetchall())
    assert found == {
        "usual": {"settle_ms": 2_000, "max_trace_spans": 200_000},
        "own": {"settle_ms": 2_000, "max_trace_spans": 200_000, "max_rules": 7, "monthly_spans": 9},
    }


@pytest.fixture
def _environment(monkeypatch: pytest.MonkeyPatch, shared_database: Database) -> None:
    monkeypatch.setenv("DATABASE_URL", shared_database.app)
    monkeypatch.setenv("BETRACE_SECRET_KEY", PEPPER.decode())
    monkeypatch.setenv("BETRACE_KAFKA", NO_KAFKA)


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(betrace, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.usefixtures("_environment")
def test_commands_make_tenants_of_a_tier_and_move_them() -> None:
    made = run("tenant", "create", "of-a-tier", "--tier", "free", "--max-members", "9")
    assert (made["tier"], made["settings"]["max_rules"]) == ("free", 10)
    told = run("tenant", "tier", made["id"])
    assert told["quotas"]["max_members"] == {"most": 9, "used": 0, "own": True}
    told = run("tenant", "tier", made["id"], "team", "--as-tier")
    assert (told["tier"], told["quotas"]["max_members"]["most"]) == ("team", 50)
    onboarded = run("tenant", "onboard", "on-board", "--admin", "a@b.example", "--tier", "free")
    assert UUID(onboarded["id"])
    assert run("tenant", "tier", "on-board")["quotas"]["max_rules"]["used"] == 6


@pytest.mark.usefixtures("_environment")
def test_commands_show_and_change_tiers(tier: str) -> None:
    assert run("tier", "quota", tier, "max_rules", "77")["quotas"]["max_rules"] == 77
    assert "max_members" not in run("tier", "quota", tier, "max_members", "none")["quotas"]
    told = run("tier", "bounds", tier, "signals", "--days", "9", "--most", "9")
    assert told["retention"]["signals"] == {"days": 9, "least": 1, "most": 9}
    listed = {each["name"]: each for each in run("tier", "list")["tiers"]}
    assert listed[tier] == told
    for bad in (("max_rules", "many"), ("settle_ms", "3"), ("max_rules", "0")):
        with pytest.raises(OperatorError):
            run("tier", "quota", tier, *bad)
