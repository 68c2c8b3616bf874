"""What a tenant's people set about it, and what they are told about its spans and quota."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from api.auth.principal import TenantScope
from api.database import Pool
from api.tenants.service import change_settings, read_tenant
from api.tenants.settings import TenantSettings
from api.usage.service import count_usage
from tests.integration.api.conftest import Caller
from tests.support.postgres import Database
from tests.support.rules_log import MemoryRulesLog

NOVEMBER = datetime(2026, 11, 20, 12, tzinfo=UTC)


async def test_what_is_sent_is_changed_and_the_rest_stays(
    caller: Caller, rules_log: MemoryRulesLog, pool: Pool
) -> None:
    body = {"name": " Acme ", "settings": {"settle_ms": 5_000, "fold_after": None}}
    changed = (await caller.client.patch("/api/v1/tenant", json=body)).json()
    assert changed["name"] == "Acme"
    told = TenantSettings(settle_ms=5_000, fold_after=None)
    assert (await read_tenant(pool, caller.scope)).settings == told
    assert rules_log.records[-1] == told.log_record(caller.scope.tenant_id)
    assert changed == (await caller.client.get("/api/v1/tenant")).json()
    log = (await caller.client.get("/api/v1/audit?action=tenant.changed")).json()["items"]
    assert [row["details"] for row in log] == [{"fields": "settle_ms, fold_after, name"}]


async def test_what_is_as_it_was_is_neither_announced_nor_on_record(
    caller: Caller, rules_log: MemoryRulesLog
) -> None:
    await caller.client.patch("/api/v1/tenant", json={"name": "Acme"})
    before = len(rules_log.records)
    body = {"name": "Acme", "settings": {"settle_ms": 10_000}}
    assert (await caller.client.patch("/api/v1/tenant", json=body)).status_code == 200
    assert len(rules_log.records) == before
    log = (await caller.client.get("/api/v1/audit?action=tenant.changed")).json()["items"]
    assert len(log) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": "   "},
        {"name": "a\nb"},
        {"name": "a" * 101},
        {"settings": {"settle_ms": 1}},
        {"settings": {"settle_ms": -1}},
        {"settings": {"max_rules": 5}},
        {"settings": {"monthly_spans": 5}},
        {"settings": {"settle_ms": 600_000, "max_life_ms": 10_000}},
        {"nickname": "x"},
    ],
)
async def test_what_cannot_be_is_refused_and_changes_nothing(
    caller: Caller, body: dict[str, Any]
) -> None:
    before = (await caller.client.get("/api/v1/tenant")).json()
    assert (await caller.client.patch("/api/v1/tenant", json=body)).status_code == 400
    assert (await caller.client.get("/api/v1/tenant")).json() == before


async def test_two_tenants_may_be_called_the_same(caller: Caller, stranger: Caller) -> None:
    for each in (caller, stranger):
        assert (await each.client.patch("/api/v1/tenant", json={"name": "Shop"})).is_success


def account(
    database: Database, scope: TenantScope, at: datetime, *, received: int, lane: int = 0
) -> None:
    """Write an account of a minute as the worker does."""
    with psycopg.connect(database.worker) as connection:
        connection.execute(
            "insert into stats_minutes (tenant_id, minute, lane, revision, counts)"
            " values (%s, %s, %s, 1, %s)"
            " on conflict on constraint stats_minutes_pkey do update set counts = excluded.counts",
            [scope.tenant_id, at, lane, Jsonb({"received": received, "judged": 1})],
        )


async def month(caller: Caller, text: str = "2026-11") -> dict[str, Any]:
    answer: dict[str, Any] = (await caller.client.get(f"/api/v1/usage?month={text}")).json()
    return answer


async def test_spans_are_summed_up_by_days_and_months_in_utc(
    caller: Caller, stranger: Caller, pool: Pool, shared_database: Database
) -> None:
    midnight = datetime(2026, 11, 20, tzinfo=UTC)
    account(shared_database, caller.scope, midnight - timedelta(minutes=1), received=1)
    account(shared_database, caller.scope, midnight, received=10)
    account(shared_database, caller.scope, midnight, received=20, lane=1)
    account(shared_database, caller.scope, datetime(2026, 10, 31, 23, 59, tzinfo=UTC), received=500)
    account(shared_database, stranger.scope, midnight, received=7)
    await count_usage(pool, caller.scope, now=NOVEMBER)
    await count_usage(pool, stranger.scope, now=NOVEMBER)
    found = await month(caller)
    assert (found["spans"], found["quota"], found["percent"]) == (31, None, None)
    assert found["days"] == [
        {"day": "2026-11-19", "spans": 1},
        {"day": "2026-11-20", "spans": 30},
    ]
    assert (await month(stranger))["spans"] == 7
    assert (await month(caller, "2026-10"))["spans"] == 0


async def test_a_minute_that_has_grown_is_counted_once(
    caller: Caller, pool: Pool, shared_database: Database
) -> None:
    for received in (10, 25, 25):
        account(shared_database, caller.scope, NOVEMBER, received=received)
        await count_usage(pool, caller.scope, now=NOVEMBER + timedelta(hours=13))
    assert (await month(caller))["spans"] == 25


async def notices(caller: Caller) -> list[tuple[int, int]]:
    items = (await caller.client.get("/api/v1/notices")).json()["items"]
    return [(item["quota"]["percent"], item["quota"]["used"]) for item in reversed(items)]


async def test_each_part_of_a_quota_is_told_of_once(
    caller: Caller, stranger: Caller, pool: Pool, shared_database: Database
) -> None:
    await change_settings(pool, caller.scope, TenantSettings(monthly_spans=1_000))
    for received in (799, 800, 850, 900, 999, 1_000, 5_000):
        account(shared_database, caller.scope, NOVEMBER, received=received)
        await count_usage(pool, caller.scope, now=NOVEMBER)
    assert await notices(caller) == [(80, 800), (90, 900), (100, 1_000)]
    assert (await month(caller))["percent"] == 500
    assert await notices(stranger) == []
    page = (await caller.client.get("/notices")).text
    assert "100 % of the quota" in page
    assert 'href="/settings/usage"' in page


async def test_a_notice_of_a_quota_can_be_acknowledged(
    caller: Caller, pool: Pool, shared_database: Database
) -> None:
    await change_settings(pool, caller.scope, TenantSettings(monthly_spans=10))
    account(shared_database, caller.scope, NOVEMBER, received=10)
    await count_usage(pool, caller.scope, now=NOVEMBER)
    (item,) = (await caller.client.get("/api/v1/notices")).json()["items"]
    done = await caller.client.post(f"/api/v1/notices/{item['id']}/acknowledge")
    assert done.json()["acknowledged_at"] is not None
    assert done.json()["what"] == "10 of 10 spans came in 2026-11."


@pytest.mark.parametrize("text", ["2026", "2026-13", "november", "2026-1 "])
async def test_what_is_no_month_is_refused(caller: Caller, text: str) -> None:
    refused = await caller.client.get(f"/api/v1/usage?month={text}")
    assert refused.status_code == 400


def test_months_follow_one_another() -> None:
    from api.usage.model import month_after

    assert [month_after(date(2026, n, 1)) for n in (1, 11, 12)] == [
        date(2026, 2, 1),
        date(2026, 12, 1),
        date(2027, 1, 1),
    ]
