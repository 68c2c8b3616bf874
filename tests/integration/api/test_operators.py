"""Operators: across all tenants by REST and page, in numbers, and with nothing of any tenant."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from api.auth.access import OPERATOR_COOKIE
from api.auth.principal import Role, TenantScope
from api.command.app import app as betrace
from api.database import Pool, credential_transaction, open_pool, purpose_transaction
from api.errors import OperatorError
from api.operators.keys import hash_operator_key, is_operator_key
from api.operators.making import revoke_operator_key
from api.problems import ApiError
from api.settings import Settings
from api.tenants.deletion import ask_for_deletion
from api.tenants.service import read_tenant
from tests.integration.api.conftest import NO_KAFKA, client_of
from tests.support.filled import filled_tenant
from tests.support.postgres import Database, Server
from tests.support.tenants import PEPPER, add_operator, make_key, make_tenant

URL = "/api/v1/operator"
ADA = "ada-the-operator"


@pytest.fixture
def name() -> str:
    """The name of an operator of the test alone."""
    return f"op-{uuid4()}"


@pytest.fixture
async def operator(app: FastAPI, pool: Pool, name: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with an operator's key."""
    async with client_of(app, key=await add_operator(pool, name)) as client:
        yield client


async def test_a_tenant_is_shown_in_numbers_and_by_nothing_that_is_its_own(
    operator: httpx.AsyncClient, pool: Pool, shared_database: Database
) -> None:
    filled = await filled_tenant(pool, shared_database)
    tenant_id = filled.scope.tenant_id
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    with psycopg.connect(shared_database.admin) as connection:
        connection.execute(
            "insert into stats_minutes (tenant_id, minute, lane, revision, counts)"
            " values (%s, %s, 0, 1, '{}')",
            [tenant_id, now],
        )
        connection.execute(
            "insert into usage_days (tenant_id, day, spans) values (%s, %s, 5), (%s, %s, 7)",
            [tenant_id, now.date(), tenant_id, now.date().replace(day=1) - timedelta(days=1)],
        )
        connection.execute(
            "insert into rules (tenant_id, id, state, current_version, deleted_at)"
            " values (%s, 'bad', 'quarantined', 1, null), (%s, 'gone', 'off', 1, now())",
            [tenant_id, tenant_id],
        )
    answer = await operator.get(f"{URL}/tenants/{tenant_id}")
    told = answer.json()
    assert {each: told[each] for each in told if each not in ("name", "title", "created_at")} == {
        "id": str(tenant_id),
        "tier": "standard",
        "state": "active",
        "delete_after": None,
        "hold": None,
        "quotas": told["quotas"],
        "own_quotas": [],
        "spans_this_month": 5,
        "percent_of_quota": None,
        "rules": 2,
        "rules_in_quarantine": 1,
        "members": 1,
        "last_span_at": now.isoformat().replace("+00:00", "Z"),
        "last_signal_at": "2026-11-23T12:00:00Z",
    }
    assert told["quotas"]["max_rules"] == 1_000
    page = await operator.get(f"/operator/tenants/{tenant_id}")
    for text in (answer.text, page.text):
        assert filled.mark not in text


async def test_lists_go_through_all_tenants_by_name_and_find_some(
    operator: httpx.AsyncClient, pool: Pool
) -> None:
    mark = uuid4().hex
    for number in range(3):
        body = {"name": f"{mark}-{number}", "admin": f"{uuid4()}@example.com"}
        assert (await operator.post(f"{URL}/tenants", json=body)).status_code == 201
    seen, cursor = [], None
    while True:
        query: dict[str, str | int] = {
            "query": mark.upper(),
            "limit": 2,
            **({"cursor": cursor} if cursor else {}),
        }
        page = (await operator.get(f"{URL}/tenants", params=query)).json()
        seen += [each["name"] for each in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"{mark}-{number}" for number in range(3)]
    assert (await operator.get(f"{URL}/tenants?cursor=nonsense")).status_code == 400


async def test_onboarding_is_whole_and_its_key_is_shown_once(
    operator: httpx.AsyncClient, app: FastAPI, name: str
) -> None:
    body = {"name": f"n-{uuid4()}", "admin": f" {uuid4()}@Example.com ", "tier": "team"}
    made = await operator.post(f"{URL}/tenants", json=body)
    assert made.status_code == 201
    told = made.json()
    assert (told["invited"], told["problem"]) == (True, None)
    async with client_of(app) as client:
        account = {
            "token": told["link"].rsplit("/", 1)[1],
            "name": "Grace",
            "password": "seven green umbrellas at dusk",
        }
        assert (await client.post("/api/v1/invitations/accept", json=account)).status_code == 200
        email = body["admin"].strip().lower()
        signed_in = await client.post(
            "/api/v1/session", json={"email": email, "password": account["password"]}
        )
        assert signed_in.json()["role"] == "admin"
        log = (await client.get("/api/v1/audit?action=tenant")).json()["items"]
    assert [(row["action"], row["actor"]) for row in log] == [
        ("tenant.created", f"operator:{name}")
    ]
    async with client_of(app, key=told["key"]) as machine:
        assert (await machine.get("/api/v1/session")).json()["permissions"] == ["spans.ingest"]
    seen = (await operator.get(f"{URL}/tenants/{told['id']}")).json()
    assert (seen["tier"], seen["rules"], seen["members"]) == ("team", 6, 1)
    again = await operator.post(f"{URL}/tenants", json=body)
    assert (again.status_code, again.json()["code"]) == (409, "tenant.exists")


@pytest.mark.parametrize(
    "body",
    [
        {"name": "", "admin": "a@b.example"},
        {"name": "a\nb", "admin": "a@b.example"},
        {"name": "x", "admin": "nobody"},
        {"name": "x"},
        {"name": "x", "admin": "a@b.example", "password": "y"},
    ],
)
async def test_what_is_no_tenant_is_refused(
    operator: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    assert (await operator.post(f"{URL}/tenants", json=body)).status_code == 400


async def test_what_operators_do_to_a_tenant_is_done_and_on_its_record(
    operator: httpx.AsyncClient, app: FastAPI, pool: Pool, scope: TenantScope, name: str
) -> None:
    url = f"{URL}/tenants/{scope.tenant_id}"
    key = await make_key(pool, scope)
    assert (await operator.post(f"{url}/suspend")).json()["state"] == "suspended"
    async with client_of(app, key=key) as client:
        assert (await client.get("/api/v1/session")).status_code == 401
    assert (await operator.post(f"{url}/resume")).json()["state"] == "active"
    assert (await operator.put(f"{url}/tier", json={"tier": "free"})).json()["tier"] == "free"
    own = {"max_rules": 33, "max_members": None, "spans_per_s": "tier"}
    told = (await operator.patch(f"{url}/quotas", json=own)).json()
    assert told["own_quotas"] == ["max_members", "max_rules"]
    assert (told["quotas"]["max_rules"], told["quotas"]["max_members"]) == (33, None)
    told = (await operator.patch(f"{url}/quotas", json={"max_rules": "tier"})).json()
    assert (told["own_quotas"], told["quotas"]["max_rules"]) == (["max_members"], 10)
    bounds = {"signals": {"days": 60, "least": 30, "most": 90}}
    told = (await operator.patch(f"{url}/retention", json={"bounds": bounds})).json()
    signals = next(each for each in told["kinds"] if each["kind"] == "signals")
    assert (signals["days"], signals["least"], signals["most"]) == (60, 30, 90)
    back = await operator.patch(f"{url}/retention", json={"bounds": {"signals": None}})
    assert back.json() == (await operator.get(f"{url}/retention")).json()
    assert (await operator.put(f"{url}/hold")).json()["hold"] == "operator"
    assert (await operator.delete(f"{url}/hold")).json()["hold"] is None
    async with client_of(app, key=await make_key(pool, scope)) as client:
        log = (await client.get("/api/v1/audit")).json()["items"]
    done = [row["action"] for row in log if row["actor"] == f"operator:{name}"]
    assert done == [
        "retention.released", "retention.held", "retention.changed", "retention.bounded",
        "retention.changed", "retention.bounded", "tenant.changed", "tenant.changed",
        "tenant.tier", "tenant.resumed", "tenant.suspended",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "tier", {"tier": "platinum"}),
        ("PATCH", "quotas", {"max_rules": 0}),
        ("PATCH", "quotas", {"max_rules": 10**14}),
        ("PATCH", "quotas", {"settle_ms": 5}),
        ("PATCH", "retention", {"bounds": {"audit": {"days": 9, "least": 9, "most": 9}}}),
        ("PATCH", "retention", {"bounds": {"signals": {"days": 9, "least": 1, "most": 3}}}),
        ("PATCH", "retention", {"bounds": {"moods": None}}),
    ],
)
async def test_what_cannot_be_is_refused_and_changes_nothing(
    operator: httpx.AsyncClient,
    scope: TenantScope,
    method: str,
    path: str,
    body: dict[str, Any],
) -> None:
    url = f"{URL}/tenants/{scope.tenant_id}"
    before = (await operator.get(url)).json()
    refused = await operator.request(method, f"{url}/{path}", json=body)
    assert refused.status_code in (400, 404)
    assert (await operator.get(url)).json() == before


async def test_a_tenant_that_is_not_there_is_not_found(operator: httpx.AsyncClient) -> None:
    for method, path in (
        ("GET", ""),
        ("POST", "/suspend"),
        ("PUT", "/hold"),
        ("GET", "/retention"),
    ):
        answer = await operator.request(method, f"{URL}/tenants/{uuid4()}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "request.not_found")


async def test_a_key_is_good_until_it_is_revoked_or_over_and_where_it_may_be(
    app: FastAPI, pool: Pool, name: str
) -> None:
    over = await add_operator(pool, lifetime=timedelta(seconds=-1))
    elsewhere = await add_operator(pool, networks="203.0.113.0/24")
    good = await add_operator(pool, name)
    wrong = good[:-1] + ("0" if good[-1] != "0" else "1")
    statuses = []
    for key in (over, elsewhere, wrong, good):
        async with client_of(app, key=key) as client:
            statuses.append((await client.get(URL)).status_code)
    assert statuses == [401, 403, 401, 200]
    begun = await app.state.services.operators.begin(good, address=None)
    await revoke_operator_key(pool, name, actor="operator:test")
    async with client_of(app, key=good) as client:
        assert (await client.get(URL)).status_code == 401
    async with client_of(app) as client:
        client.cookies.set(OPERATOR_COOKIE, begun.token)
        assert (await client.get(URL)).status_code == 401
    with pytest.raises(ApiError):
        await revoke_operator_key(pool, name, actor="operator:test")


async def test_refused_operators_are_on_the_record_that_no_tenant_sees(
    app: FastAPI, pool: Pool, name: str, shared_database: Database
) -> None:
    key = await add_operator(pool, name)
    await revoke_operator_key(pool, name, actor="operator:test")
    async with client_of(app, key=key) as client:
        await client.get(f"{URL}/tiers")
    await app.state.services.decisions.flush(whole=True)
    with psycopg.connect(shared_database.admin) as connection:
        rows = connection.execute(
            "select tenant_id, reason from audit_log where route = '/api/v1/operator/tiers'"
        ).fetchall()
        made = connection.execute(
            "select action, actor from audit_log where target = %s order by seq",
            [f"operator:{name}"],
        ).fetchall()
    assert (None, "operator.refused") in rows
    assert made == [("operator.created", "operator:test"), ("operator.revoked", "operator:test")]


# ---- the database's walls

OVERVIEW = "select * from tenants_overview(null, '', null, 10)"


async def test_the_overview_is_told_to_an_operator_and_to_nobody_else(
    pool: Pool, scope: TenantScope, shared_database: Database, name: str
) -> None:
    key = await add_operator(pool, name)
    key_hash = hash_operator_key(key, pepper=PEPPER)
    async with credential_transaction(pool, key_hash) as connection:
        assert await (await connection.execute(OVERVIEW)).fetchall()
    await revoke_operator_key(pool, name, actor="operator:test")
    for purpose in ("operator", "overview", "housekeeping"):
        with psycopg.connect(shared_database.app) as direct:
            direct.execute("select set_config('app.purpose', %s, true)", [purpose])
            direct.execute("select set_config('app.tenant_id', %s, true)", [str(scope.tenant_id)])
            direct.execute("select set_config('app.credential', %s, true)", [key_hash.hex()])
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="for operators"):
                direct.execute(OVERVIEW)
    with (
        psycopg.connect(shared_database.worker) as direct,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        direct.execute(OVERVIEW)


async def test_the_overview_counts_under_an_owner_whom_row_level_security_binds(
    postgres: Server,
) -> None:
    database = postgres.owned_database()
    async with open_pool(database.app, size=2) as pool:
        await filled_tenant(pool, database)
        key_hash = hash_operator_key(await add_operator(pool), pepper=PEPPER)
        async with credential_transaction(pool, key_hash) as presented:
            (row,) = await (await presented.execute(OVERVIEW)).fetchall()
    assert (row["rule_count"], row["member_count"], row["spans_this_month"]) == (1, 1, 0)
    assert row["last_signal_at"] is not None


@pytest.mark.parametrize(
    "table", ["signals", "usage_days", "stats_minutes", "memberships", "rules", "trace_copies"]
)
async def test_an_operator_s_transaction_reads_no_table_of_a_tenant(
    table: str, pool: Pool, shared_database: Database
) -> None:
    """Not before the function was called, nor after, whatever purpose is written into it."""
    await filled_tenant(pool, shared_database)
    key_hash = hash_operator_key(await add_operator(pool), pepper=PEPPER)
    async with credential_transaction(pool, key_hash) as connection:
        for statement in ("select 1", OVERVIEW, "select set_config('app.purpose','overview',true)"):
            await connection.execute(statement)
            rows = await (await connection.execute(f"select from {table}".encode())).fetchall()
            assert rows == [], statement
        tenants = await (await connection.execute("select id from tenants")).fetchall()
    assert tenants == []


async def test_the_columns_of_the_overview_are_numbers_times_and_names(
    shared_database: Database,
) -> None:
    with psycopg.connect(shared_database.admin) as connection:
        row = connection.execute(
            "select pg_get_function_result('tenants_overview'::regproc)"
        ).fetchone()
    assert row is not None
    columns = dict(part.split(" ", 1) for part in row[0][len("TABLE(") : -1].split(", "))
    texts = {column for column, kind in columns.items() if kind in ("text", "jsonb")}
    assert texts == {"name", "display_name", "tier", "own_quotas", "quotas", "held_by"}


async def test_keys_and_sessions_of_operators_are_seen_by_whoever_presents_them_alone(
    pool: Pool, name: str, app: FastAPI
) -> None:
    first, second = await add_operator(pool), await add_operator(pool)
    begun = await app.state.services.operators.begin(second, address=None)
    seen = []
    for credential in (
        hash_operator_key(first, pepper=PEPPER),
        begun.operator.scope.credential_hash,
        b"\0" * 32,
    ):
        async with credential_transaction(pool, credential) as connection:
            counts = [
                len(await (await connection.execute(f"select from {table}".encode())).fetchall())
                for table in ("operator_keys", "operator_sessions")
            ]
        seen.append(counts)
    assert seen == [[1, 0], [1, 1], [0, 0]]
    async with purpose_transaction(pool, "housekeeping") as connection:
        assert await (await connection.execute("select from operator_sessions")).fetchall() == []


# ---- pages


def csrf_of(html: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', html)
    assert found is not None
    return found[1]


@pytest.fixture
async def browser(app: FastAPI, pool: Pool, name: str) -> AsyncIterator[httpx.AsyncClient]:
    """A browser in which an operator has signed in."""
    async with client_of(app) as client:
        client.headers["Accept"] = "text/html"
        key = await add_operator(pool, name)
        signed_in = await client.post("/operator/sign-in", data={"key": f" {key} "})
        assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/operator")
        cookie = signed_in.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "Path=/operator" in cookie
        assert "SameSite=strict" in cookie
        yield client


async def test_whoever_is_not_signed_in_is_led_to_the_form(app: FastAPI, pool: Pool) -> None:
    tenant_key = await make_key(pool, await make_tenant(pool), Role.ADMIN)
    async with client_of(app) as client:
        client.headers["Accept"] = "text/html"
        led = await client.get("/operator")
        assert (led.status_code, led.headers["location"]) == (303, "/operator/sign-in")
        for key in ("", "nonsense", tenant_key):
            refused = await client.post("/operator/sign-in", data={"key": key})
            assert (refused.status_code, "set-cookie" in refused.headers) == (401, False)
            assert "no operator&#39;s key" in refused.text


async def test_the_pages_do_what_their_forms_say(
    browser: httpx.AsyncClient, scope: TenantScope, pool: Pool
) -> None:
    path = f"/operator/tenants/{scope.tenant_id}"
    page = (await browser.get(path)).text
    token = {"csrf_token": csrf_of(page)}

    async def post(what: str, **data: str) -> str:
        answer = await browser.post(f"{path}/{what}", data={**token, **data})
        assert answer.status_code == 303, answer.text
        return (await browser.get(answer.headers["location"])).text

    assert "Suspended" in await post("suspend")
    assert "Its people and keys get in" in await post("resume")
    assert "Held by an operator" in await post("hold")
    assert "What is over is deleted" in await post("release")
    assert '<option value="free" selected>' in await post("tier", tier="free")
    page = await post("quotas", max_rules="77", monthly_spans="none")
    assert 'name="max_rules" autocomplete="off" maxlength="30" placeholder="10" value="77"' in page
    assert "Quotas of its own" in page
    assert "Quotas of its own" not in await post("quotas")
    page = await post("bounds", kind="audit", days="60", least="45", most="none")
    assert 'name="least" autocomplete="off" maxlength="30" placeholder="30" value="45"' in page
    page = await post("bounds", kind="audit")
    assert 'value="45"' not in page


async def test_a_tenant_that_is_to_be_deleted_is_shown_as_such(
    app: FastAPI, browser: httpx.AsyncClient, scope: TenantScope, pool: Pool
) -> None:
    title = (await read_tenant(pool, scope)).title
    deletion = await ask_for_deletion(pool, scope, typed=title, grace=timedelta(days=30))
    async with client_of(app, key=await add_operator(pool)) as operator:
        told = (await operator.get(f"{URL}/tenants/{scope.tenant_id}")).json()
    assert datetime.fromisoformat(told["delete_after"]) == deletion.due_at
    path = f"/operator/tenants/{scope.tenant_id}"
    page = (await browser.get(path)).text
    assert "On its way out" in page
    assert "Until then nothing goes for its age" in page
    held = await browser.post(f"{path}/hold", data={"csrf_token": csrf_of(page)})
    page = (await browser.get(held.headers["location"])).text
    assert re.search("Its deletion after <time .*</time> waits", page)


@pytest.mark.parametrize(
    ("what", "data", "said"),
    [
        ("quotas", {"max_rules": "many"}, "is no number"),
        ("quotas", {"max_rules": "0"}, "must lie between"),
        ("quotas", {"max_rules": "none"}, "max_rules"),
        ("bounds", {"kind": "audit", "days": "60"}, "least"),
        ("bounds", {"kind": "audit", "days": "60", "least": "1", "most": "90"}, "at least 30"),
    ],
)
async def test_the_pages_say_what_they_refuse(
    browser: httpx.AsyncClient, scope: TenantScope, what: str, data: dict[str, str], said: str
) -> None:
    path = f"/operator/tenants/{scope.tenant_id}"
    token = csrf_of((await browser.get(path)).text)
    refused = await browser.post(f"{path}/{what}", data={"csrf_token": token, **data})
    assert refused.status_code == 400
    assert said in refused.text


async def test_a_tenant_is_made_and_found_on_pages(browser: httpx.AsyncClient) -> None:
    token = csrf_of((await browser.get("/operator/new")).text)
    made_name = f"n-{uuid4()}"
    form = {
        "csrf_token": token, "name": made_name, "admin": f"{uuid4()}@example.com", "tier": "team",
        "starter": "1",
    }  # fmt: skip
    made = await browser.post("/operator/new", data=form)
    assert made.status_code == 201
    assert "betrace_live_" in made.text
    assert "/invitations/" in made.text
    again = await browser.post("/operator/new", data=form)
    assert (again.status_code, "already" in again.text) == (409, True)
    wrong = await browser.post("/operator/new", data={**form, "admin": "nobody"})
    assert wrong.status_code == 400
    listed = (await browser.get(f"/operator?q={made_name[:20]}")).text
    assert made_name in listed
    assert "No such tenant" in (await browser.get("/operator?q=nothing-has-this-name")).text


async def test_signing_out_ends_the_session(browser: httpx.AsyncClient) -> None:
    token = csrf_of((await browser.get("/operator")).text)
    cookie = browser.cookies[OPERATOR_COOKIE]
    out = await browser.post("/operator/sign-out", data={"csrf_token": token})
    assert out.headers["location"] == "/operator/sign-in"
    browser.cookies.set(OPERATOR_COOKIE, cookie, path="/operator")
    assert (await browser.get("/operator")).status_code == 303


@pytest.mark.parametrize(
    "column", ["expires_at = now()", "last_seen_at = now() - interval '31 min'"]
)
async def test_a_session_ends_when_it_is_old_or_idle(
    browser: httpx.AsyncClient, shared_database: Database, name: str, column: str
) -> None:
    assert (await browser.get("/operator")).status_code == 200
    with psycopg.connect(shared_database.admin) as connection:
        connection.execute(
            f"update operator_sessions set {column} where key_id ="
            " (select id from operator_keys where name = %s)".encode(),
            [name],
        )
    assert (await browser.get("/operator")).status_code == 303


async def test_over_https_the_cookie_goes_over_nothing_else(settings: Settings, pool: Pool) -> None:
    from api.main import create_app

    app = create_app(settings.model_copy(update={"public_url": "https://betrace.example"}))
    async with app.router.lifespan_context(app), client_of(app) as client:
        key = await add_operator(pool)
        signed_in = await client.post("/operator/sign-in", data={"key": key})
    cookie = signed_in.headers["set-cookie"]
    assert cookie.startswith("__Secure-betrace_operator=")
    assert "Secure" in cookie


# ---- commands


@pytest.fixture
def _environment(monkeypatch: pytest.MonkeyPatch, shared_database: Database) -> None:
    monkeypatch.setenv("DATABASE_URL", shared_database.app)
    monkeypatch.setenv("BETRACE_SECRET_KEY", PEPPER.decode())
    monkeypatch.setenv("BETRACE_KAFKA", NO_KAFKA)


def run(*arguments: str) -> Any:
    command = ["operator", *arguments, "--json"]
    result = CliRunner().invoke(betrace, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.usefixtures("_environment")
def test_commands_make_list_and_revoke_keys() -> None:
    made = run("create", ADA, "--expires", "30d", "--allow", "10.0.0.0/8")
    assert is_operator_key(made["key"])
    listed = {each["name"]: each for each in run("list")["operators"]}
    assert listed[ADA]["state"] == "good"
    assert listed[ADA]["networks"] == ["10.0.0.0/8"]
    assert made["key"] not in json.dumps(listed)
    run("revoke", ADA)
    assert {each["name"]: each["state"] for each in run("list")["operators"]}[ADA] == "revoked"
    for name in (ADA, "Ada Lovelace", ""):
        with pytest.raises(OperatorError):
            run("create", name)
