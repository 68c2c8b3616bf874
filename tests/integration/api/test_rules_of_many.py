"""Saving rules over many traces: what they need of other rules is looked at, too."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.integration.api.conftest import Caller
from tests.support.rules_log import MemoryRulesLog
from udfs.wire import betrace_pb2 as pb

pytestmark = pytest.mark.integration

PROMISE = {"group_by": ["user.id"], "rule": "when { charge } always { fraud.check }"}
SIGNALS = 'correlate { violated("promise") } by user.id within 1m having count >= 2'


async def put(caller: Caller, rule_id: str, text: str, **fields: Any) -> httpx.Response:
    return await caller.client.put(f"/api/v1/rules/{rule_id}", json={"rule": text, **fields})


def codes(response: httpx.Response) -> list[str]:
    assert response.status_code == 422, response.text
    return [problem["code"] for problem in response.json()["problems"]]


@pytest.mark.parametrize(
    "text",
    ["correlate { login } by user.id within 1m having count >= 2", "expect { backup } every 24h"],
)
async def test_they_are_saved_with_their_predicates(
    caller: Caller, rules_log: MemoryRulesLog, text: str
) -> None:
    response = await put(caller, "many", text)
    assert (response.status_code, response.json()["rule"]) == (201, text)
    (record,) = rules_log.rule_records(str(caller.scope.tenant_id))
    assert (record.text, [entry.number for entry in record.predicates]) == (text, [0])


async def test_a_correlate_looks_at_fields_that_signals_have(caller: Caller) -> None:
    await caller.client.put("/api/v1/rules/promise", json=PROMISE)
    assert (await put(caller, "many", SIGNALS)).status_code == 201
    refused = await put(caller, "other", SIGNALS.replace("user.id", "card"))
    assert codes(refused) == ["rule.signal_key"]


async def test_a_rule_that_is_not_there_yet_may_be_named(caller: Caller) -> None:
    assert (await put(caller, "many", SIGNALS)).status_code == 201


async def test_rules_do_not_wait_for_their_own_signals(caller: Caller) -> None:
    second = 'correlate { violated("first") } by rule within 1m having count >= 2'
    await put(caller, "second", second)
    first = 'correlate { violated("second") } by rule within 1m having count >= 2'
    assert codes(await put(caller, "first", first)) == ["rule.cycle"]


async def test_rules_stand_three_deep_at_most(caller: Caller) -> None:
    await caller.client.put("/api/v1/rules/promise", json=PROMISE)
    for below, above in (("promise", "second"), ("second", "third")):
        text = f'correlate {{ violated("{below}") }} by rule within 1m having count >= 2'
        assert (await put(caller, above, text)).status_code == 201
    fourth = 'correlate { violated("third") } by rule within 1m having count >= 2'
    assert codes(await put(caller, "fourth", fourth)) == ["rule.levels"]


async def test_another_tenants_rules_are_none_of_ones_own(caller: Caller, stranger: Caller) -> None:
    await caller.client.put("/api/v1/rules/promise", json=PROMISE)
    text = SIGNALS.replace("user.id", "card")
    assert (await put(stranger, "many", text)).status_code == 201


async def forget(caller: Caller, rule_id: str, **body: str) -> tuple[int, str]:
    response = await caller.client.post(f"/api/v1/rules/{rule_id}/forget", json=body)
    return response.status_code, response.json().get("code", "")


def forgotten(rules_log: MemoryRulesLog, caller: Caller) -> list[tuple[str, str]]:
    messages = [pb.RuleLogRecord.FromString(record).forgetting for record in rules_log.records]
    tenant = str(caller.scope.tenant_id)
    return [(one.rule_id, one.key) for one in messages if one.tenant == tenant]


async def test_a_key_is_forgotten_by_the_rules_log_and_on_the_record(
    caller: Caller, rules_log: MemoryRulesLog
) -> None:
    await put(caller, "beats", "expect { beat } every 1h by host")
    body = {"key": "host-17"}
    response = await caller.client.post("/api/v1/rules/beats/forget", json=body)
    assert (response.status_code, response.json()) == (
        202,
        {"rule_id": "beats", "key": "host-17", "published": True},
    )
    assert forgotten(rules_log, caller) == [("beats", "host-17")]
    query = {"action": "rule.key_forgotten"}
    audit = (await caller.client.get("/api/v1/audit", params=query)).json()
    assert [(one["target"], one["details"]) for one in audit["items"]] == [
        ("rule:beats", {"key": "host-17"})
    ]


async def test_what_is_forgotten_while_kafka_is_away_follows(
    caller: Caller, rules_log: MemoryRulesLog
) -> None:
    await put(caller, "beats", "expect { beat } every 1h by host")
    rules_log.down = True
    body = {"key": "host-17"}
    response = await caller.client.post("/api/v1/rules/beats/forget", json=body)
    assert (response.status_code, response.json()["published"]) == (202, False)
    rules_log.down = False
    assert await forget(caller, "beats", key="host-18") == (202, "")
    assert forgotten(rules_log, caller) == [("beats", "host-17"), ("beats", "host-18")]


async def test_only_keys_that_a_rule_can_expect_are_forgotten(
    caller: Caller, rules_log: MemoryRulesLog
) -> None:
    await put(caller, "promise", PROMISE["rule"])
    await put(caller, "one", "expect { backup } every 24h")
    await put(caller, "listed", "expect { backup } every 24h by service in [billing, crm]")
    await put(caller, "beats", "expect { beat } every 1h by host")
    assert await forget(caller, "promise", key="a") == (400, "rule.no_expect")
    assert await forget(caller, "one", key="a") == (400, "rule.no_keys")
    assert await forget(caller, "listed", key="shop") == (400, "rule.unlisted_key")
    assert await forget(caller, "beats") == (400, "rule.key_missing")
    assert await forget(caller, "nothing", key="a") == (404, "request.not_found")
    assert forgotten(rules_log, caller) == []
    assert await forget(caller, "one") == (202, "")
    assert await forget(caller, "listed", key="crm") == (202, "")
    assert forgotten(rules_log, caller) == [("one", ""), ("listed", "crm")]


async def test_nobody_forgets_a_key_of_another_tenants_rule(
    caller: Caller, stranger: Caller, rules_log: MemoryRulesLog
) -> None:
    await put(caller, "beats", "expect { beat } every 1h by host")
    assert await forget(stranger, "beats", key="host-17") == (404, "request.not_found")
    assert forgotten(rules_log, caller) == forgotten(rules_log, stranger) == []
