"""Signals of rules over many traces by REST and on pages."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.integration.api.conftest import Caller
from tests.support.many_signals import CORRELATE, EXPECT, correlated, overdue, seen_again, stored
from tests.support.postgres import Database
from tests.support.tenants import insert_signal, insert_trace
from udfs.wire import betrace_pb2 as wire

pytestmark = pytest.mark.integration

RULES = {"many-charges": CORRELATE, "nightly-backup": EXPECT}
PROMISE = {
    "id": "charge-is-checked",
    "group_by": ["user.id"],
    "rule": "when { charge } always { fraud.check }",
}


async def insert(caller: Caller, database: Database, signal: wire.Signal, **columns: Any) -> str:
    """Save the rule of a signal by the API, and the signal as the worker does."""
    await caller.client.put("/api/v1/rules/charge-is-checked", json=PROMISE)
    rule = {"rule": RULES[signal.rule_id], "severity": "high"}
    saved = await caller.client.put(f"/api/v1/rules/{signal.rule_id}", json=rule)
    assert saved.status_code in (200, 201), saved.text
    of_many = {name: Jsonb(value) for name, value in stored(signal).items()}
    return insert_signal(
        database.worker,
        caller.scope,
        id=signal.id,
        rule_id=signal.rule_id,
        rule_name=signal.rule_id,
        broken_clause="",
        root_name="",
        root_service="",
        trace_id=None,
        raised=True,
        **{**of_many, **columns},
    )


async def test_a_correlate_is_told_by_its_key_members_and_measures(
    caller: Caller, shared_database: Database
) -> None:
    signal_id = await insert(caller, shared_database, correlated())
    body = (await caller.client.get(f"/api/v1/signals/{signal_id}")).json()
    assert (body["trace_id"], body["spans"], body["trace_state"]) == (None, [], "none")
    assert (body["many"]["key"], body["many"]["count"]) == ({"user.id": "u1"}, 2)
    clauses = {one["clause"]: one for one in body["explanation"]["clauses"]}
    assert [len(one["spans"]) for one in clauses["correlate"]["conditions"]] == [1, 1]
    (having,) = clauses["having"]["conditions"]
    assert (having["text"], having["state"], having["measured"]) == (
        "count >= 2", "true", {"count": [2, 2]},
    )  # fmt: skip
    assert body["explanation"]["key"] == {"user.id": "u1"}


async def test_an_expect_is_told_by_when_it_was_due(
    caller: Caller, shared_database: Database
) -> None:
    signal_id = await insert(caller, shared_database, overdue())
    body = (await caller.client.get(f"/api/v1/signals/{signal_id}")).json()
    assert body["many"]["key"] == {"service": "billing"}
    assert body["explanation"]["missing"] == "backup"
    assert body["explanation"]["times"]["due"] == overdue().overdue.due_ns
    (clause,) = body["explanation"]["clauses"]
    assert (clause["clause"], clause["state"]) == ("expect", "false")


async def test_they_are_listed_beside_others(caller: Caller, shared_database: Database) -> None:
    signal_id = await insert(caller, shared_database, correlated())
    (one,) = (await caller.client.get("/api/v1/signals")).json()["items"]
    assert (one["id"], one["trace_id"], one["many"]["kind"]) == (signal_id, None, "correlate")


async def test_another_tenant_sees_nothing_of_them(
    caller: Caller, stranger: Caller, shared_database: Database
) -> None:
    signal_id = await insert(caller, shared_database, correlated())
    assert (await stranger.client.get(f"/api/v1/signals/{signal_id}")).status_code == 404
    assert (await stranger.client.get("/api/v1/signals")).json()["items"] == []
    # Nor does a copy of a trace of that id make a link for the stranger's signal.
    insert_trace(shared_database.worker, stranger.scope, "08" * 16, "theirs")
    page = await caller.client.get(f"/signals/{signal_id}")
    assert f"/traces/{'08' * 16}" not in page.text


@pytest.mark.parametrize("signal", [correlated(), overdue(), seen_again()])
async def test_pages_show_what_was_seen_in_place_of_a_trace(
    caller: Caller, shared_database: Database, signal: wire.Signal
) -> None:
    insert_trace(shared_database.worker, caller.scope, "08" * 16, "login")
    signal_id = await insert(caller, shared_database, signal, verdict=_verdict(signal))
    page = await caller.client.get(f"/signals/{signal_id}")
    assert page.status_code == 200
    assert "This signal is about many traces" in page.text
    for unwanted in ("The trace is not here", "None", "/traces/None", "#span-", "being copied"):
        assert unwanted not in page.text
    listed = (await caller.client.get("/signals")).text
    key = "user.id = u1" if signal.HasField("correlated") else "service = billing"
    assert key in listed
    assert key in page.text
    if signal.HasField("correlated"):
        assert f"/signals/{'09' * 16}" not in page.text  # folded, or refused
        assert f'href="/traces/{"08" * 16}"' in page.text
    if signal.overdue.ended:
        assert "Seen again" in page.text


async def test_a_contributing_signal_that_is_kept_is_linked(
    caller: Caller, stranger: Caller, shared_database: Database
) -> None:
    signal_id = await insert(caller, shared_database, correlated())
    contributing = {"id": bytes([9] * 16), "rule_id": "charge-is-checked"}
    await stranger.client.put("/api/v1/rules/charge-is-checked", json=PROMISE)
    insert_signal(shared_database.worker, stranger.scope, **contributing)
    href = f'href="/signals/{"09" * 16}"'
    assert href not in (await caller.client.get(f"/signals/{signal_id}")).text
    insert_signal(shared_database.worker, caller.scope, **contributing)
    assert href in (await caller.client.get(f"/signals/{signal_id}")).text


def _verdict(signal: wire.Signal) -> str:
    return wire.Verdict.Name(signal.verdict).removeprefix("VERDICT_").lower()
