"""How long a tenant keeps its things, by REST, by page and by command."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from api.auth.principal import Role, TenantScope
from api.command.app import app as betrace
from api.database import Pool
from api.errors import OperatorError
from api.retention.service import hold, release
from api.retention.terms import Kind
from api.tenants.deletion import ask_for_deletion
from tests.integration.api.conftest import NO_KAFKA, Caller, client_of
from tests.support.postgres import Database
from tests.support.tenants import PEPPER, make_key

URL = "/api/v1/tenant/retention"
USUAL = {
    "signals": 90, "open_signals": None, "dead_letters": 30, "backtests": 30, "accounts": 62,
    "usage": 800, "audit": 400,
}  # fmt: skip


async def times(caller: Caller) -> dict[str, Any]:
    return {each["kind"]: each["days"] for each in (await caller.client.get(URL)).json()["kinds"]}


async def log(caller: Caller) -> list[tuple[str, dict[str, str]]]:
    items = (await caller.client.get("/api/v1/audit?action=retention")).json()["items"]
    return [(row["action"], row["details"]) for row in reversed(items)]


async def test_a_tenant_chooses_for_itself_and_what_it_does_not_choose_is_as_usual(
    caller: Caller, stranger: Caller
) -> None:
    assert await times(caller) == USUAL
    body = {"days": {"signals": 365, "dead_letters": 7, "audit": "forever"}}
    changed = await caller.client.put(URL, json=body)
    assert changed.status_code == 200
    assert await times(caller) == {**USUAL, "signals": 365, "dead_letters": 7, "audit": None}
    assert await times(stranger) == USUAL
    assert changed.json() == (await caller.client.get(URL)).json()
    await caller.client.put(URL, json={"days": {"dead_letters": 7}})
    assert await times(caller) == {**USUAL, "dead_letters": 7}
    assert await log(caller) == [
        (
            "retention.changed",
            {
                "signals": "90 days → 365 days",
                "dead_letters": "30 days → 7 days",
                "audit": "400 days → forever",
            },
        ),
        (
            "retention.changed",
            {"signals": "365 days → 90 days", "audit": "forever → 400 days"},
        ),
    ]


@pytest.mark.parametrize(
    "days",
    [
        {"dead_letters": 366},
        {"dead_letters": "forever"},
        {"audit": 29},
        {"signals": 0},
        {"signals": -1},
        {"signals": 1.5},
        {"signals": None},
        {"moods": 3},
        {"usage": 10**9},
    ],
)
async def test_what_is_not_allowed_is_refused_and_changes_nothing(
    caller: Caller, days: dict[str, Any]
) -> None:
    refused = await caller.client.put(URL, json={"days": {"backtests": 5, **days}})
    assert refused.status_code == 400
    assert all("days" in error["field"] for error in refused.json()["errors"])
    assert await times(caller) == USUAL
    assert await log(caller) == []


async def test_a_hold_is_put_and_lifted_by_admins_and_on_record(
    caller: Caller, stranger: Caller
) -> None:
    held = (await caller.client.put("/api/v1/tenant/hold")).json()["hold"]
    assert held["by"] == "tenant"
    assert (await caller.client.put("/api/v1/tenant/hold")).json()["hold"] == held
    assert (await stranger.client.get(URL)).json()["hold"] is None
    assert (await caller.client.delete("/api/v1/tenant/hold")).json()["hold"] is None
    assert (await caller.client.delete("/api/v1/tenant/hold")).json()["hold"] is None
    assert [action for action, _ in await log(caller)] == ["retention.held", "retention.released"]


async def test_the_operator_s_hold_is_lifted_by_nobody_else(caller: Caller, pool: Pool) -> None:
    await caller.client.put("/api/v1/tenant/hold")
    assert await hold(pool, caller.scope, by="operator")
    assert not await hold(pool, caller.scope, by="tenant")
    refused = await caller.client.delete("/api/v1/tenant/hold")
    assert (refused.status_code, refused.json()["code"]) == (409, "retention.held")
    assert (await caller.client.get(URL)).json()["hold"]["by"] == "operator"
    assert await release(pool, caller.scope, by="operator")
    assert (await caller.client.get(URL)).json()["hold"] is None


async def test_before_all_of_it_is_deleted_nothing_goes_for_its_age_and_that_is_said(
    caller: Caller, stranger: Caller, pool: Pool
) -> None:
    title = (await caller.client.get("/api/v1/tenant")).json()["name"]
    grace = timedelta(days=30)
    due_at = (await ask_for_deletion(pool, caller.scope, typed=title, grace=grace)).due_at
    assert due_at is not None
    told = (await caller.client.get(URL)).json()["delete_after"]
    assert datetime.fromisoformat(told) == due_at
    assert (await stranger.client.get(URL)).json()["delete_after"] is None
    page = (await caller.client.get("/settings/retention")).text
    assert "Until then nothing goes for its age" in page
    await caller.client.put("/api/v1/tenant/hold")
    page = (await caller.client.get("/settings/retention")).text
    assert "The deletion of the tenant waits as well" in page


async def test_who_may_not_write_reads(app: FastAPI, pool: Pool, scope: TenantScope) -> None:
    async with client_of(app, key=await make_key(pool, scope, Role.SRE)) as client:
        assert (await client.get(URL)).status_code == 200
        assert (await client.put(URL, json={"days": {}})).status_code == 403
        assert (await client.put("/api/v1/tenant/hold")).status_code == 403
        page = (await client.get("/settings/retention")).text
    assert "Hold everything" not in page
    assert '<fieldset class="plain-fieldset" disabled>' in page


async def test_the_page_changes_what_its_form_says(caller: Caller) -> None:
    form = {**dict.fromkeys(USUAL, ""), "signals": " 14 ", "audit": "forever"}
    changed = await caller.client.post("/settings/retention", data=form)
    assert (changed.status_code, changed.headers["location"]) == (
        303, "/settings/retention?done=changed",
    )  # fmt: skip
    assert await times(caller) == {**USUAL, "signals": 14, "audit": None}
    page = (await caller.client.get("/settings/retention?done=changed")).text
    assert 'name="signals"' in page
    assert 'value="14"' in page
    assert "deleted within some hours" in page


@pytest.mark.parametrize("typed", ["soon", "0", "366", "-1", "٣"])
async def test_the_page_says_what_it_refuses_and_keeps_what_was_typed(
    caller: Caller, typed: str
) -> None:
    refused = await caller.client.post("/settings/retention", data={"dead_letters": typed})
    assert refused.status_code == 400
    assert f'value="{typed}"' in refused.text
    assert await times(caller) == USUAL


async def test_the_page_holds_and_lifts(caller: Caller, pool: Pool) -> None:
    assert (await caller.client.post("/settings/retention/hold")).status_code == 303
    page = (await caller.client.get("/settings/retention")).text
    assert "On hold since" in page
    assert "Lift the hold" in page
    await hold(pool, caller.scope, by="operator")
    page = (await caller.client.get("/settings/retention")).text
    assert "Lift the hold" not in page
    refused = await caller.client.post("/settings/retention/release")
    assert refused.status_code == 409
    assert "Your operator holds this tenant" in refused.text


async def test_the_page_says_what_was_deleted_of_this_tenant(
    caller: Caller, stranger: Caller, shared_database: Database
) -> None:
    with psycopg.connect(shared_database.worker) as connection:
        for scope, count in ((caller.scope, 12_345), (stranger.scope, 99)):
            connection.execute(
                "insert into retention_ledger (tenant_id, day, what, days, row_count)"
                " values (%s, current_date, 'signals', 90, %s)",
                [scope.tenant_id, count],
            )
    deleted = (await caller.client.get(URL)).json()["deleted"]
    assert [(each["what"], each["rows"]) for each in deleted] == [("signals", 12_345)]
    assert "12,345" in (await caller.client.get("/settings/retention")).text


@pytest.mark.parametrize(
    "statement",
    [
        "insert into retention_ledger (tenant_id, day, what, days, row_count)"
        " values (scope_tenant(), current_date, 'x', 1, 1)",
        "update retention_ledger set row_count = 0",
        "delete from retention_ledger",
        "delete from usage_days",
        "delete from backtests",
        "insert into tiers (name, position, retention) values ('x', 9, '{}')",
        "delete from tiers",
    ],
)
async def test_the_application_writes_no_ledger_and_deletes_nothing(
    statement: str, scope: TenantScope, shared_database: Database
) -> None:
    with psycopg.connect(shared_database.app) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", [str(scope.tenant_id)])
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())


def test_a_tenant_changes_no_tier(scope: TenantScope, shared_database: Database) -> None:
    with psycopg.connect(shared_database.app) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", [str(scope.tenant_id)])
        assert connection.execute("update tiers set retention = '{}'").rowcount == 0


@pytest.fixture
def _environment(monkeypatch: pytest.MonkeyPatch, shared_database: Database) -> None:
    monkeypatch.setenv("DATABASE_URL", shared_database.app)
    monkeypatch.setenv("BETRACE_SECRET_KEY", PEPPER.decode())
    monkeypatch.setenv("BETRACE_KAFKA", NO_KAFKA)


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(betrace, ["tenant", *arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def kept(told: Any, kind: Kind) -> Any:
    return next(each for each in told["kinds"] if each["kind"] == kind)


@pytest.mark.usefixtures("_environment")
def test_an_operator_sets_bounds_and_goes_back_to_the_tier() -> None:
    tenant = run("create", "bounded-by-command")["id"]
    told = run("bounds", tenant, "signals", "--least", "30", "--most", "400")
    assert kept(told, Kind.SIGNALS) == {
        "kind": "signals", "days": 90, "chosen": False, "usual": 90, "least": 30, "most": 400,
    }  # fmt: skip
    told = run("bounds", tenant, "signals", "--days", "365")
    assert kept(told, Kind.SIGNALS)["days"] == 365
    told = run("bounds", tenant, "audit", "--days", "forever", "--least", "365")
    assert (kept(told, Kind.AUDIT)["days"], kept(told, Kind.AUDIT)["least"]) == (None, 365)
    told = run("bounds", tenant, "signals", "--as-tier")
    assert kept(told, Kind.SIGNALS)["days"] == 90
    assert kept(run("retention", tenant), Kind.AUDIT)["least"] == 365


@pytest.mark.usefixtures("_environment")
@pytest.mark.parametrize(
    "options",
    [[], ["--as-tier", "--days", "3"], ["--least", "29"], ["--most", "10"], ["--days", "soon"]],
)
def test_bounds_that_cannot_be_are_refused(options: list[str]) -> None:
    tenant = run("create", "refused-bounds", "--if-absent")["id"]
    with pytest.raises(OperatorError):
        run("bounds", tenant, "audit", *options)


@pytest.mark.usefixtures("_environment")
def test_an_operator_holds_and_releases() -> None:
    tenant = run("create", "held-by-command")["id"]
    assert [run(act, tenant)["changed"] for act in ("hold", "hold", "release", "release")] == [
        True, False, True, False,
    ]  # fmt: skip
