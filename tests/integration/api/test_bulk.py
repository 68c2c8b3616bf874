"""Changing many signals at once, and taking it back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import pytest

from api.auth.principal import Role
from api.database import Pool
from api.signals import bulk
from tests.integration.api.conftest import Caller, client_of
from tests.support.postgres import Database
from tests.support.tenants import (
    NOON,
    insert_rule,
    insert_signal,
    make_key,
    make_user,
    update_signal,
)

BULK = "/api/v1/signals/bulk"
Insert = Callable[..., str]


@pytest.fixture
def insert(caller: Caller, shared_database: Database) -> Insert:
    """Write a signal of the rule `promise`."""
    insert_rule(shared_database.app, caller.scope)
    return partial(insert_signal, shared_database.worker, caller.scope)


@pytest.fixture
def update(caller: Caller, shared_database: Database) -> Callable[..., None]:
    """Change a signal as the worker does."""
    return partial(update_signal, shared_database.worker, caller.scope)


async def change(
    caller: Caller, query: dict[str, Any] | None = None, **body: Any
) -> httpx.Response:
    return await caller.client.post(BULK, json=body, params=query)


async def undo(caller: Caller, number: str) -> httpx.Response:
    return await caller.client.post(f"{BULK}/{number}/undo")


async def states(caller: Caller, *ids: str) -> list[tuple[str, str | None, str | None]]:
    found = []
    for signal_id in ids:
        body = (await caller.client.get(f"/api/v1/signals/{signal_id}")).json()
        found.append((body["status"], body["status_reason"], body["assignee"]))
    return found


async def test_what_may_be_changed_is_and_the_rest_is_told(
    caller: Caller, insert: Insert, update: Any
) -> None:
    first, second, closed = insert(), insert(), insert()
    update(closed, status="resolved", status_reason="fixed")
    absent = "0" * 32
    response = await change(caller, ids=[first, second, closed, absent], status="investigating")
    body = response.json()
    assert (response.status_code, body["changed"], body["skipped"], body["more"]) == (
        200, 2, 2, False,
    )  # fmt: skip
    assert {one["id"]: one["why"] for one in body["details"]} == {
        absent: "There is no such signal.",
        closed: "A signal that is resolved cannot become investigating.",
    }
    assert [status for status, _, _ in await states(caller, first, second, closed)] == [
        "investigating", "investigating", "resolved",
    ]  # fmt: skip


async def test_open_signals_are_resolved_by_way_of_investigating(
    caller: Caller, insert: Insert
) -> None:
    signal_id = insert()
    await change(
        caller, ids=[signal_id], status="resolved", reason="Fixed in 4.2.", disposition="fixed"
    )
    body = (await caller.client.get(f"/api/v1/signals/{signal_id}")).json()
    assert (body["status"], body["status_reason"], body["disposition"]) == (
        "resolved", "Fixed in 4.2.", "fixed",
    )  # fmt: skip
    assert [(one["from_status"], one["to_status"]) for one in body["history"]] == [
        ("open", "investigating"), ("investigating", "resolved"),
    ]  # fmt: skip
    assert all(one["actor"].startswith("key:") for one in body["history"])


async def test_all_that_match_are_given_to_somebody(
    caller: Caller, insert: Insert, pool: Pool
) -> None:
    email = await make_user(pool, caller.scope)
    low, high = insert(severity="low"), insert(severity="high")
    body = (await change(caller, {"severity": "low"}, assignee=email)).json()
    assert (body["changed"], body["more"]) == (1, False)
    assert [who for _, _, who in await states(caller, low, high)] == [email, None]


async def test_no_more_than_some_are_changed_at_once(
    caller: Caller, insert: Insert, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "CHANGED_MAX", 2)
    ids = [insert(judged_at=NOON + timedelta(seconds=number)) for number in range(3)]
    first = (await change(caller, {"status": "open"}, status="investigating")).json()
    second = (await change(caller, {"status": "open"}, status="investigating")).json()
    assert (first["changed"], first["more"], second["changed"], second["more"]) == (
        2, True, 1, False,
    )  # fmt: skip
    assert {status for status, _, _ in await states(caller, *ids)} == {"investigating"}


async def test_a_change_is_taken_back_where_nobody_changed_it_since(
    caller: Caller, insert: Insert, pool: Pool
) -> None:
    email = await make_user(pool, caller.scope)
    kept, touched = insert(), insert()
    await caller.client.patch(f"/api/v1/signals/{kept}", json={"assignee": email})
    done = (
        await change(
            caller, ids=[kept, touched], status="false_positive", reason="a test", assignee=None
        )
    ).json()
    await caller.client.patch(f"/api/v1/signals/{touched}", json={"status": "open"})
    undone = await undo(caller, done["id"])
    assert (undone.status_code, undone.json()) == (200, {"changed": 1, "left": 1})
    assert await states(caller, kept, touched) == [("open", None, email), ("open", None, None)]
    again = await undo(caller, done["id"])
    assert (again.status_code, again.json()["code"]) == (409, "signals.undone")


async def test_who_left_the_tenant_gets_nothing_back(
    caller: Caller, insert: Insert, pool: Pool
) -> None:
    email = await make_user(pool, caller.scope, Role.SRE)
    signal_id = insert()
    await caller.client.patch(f"/api/v1/signals/{signal_id}", json={"assignee": email})
    done = (await change(caller, ids=[signal_id], assignee=None)).json()
    members = (await caller.client.get("/api/v1/members")).json()["items"]
    member_id = next(one["id"] for one in members if one["email"] == email)
    assert (await caller.client.delete(f"/api/v1/members/{member_id}")).status_code < 300
    assert (await undo(caller, done["id"])).json() == {"changed": 1, "left": 0}
    assert await states(caller, signal_id) == [("open", None, None)]


async def test_the_audit_log_tells_of_the_change_and_of_taking_it_back(
    caller: Caller, insert: Insert
) -> None:
    done = (await change(caller, ids=[insert(), insert()], status="investigating")).json()
    await undo(caller, done["id"])
    entries = (await caller.client.get("/api/v1/audit")).json()["items"]
    told = [
        (one["action"], one["target"], one["details"]["signals"])
        for one in entries
        if one["target"] == f"bulk:{done['id']}"
    ]
    assert told == [
        ("signal.many_undone", f"bulk:{done['id']}", "2"),
        ("signal.many_changed", f"bulk:{done['id']}", "2"),
    ]


async def test_what_is_so_already_is_left_alone(caller: Caller, insert: Insert) -> None:
    signal_id = insert()
    body = (await change(caller, ids=[signal_id], assignee=None)).json()
    assert (body["changed"], body["details"]) == (
        0, [{"id": signal_id, "why": "It is so already."}],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"status": "resolved"}, "signal.reason_missing"),
        ({"status": "resolved", "reason": "x", "disposition": "bad_data"}, "signal.disposition"),
        ({"assignee": "nobody@example.com"}, "signal.assignee"),
        ({}, "request.invalid"),
        ({"disposition": "fixed"}, "request.invalid"),
        ({"ids": []}, "request.invalid"),
    ],
)
async def test_a_change_that_makes_no_sense_changes_nothing(
    body: dict[str, Any], code: str, caller: Caller, insert: Insert
) -> None:
    signal_id = insert()
    response = await change(caller, **{"ids": [signal_id], **body})
    assert (response.status_code, response.json()["code"]) == (400, code)
    assert await states(caller, signal_id) == [("open", None, None)]


async def test_signals_of_another_tenant_are_left_alone(
    caller: Caller, stranger: Caller, insert: Insert
) -> None:
    signal_id = insert()
    done = (await change(stranger, ids=[signal_id], status="investigating")).json()
    assert (done["changed"], done["skipped"]) == (0, 1)
    every = (await change(stranger, {"shown": "all"}, status="investigating")).json()
    assert (every["changed"], every["skipped"]) == (0, 0)
    assert await states(caller, signal_id) == [("open", None, None)]


async def test_developers_change_nothing(
    caller: Caller, insert: Insert, app: Any, pool: Pool
) -> None:
    async with client_of(app, key=await make_key(pool, caller.scope, Role.DEVELOPER)) as client:
        response = await client.post(BULK, json={"ids": [insert()], "status": "investigating"})
    assert (response.status_code, response.json()["code"]) == (403, "auth.forbidden")
