"""A rule that the worker found over its budget: into quarantine, told, and out of it again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from api.auth.principal import TenantScope
from api.database import Pool
from api.rules.outbox import Publisher
from api.rules.quarantine import quarantine_found
from tests.integration.api.conftest import Caller
from tests.support.postgres import Database
from tests.support.rules_log import MemoryRulesLog
from udfs.wire import betrace_pb2 as wire

RULE = {"id": "pairs", "name": "Pairs", "owner": "team-a", "rule": "when { a } never { b }"}
PATH = "/api/v1/rules/pairs"
FIGURES = {
    "over_budget": 1_412,
    "judged": 2_980,
    "minutes": 4,
    "since": "2026-11-23T12:00:00+00:00",
    "until": "2026-11-23T12:06:00+00:00",
}


def find(database: Database, scope: TenantScope, *, version: int = 1) -> None:
    """Find the rule over its budget, as the worker does."""
    with psycopg.connect(database.worker) as connection:
        connection.execute(
            "insert into notices (tenant_id, kind, rule_id, rule_version, figures)"
            " values (%s, 'over_budget', 'pairs', %s, %s)",
            [scope.tenant_id, version, Jsonb(FIGURES)],
        )


def states(log: MemoryRulesLog, tenant_id: UUID) -> list[tuple[int, str]]:
    """Return version and state of every record of a tenant's rules in the log."""
    return [
        (rule.version, wire.RuleState.Name(rule.state).removeprefix("RULE_STATE_").lower())
        for rule in log.rule_records(str(tenant_id))
    ]


@pytest.fixture
async def quarantined(
    caller: Caller, pool: Pool, shared_database: Database, rules_log: MemoryRulesLog
) -> Caller:
    """Somebody whose only rule has just been put into quarantine."""
    await caller.client.post("/api/v1/rules", json=RULE)
    find(shared_database, caller.scope)
    await quarantine_found(pool, Publisher(pool, rules_log))
    return caller


async def rule_of(caller: Caller) -> dict[str, Any]:
    body: dict[str, Any] = (await caller.client.get(PATH)).json()
    return body


async def notices_of(caller: Caller, **query: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await caller.client.get("/api/v1/notices", params=query)).json()[
        "items"
    ]
    return items


async def test_the_rules_log_says_so_and_the_owner_is_told(
    quarantined: Caller, rules_log: MemoryRulesLog
) -> None:
    rule = await rule_of(quarantined)
    assert (rule["state"], rule["version"], rule["author"]) == ("quarantined", 2, "betrace")
    assert (rule["published"], rule["active_since"]) == (True, None)
    assert states(rules_log, quarantined.scope.tenant_id) == [(1, "active"), (2, "quarantined")]
    [notice] = await notices_of(quarantined)
    assert {name: notice[name] for name in ("rule_id", "rule_name", "owner", "rule_version")} == {
        "rule_id": "pairs",
        "rule_name": "Pairs",
        "owner": "team-a",
        "rule_version": 1,
    }
    assert notice["what"].startswith("Its budget ran out in 1,412 of 2,980 judgements")
    assert "save it as a new version" in notice["next_step"]


async def test_another_tenant_sees_nothing_of_it(
    quarantined: Caller, stranger: Caller, rules_log: MemoryRulesLog
) -> None:
    await stranger.client.post("/api/v1/rules", json=RULE)
    assert (await rule_of(stranger))["state"] == "active"
    assert await notices_of(stranger) == []


async def test_an_acknowledged_notice_leaves_the_rule_where_it_is(quarantined: Caller) -> None:
    [notice] = await notices_of(quarantined, acknowledged="false")
    path = f"/api/v1/notices/{notice['id']}/acknowledge"
    first = (await quarantined.client.post(path)).json()
    again = (await quarantined.client.post(path)).json()
    assert first["acknowledged_by"].startswith("key:")
    assert first == again
    assert await notices_of(quarantined, acknowledged="false") == []
    assert (await rule_of(quarantined))["state"] == "quarantined"


async def test_the_same_object_again_does_not_release_it_and_another_one_does(
    quarantined: Caller, rules_log: MemoryRulesLog
) -> None:
    same = await quarantined.client.put(PATH, json=RULE)
    assert (same.json()["state"], same.json()["version"]) == ("quarantined", 2)
    changed = await quarantined.client.put(PATH, json={**RULE, "rule": "when { a } never { c }"})
    assert (changed.json()["state"], changed.json()["version"]) == ("active", 3)
    assert states(rules_log, quarantined.scope.tenant_id)[-1] == (3, "active")
    assert await notices_of(quarantined, acknowledged="false") == []


async def test_it_is_switched_on_again_as_it_is(
    quarantined: Caller, rules_log: MemoryRulesLog
) -> None:
    released = await quarantined.client.post(f"{PATH}/state", json={"state": "active"})
    assert (released.json()["state"], released.json()["version"]) == ("active", 3)
    assert states(rules_log, quarantined.scope.tenant_id)[-1] == (3, "active")
    assert await notices_of(quarantined, acknowledged="false") == []


async def test_a_released_rule_is_put_into_quarantine_again(
    quarantined: Caller, pool: Pool, shared_database: Database, rules_log: MemoryRulesLog
) -> None:
    await quarantined.client.post(f"{PATH}/state", json={"state": "shadow"})
    find(shared_database, quarantined.scope, version=3)
    await quarantine_found(pool, Publisher(pool, rules_log))
    assert [(await rule_of(quarantined))[name] for name in ("state", "version")] == [
        "quarantined",
        4,
    ]
    assert [notice["rule_version"] for notice in await notices_of(quarantined)] == [3, 1]


@pytest.mark.parametrize("change", ["off", "changed"])
async def test_a_rule_that_was_changed_in_the_meantime_is_left_alone(
    caller: Caller,
    pool: Pool,
    shared_database: Database,
    rules_log: MemoryRulesLog,
    change: str,
) -> None:
    await caller.client.post("/api/v1/rules", json=RULE)
    if change == "off":
        await caller.client.post(f"{PATH}/state", json={"state": "off"})
        find(shared_database, caller.scope, version=2)
    else:
        await caller.client.put(PATH, json={**RULE, "name": "Other"})
        find(shared_database, caller.scope)
    before = await rule_of(caller)
    await quarantine_found(pool, Publisher(pool, rules_log))
    assert await rule_of(caller) == before
    assert await notices_of(caller) == []


async def test_nobody_puts_a_rule_into_quarantine_by_hand(caller: Caller) -> None:
    await caller.client.post("/api/v1/rules", json=RULE)
    refused = await caller.client.post(f"{PATH}/state", json={"state": "quarantined"})
    assert refused.status_code == 400
    written = await caller.client.put(PATH, json={**RULE, "state": "quarantined"})
    assert written.status_code == 422
