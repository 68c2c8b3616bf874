"""What shadow rules say and exceptions silence is no alert, and is found when asked for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI
from psycopg.types.json import Jsonb

from api.database import Pool
from api.rules.figures import Raised, rule_figures
from api.signals.model import Shown, Status
from api.signals.routes import feed_events
from api.signals.service import count_by_status
from tests.integration.api.conftest import Caller
from tests.support.postgres import Database
from tests.support.tenants import NOON, insert_rule, insert_signal, update_signal

STAGING = {"where": "service == staging", "reason": "load tests", "owner": "ada"}


@pytest.fixture
async def stored(caller: Caller, shared_database: Database) -> dict[str, str]:
    """One signal of each kind, by name."""
    insert_rule(shared_database.app, caller.scope)
    kinds: dict[str, dict[str, Any]] = {
        "alert": {},
        "shadow": {"shadow": True},
        "excepted": {"exception": Jsonb(STAGING)},
        "undecided": {"exception_due": True},
    }
    return {
        kind: insert_signal(shared_database.worker, caller.scope, **columns)
        for kind, columns in kinds.items()
    }


@pytest.mark.parametrize(
    ("shown", "kinds"),
    [
        (None, {"alert"}),
        (Shown.ALERTS, {"alert"}),
        (Shown.SHADOW, {"shadow"}),
        (Shown.EXCEPTED, {"excepted"}),
        (Shown.ALL, {"alert", "shadow", "excepted", "undecided"}),
    ],
)
async def test_a_list_holds_what_alerts_unless_asked_for_more(
    caller: Caller, stored: dict[str, str], shown: Shown | None, kinds: set[str]
) -> None:
    query = {"shown": shown.value} if shown else {}
    items = (await caller.client.get("/api/v1/signals", params=query)).json()["items"]
    assert {item["id"] for item in items} == {stored[kind] for kind in kinds}


async def test_a_silenced_signal_says_who_excused_it(
    caller: Caller, stored: dict[str, str]
) -> None:
    body = (await caller.client.get(f"/api/v1/signals/{stored['excepted']}")).json()
    assert (body["alerts"], body["status"], body["verdict"]) == (False, "open", "violated")
    assert body["exception"] == {**STAGING, "until": "", "snooze": "", "repeats": ""}


async def test_silent_signals_are_no_open_ones(
    caller: Caller, stored: dict[str, str], pool: Pool
) -> None:
    assert (await count_by_status(pool, caller.scope))[Status.OPEN] == 1


async def test_a_rule_counts_what_it_kept_silent(
    caller: Caller, stored: dict[str, str], pool: Pool
) -> None:
    figures = await rule_figures(pool, caller.scope, "promise", now=NOON)
    assert (figures.alerts, figures.shadow, figures.excepted) == (Raised(1, 1),) * 3


async def test_the_stream_tells_of_a_signal_when_it_begins_to_alert(
    app: FastAPI, caller: Caller, stored: dict[str, str], shared_database: Database
) -> None:
    services = app.state.services
    place = await services.feed.place(caller.scope)
    update_signal(shared_database.worker, caller.scope, stored["shadow"], revision=2)
    update_signal(shared_database.worker, caller.scope, stored["undecided"], exception_due=False)
    events = feed_events(services, caller.scope, Shown.ALERTS, last_event_id=place)
    async with asyncio.timeout(60):
        first = await anext(events)
    assert b"event: raised" in first
    assert stored["undecided"].encode() in first


async def test_a_switch_is_a_version_and_the_same_state_again_is_none(caller: Caller) -> None:
    rule = {"id": "tried", "rule": "when { a } never { b }", "state": "shadow"}
    await caller.client.post("/api/v1/rules", json=rule)
    path = "/api/v1/rules/tried/state"
    versions = []
    for state in ("shadow", "active", "off"):
        body = (await caller.client.post(path, json={"state": state})).json()
        versions.append((body["state"], body["version"], body["rule"]))
    assert versions == [("shadow", 1, rule["rule"]), ("active", 2, rule["rule"]),
                        ("off", 3, rule["rule"])]  # fmt: skip
    stale = await caller.client.post(path, json={"state": "active"}, headers={"If-Match": '"2"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "request.stale_version")


async def test_the_state_of_the_object_is_that_of_the_last_switch(caller: Caller) -> None:
    rule = {"id": "tried", "rule": "when { a } never { b }", "state": "shadow"}
    await caller.client.post("/api/v1/rules", json=rule)
    await caller.client.post("/api/v1/rules/tried/state", json={"state": "active"})
    same = await caller.client.put("/api/v1/rules/tried", json={**rule, "state": "active"})
    assert same.json()["version"] == 2
    back = await caller.client.put("/api/v1/rules/tried", json=rule)
    assert (back.json()["version"], back.json()["state"]) == (3, "shadow")


async def test_exceptions_are_kept_with_the_versions_of_their_rule(caller: Caller) -> None:
    rule = {"id": "excused", "rule": "when { a } never { b }", "exceptions": [STAGING]}
    await caller.client.post("/api/v1/rules", json=rule)
    await caller.client.put("/api/v1/rules/excused", json={**rule, "exceptions": []})
    versions = (await caller.client.get("/api/v1/rules/excused/versions")).json()["items"]
    assert [(one["version"], one["exceptions"]) for one in versions] == [(2, []), (1, [STAGING])]


async def test_problems_of_exceptions_are_refused_with_their_place(caller: Caller) -> None:
    text = (
        "id: excused\nrule: 'when { a } never { b }'\n"
        "exceptions:\n  - {where: service = x, reason: y, until: soon, ownr: ada}\n"
    )
    refused = await caller.client.post(
        "/api/v1/rules", content=text, headers={"Content-Type": "application/yaml"}
    )
    problems = refused.json()["problems"]
    assert [(one["code"], one["line"]) for one in problems] == [
        ("object.unknown_field", 4),
        ("rule.single_equals", 4),
        ("object.value", 4),
    ]


async def test_an_exception_that_is_over_is_warned_about(caller: Caller) -> None:
    one = {**STAGING, "until": "2020-01-31"}
    saved = await caller.client.post(
        "/api/v1/rules",
        json={"id": "excused", "rule": "when { a } never { b }", "exceptions": [one]},
    )
    assert saved.status_code == 201
    assert [warning["code"] for warning in saved.json()["warnings"]] == ["object.exception_over"]
