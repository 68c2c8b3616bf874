"""`betrace identity`: what operators grant to an identity provider's people and programs."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from api.command.identity import app
from api.database import open_pool
from api.errors import OperatorError
from tests.support.postgres import Database
from tests.support.tenants import make_tenant

ISSUER = "https://id.example"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, shared_database: Database) -> None:
    monkeypatch.setenv("DATABASE_URL", shared_database.app)
    monkeypatch.setenv("BETRACE_OIDC_ISSUER", ISSUER)


@pytest.fixture
def tenant(shared_database: Database) -> str:
    async def make() -> str:
        async with open_pool(shared_database.app, size=1) as pool:
            return str((await make_tenant(pool)).tenant_id)

    return asyncio.run(make())


def _betrace_identity(*arguments: str) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def _grants(tenant: str) -> list[tuple[str, str, str, str]]:
    listed = _betrace_identity("list", "--tenant", tenant)["grants"]
    return [(each["organisation"], each["kind"], each["value"], each["role"]) for each in listed]


def test_grants_are_made_changed_listed_and_taken_back(
    tenant: str, shared_database: Database
) -> None:
    of = ("--tenant", tenant)
    _betrace_identity("grant", *of, "--group", "dev", "--role", "developer")
    _betrace_identity("grant", *of, "--anybody", "--role", "viewer")
    _betrace_identity("grant", *of, "--client", "ci", "--organisation", "o", "--role", "api-client")
    _betrace_identity("grant", *of, "--group", "dev", "--role", "sre")
    assert _grants(tenant) == [
        ("", "group", "*", "viewer"), ("", "group", "dev", "sre"),
        ("o", "client", "ci", "api-client"),
    ]  # fmt: skip
    _betrace_identity("revoke", *of, "--anybody")
    assert [value for _, _, value, _ in _grants(tenant)] == ["dev", "ci"]
    with psycopg.connect(shared_database.admin) as connection:
        rows = connection.execute(
            "select action, target from audit_log where tenant_id = %s order by seq", [tenant]
        ).fetchall()
    assert [row for row in rows if row[0].startswith("grant.")] == [
        ("grant.changed", "group:dev"), ("grant.changed", "group:*"),
        ("grant.changed", "client:ci"), ("grant.changed", "group:dev"),
        ("grant.removed", "group:*"),
    ]  # fmt: skip


def test_one_kind_of_grant_is_said_at_a_time(tenant: str) -> None:
    for more in ([], ["--group", "a", "--client", "b"], ["--group", "a", "--anybody"]):
        arguments = ["grant", "--tenant", tenant, "--role", "sre", *more]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 2
        assert "say one of" in result.output


def test_a_role_that_cannot_be_granted_and_a_grant_that_is_not_there_are_said(
    tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OperatorError, match="cannot be granted the role auditor"):
        _betrace_identity("grant", "--tenant", tenant, "--group", "a", "--role", "auditor")
    with pytest.raises(OperatorError, match="no such grant"):
        _betrace_identity("revoke", "--tenant", tenant, "--group", "a")
    monkeypatch.delenv("BETRACE_OIDC_ISSUER")
    with pytest.raises(OperatorError, match="neither BETRACE_OIDC_ISSUER nor"):
        _betrace_identity("grant", "--tenant", tenant, "--group", "a", "--role", "sre")


def test_grants_are_of_workos_where_that_is_set_up(
    tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BETRACE_OIDC_ISSUER")
    monkeypatch.setenv("BETRACE_WORKOS_CLIENT_ID", "client_1")
    made = _betrace_identity("grant", "--tenant", tenant, "--group", "a", "--role", "sre")
    assert made["issuer"] == "https://api.workos.com/user_management/client_1"
    assert _betrace_identity("revoke", "--tenant", tenant, "--group", "a") == {"revoked": True}
