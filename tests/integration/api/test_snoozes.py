"""Rules that are to alert nobody for a time: who may say so, how long, what is on record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.auth.principal import Role
from api.database import Pool
from tests.integration.api.conftest import Caller, client_of
from tests.support.tenants import make_key, make_tenant

RULE = "/api/v1/rules/checked"
URL = f"{RULE}/snoozes"
TEXT = "when { charge } always { audit }"


@pytest.fixture(autouse=True)
async def rule(caller: Caller) -> None:
    """A rule that alerts."""
    answer = await caller.client.put(RULE, json={"rule": TEXT})
    assert answer.is_success, answer.text


async def snooze(caller: Caller, *, reason: str = "The bank is down.", **within: float) -> Any:
    until = datetime.now(UTC) + timedelta(**within)
    return await caller.client.post(URL, json={"until": until.isoformat(), "reason": reason})


async def listed(caller: Caller) -> list[dict[str, Any]]:
    answer = await caller.client.get(URL)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_rule_is_snoozed_and_woken(caller: Caller) -> None:
    begun = await snooze(caller, hours=4)
    assert begun.status_code == 201, begun.text
    told = begun.json()
    assert (told["rule_id"], told["reason"], told["ended_at"]) == (
        "checked", "The bank is down.", None,
    )  # fmt: skip
    assert told["actor"].startswith("key:")
    assert await listed(caller) == [told]
    woken = await caller.client.post(f"{URL}/end")
    assert woken.status_code == 200, woken.text
    assert woken.json()["ended_by"] == told["actor"]
    assert refused(await caller.client.post(f"{URL}/end")) == (409, "snooze.none")


async def test_another_snooze_takes_the_place_of_the_first(caller: Caller) -> None:
    first = (await snooze(caller, hours=4)).json()
    second = (await snooze(caller, reason="Longer than that.", days=2)).json()
    newest, before = await listed(caller)
    assert (newest, before["id"]) == (second, first["id"])
    assert before["ended_at"] is not None
    assert before["ended_at"] <= newest["from_at"]


async def test_the_rule_stays_the_version_it_was(caller: Caller) -> None:
    before = (await caller.client.get(RULE)).json()
    await snooze(caller, hours=1)
    assert (await caller.client.get(RULE)).json() == before


@pytest.mark.parametrize(
    ("reason", "within", "refusal"),
    [
        ("  ", {"hours": 1}, (400, "snooze.no_reason")),
        ("late", {"seconds": -1}, (422, "snooze.over")),
        ("long", {"days": 31}, (422, "snooze.too_long")),
    ],
)
async def test_what_cannot_be_is_refused(
    caller: Caller, reason: str, within: dict[str, float], refusal: tuple[int, str]
) -> None:
    assert refused(await snooze(caller, reason=reason, **within)) == refusal
    assert await listed(caller) == []


async def test_a_moment_without_an_offset_is_refused(caller: Caller) -> None:
    answer = await caller.client.post(URL, json={"until": "2027-01-15T08:00:00", "reason": "x"})
    assert refused(answer) == (400, "request.invalid")


async def test_a_rule_that_is_not_there_or_deleted_is_not_found(caller: Caller) -> None:
    await snooze(caller, hours=1)
    unknown = await caller.client.get("/api/v1/rules/none/snoozes")
    assert unknown.status_code == 404
    await caller.client.delete(RULE)
    assert (await snooze(caller, hours=1)).status_code == 404
    assert len(await listed(caller)) == 1


@pytest.mark.parametrize(
    ("role", "status"),
    [
        (Role.ADMIN, 201),
        (Role.DEVELOPER, 201),
        (Role.SRE, 201),
        (Role.COMPLIANCE_VIEWER, 403),
        (Role.API_CLIENT, 403),
    ],
)
async def test_who_may_let_a_rule_be_silent(
    app: FastAPI, pool: Pool, caller: Caller, role: Role, status: int
) -> None:
    key = await make_key(pool, caller.scope, role)
    async with client_of(app, key=key) as client:
        until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        answer = await client.post(URL, json={"until": until, "reason": "maintenance"})
    assert answer.status_code == status


async def test_nobody_else_wakes_a_rule(app: FastAPI, pool: Pool, caller: Caller) -> None:
    await snooze(caller, hours=1)
    async with client_of(app, key=await make_key(pool, await make_tenant(pool))) as stranger:
        assert (await stranger.post(f"{URL}/end")).status_code == 404
    [still] = await listed(caller)
    assert still["ended_at"] is None


async def test_both_are_in_the_audit_log_without_the_reason(caller: Caller) -> None:
    await snooze(caller, hours=1)
    await caller.client.post(f"{URL}/end")
    entries = (await caller.client.get("/api/v1/audit", params={"limit": 20})).json()["items"]
    ours = [entry for entry in entries if entry["target"] == "rule:checked"]
    actions = [entry["action"] for entry in ours]
    assert {"rule.snoozed", "rule.woken"} <= set(actions)
    assert "bank" not in str(ours)
