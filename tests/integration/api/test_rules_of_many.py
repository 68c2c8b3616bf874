"""Saving rules over many traces: what they need of other rules is looked at, too."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.integration.api.conftest import Caller
from tests.support.rules_log import MemoryRulesLog

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
