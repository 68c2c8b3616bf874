"""The end of a tenant: asked for, kept after all, or over; what goes, what stays, and the proof."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from api.audit.record import Entry, canonical_bytes
from api.auth.key_verifier import KeyVerifier
from api.auth.principal import Permission, Role, TenantScope
from api.command.app import app as betrace
from api.database import Pool, open_pool, queries, tenant_transaction
from api.problems import ApiError
from api.retention.service import hold, release
from api.rules.outbox import Publisher
from api.tenants.deletion import ask_for_deletion, keep_tenant, read_deletion
from api.tenants.purge import (
    NotNow,
    begin_purge,
    list_proofs,
    purge_due,
    purge_some,
    purge_tenant,
)
from api.tenants.service import add_member, read_tenant, resume
from tests.integration.api.conftest import NO_KAFKA, Caller, client_of
from tests.integration.api.test_isolation import fingerprint
from tests.support.postgres import Database, Server
from tests.support.rules_log import MemoryRulesLog
from tests.support.tenants import PASSWORD, PEPPER, make_key, make_tenant, make_user
from tests.support.whole_tenant import RULE, rows_of, whole_tenant
from udfs.wire import betrace_pb2 as pb

AT_ONCE = timedelta(0)
GRACE = timedelta(days=30)
ASKED = "/api/v1/tenant/deletion"


async def ask(pool: Pool, scope: TenantScope, *, grace: timedelta = GRACE) -> None:
    name = (await read_tenant(pool, scope)).name
    await ask_for_deletion(pool, scope, typed=name, grace=grace)


@asynccontextmanager
async def signed_in(app: FastAPI, email: str) -> AsyncIterator[httpx.AsyncClient]:
    """A person who signed in a moment ago, with the proof of origin of their session."""
    async with client_of(app) as client:
        body = {"email": email, "password": PASSWORD}
        answer = await client.post("/api/v1/session", json=body)
        client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
        yield client


async def title(client: httpx.AsyncClient) -> str:
    name: str = (await client.get("/api/v1/tenant")).json()["name"]
    return name


async def test_a_person_asks_and_it_is_due_after_the_grace(
    app: FastAPI, pool: Pool, scope: TenantScope
) -> None:
    email = await make_user(pool, scope)
    async with signed_in(app, email) as client:
        asked = await client.post(ASKED, json={"name": await title(client)})
        told = asked.json()
        assert asked.status_code == 202
        assert (await client.get(ASKED)).json() == told
        log = (await client.get("/api/v1/audit?action=tenant.deletion_asked")).json()["items"]
    due_at, asked_at = (datetime.fromisoformat(told[name]) for name in ("due_at", "asked_at"))
    assert due_at - asked_at == GRACE
    assert told["asked_by"] == log[0]["actor"]
    assert told["asked_by"].startswith("user:")


@pytest.mark.parametrize("typed", ["", "another", " "])
async def test_another_name_is_not_a_yes(
    app: FastAPI, pool: Pool, scope: TenantScope, typed: str
) -> None:
    async with signed_in(app, await make_user(pool, scope)) as client:
        refused = await client.post(ASKED, json={"name": typed})
        assert refused.status_code == 400
        assert (await client.get(ASKED)).json()["due_at"] is None


async def test_a_key_cannot_ask_and_a_person_must_have_signed_in_lately(
    app: FastAPI, pool: Pool, caller: Caller, shared_database: Database
) -> None:
    body = {"name": await title(caller.client)}
    by_key = await caller.client.post(ASKED, json=body)
    assert (by_key.status_code, by_key.json()["code"]) == (403, "auth.person")
    async with signed_in(app, await make_user(pool, caller.scope)) as client:
        with psycopg.connect(shared_database.admin) as connection:
            connection.execute(
                "update sessions set expires_at = expires_at - interval '16 minutes'"
                " where tenant_id = %s",
                [caller.scope.tenant_id],
            )
        stale = await client.post(ASKED, json=body)
    assert (stale.status_code, stale.json()["code"]) == (403, "auth.stale")
    assert (await read_deletion(pool, caller.scope)).due_at is None


async def test_going_on_in_the_same_tenant_makes_no_old_sign_in_new(
    app: FastAPI, pool: Pool, scope: TenantScope, shared_database: Database
) -> None:
    async with signed_in(app, await make_user(pool, scope)) as client:
        with psycopg.connect(shared_database.admin) as connection:
            connection.execute(
                "update sessions set expires_at = expires_at - interval '16 minutes'"
                " where tenant_id = %s",
                [scope.tenant_id],
            )
        switched = await client.post(
            "/api/v1/account/tenant", json={"tenant_id": str(scope.tenant_id)}
        )
        client.headers["X-CSRF-Token"] = switched.json()["csrf_token"]
        stale = await client.post(ASKED, json={"name": await title(client)})
    assert (stale.status_code, stale.json()["code"]) == (403, "auth.stale")


async def test_meanwhile_all_is_read_and_exported_and_nothing_comes_in(
    app: FastAPI, pool: Pool, shared_database: Database
) -> None:
    filled = await whole_tenant(pool, shared_database)
    key = await make_key(pool, filled.scope)
    await ask(pool, filled.scope)
    async with client_of(app, key=key) as client:
        for path in ("/api/v1/rules", "/api/v1/signals", "/api/v1/tenant/export", "/api/v1/audit"):
            assert (await client.get(path)).status_code == 200, path
        rule = {"id": "new", "rule": "when { a } never { b }"}
        refused = await client.post("/api/v1/rules", json=rule)
    assert (refused.status_code, refused.json()["code"]) == (403, "tenant.to_be_deleted")
    sender = await KeyVerifier(pool, pepper=PEPPER).verify(key, address=None)
    assert sender is not None
    assert not sender.may(Permission.SPANS_INGEST)


async def test_its_rules_are_off_for_the_job_and_on_again_if_it_is_kept(
    pool: Pool, shared_database: Database
) -> None:
    filled = await whole_tenant(pool, shared_database)
    log = MemoryRulesLog()
    publisher = Publisher(pool, log)
    for act in (ask(pool, filled.scope), keep_tenant(pool, filled.scope)):
        await act
        assert await publisher.publish(filled.scope)
    assert log.rules_of(str(filled.scope.tenant_id)) == [
        (RULE, 1, pb.RULE_STATE_ACTIVE),
        (RULE, 2, pb.RULE_STATE_OFF),
        (RULE, 3, pb.RULE_STATE_ACTIVE),
    ]


async def test_kept_it_is_as_if_nobody_had_asked(
    app: FastAPI, pool: Pool, scope: TenantScope
) -> None:
    key = await make_key(pool, scope)
    async with signed_in(app, await make_user(pool, scope)) as client:
        await client.post(ASKED, json={"name": await title(client)})
        again = await client.post(ASKED, json={"name": await title(client)})
        kept = await client.delete(ASKED)
        twice = await client.delete(ASKED)
    assert (again.status_code, kept.status_code, twice.status_code) == (409, 200, 409)
    assert set(kept.json().values()) == {None}
    sender = await KeyVerifier(pool, pepper=PEPPER).verify(key, address=None)
    assert sender is not None
    assert sender.may(Permission.SPANS_INGEST)
    assert await purge_due(pool, Publisher(pool, MemoryRulesLog())) == []


async def test_before_the_grace_is_over_nothing_can_be_deleted(
    pool: Pool, scope: TenantScope
) -> None:
    await ask(pool, scope)
    with pytest.raises(NotNow, match="kept"):
        await purge_tenant(pool, Publisher(pool, MemoryRulesLog()), scope.tenant_id)
    for function in ("begin_purge()", "purge_some(10)"):
        with pytest.raises(psycopg.errors.RestrictViolation):
            async with tenant_transaction(pool, scope) as connection:
                await connection.execute(f"select {function}".encode())


async def test_what_is_held_is_not_deleted_before_that_is_lifted(
    app: FastAPI, pool: Pool, scope: TenantScope
) -> None:
    publisher = Publisher(pool, MemoryRulesLog())
    await ask(pool, scope, grace=AT_ONCE)
    await hold(pool, scope, by="operator")
    assert scope.tenant_id not in await purge_due(pool, publisher)
    with pytest.raises(NotNow, match="hold"):
        await purge_tenant(pool, publisher, scope.tenant_id)
    with pytest.raises(psycopg.errors.CheckViolation, match="tenants_held_or_going"):
        async with tenant_transaction(pool, scope) as connection:
            await connection.execute("select begin_purge()")
    async with client_of(app, key=await make_key(pool, scope)) as client:
        assert (await client.get(ASKED)).json()["hold"] == "operator"
        assert "is not deleted before that is lifted" in (await client.get("/settings/data")).text
    await release(pool, scope, by="operator")
    assert scope.tenant_id in await purge_due(pool, publisher)


async def test_once_it_has_begun_nobody_holds_it_any_more(pool: Pool, scope: TenantScope) -> None:
    await ask(pool, scope, grace=AT_ONCE)
    await begin_purge(pool, scope)
    with pytest.raises(ApiError) as refused:
        await hold(pool, scope, by="operator")
    assert (refused.value.status, refused.value.code) == (409, "tenant.deletion_began")


async def test_what_goes_for_its_age_at_that_moment_is_waited_for(
    pool: Pool, scope: TenantScope, shared_database: Database
) -> None:
    """The digest of the audit log is that of what is there then."""
    await ask(pool, scope, grace=AT_ONCE)
    with psycopg.connect(shared_database.worker) as batch:
        batch.execute(
            "select pg_advisory_xact_lock(hashtext('retention'), hashtext(%s))",
            [str(scope.tenant_id)],
        )
        beginning = asyncio.create_task(begin_purge(pool, scope))
        with psycopg.connect(shared_database.admin, autocommit=True) as watch:
            while watch.execute(
                "select count(*) from pg_locks where locktype = 'advisory' and not granted"
            ).fetchone() == (0,):
                await asyncio.sleep(0)
        assert not beginning.done()
        batch.commit()
        await beginning


async def test_after_the_grace_all_of_it_is_gone_and_the_proof_counts_what_was_there(
    pool: Pool, shared_database: Database
) -> None:
    ours = await whole_tenant(pool, shared_database, signals=7)
    theirs = await whole_tenant(pool, shared_database)
    await ask(pool, ours.scope, grace=AT_ONCE)
    before, others = (
        rows_of(shared_database, ours.scope),
        fingerprint(shared_database, theirs.scope),
    )
    assert min(before.values()) > 0, before
    await purge_tenant(pool, Publisher(pool, MemoryRulesLog()), ours.scope.tenant_id, batch=3)
    after = rows_of(shared_database, ours.scope)
    assert set(after.values()) == {0}
    assert fingerprint(shared_database, theirs.scope) == others
    (proof,) = await list_proofs(pool, tenant_id=ours.scope.tenant_id)
    # The record that the deletion began comes last.
    before["audit_log"] += 1
    assert dict(proof.deleted) == {**before, "users": 2, "tenants": 1}
    assert proof.audit_end.entries == before["audit_log"]
    assert proof.asked_at <= proof.due_at <= proof.began_at <= proof.completed_at


async def test_the_proof_holds_the_digest_of_the_audit_log(
    pool: Pool, scope: TenantScope, shared_database: Database
) -> None:
    await ask(pool, scope, grace=AT_ONCE)
    await begin_purge(pool, scope)
    async with tenant_transaction(pool, scope) as connection:
        entries = [Entry.from_row(row) async for row in queries("deletion").audit_log(connection)]
    while await purge_some(pool, scope) is not None:
        pass
    (proof,) = await list_proofs(pool, tenant_id=scope.tenant_id)
    assert [entry.action for entry in entries][-2:] == [
        "tenant.deletion_asked",
        "tenant.deletion_began",
    ]
    lines = b"".join(canonical_bytes(entry) + b"\n" for entry in entries)
    assert proof.audit_end.sha256 == hashlib.sha256(lines).hexdigest()
    assert proof.audit_end.last_id == str(entries[-1].id)


async def test_a_crash_in_the_middle_loses_no_count_and_the_next_run_goes_on(
    pool: Pool, shared_database: Database
) -> None:
    filled = await whole_tenant(pool, shared_database, signals=9)
    await ask(pool, filled.scope, grace=AT_ONCE)
    before = rows_of(shared_database, filled.scope)
    await begin_purge(pool, filled.scope)
    for _ in range(4):
        await purge_some(pool, filled.scope, batch=2)
    connection = psycopg.connect(shared_database.app)
    connection.execute(
        "select set_config('app.tenant_id', %s, true)", [str(filled.scope.tenant_id)]
    )
    assert connection.execute("select purge_some(2)").fetchone() is not None
    connection.close()  # as if the process had died before its transaction was committed
    left = rows_of(shared_database, filled.scope)
    assert 0 < sum(left.values()) < sum(before.values())
    assert await resume(pool, filled.scope) is False
    assert filled.scope.tenant_id in await purge_due(pool, Publisher(pool, MemoryRulesLog()))
    assert set(rows_of(shared_database, filled.scope).values()) == {0}
    (proof,) = await list_proofs(pool, tenant_id=filled.scope.tenant_id)
    assert dict(proof.deleted) == {
        **before,
        "audit_log": before["audit_log"] + 1,
        "users": 2,
        "tenants": 1,
    }


async def test_from_the_first_moment_no_session_and_no_key_gets_in(
    app: FastAPI, pool: Pool, scope: TenantScope
) -> None:
    key, email = await make_key(pool, scope), await make_user(pool, scope)
    async with signed_in(app, email) as person, client_of(app) as another:
        await ask(pool, scope, grace=AT_ONCE)
        assert (await person.get("/api/v1/session")).status_code == 200
        await begin_purge(pool, scope)
        for moment in ("begun", "gone"):
            assert (await person.get("/api/v1/session")).status_code == 401, moment
            assert await KeyVerifier(pool, pepper=PEPPER).verify(key, address=None) is None
            body = {"email": email, "password": PASSWORD}
            assert (await another.post("/api/v1/session", json=body)).status_code == 401
            while await purge_some(pool, scope) is not None:
                pass


async def test_people_of_other_tenants_keep_their_accounts(
    app: FastAPI, pool: Pool, scope: TenantScope
) -> None:
    lonely, shared = await make_user(pool, scope), await make_user(pool, scope)
    other = await make_tenant(pool)
    await add_member(pool, other, email=shared, role=Role.VIEWER)
    await ask(pool, scope, grace=AT_ONCE)
    await purge_tenant(pool, Publisher(pool, MemoryRulesLog()), scope.tenant_id)
    async with client_of(app) as client:
        signed = [
            (
                await client.post("/api/v1/session", json={"email": email, "password": PASSWORD})
            ).status_code
            for email in (shared, lonely)
        ]
    assert signed == [200, 401]
    (proof,) = await list_proofs(pool, tenant_id=scope.tenant_id)
    assert (proof.deleted["memberships"], proof.deleted["users"]) == (2, 1)


async def test_it_waits_until_the_job_was_told_that_its_rules_are_off(
    pool: Pool, shared_database: Database
) -> None:
    filled = await whole_tenant(pool, shared_database)
    await ask(pool, filled.scope, grace=AT_ONCE)
    log = MemoryRulesLog()
    log.down = True
    before = rows_of(shared_database, filled.scope)
    with pytest.raises(NotNow, match="rules log"):
        await purge_tenant(pool, Publisher(pool, log), filled.scope.tenant_id)
    assert rows_of(shared_database, filled.scope) == before
    log.down = False
    await purge_tenant(pool, Publisher(pool, log), filled.scope.tenant_id)
    states = {rule: state for rule, _, state in log.rules_of(str(filled.scope.tenant_id))}
    assert states == {RULE: pb.RULE_STATE_OFF}


async def test_nothing_is_written_into_the_audit_log_of_the_gone(
    pool: Pool, scope: TenantScope, shared_database: Database
) -> None:
    await ask(pool, scope, grace=AT_ONCE)
    await purge_tenant(pool, Publisher(pool, MemoryRulesLog()), scope.tenant_id)
    now = datetime.now(UTC)
    with psycopg.connect(shared_database.app) as connection:
        connection.execute("select set_config('app.purpose', 'audit', true)")
        connection.execute(
            "insert into audit_log (id, tenant_id, at, until_at, actor, action, outcome)"
            " values (gen_random_uuid(), %s, %s, %s, 'anonymous', 'credential.refused', 'refused')",
            [scope.tenant_id, now, now],
        )
    assert rows_of(shared_database, scope)["audit_log"] == 0


async def test_a_proof_is_seen_by_operators_and_no_tenant(pool: Pool, scope: TenantScope) -> None:
    await ask(pool, scope, grace=AT_ONCE)
    await purge_tenant(pool, Publisher(pool, MemoryRulesLog()), scope.tenant_id)
    for seer in (scope, await make_tenant(pool)):
        async with tenant_transaction(pool, seer) as connection:
            rows = await (await connection.execute("select * from deletion_proofs")).fetchall()
        assert rows == []
    assert len(await list_proofs(pool, tenant_id=scope.tenant_id)) == 1


@pytest.mark.parametrize("role", ["app", "worker", "admin"])
@pytest.mark.parametrize(
    "statement",
    [
        "update deletion_proofs set name = 'x'",
        "delete from deletion_proofs",
        "truncate deletion_proofs",
    ],
)
async def test_nobody_changes_a_proof(
    pool: Pool, scope: TenantScope, shared_database: Database, role: str, statement: str
) -> None:
    await ask(pool, scope, grace=AT_ONCE)
    await purge_tenant(pool, Publisher(pool, MemoryRulesLog()), scope.tenant_id)
    with psycopg.connect(getattr(shared_database, role), autocommit=True) as connection:
        connection.execute("select set_config('app.purpose', 'operator', false)")
        with pytest.raises(
            (psycopg.errors.InsufficientPrivilege, psycopg.errors.RestrictViolation)
        ):
            connection.execute(statement.encode())


async def test_an_owner_who_is_bound_by_policies_deletes_everything_too(postgres: Server) -> None:
    """As on a managed server: no superuser owns the tables."""
    database = postgres.owned_database()
    async with open_pool(database.app, size=2) as pool:
        ours = await whole_tenant(pool, database)
        theirs = await whole_tenant(pool, database)
        await ask(pool, ours.scope, grace=AT_ONCE)
        before, others = rows_of(database, ours.scope), fingerprint(database, theirs.scope)
        await purge_tenant(pool, Publisher(pool, MemoryRulesLog()), ours.scope.tenant_id)
        (proof,) = await list_proofs(pool)
    assert set(rows_of(database, ours.scope).values()) == {0}
    assert fingerprint(database, theirs.scope) == others
    before["audit_log"] += 1
    assert dict(proof.deleted) == {**before, "users": 2, "tenants": 1}


@pytest.fixture
def _environment(monkeypatch: pytest.MonkeyPatch, shared_database: Database) -> None:
    monkeypatch.setenv("DATABASE_URL", shared_database.app)
    monkeypatch.setenv("BETRACE_SECRET_KEY", PEPPER.decode())
    monkeypatch.setenv("BETRACE_KAFKA", NO_KAFKA)
    monkeypatch.setenv("BETRACE_DELETION_GRACE_DAYS", "7")


def run(*arguments: str) -> Any:
    result = CliRunner().invoke(betrace, ["tenant", *arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.usefixtures("_environment")
def test_operators_ask_keep_and_read_proofs() -> None:
    made = run("create", "to-be-deleted")
    asked = run("delete", "to-be-deleted", "--confirm", "to-be-deleted")
    left = datetime.fromisoformat(asked["due_at"]) - datetime.now(UTC)
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)
    listed = {tenant["id"]: tenant["delete_after"] for tenant in run("list")["tenants"]}
    assert listed[made["id"]] == asked["due_at"]
    assert made["id"] not in run("purge")["deleted"]
    run("keep", "to-be-deleted")
    assert {t["id"]: t["delete_after"] for t in run("list")["tenants"]}[made["id"]] is None


@pytest.mark.usefixtures("_environment")
async def test_the_command_prints_the_proof_of_one_tenant(pool: Pool, scope: TenantScope) -> None:
    await ask(pool, scope, grace=AT_ONCE)
    await purge_tenant(pool, Publisher(pool, MemoryRulesLog()), scope.tenant_id)
    told = await asyncio.to_thread(run, "deleted", str(scope.tenant_id))
    (proof,) = told["proofs"]
    assert (proof["tenant_id"], proof["deleted"]["tenants"]) == (str(scope.tenant_id), 1)
