"""Signals by REST: lists, one signal whole, the life cycle."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from psycopg.types.json import Jsonb

from api.auth.principal import Role
from api.database import Pool
from tests.integration.api.conftest import Caller, client_of
from tests.support.postgres import Database
from tests.support.tenants import (
    NOON,
    insert_rule,
    insert_signal,
    insert_trace,
    make_key,
    make_user,
    update_signal,
)

Insert = Callable[..., str]


@pytest.fixture
def insert(caller: Caller, shared_database: Database) -> Insert:
    """Write a signal of the caller's tenant and return its id."""
    insert_rule(shared_database.app, caller.scope)
    return partial(insert_signal, shared_database.worker, caller.scope)


@pytest.fixture
def update(caller: Caller, shared_database: Database) -> Callable[..., None]:
    """Change a signal of the caller's tenant as the worker does."""
    return partial(update_signal, shared_database.worker, caller.scope)


async def _ids(client: httpx.AsyncClient, **query: Any) -> list[str]:
    response = await client.get("/api/v1/signals", params=query)
    assert response.status_code == 200, response.text
    return [signal["id"] for signal in response.json()["items"]]


async def _patch(client: httpx.AsyncClient, signal_id: str, **change: Any) -> httpx.Response:
    return await client.patch(f"/api/v1/signals/{signal_id}", json=change)


async def test_signals_are_listed_newest_first(caller: Caller, insert: Insert) -> None:
    ids = [insert(judged_at=NOON + timedelta(seconds=n)) for n in range(3)]
    assert await _ids(caller.client) == ids[::-1]


async def test_every_page_is_whole_while_signals_come_in(caller: Caller, insert: Insert) -> None:
    ids = [insert(id=bytes([n] * 16)) for n in range(5)]
    seen, cursor = [], None
    while True:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await caller.client.get("/api/v1/signals", params=query)).json()
        seen += [signal["id"] for signal in page["items"]]
        insert(judged_at=NOON + timedelta(days=1))
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ids[::-1]


async def test_filters_choose_signals(caller: Caller, insert: Insert, update: Any) -> None:
    plain = insert()
    trace_id = secrets.token_bytes(16)
    special = insert(
        severity="low",
        trace_id=trace_id,
        root_service="billing",
        services=["billing", "ledger"],
        judged_at=NOON + timedelta(minutes=1),
    )
    update(special, status="investigating", version=2)
    chosen = {
        "status=investigating": await _ids(caller.client, status="investigating"),
        "severity=low": await _ids(caller.client, severity="low"),
        "trace_id": await _ids(caller.client, trace_id=trace_id.hex().upper()),
        "service=billing": await _ids(caller.client, service="billing"),
        "service=ledger": await _ids(caller.client, service="ledger"),
        "from": await _ids(caller.client, **{"from": "2026-11-23T12:00:30Z"}),
    }
    assert chosen == {name: [special] for name in chosen}
    assert await _ids(caller.client, to="2026-11-23T12:00:30Z") == [plain]
    assert await _ids(caller.client, rule_id="promise") == [special, plain]
    assert await _ids(caller.client, rule_id="other") == []
    assert await _ids(caller.client, severity=["low", "high"], status="open") == [plain]


async def test_only_what_was_violated_is_listed_unless_asked_for(
    caller: Caller, insert: Insert, update: Any
) -> None:
    violated = insert()
    doubtful = insert(judged_at=NOON + timedelta(seconds=1))
    update(doubtful, verdict="inconclusive", doubtful=True, revision=2)
    withdrawn = insert(judged_at=NOON + timedelta(seconds=2))
    update(
        withdrawn, verdict="satisfied", revision=2, status="resolved", status_reason="late_evidence"
    )
    never = insert(verdict="inconclusive", reasons=["no_root"])
    assert await _ids(caller.client) == [withdrawn, doubtful, violated]
    assert await _ids(caller.client, verdict="inconclusive") == [doubtful, never]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"cursor": "x"}, "request.cursor"),
        ({"status": "closed"}, "request.invalid"),
        ({"limit": 0}, "request.invalid"),
        ({"trace_id": "xyz"}, "trace.malformed_id"),
        ({"from": "2026-11-23T12:00:00Z", "to": "2026-11-22T12:00:00Z"}, "request.range"),
        ({"from": "yesterday"}, "request.invalid"),
    ],
)
async def test_filters_that_make_no_sense_are_refused(
    query: dict[str, Any], code: str, caller: Caller
) -> None:
    response = await caller.client.get("/api/v1/signals", params=query)
    assert (response.status_code, response.json()["code"]) == (400, code)


async def test_one_signal_is_told_whole(
    caller: Caller, insert: Insert, shared_database: Database
) -> None:
    trace_id = secrets.token_bytes(16)
    explanation = {"verdict": "violated", "clauses": []}
    signal_id = insert(
        trace_id=trace_id,
        explanation=Jsonb(explanation),
        explained_revision=1,
        trace_state="copied",
        witness_span_ids=[bytes([2] * 8)],
    )
    insert_trace(shared_database.worker, caller.scope, trace_id.hex(), "GET /", "b")
    response = await caller.client.get(f"/api/v1/signals/{signal_id}")
    body = response.json()
    assert response.headers["etag"] == '"1"'
    assert (body["id"], body["trace_id"], body["occurred_at"]) == (
        signal_id, trace_id.hex(), "2026-11-23T12:00:00Z",
    )  # fmt: skip
    assert (body["explanation"], body["rule_text"]) == (explanation, "when { a } never { b }")
    assert body["witness_span_ids"] == ["02" * 8]
    assert [(span["span_id"], span["name"], span["parent_span_id"]) for span in body["spans"]] == [
        ("01" * 8, "GET /", None), ("02" * 8, "b", "01" * 8),
    ]  # fmt: skip


async def test_opening_a_signal_puts_its_trace_first(
    caller: Caller, insert: Insert, shared_database: Database
) -> None:
    signal_id = insert()
    await caller.client.get(f"/api/v1/signals/{signal_id}")
    await caller.client.get(f"/api/v1/signals/{signal_id}")
    with psycopg.connect(shared_database.worker) as connection:
        tasks = connection.execute(
            "select urgency from trace_tasks where signal_id = %s", [bytes.fromhex(signal_id)]
        ).fetchall()
    assert tasks == [(0,)]


async def test_the_life_of_a_signal_is_on_record(caller: Caller, insert: Insert) -> None:
    signal_id, key_name = insert(), None
    for change in (
        {"status": "investigating", "version": 1},
        {"status": "resolved", "reason": "fixed in 4.2", "version": 2},
        {"status": "open", "reason": "came back", "version": 3},
        {"status": "false_positive", "reason": "load test", "version": 4},
    ):
        response = await _patch(caller.client, signal_id, **change)
        assert (response.status_code, response.json()["status"]) == (200, change["status"])
    body = response.json()
    key_name = body["history"][0]["actor"]
    assert key_name.startswith("key:")
    assert [
        (e["change"], e["from_status"], e["to_status"], e["reason"], e["version"], e["actor"])
        for e in body["history"]
    ] == [
        ("status", "open", "investigating", None, 2, key_name),
        ("status", "investigating", "resolved", "fixed in 4.2", 3, key_name),
        ("status", "resolved", "open", "came back", 4, key_name),
        ("status", "open", "false_positive", "load test", 5, key_name),
    ]
    assert (body["version"], response.headers["etag"]) == (5, '"5"')


@pytest.mark.parametrize(
    ("before", "after", "allowed"),
    [
        ("open", "investigating", True),
        ("open", "resolved", False),
        ("open", "false_positive", True),
        ("investigating", "open", True),
        ("investigating", "resolved", True),
        ("investigating", "false_positive", True),
        ("resolved", "open", True),
        ("resolved", "investigating", False),
        ("resolved", "false_positive", False),
        ("false_positive", "open", True),
        ("false_positive", "investigating", False),
        ("false_positive", "resolved", False),
    ],
)
async def test_only_these_steps_may_be_taken(
    before: str, after: str, *, allowed: bool, caller: Caller, insert: Insert, update: Any
) -> None:
    signal_id = insert()
    update(signal_id, status=before, status_reason="because")
    response = await _patch(caller.client, signal_id, status=after, reason="because")
    if allowed:
        assert (response.status_code, response.json()["status"]) == (200, after)
    else:
        assert (response.status_code, response.json()["code"]) == (409, "signal.transition")


@pytest.mark.parametrize("status", ["resolved", "false_positive"])
async def test_closing_needs_a_reason(
    status: str, caller: Caller, insert: Insert, update: Any
) -> None:
    signal_id = insert()
    update(signal_id, status="investigating")
    for reason in (None, "", "  "):
        response = await _patch(caller.client, signal_id, status=status, reason=reason)
        assert (response.status_code, response.json()["code"]) == (400, "signal.reason_missing")


async def test_a_stale_version_is_refused(caller: Caller, insert: Insert) -> None:
    signal_id = insert()
    await _patch(caller.client, signal_id, status="investigating", version=1)
    stale = await _patch(caller.client, signal_id, status="open", version=1)
    by_etag = await caller.client.patch(
        f"/api/v1/signals/{signal_id}", json={"status": "open"}, headers={"If-Match": '"1"'}
    )
    assert [
        (r.status_code, r.json()["code"], r.json()["current_version"]) for r in (stale, by_etag)
    ] == [(409, "request.stale_version", 2)] * 2


async def test_asking_for_what_is_so_changes_nothing(caller: Caller, insert: Insert) -> None:
    response = await _patch(caller.client, insert(), status="open")
    assert (response.status_code, response.json()["version"], response.json()["history"]) == (
        200,
        1,
        [],
    )


async def test_a_signal_is_given_to_a_member_and_taken_back(
    caller: Caller, insert: Insert, pool: Pool
) -> None:
    signal_id, email = insert(), await make_user(pool, caller.scope)
    given = await _patch(caller.client, signal_id, assignee=email)
    nobody = await _patch(caller.client, signal_id, assignee=None)
    stranger = await _patch(caller.client, signal_id, assignee="nobody@example.com")
    assert (given.json()["assignee"], nobody.json()["assignee"]) == (email, None)
    assert [entry["assignee"] for entry in nobody.json()["history"]] == [email, None]
    assert (stranger.status_code, stranger.json()["code"]) == (400, "signal.assignee")


@pytest.mark.parametrize(
    "change", [{}, {"reason": "x"}, {"status": "gone"}, {"verdict": "satisfied"}]
)
async def test_a_change_must_say_something_known(
    change: dict[str, str], caller: Caller, insert: Insert
) -> None:
    response = await _patch(caller.client, insert(), **change)
    assert (response.status_code, response.json()["code"]) == (400, "request.invalid")


@pytest.mark.parametrize("signal_id", ["0" * 32, "nothing", "0" * 31, "%00"])
async def test_a_signal_that_is_not_there_is_not_found(signal_id: str, caller: Caller) -> None:
    read = await caller.client.get(f"/api/v1/signals/{signal_id}")
    changed = await caller.client.patch(f"/api/v1/signals/{signal_id}", json={"status": "open"})
    assert (read.status_code, changed.status_code) == (404, 404)


async def test_developers_read_signals_and_do_not_change_them(
    caller: Caller, insert: Insert, app: FastAPI, pool: Pool
) -> None:
    signal_id = insert()
    key = await make_key(pool, caller.scope, Role.DEVELOPER)
    async with client_of(app, key=key) as client:
        read = await client.get(f"/api/v1/signals/{signal_id}")
        changed = await _patch(client, signal_id, status="investigating")
    assert (read.status_code, changed.status_code, changed.json()["code"]) == (
        200, 403, "auth.forbidden",
    )  # fmt: skip


async def test_a_trace_is_told_with_every_span_and_its_signals(
    caller: Caller, insert: Insert, shared_database: Database
) -> None:
    trace_id = secrets.token_bytes(16)
    signal_id = insert(trace_id=trace_id)
    insert_trace(shared_database.worker, caller.scope, trace_id.hex(), "GET /", "b", "c")
    body = (await caller.client.get(f"/api/v1/traces/{trace_id.hex().upper()}")).json()
    assert (body["trace_id"], body["whole"]) == (trace_id.hex(), True)
    assert [span["name"] for span in body["spans"]] == ["GET /", "b", "c"]
    assert body["spans"][0]["start_ns"] == 2**63
    assert body["spans"][0]["attributes"] == {"amount": 12}
    assert [signal["id"] for signal in body["signals"]] == [signal_id]


@pytest.mark.parametrize(("trace_id", "status"), [("0" * 32, 404), ("xyz", 400)])
async def test_a_trace_that_is_not_there_is_not_found(
    trace_id: str, status: int, caller: Caller
) -> None:
    assert (await caller.client.get(f"/api/v1/traces/{trace_id}")).status_code == status
