"""The audit log on a real Postgres: what is written, by whom it is read, and that it stays."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from fastapi import FastAPI

from api.audit.decisions import Decision, Decisions
from api.audit.origin import Origin
from api.audit.record import Entry, Outcome, canonical_bytes
from api.audit.trail import insert
from api.auth.keys import new_key
from api.auth.principal import Role, TenantScope
from api.database import Pool, open_pool, purpose_transaction, tenant_transaction
from api.keys.service import revoke_key
from api.tenants.service import add_member, create_user
from tests.integration.api.conftest import Caller, client_of
from tests.support.postgres import Database
from tests.support.tenants import (
    PASSWORD,
    insert_backtest,
    insert_letter,
    insert_notice,
    insert_signal,
    make_key,
    make_user,
)

RULE = {"id": "promise", "rule": "when { a } never { b }"}


async def _log(caller: Caller, **query: str) -> list[dict[str, Any]]:
    response = await caller.client.get("/api/v1/audit", params=query)
    assert response.status_code == 200, response.text
    items: list[dict[str, Any]] = response.json()["items"]
    return items


def _told(items: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(item["action"], item["target"]) for item in items]


async def test_every_change_is_on_the_record_with_who_and_from_where(
    caller: Caller, shared_database: Database
) -> None:
    headers = {"X-Request-ID": "r-1", "User-Agent": "test/1"}
    await caller.client.put("/api/v1/rules/promise", json=RULE, headers=headers)
    await caller.client.put("/api/v1/rules/promise", json=RULE)
    await caller.client.put("/api/v1/rules/promise", json={**RULE, "severity": "low"})
    await caller.client.post("/api/v1/rules/promise/state", json={"state": "shadow"})
    await caller.client.delete("/api/v1/rules/promise")
    changed, *_, created = [i for i in await _log(caller) if i["action"] != "key.created"][:4]
    told = _told(await _log(caller, action="rule"))
    assert told == [
        ("rule.deleted", "rule:promise"), ("rule.switched", "rule:promise"),
        ("rule.changed", "rule:promise"), ("rule.created", "rule:promise"),
    ]  # fmt: skip
    assert changed["details"] == {"version": "4", "before": "shadow", "state": "off"}
    assert (created["route"], created["method"]) == ("/api/v1/rules/{rule_id}", "PUT")
    assert (created["request_id"], created["user_agent"]) == ("r-1", "test/1")
    assert (created["outcome"], created["times"]) == ("allowed", 1)
    assert created["actor"].startswith("key:")
    assert created["actor_name"].startswith("key-")


async def test_what_people_do_to_signals_letters_notices_and_backtests_is_on_the_record(
    caller: Caller, shared_database: Database
) -> None:
    await caller.client.post("/api/v1/rules", json=RULE)
    signal = insert_signal(shared_database.worker, caller.scope)
    letter = insert_letter(shared_database.worker, caller.scope)
    notice = insert_notice(shared_database, caller.scope)
    backtest = insert_backtest(shared_database.app, caller.scope)
    why = {"status": "false_positive", "reason": "Ada Lovelace says so"}
    await caller.client.patch(f"/api/v1/signals/{signal}", json=why)
    await caller.client.post(f"/api/v1/dead-letters/{letter}/discard", json={"note": "secret"})
    await caller.client.post(f"/api/v1/notices/{notice}/acknowledge")
    await caller.client.post(f"/api/v1/backtests/{backtest}/cancel")
    items = await _log(caller)
    assert _told(items)[:4] == [
        ("backtest.cancelled", f"backtest:{backtest}"), ("notice.acknowledged", f"notice:{notice}"),
        ("letter.discarded", f"letter:{letter}"), ("signal.changed", f"signal:{signal}"),
    ]  # fmt: skip
    assert "Lovelace" not in json.dumps(items)
    assert "secret" not in json.dumps(items)


async def test_a_change_that_is_rolled_back_leaves_no_row(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("api.rules.service.record", fail)
    response = await caller.client.put("/api/v1/rules/promise", json=RULE)
    assert response.status_code == 500
    assert (await caller.client.get("/api/v1/rules/promise")).status_code == 404
    assert await _log(caller, action="rule") == []


async def test_signing_in_well_and_badly_is_on_the_record_of_the_person_s_tenant(
    app: FastAPI, caller: Caller, pool: Pool
) -> None:
    email = await make_user(pool, caller.scope)
    async with client_of(app) as client:
        for password in ("wrong", "wrong", PASSWORD):
            signed_in = await client.post(
                "/api/v1/session", json={"email": email, "password": password}
            )
        csrf = signed_in.json()["csrf_token"]
        await client.delete("/api/v1/session", headers={"X-CSRF-Token": csrf})
    await app.state.services.decisions.flush(whole=True)
    items = await _log(caller, action="session")
    by_action = {item["action"]: item for item in items}
    assert [item["action"] for item in items] == [
        "session.ended", "session.began", "session.refused",
    ]  # fmt: skip
    refused = by_action["session.refused"]
    assert (refused["actor"], refused["outcome"], refused["times"]) == ("anonymous", "refused", 2)
    assert refused["target"] == by_action["session.began"]["actor"]
    assert by_action["session.began"]["actor_name"] == email
    assert (await _log(caller, actor=email))[0]["action"] == "session.ended"


async def test_a_switch_of_tenant_is_on_the_record_of_both(
    app: FastAPI, caller: Caller, stranger: Caller, pool: Pool
) -> None:
    email = await make_user(pool, caller.scope)
    await add_member(pool, stranger.scope, email=email, role=Role.ADMIN)
    async with client_of(app) as client:
        signed_in = await client.post(
            "/api/v1/session", json={"email": email, "password": PASSWORD}
        )
        here, there = caller, stranger
        if signed_in.json()["tenant_id"] != str(caller.scope.tenant_id):
            here, there = stranger, caller
        await client.post(
            "/api/v1/account/tenant",
            json={"tenant_id": str(there.scope.tenant_id)},
            headers={"X-CSRF-Token": signed_in.json()["csrf_token"]},
        )
    (ended, began), (begun,) = (
        await _log(here, action="session"),
        await _log(there, action="session"),
    )
    assert [row["action"] for row in (ended, began, begun)] == [
        "session.ended", "session.began", "session.began",
    ]  # fmt: skip
    assert len({row["actor"] for row in (ended, began, begun)}) == 1


async def test_a_missing_permission_is_on_the_record_and_a_flood_is_one_row(
    app: FastAPI, caller: Caller, pool: Pool
) -> None:
    key = await make_key(pool, caller.scope, Role.VIEWER)
    async with client_of(app, key=key) as client:
        for _ in range(20):
            assert (await client.get("/api/v1/rules")).status_code == 403
    await app.state.services.decisions.flush(whole=True)
    items = await _log(caller, outcome="refused")
    assert sum(item["times"] for item in items) == 20
    assert len(items) <= 2, "one row for each minute that the test ran in"
    assert {item["action"] for item in items} == {"permission.refused"}
    assert items[0]["details"] == {"permission": "rules.read"}


async def test_a_revoked_key_is_on_the_record_of_its_tenant_and_a_made_up_one_of_nobody(
    app: FastAPI, caller: Caller, stranger: Caller, pool: Pool, shared_database: Database
) -> None:
    key = await make_key(pool, caller.scope)
    created = (await _log(caller, action="key.created"))[0]["target"]
    await revoke_key(pool, caller.scope, UUID(created.removeprefix("key:")))
    made_up = new_key()
    for presented in (key, key, made_up, "nonsense"):
        async with client_of(app, key=presented) as client:
            assert (await client.get("/api/v1/rules")).status_code == 401
    await app.state.services.decisions.flush(whole=True)
    items = await _log(caller, outcome="refused")
    assert sum(item["times"] for item in items) == 2
    assert {(i["actor"], i["action"], i["reason"]) for i in items} == {
        (created, "credential.refused", "key.revoked")
    }
    assert await _log(stranger, outcome="refused") == []
    with psycopg.connect(shared_database.admin) as connection:
        texts = connection.execute("select a::text, tenant_id from audit_log a").fetchall()
    assert not [text for text, _ in texts if key in text or made_up in text]
    assert [text for text, tenant in texts if "key.unknown" in text and tenant is None]


async def test_decisions_wait_while_the_log_is_away_and_nothing_is_lost(
    caller: Caller, pool: Pool, shared_database: Database
) -> None:
    gone = "host=127.0.0.1 port=1 user=x dbname=x"
    moment = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    async with open_pool(gone, size=1) as away:
        away.timeout = 0.2
        outbox = Decisions(away, capacity=2, clock=lambda: moment)
        for route in ("/a", "/b", "/c", "/d", "/a"):
            origin = Origin(method="GET", route=route)
            outbox.note(Decision(action="credential.refused", reason="x", origin=origin))
        moment += timedelta(minutes=1)
        assert not await outbox.flush()
        assert outbox.waiting_count == 3
    outbox._pool = pool
    assert await outbox.flush()
    assert outbox.waiting_count == 0
    with psycopg.connect(shared_database.admin) as connection:
        rows = connection.execute(
            "select action, route, times from audit_log where at = %s order by action desc, route",
            [moment - timedelta(minutes=1)],
        ).fetchall()
    assert rows == [
        ("credential.refused", "/a", 2), ("credential.refused", "/b", 1), ("audit.overflow", "", 2),
    ]  # fmt: skip


async def test_a_minute_that_is_not_over_waits(pool: Pool) -> None:
    outbox = Decisions(pool)
    outbox.note(Decision(action="credential.refused", reason="x", origin=Origin()))
    assert await outbox.flush()
    assert outbox.waiting_count == 1
    assert await outbox.flush(whole=True)
    assert outbox.waiting_count == 0


async def test_pages_follow_one_another_and_a_strange_cursor_is_refused(caller: Caller) -> None:
    for number in range(5):
        await caller.client.put(f"/api/v1/rules/r{number}", json={"rule": RULE["rule"]})
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = (await caller.client.get("/api/v1/audit", params=query)).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    whole = await _log(caller)
    assert seen == [item["id"] for item in whole]
    assert len(seen) == 7, "a tenant, a key and five rules"
    refused = await caller.client.get("/api/v1/audit", params={"cursor": "x"})
    assert refused.status_code == 400


@pytest.fixture
async def hostile(pool: Pool, caller: Caller) -> Entry:
    """A row whose user agent is a formula and whose route holds what CSV and lines are made of."""
    now = datetime.now(UTC)
    entry = Entry(
        tenant_id=caller.scope.tenant_id,
        at=now,
        until_at=now,
        actor="anonymous",
        action="request.refused",
        outcome=Outcome.REFUSED,
        user_agent='=HYPERLINK("http://x","y")',
        route='/a,"b"\n\r',
        reason="@sum(1)",
    )
    async with tenant_transaction(pool, caller.scope) as connection:
        await insert(connection, entry)
    return entry


async def test_an_export_is_whole_lines_and_no_formula(caller: Caller, hostile: Entry) -> None:
    lines = await caller.client.get("/api/v1/audit/export")
    items = [json.loads(line) for line in lines.text.splitlines()]
    assert items == await _log(caller)
    assert items[0]["action"] == "audit.exported"
    table = await caller.client.get("/api/v1/audit/export", params={"format": "csv"})
    assert table.headers["content-disposition"] == 'attachment; filename="betrace-audit.csv"'
    rows = list(csv.DictReader(io.StringIO(table.text)))
    row = next(row for row in rows if row["id"] == str(hostile.id))
    assert (row["user_agent"], row["reason"]) == ("'" + hostile.user_agent, "'@sum(1)")
    assert row["route"] == '/a,"b"\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}'
    assert not [cell for row in rows for cell in row.values() if cell[:1] in "=+-@\t" and cell]


async def test_a_row_read_again_has_the_same_canonical_bytes(
    caller: Caller, hostile: Entry, pool: Pool
) -> None:
    async with tenant_transaction(pool, caller.scope) as connection:
        cursor = await connection.execute("select * from audit_log where id = %s", [hostile.id])
        row = await cursor.fetchone()
    assert row is not None
    assert canonical_bytes(Entry.from_row(row)) == canonical_bytes(hostile)


ROLES_THAT_READ = {Role.ADMIN, Role.COMPLIANCE_VIEWER, Role.AUDITOR}


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.AUDITOR])
async def test_only_those_who_answer_for_it_read_the_log(
    role: Role, app: FastAPI, caller: Caller, pool: Pool
) -> None:
    async with client_of(app, key=await make_key(pool, caller.scope, role)) as client:
        statuses = {
            (await client.get(f"/api/v1/audit{path}")).status_code for path in ("", "/export")
        }
    assert statuses == ({200} if role in ROLES_THAT_READ else {403})


async def test_an_auditor_reads_until_the_membership_ends(
    app: FastAPI, caller: Caller, pool: Pool, shared_database: Database
) -> None:
    email = f"{uuid4()}@example.com"
    until = datetime.now(UTC) + timedelta(days=7)
    user_id = await create_user(
        pool, caller.scope, email=email, name="A", role=Role.AUDITOR, password=PASSWORD,
        expires_at=until,
    )  # fmt: skip
    async with client_of(app) as client:
        body = {"email": email, "password": PASSWORD}
        assert (await client.post("/api/v1/session", json=body)).status_code == 200
        assert (await client.get("/api/v1/audit")).status_code == 200
        with psycopg.connect(shared_database.admin) as connection:
            connection.execute(
                "update memberships set expires_at = now() where user_id = %s", [user_id]
            )
        assert (await client.get("/api/v1/audit")).status_code == 401
        assert (await client.post("/api/v1/session", json=body)).status_code == 401
    with pytest.raises(psycopg.errors.CheckViolation, match="memberships_auditor_ends"):
        await create_user(
            pool, caller.scope, email=f"{uuid4()}@example.com", name="B", role=Role.AUDITOR,
            password=PASSWORD,
        )  # fmt: skip


@pytest.fixture
def filled(caller: Caller, hostile: Entry) -> TenantScope:
    """A tenant with rows."""
    return caller.scope


@pytest.fixture
def as_role(
    shared_database: Database, filled: TenantScope
) -> Iterator[dict[str, psycopg.Connection]]:
    """Connections of the roles that services sign in with, in the tenant of the rows."""
    with (
        psycopg.connect(shared_database.app, autocommit=True) as app,
        psycopg.connect(shared_database.worker, autocommit=True) as worker,
    ):
        for connection in (app, worker):
            connection.execute(
                "select set_config('app.tenant_id', %s, false)", [str(filled.tenant_id)]
            )
        yield {"app": app, "worker": worker}


@pytest.mark.parametrize("role", ["app", "worker"])
@pytest.mark.parametrize(
    "statement",
    [
        "update audit_log set outcome = 'allowed'",
        "update audit_log set times = times",
        "delete from audit_log",
        "truncate audit_log",
        "drop table audit_log",
        "alter table audit_log disable trigger audit_log_immutable",
        "alter table audit_log disable row level security",
        "insert into audit_log (id, at, until_at, actor, action, outcome)"
        " values (gen_random_uuid(), now(), now(), 'x', 'x', 'allowed')",
        "insert into audit_log (id, tenant_id, at, until_at, actor, action, outcome)"
        " values (gen_random_uuid(), gen_random_uuid(), now(), now(), 'x', 'x', 'allowed')",
        "insert into audit_log (id, tenant_id, at, until_at, actor, action, outcome)"
        " values ('{id}', scope_tenant(), now(), now(), 'x', 'x', 'allowed')"
        " on conflict (id) do update set outcome = 'allowed'",
    ],
)
def test_no_role_of_ours_can_rewrite_the_log(
    role: str, statement: str, as_role: dict[str, psycopg.Connection], hostile: Entry
) -> None:
    refused = (psycopg.errors.InsufficientPrivilege, psycopg.errors.RestrictViolation)
    with pytest.raises(refused):
        as_role[role].execute(statement.replace("{id}", str(hostile.id)).encode())


def test_not_even_the_owner_updates_a_row(shared_database: Database, filled: TenantScope) -> None:
    with (
        psycopg.connect(shared_database.admin) as connection,
        pytest.raises(psycopg.errors.RestrictViolation, match="append-only"),
    ):
        connection.execute("update audit_log set actor = 'mallory'")


async def test_the_outbox_s_purpose_writes_and_reads_nothing(
    pool: Pool, filled: TenantScope
) -> None:
    async with purpose_transaction(pool, "audit") as connection:
        cursor = await connection.execute("select * from audit_log")
        assert await cursor.fetchall() == []


async def test_another_tenant_sees_none_of_it(
    caller: Caller, stranger: Caller, hostile: Entry
) -> None:
    own = await stranger.client.get("/api/v1/audit", params={"target": "rule:promise"})
    assert own.json()["items"] == []
    exported = await stranger.client.get("/api/v1/audit/export")
    assert str(caller.scope.tenant_id) not in exported.text
    assert str(hostile.id) not in exported.text


async def test_a_flood_of_made_up_keys_is_one_row(app: FastAPI, shared_database: Database) -> None:
    for _ in range(30):
        async with client_of(app, key=new_key()) as client:
            assert (await client.get("/api/v1/rules/flooded/versions")).status_code == 401
    await app.state.services.decisions.flush(whole=True)
    with psycopg.connect(shared_database.admin) as connection:
        rows = connection.execute(
            "select times from audit_log where tenant_id is null and reason = 'key.unknown'"
            " and route = '/api/v1/rules/{rule_id}/versions'"
        ).fetchall()
    assert sum(times for (times,) in rows) == 30
    assert len(rows) <= 2, "one row for each minute that the test ran in"
