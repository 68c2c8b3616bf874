"""Whom `ingest` refuses stands in the audit log, whether or not Postgres answers meanwhile."""

from __future__ import annotations

from uuid import UUID

import psycopg
import pytest
import structlog
from structlog.testing import LogCapture

from api.audit.decisions import Decisions, Lines
from api.auth.addresses import parse_address, parse_networks
from api.auth.key_verifier import KeyVerifier
from api.auth.keys import new_key
from api.auth.principal import Role, TenantScope
from api.database import Pool
from api.ingest.allowance import allowance_alone
from api.ingest.credentials import Caller
from api.ingest.gate import Gate
from api.ingest.limits import IngestLimits
from api.ingest.records import StoredRecords
from api.ingest.refusals import Refusal, Refused
from api.ingest.stored_keys import StoredKeys, open_stored_keys
from api.keys.service import revoke_key
from api.settings import Settings
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


def unreachable(*_: object, **__: object) -> None:
    """Fail as psycopg does without a server."""
    raise psycopg.OperationalError("connection refused")
