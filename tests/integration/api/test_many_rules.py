"""Many rules at once: switched, deleted, copied, taken from the library; and how each is doing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from fastapi import FastAPI

from api.rules.listing import RuleHealth, health_of
from tests.integration.api.conftest import Caller
from tests.support.postgres import Database
from tests.support.tenants import insert_signal

BULK = "/api/v1/rules/bulk"
LIBRARY = "/api/v1/rules/library"


async def with_rules(caller: Caller, *rule_ids: str) -> None:
    for rule_id in rule_ids:
        body = {"id": rule_id, "name": f"The {rule_id}", "rule": "when { a } never { b }"}
        assert (await caller.client.post("/api/v1/rules", json=body)).status_code == 201


async def states(caller: Caller) -> dict[str, str]:
    items = (await caller.client.get("/api/v1/rules")).json()["items"]
    return {one["id"]: one["state"] for one in items}


async def bulk(caller: Caller, act: str, *rule_ids: str) -> dict[str, Any]:
    answer = await caller.client.post(BULK, json={"ids": [*rule_ids], "act": act})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_rules_are_switched_deleted_and_copied_together(caller: Caller) -> None:
    await with_rules(caller, "one", "two", "three")
    assert await bulk(caller, "shadow", "one", "two") == {
        "changed": ["one", "two"],
        "unchanged": [],
    }
    assert await bulk(caller, "shadow", "two", "three", "two") == {
        "changed": ["three"],
        "unchanged": ["two"],
    }
    assert (await bulk(caller, "duplicate", "one"))["changed"] == ["one-copy"]
    assert (await bulk(caller, "duplicate", "one", "one-copy"))["changed"] == [
        "one-copy-2", "one-copy-copy",
    ]  # fmt: skip
    copy = (await caller.client.get("/api/v1/rules/one-copy")).json()
    assert (copy["name"], copy["state"], copy["version"]) == ("The one (Copy)", "off", 1)
    await bulk(caller, "delete", "one", "two", "one-copy-2", "one-copy-copy")
    assert await states(caller) == {"one-copy": "off", "three": "shadow"}


async def test_all_of_them_are_changed_or_none(caller: Caller, stranger: Caller) -> None:
    await with_rules(caller, "one")
    await with_rules(stranger, "theirs")
    for act in ("off", "delete", "duplicate"):
        refused = await caller.client.post(BULK, json={"ids": ["one", "theirs"], "act": act})
        assert (refused.status_code, refused.json()["code"]) == (404, "request.not_found")
    assert await states(caller) == {"one": "active"}
    assert await states(stranger) == {"theirs": "active"}


async def test_shipped_rules_are_taken_once_and_never_overwritten(
    caller: Caller, stranger: Caller
) -> None:
    packs = (await caller.client.get(LIBRARY)).json()["packs"]
    chosen = [rule["id"] for rule in packs[0]["rules"]][:2]
    assert chosen
    body = {"ids": chosen, "state": "shadow"}
    assert (await caller.client.post(LIBRARY, json=body)).json() == {"taken": chosen, "there": []}
    own = {"id": chosen[0], "name": "Ours", "rule": "when { a } never { b }"}
    await caller.client.put(f"/api/v1/rules/{chosen[0]}", json=own)
    again = (await caller.client.post(LIBRARY, json={"ids": chosen, "state": "active"})).json()
    assert again == {"taken": [], "there": chosen}
    assert (await caller.client.get(f"/api/v1/rules/{chosen[0]}")).json()["name"] == "Ours"
    assert (await states(caller))[chosen[1]] == "shadow"
    assert await states(stranger) == {}
    refused = await caller.client.post(LIBRARY, json={"ids": ["none-such"]})
    assert refused.status_code == 404


async def test_how_a_rule_is_doing_is_told_of_the_tenants_own_alone(
    app: FastAPI, caller: Caller, stranger: Caller, shared_database: Database
) -> None:
    now = datetime.now(UTC)
    for who in (caller, stranger):
        await with_rules(who, "promise", "quiet")
    raised_at = now - timedelta(days=3)
    ways: list[list[str]] = [
        [],
        ["investigating", "resolved"],
        ["false_positive"],
        ["investigating", "resolved"],
    ]
    for way in ways:
        signal_id = insert_signal(
            shared_database.worker,
            caller.scope,
            rule_id="promise",
            occurred_at=raised_at,
            judged_at=raised_at,
        )
        for status in way:
            body = {"status": status, "reason": "Looked at."}
            changed = await caller.client.patch(f"/api/v1/signals/{signal_id}", json=body)
            assert changed.status_code == 200, changed.text
    with psycopg.connect(shared_database.worker) as connection:
        for minute, lane in ((now, 0), (now, 1), (now - timedelta(hours=2), 0)):
            connection.execute(
                "insert into rule_stats_minutes (tenant_id, rule_id, rule_version, minute, lane,"
                " revision, violated, satisfied, not_applicable, inconclusive, over_budget)"
                " values (%s, 'promise', 1, %s, %s, 1, 2, 3, 9, 1, 1)",
                [caller.scope.tenant_id, minute, lane],
            )
    pool = app.state.services.pool
    told = [
        await health_of(pool, who.scope, ["promise", "quiet", "none"], now=now)
        for who in (caller, stranger)
    ]
    assert told[0]["promise"] == RuleHealth(
        judged=12,
        violated=4,
        inconclusive=2,
        over_budget=2,
        last_raised_at=raised_at,
        ended=3,
        false_positives=1,
    )
    assert [told[0]["quiet"], *told[1].values()] == [RuleHealth()] * 4
