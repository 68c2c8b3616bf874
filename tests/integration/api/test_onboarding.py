"""Onboarding: all that a new tenant begins with, in one transaction."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from api.auth.principal import Role, TenantScope
from api.command.app import app as betrace
from api.database import Pool
from api.errors import OperatorError
from api.invitations.model import InvitationMaker
from api.keys.service import KeyMaker
from api.problems import ApiError
from api.tenants.onboarding import Makers, Onboarded, onboard
from api.tenants.starter import FIRST, starter_rules
from dsl.library import packs
from tests.integration.api.conftest import NO_KAFKA, client_of
from tests.support.library_index import own_names
from tests.support.postgres import Database
from tests.support.tenants import PASSWORD, PEPPER, make_key, make_tenant, make_user, scope_of

NEW = "seven green umbrellas at dusk"
MAKERS = Makers(KeyMaker(PEPPER), InvitationMaker(PEPPER))


def new_name() -> str:
    return f"acme-{uuid4()}"


async def make(pool: Pool, admin: str, **more: Any) -> Onboarded:
    return await onboard(pool, new_name(), admin=admin, grant=scope_of, makers=MAKERS, **more)


async def test_a_new_tenant_has_rules_a_key_and_an_invited_admin(pool: Pool, app: FastAPI) -> None:
    email = f"{uuid4()}@example.com"
    done = await make(pool, email, rules=starter_rules())
    assert done.invited is not None
    async with client_of(app, key=done.key.text) as machine:
        identity = (await machine.get("/api/v1/session")).json()
    assert identity["permissions"] == ["spans.ingest"]
    async with client_of(app) as client:
        account = {"token": done.invited.token, "name": "Ada", "password": NEW}
        await client.post("/api/v1/invitations/accept", json=account)
        signed_in = await client.post("/api/v1/session", json={"email": email, "password": NEW})
        assert signed_in.json()["role"] == "admin"
        rules = (await client.get("/api/v1/rules")).json()["items"]
    assert {rule["id"] for rule in rules} == set(done.rules)
    assert FIRST in done.rules
    assert {rule["state"] for rule in rules} == {"active"}


async def test_whoever_has_an_account_is_an_admin_at_once(pool: Pool, app: FastAPI) -> None:
    email = await make_user(pool, await make_tenant(pool), Role.VIEWER)
    done = await make(pool, email)
    assert done.invited is None
    async with client_of(app) as client:
        await client.post("/api/v1/session", json={"email": email, "password": PASSWORD})
        tenants = (await client.get("/api/v1/account")).json()["tenants"]
    assert {tenant["name"]: tenant["role"] for tenant in tenants}[done.tenant.name] == "admin"


@pytest.mark.parametrize("broken", ["api_keys", "invitations", "rule_versions", "audit_log"])
async def test_whatever_fails_leaves_nothing_behind(
    broken: str, pool: Pool, shared_database: Database
) -> None:
    name = new_name()
    with psycopg.connect(shared_database.admin, autocommit=True) as admin:
        admin.execute(f"revoke insert on {broken} from betrace_app".encode())
        try:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await onboard(
                    pool,
                    name,
                    admin=f"{uuid4()}@example.com",
                    grant=scope_of,
                    makers=MAKERS,
                    rules=starter_rules(),
                )
        finally:
            admin.execute(f"grant insert on {broken} to betrace_app".encode())
        found = admin.execute("select from tenants where name = %s", [name]).fetchall()
    assert found == []


async def test_ten_at_once_all_come_about(pool: Pool) -> None:
    done = await asyncio.gather(
        *(make(pool, f"{uuid4()}@example.com", rules=starter_rules()) for _ in range(10))
    )
    assert len({each.tenant.id for each in done}) == 10


async def test_a_name_that_is_taken_is_refused(pool: Pool) -> None:
    first = await make(pool, f"{uuid4()}@example.com")
    with pytest.raises(ApiError, match="There is a tenant"):
        await onboard(
            pool,
            first.tenant.name,
            admin=f"{uuid4()}@example.com",
            grant=scope_of,
            makers=MAKERS,
        )


async def test_another_tenant_sees_nothing_of_it(
    pool: Pool, scope: TenantScope, app: FastAPI
) -> None:
    done = await make(pool, f"{uuid4()}@example.com", rules=starter_rules())
    async with client_of(app, key=await make_key(pool, scope)) as other:
        for path in ("rules", "keys", "invitations", "members", "audit"):
            text = (await other.get(f"/api/v1/{path}")).text
            assert str(done.tenant.id) not in text
            assert FIRST not in text


@pytest.fixture
def _environment(monkeypatch: pytest.MonkeyPatch, shared_database: Database) -> None:
    monkeypatch.setenv("DATABASE_URL", shared_database.app)
    monkeypatch.setenv("BETRACE_SECRET_KEY", PEPPER.decode())
    monkeypatch.setenv("BETRACE_PUBLIC_URL", "https://betrace.example.com/")
    monkeypatch.setenv("BETRACE_KAFKA", NO_KAFKA)


@pytest.mark.usefixtures("_environment")
def test_the_command_prints_the_key_and_the_link_once() -> None:
    name = new_name()
    arguments = ["tenant", "onboard", name, "--admin", "New.Admin@Example.com", "--json"]
    result = CliRunner().invoke(betrace, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["key"].startswith("betrace_live_")
    assert told["link"].startswith("https://betrace.example.com/invitations/")
    assert told["rules"] == [rule.id for rule in starter_rules()]
    with pytest.raises(OperatorError, match="There is a tenant"):
        CliRunner().invoke(betrace, arguments, catch_exceptions=False)


@pytest.mark.usefixtures("_environment")
def test_the_command_refuses_what_is_no_address() -> None:
    with pytest.raises(OperatorError, match="not an address"):
        CliRunner().invoke(
            betrace, ["tenant", "onboard", "x", "--admin", "ada"], catch_exceptions=False
        )


def test_starter_rules_wait_for_no_span_that_nobody_has_to_send() -> None:
    shipped = {rule.id: rule for each in packs() for rule in each.rules}
    names = {rule.id: own_names(shipped[rule.id]) for rule in starter_rules()}
    assert names == dict.fromkeys(names, frozenset())
