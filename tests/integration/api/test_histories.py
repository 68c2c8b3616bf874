"""Histories of rules and signals name whoever acts in another's place, and the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from api.auth.access import CSRF_HEADER, SESSION_COOKIE
from api.auth.client import Client
from api.auth.principal import Role, TenantScope
from tests.integration.api.conftest import Caller, client_of
from tests.support.postgres import Database
from tests.support.tenants import insert_member, insert_signal

pytestmark = pytest.mark.integration

SUPPORT = "support@vendor.example"
RULE = {"id": "promise", "rule": "when { a } never { b }"}
Visit = Callable[[str], Awaitable[httpx.AsyncClient]]


@pytest.fixture
def person(scope: TenantScope, shared_database: Database) -> tuple[UUID, str]:
    """An admin of the tenant: id and address."""
    user_id = UUID(insert_member(shared_database, scope, Role.ADMIN))
    with psycopg.connect(shared_database.admin) as connection:
        row = connection.execute("select email from users where id = %s", [user_id]).fetchone()
    assert row is not None
    return user_id, row[0]


@pytest.fixture
async def visit(app: FastAPI, scope: TenantScope, person: tuple[UUID, str]) -> AsyncIterator[Visit]:
    """Begin a session of the person; called with who acts in their place, empty: nobody."""
    clients: list[httpx.AsyncClient] = []

    async def begin(acting: str) -> httpx.AsyncClient:
        begun = await app.state.services.sessions.begin(
            person[0], client=Client("203.0.113.9"), tenant_id=scope.tenant_id, acting=acting
        )
        client = client_of(app)
        client.headers["Cookie"] = f"{SESSION_COOKIE}={begun.token}"
        client.headers[CSRF_HEADER] = begun.principal.csrf_token
        clients.append(client)
        return client

    yield begin
    for client in clients:
        await client.aclose()


async def test_versions_of_a_rule_say_who_acted_in_whose_place(
    visit: Visit, person: tuple[UUID, str], stranger: Caller
) -> None:
    email = person[1]
    alone, support = await visit(""), await visit(SUPPORT)
    assert (await alone.post("/api/v1/rules", json=RULE)).json()["acting"] is None
    saved = await support.put("/api/v1/rules/promise", json={**RULE, "severity": "low"})
    assert (saved.json()["author"], saved.json()["acting"]) == (email, SUPPORT)
    switched = await support.post("/api/v1/rules/promise/state", json={"state": "off"})
    assert (switched.json()["version"], switched.json()["acting"]) == (3, SUPPORT)
    page = (await alone.get("/rules/promise")).text
    # Two versions, and who changed the rule last.
    assert page.count(f"{SUPPORT}, in the place of {email}") == 3
    assert (await alone.delete("/api/v1/rules/promise")).status_code == 204
    versions = (await alone.get("/api/v1/rules/promise/versions")).json()["items"]
    assert [(each["version"], each["author"], each["acting"]) for each in versions] == [
        (4, email, None),
        (3, email, SUPPORT),
        (2, email, SUPPORT),
        (1, email, None),
    ]
    assert (await stranger.client.get("/api/v1/rules/promise/versions")).status_code == 404


async def test_the_history_of_a_signal_says_who_acted_in_whose_place(
    visit: Visit,
    person: tuple[UUID, str],
    scope: TenantScope,
    shared_database: Database,
    stranger: Caller,
) -> None:
    email = person[1]
    alone, support = await visit(""), await visit(SUPPORT)
    await alone.post("/api/v1/rules", json=RULE)
    signal_id = insert_signal(shared_database.worker, scope)
    path = f"/api/v1/signals/{signal_id}"
    await support.patch(path, json={"status": "investigating", "assignee": email})
    with psycopg.connect(shared_database.worker) as connection:
        connection.execute(
            "update signals set verdict = 'satisfied', revision = 2, correction_reason = 'late'"
            " where id = %s",
            [bytes.fromhex(signal_id)],
        )
    await alone.patch(path, json={"status": "resolved", "reason": "done"})
    history = (await alone.get(path)).json()["history"]
    assert [(each["change"], each["actor"], each["acting"]) for each in history] == [
        ("status", email, SUPPORT),
        ("assignee", email, SUPPORT),
        ("verdict", "engine", None),
        ("status", email, None),
    ]
    page = (await alone.get(f"/signals/{signal_id}")).text
    assert page.count(f"{SUPPORT}, in the place of {email}") == 2
    assert (await stranger.client.get(path)).status_code == 404
