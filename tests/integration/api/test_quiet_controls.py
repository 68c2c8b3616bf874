"""Controls of which nothing is seen any more: told once, and again only after evidence."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI

from api.auth.principal import Role, TenantScope
from api.database import Pool
from api.evidence.quiet import read_quiet, tell_quiet
from api.tenants.service import change_settings
from api.tenants.settings import TenantSettings
from tests.integration.api.conftest import Caller, client_of
from tests.integration.api.test_evidence_search import covered
from tests.support.evidence import BEGIN_MS, EvidenceLog, span
from tests.support.postgres import Database
from tests.support.stored_evidence import DAY_MS, log_of, store_log
from tests.support.tenants import insert_notice, insert_rule, make_key, make_tenant

SEEN, WATCHED = "soc2.CC6.1", "soc2.CC7.2"
BEGAN = datetime.fromtimestamp(BEGIN_MS / 1_000, UTC)


@pytest.fixture
def log(shared_database: Database, scope: TenantScope) -> EvidenceLog:
    """Of one control a span was seen; of another one a rule looked, and saw nothing."""
    made = log_of(scope.tenant_id)
    made.append(span(1), controls=[SEEN], time_ms=BEGIN_MS)
    made.append(covered(BEGIN_MS, judged=0), controls=[WATCHED], time_ms=BEGIN_MS)
    made.seal()
    store_log(shared_database, made)
    return made


@pytest.fixture
async def officer(app: FastAPI, pool: Pool, scope: TenantScope) -> AsyncIterator[Caller]:
    """A compliance viewer of the tenant."""
    key = await make_key(pool, scope, Role.COMPLIANCE_VIEWER)
    async with client_of(app, key=key) as client:
        yield Caller(scope, client)


async def told(caller: Caller, **query: Any) -> list[dict[str, Any]]:
    answer = await caller.client.get("/api/v1/notices", params=query)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def after(days: float) -> datetime:
    return BEGAN + timedelta(days=days)


def see_again(database: Database, log: EvidenceLog, *, days: int) -> None:
    size, heads = log.frontier.size, len(log.heads)
    log.append(span(size), controls=[SEEN], time_ms=BEGIN_MS + days * DAY_MS)
    log.seal()
    store_log(database, log, first=size, heads=heads)


async def test_a_control_is_told_of_once_and_again_only_after_it_had_evidence(
    pool: Pool, scope: TenantScope, officer: Caller, log: EvidenceLog, shared_database: Database
) -> None:
    await tell_quiet(pool, scope, now=after(29))
    assert await told(officer) == []
    for _ in range(2):
        await tell_quiet(pool, scope, now=after(31))
        await tell_quiet(pool, scope, now=after(40))
    first = await told(officer)
    assert sorted(one["quiet"]["control"] for one in first) == [SEEN, WATCHED]
    by_control = {one["quiet"]["control"]: one for one in first}
    assert by_control[SEEN]["quiet"] == {
        "control": SEEN,
        "days": 30,
        "since": BEGAN.isoformat().replace("+00:00", "Z"),
        "last_at": BEGAN.isoformat().replace("+00:00", "Z"),
    }
    assert by_control[WATCHED]["quiet"]["last_at"] is None
    assert "nothing of it was ever seen" in by_control[WATCHED]["what"]

    see_again(shared_database, log, days=41)
    await tell_quiet(pool, scope, now=after(42))
    new = await told(officer, acknowledged=False)
    assert [one["quiet"]["control"] for one in new] == [WATCHED]
    [settled] = await told(officer, acknowledged=True)
    assert settled["acknowledged_by"] == "betrace"

    await tell_quiet(pool, scope, now=after(72))
    assert [one["quiet"]["control"] for one in await told(officer)].count(SEEN) == 2


async def test_the_tenant_says_after_how_many_days_and_may_want_to_hear_nothing(
    pool: Pool, scope: TenantScope, caller: Caller, log: EvidenceLog
) -> None:
    await change_settings(pool, scope, TenantSettings(quiet_days=None))
    assert (await read_quiet(pool, scope, now=after(900))).controls == ()
    await change_settings(pool, scope, TenantSettings(quiet_days=7))
    found = await tell_quiet(pool, scope, now=after(8))
    assert {one.id for one in found.controls} == {SEEN, WATCHED}
    assert {one.id for one in found.of("soc2")} == {SEEN, WATCHED}
    assert found.of("hipaa") == ()
    changed = await caller.client.patch("/api/v1/tenant", json={"settings": {"quiet_days": 90}})
    assert changed.json()["settings"]["quiet_days"] == 90
    off = await caller.client.patch("/api/v1/tenant", json={"settings": {"quiet_days": None}})
    assert off.json()["settings"]["quiet_days"] is None
    for wrong in (0, 4_000):
        refused = await caller.client.patch(
            "/api/v1/tenant", json={"settings": {"quiet_days": wrong}}
        )
        assert refused.status_code == 400


async def test_another_tenant_is_told_nothing(
    pool: Pool, scope: TenantScope, stranger: Caller, log: EvidenceLog
) -> None:
    await tell_quiet(pool, scope, now=after(31))
    assert await told(stranger) == []
    other = await make_tenant(pool)
    assert (await tell_quiet(pool, other, now=after(31))).controls == ()


async def test_each_kind_of_notice_has_its_readers_and_takers(
    app: FastAPI,
    pool: Pool,
    scope: TenantScope,
    officer: Caller,
    log: EvidenceLog,
    shared_database: Database,
) -> None:
    insert_rule(shared_database.app, scope)
    over_budget = insert_notice(shared_database, scope)
    await tell_quiet(pool, scope, now=after(31))
    quiet = (await told(officer))[0]["id"]
    kinds: dict[Role, set[str]] = {}
    taken: dict[Role, list[int]] = {}
    for role in (Role.DEVELOPER, Role.VIEWER, Role.COMPLIANCE_VIEWER, Role.ADMIN):
        async with client_of(app, key=await make_key(pool, scope, role)) as client:
            caller = Caller(scope, client)
            kinds[role] = {one["kind"] for one in await told(caller)}
            taken[role] = [
                (await client.post(f"/api/v1/notices/{one}/acknowledge")).status_code
                for one in (over_budget, quiet)
            ]
    assert kinds == {
        Role.DEVELOPER: {"over_budget"},
        Role.VIEWER: set(),
        Role.COMPLIANCE_VIEWER: {"quiet_control"},
        Role.ADMIN: {"over_budget", "quiet_control"},
    }
    assert taken == {
        Role.DEVELOPER: [200, 404],
        Role.VIEWER: [404, 404],
        Role.COMPLIANCE_VIEWER: [404, 200],
        Role.ADMIN: [200, 200],
    }
    async with client_of(app, key=await make_key(pool, scope, Role.SRE)) as client:
        refused = await client.post(f"/api/v1/notices/{over_budget}/acknowledge")
    assert (refused.status_code, refused.json()["code"]) == (403, "notice.others")
