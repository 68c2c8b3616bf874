"""A suspended tenant: nobody of it gets in by any way, and all is as before once it is resumed."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from api.auth.key_verifier import KeyVerifier
from api.auth.principal import Role, TenantScope
from api.command.app import app as betrace
from api.database import Pool
from api.invitations.model import InvitationMaker
from api.invitations.service import invite
from api.keys.authority import OPERATOR
from api.members.model import Terms
from api.tenants.service import add_member, resume, suspend
from tests.integration.api.conftest import NO_KAFKA, client_of
from tests.support.postgres import Database
from tests.support.tenants import PASSWORD, PEPPER, make_key, make_tenant, make_user


async def sign_in(client: httpx.AsyncClient, email: str) -> int:
    body = {"email": email, "password": PASSWORD}
    return (await client.post("/api/v1/session", json=body)).status_code


async def verified(pool: Pool, key: str) -> bool:
    """Ask as a process does that has not seen the key lately, such as `ingest`."""
    return await KeyVerifier(pool, pepper=PEPPER).verify(key, address=None) is not None


async def test_nobody_gets_in_until_it_is_resumed(
    app: FastAPI, pool: Pool, scope: TenantScope
) -> None:
    key, email = await make_key(pool, scope), await make_user(pool, scope, Role.SRE)
    async with client_of(app) as person, client_of(app) as another:
        assert await sign_in(person, email) == 200
        assert await suspend(pool, scope)
        assert (await person.get("/api/v1/session")).status_code == 401
        assert await sign_in(another, email) == 401
        assert not await verified(pool, key)
        assert await resume(pool, scope)
        assert (await person.get("/api/v1/session")).status_code == 200
        assert await verified(pool, key)


async def test_other_tenants_of_its_people_go_on_without_it(
    app: FastAPI, pool: Pool, scope: TenantScope
) -> None:
    email = await make_user(pool, scope, Role.SRE)
    other = await make_tenant(pool)
    await add_member(pool, other, email=email, role=Role.VIEWER)
    await suspend(pool, scope)
    async with client_of(app) as client:
        assert await sign_in(client, email) == 200
        account = (await client.get("/api/v1/account")).json()
        csrf = (await client.get("/api/v1/session")).json()["csrf_token"]
        back = await client.post(
            "/api/v1/account/tenant",
            json={"tenant_id": str(scope.tenant_id)},
            headers={"X-CSRF-Token": csrf},
        )
    assert [tenant["id"] for tenant in account["tenants"]] == [str(other.tenant_id)]
    assert back.status_code == 404


async def test_its_invitations_open_nothing_meanwhile(
    anonymous: httpx.AsyncClient, pool: Pool, scope: TenantScope
) -> None:
    made = await invite(
        pool,
        scope,
        f"{scope.tenant_id}@example.com",
        Terms(Role.SRE),
        maker=InvitationMaker(PEPPER),
        authority=OPERATOR,
    )
    body = {"token": made.token, "name": "Ada", "password": "seven green umbrellas at dusk"}
    await suspend(pool, scope)
    refused = await anonymous.post("/api/v1/invitations/accept", json=body)
    assert refused.status_code == 410
    await resume(pool, scope)
    assert (await anonymous.post("/api/v1/invitations/accept", json=body)).status_code == 200


@pytest.fixture
def _environment(monkeypatch: pytest.MonkeyPatch, shared_database: Database) -> None:
    monkeypatch.setenv("DATABASE_URL", shared_database.app)
    monkeypatch.setenv("BETRACE_SECRET_KEY", PEPPER.decode())
    monkeypatch.setenv("BETRACE_KAFKA", NO_KAFKA)


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(betrace, ["tenant", *arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.usefixtures("_environment")
def test_the_command_says_whether_anything_changed() -> None:
    made = run("create", "suspended-by-command")
    told = [run(act, made["id"])["changed"] for act in ("suspend", "suspend", "resume", "resume")]
    assert told == [True, False, True, False]
    listed = {tenant["id"]: tenant["suspended"] for tenant in run("list")["tenants"]}
    assert listed[made["id"]] is False
