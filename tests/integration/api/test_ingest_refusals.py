"""Whom `ingest` refuses stands in the audit log, whether or not Postgres answers meanwhile."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import pytest
import structlog
from structlog.testing import LogCapture

from api.audit.decisions import Decisions, Lines
from api.auth.addresses import parse_address, parse_networks
from api.auth.key_verifier import KeyVerifier
from api.auth.keys import new_key
from api.auth.principal import Role, TenantScope, grant_scope
from api.database import Pool
from api.ingest.allowance import allowance_alone
from api.ingest.credentials import Caller, KeysUnavailable, MayNotSend
from api.ingest.gate import Gate
from api.ingest.limits import IngestLimits
from api.ingest.records import StoredRecords
from api.ingest.refusals import Refusal, Refused
from api.ingest.stored_keys import StoredKeys, open_stored_keys
from api.ingest.stored_tenants import StoredTenants
from api.keys.service import revoke_key
from api.settings import Settings
from api.tenants.deletion import ask_for_deletion, keep_tenant, read_deletion
from api.tenants.service import resume, suspend
from tests.support.postgres import Database
from tests.support.tenants import PEPPER, add_key, make_key, make_tenant

HOME = parse_address("203.0.113.9")
Row = tuple[str, str, str, int]


async def refusal(gate: Gate, key: str) -> Refusal:
    """Return how a request with a key is refused."""
    with pytest.raises(Refused) as refused:
        await gate.let_in(Caller(HOME, "/v1/traces", user_agent="collector", api_key=key))
    return refused.value.kind


def rows_of(database: Database, tenant_id: UUID | None) -> list[Row]:
    """Return action, reason, actor and times of what was refused at the door."""
    with psycopg.connect(database.admin) as connection:
        return connection.execute(
            "select action, reason, actor, sum(times)::int from audit_log"
            " where tenant_id is not distinct from %s and route = '/v1/traces'"
            " and address = '203.0.113.9' and user_agent = 'collector' and outcome = 'refused'"
            " group by 1, 2, 3 order by 1, 2, 3",
            [tenant_id],
        ).fetchall()


async def test_each_refusal_is_on_the_record_of_whose_key_it_is(
    settings: Settings, pool: Pool, scope: TenantScope, shared_database: Database
) -> None:
    revoked = await add_key(pool, scope, role=Role.API_CLIENT)
    await revoke_key(pool, scope, revoked.key.id)
    viewer = await add_key(pool, scope, role=Role.VIEWER)
    elsewhere = await add_key(
        pool, scope, role=Role.API_CLIENT, networks=parse_networks(["198.51.100.0/24"])
    )
    nobodys = rows_of(shared_database, None)
    async with open_stored_keys(settings) as store:
        gate = Gate(store.keys, allowance_alone(IngestLimits()), store.records)
        refused = [await refusal(gate, revoked.text) for _ in range(3)]
        refused += [await refusal(gate, key) for key in (viewer.text, elsewhere.text)]
        refused += [await refusal(gate, key) for key in ("", "nonsense", new_key())]
    assert (
        refused
        == [Refusal.UNAUTHENTICATED] * 3 + [Refusal.FORBIDDEN] * 2 + [Refusal.UNAUTHENTICATED] * 3
    )
    assert rows_of(shared_database, scope.tenant_id) == [
        ("credential.refused", "key.revoked", f"key:{revoked.key.id}", 3),
        ("permission.refused", "auth.forbidden", f"key:{viewer.key.id}", 1),
        ("request.refused", "auth.address", f"key:{elsewhere.key.id}", 1),
    ]
    made_up = set(rows_of(shared_database, None)) - set(nobodys)
    assert made_up == {
        ("credential.refused", reason, "anonymous", 1)
        for reason in ("credential.missing", "key.malformed", "key.unknown")
    }
    other = await make_tenant(pool)
    assert rows_of(shared_database, other.tenant_id) == []


async def test_a_flood_is_one_row_and_one_line(
    pool: Pool, scope: TenantScope, shared_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = LogCapture()  # of this module alone: a logger that was used before keeps its output
    monkeypatch.setattr(
        "api.audit.decisions.log", structlog.wrap_logger(structlog.PrintLogger(), processors=[logs])
    )
    key = await make_key(pool, scope, Role.VIEWER)
    decisions = Decisions(pool, lines=Lines.FIRST)
    keys = StoredKeys(KeyVerifier(pool, pepper=PEPPER))
    records = StoredRecords(decisions, pepper=PEPPER)
    gate = Gate(keys, allowance_alone(IngestLimits()), records)
    for _ in range(500):
        await refusal(gate, key)
    lines = [entry for entry in logs.entries if entry["event"] == "audit.refused"]
    assert 1 <= decisions.waiting_count == len(lines) <= 2  # a minute may end in between
    assert await decisions.flush(whole=True)
    assert [row[3] for row in rows_of(shared_database, scope.tenant_id)] == [500]


async def test_over_its_rate_a_tenant_finds_that_in_its_log(
    pool: Pool, scope: TenantScope, shared_database: Database
) -> None:
    made = await add_key(pool, scope, role=Role.API_CLIENT)
    decisions = Decisions(pool, lines=Lines.FIRST)
    keys = StoredKeys(KeyVerifier(pool, pepper=PEPPER))
    allowance = allowance_alone(IngestLimits(tenant_spans_per_s=0.001))
    gate = Gate(keys, allowance, StoredRecords(decisions, pepper=PEPPER))
    sender = await keys.sender(made.text, address=HOME)
    assert sender is not None
    allowance.charge(sender, span_count=10, size_bytes=1)
    assert await refusal(gate, made.text) is Refusal.RATE_LIMITED
    await decisions.flush(whole=True)
    assert rows_of(shared_database, scope.tenant_id) == [
        ("limit.reached", "spans", f"key:{made.key.id}", 1)
    ]


async def test_while_postgres_is_away_refusals_wait_and_nobody_waits_for_them(
    pool: Pool, scope: TenantScope, shared_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await add_key(pool, scope, role=Role.VIEWER)
    decisions = Decisions(pool, lines=Lines.FIRST)
    gate = Gate(
        StoredKeys(KeyVerifier(pool, pepper=PEPPER)),
        allowance_alone(IngestLimits()),
        StoredRecords(decisions, pepper=PEPPER),
    )
    assert await refusal(gate, made.text) is Refusal.FORBIDDEN  # is known from here on
    with monkeypatch.context() as away:
        away.setattr(pool, "connection", unreachable)
        assert await refusal(gate, made.text) is Refusal.FORBIDDEN
        assert not await decisions.flush(whole=True)
        assert decisions.waiting_count >= 1
    assert await decisions.flush(whole=True)
    assert [row[3] for row in rows_of(shared_database, scope.tenant_id)] == [2]


async def may_send(tenants: StoredTenants, scope: TenantScope) -> bool | None:
    """Return whether a tenant may send by its topic; None where nobody knows."""
    try:
        sender = await tenants.sender(str(scope.tenant_id))
    except MayNotSend:
        return False
    except KeysUnavailable:
        return None
    assert (sender.tenant, sender.principal) == (str(scope.tenant_id), None)
    return True


async def test_by_a_topic_who_is_suspended_leaving_or_unknown_takes_no_spans(
    pool: Pool, scope: TenantScope
) -> None:
    tenants = StoredTenants(pool, ttl_s=0)
    name = (await read_deletion(pool, scope)).name
    seen = [await may_send(tenants, scope)]
    await suspend(pool, scope)
    seen.append(await may_send(tenants, scope))
    await resume(pool, scope)
    seen.append(await may_send(tenants, scope))
    await ask_for_deletion(pool, scope, typed=name, grace=timedelta(days=1))
    seen.append(await may_send(tenants, scope))
    await keep_tenant(pool, scope)
    seen.append(await may_send(tenants, scope))
    assert seen == [True, False, True, False, True]
    assert await may_send(tenants, grant_scope(uuid4(), actor="test")) is False
    assert await may_send(tenants, await make_tenant(pool)) is True


async def test_an_outage_of_postgres_stops_a_topic_only_after_a_grace(
    pool: Pool, scope: TenantScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 0.0
    tenants = StoredTenants(pool, ttl_s=5, grace_s=60, clock=lambda: now_s)
    assert await may_send(tenants, scope) is True
    await suspend(pool, scope)
    assert await may_send(tenants, scope) is True  # remembered
    seen = {}
    with monkeypatch.context() as away:
        away.setattr(pool, "connection", unreachable)
        for now_s in (4.0, 30.0, 55.0, 61.0):
            seen[now_s] = await may_send(tenants, scope)
    assert seen == {4.0: True, 30.0: True, 55.0: True, 61.0: None}
    assert await may_send(tenants, scope) is False


async def test_what_a_topic_brings_in_vain_is_on_the_record(
    settings: Settings, pool: Pool, scope: TenantScope, shared_database: Database
) -> None:
    await suspend(pool, scope)
    topic = f"betrace.raw.{scope.tenant_id}"
    async with open_stored_keys(settings) as store:
        gate = Gate(
            store.keys, allowance_alone(IngestLimits()), store.records, tenants=store.tenants
        )
        for _ in range(3):
            with pytest.raises(Refused) as refused:
                await gate.let_in_from_topic(str(scope.tenant_id), topic=topic)
            assert refused.value.kind is Refusal.FORBIDDEN
    with psycopg.connect(shared_database.admin) as connection:
        rows = connection.execute(
            "select action, reason, actor, tenant_id, sum(times)::int from audit_log"
            " where route = %s group by 1, 2, 3, 4",
            [topic],
        ).fetchall()
    assert rows == [("permission.refused", "auth.forbidden", "anonymous", None, 3)]


def unreachable(*_: object, **__: object) -> None:
    """Fail as psycopg does without a server."""
    raise psycopg.OperationalError("connection refused")
