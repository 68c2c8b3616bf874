"""The home page and its banner: what does not work is said, and of whose tenant it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from api.auth.access import CSRF_HEADER
from api.auth.principal import Role
from api.database import Pool
from api.health.condition import troubles_of
from tests.integration.api.conftest import Caller, client_of
from tests.support.postgres import Database
from tests.support.tenants import (
    insert_letter,
    insert_rule,
    insert_signal,
    make_user,
    update_signal,
)

CONDITION = "/api/v1/condition"
HTML = {"Accept": "text/html"}


def report(database: Database, alarms: list[str], *, age: timedelta = timedelta()) -> None:
    """Let the worker report of the job."""
    with psycopg.connect(database.worker) as connection:
        connection.execute(
            "insert into part_reports (part, alarms, reported_at) values ('job', %s, now() - %s)"
            " on conflict (part) do update set alarms = excluded.alarms,"
            " reported_at = excluded.reported_at",
            [alarms, age],
        )


@pytest.fixture
def quiet(shared_database: Database) -> Iterator[None]:
    """The job is well before and after."""
    report(shared_database, [])
    yield
    report(shared_database, [])


async def codes(caller: Caller) -> list[str]:
    body = (await caller.client.get(CONDITION)).json()
    return [trouble["code"] for trouble in body["troubles"] if trouble["code"] != "kafka"]


@pytest.mark.usefixtures("quiet")
async def test_all_is_well_until_somebody_says_otherwise(
    caller: Caller, shared_database: Database
) -> None:
    assert await codes(caller) == []
    report(shared_database, ["No job judges: submit it (deploy/README.md)."])
    body = (await caller.client.get(CONDITION)).json()
    assert await codes(caller) == ["job"]
    assert "deploy/README" not in str(body)


@pytest.mark.usefixtures("quiet")
async def test_a_silent_worker_is_a_trouble(caller: Caller, shared_database: Database) -> None:
    report(shared_database, [], age=timedelta(minutes=5))
    assert await codes(caller) == ["worker"]


@pytest.mark.usefixtures("quiet")
async def test_what_ingest_refused_is_told_to_its_tenant_alone(
    caller: Caller, stranger: Caller, shared_database: Database
) -> None:
    insert_letter(shared_database.worker, caller.scope, at=datetime.now(UTC))
    assert (await codes(caller), await codes(stranger)) == (["ingest"], [])


def test_evidence_that_waits_is_a_trouble() -> None:
    row = {
        "job_alarms": None,
        "job_report_age_s": None,
        "unsealed_age_s": 301.0,
        "sealing_outage": None,
        "refused_requests": 0,
    }
    assert [trouble.code for trouble in troubles_of(row, kafka_lost=True)] == ["kafka", "sealing"]
    assert troubles_of({**row, "unsealed_age_s": 299.0}, kafka_lost=False) == ()


@pytest.fixture
async def browser(
    app: FastAPI, caller: Caller, pool: Pool
) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    """The session of an SRE, and its token against forgery."""
    email = await make_user(pool, caller.scope, Role.SRE)
    async with client_of(app) as client:
        answer = await client.post(
            "/api/v1/session", json={"email": email, "password": "correct horse battery staple"}
        )
        assert answer.status_code == 200, answer.text
        yield client, answer.json()["csrf_token"]


async def test_the_page_counts_and_a_form_changes_a_group_and_takes_it_back(
    browser: tuple[httpx.AsyncClient, str], caller: Caller, shared_database: Database
) -> None:
    client, token = browser
    insert_rule(shared_database.app, caller.scope)
    like = {"group_fingerprint": b"g" * 16}
    ids = [insert_signal(shared_database.worker, caller.scope, **like) for _ in range(3)]
    other = insert_signal(shared_database.worker, caller.scope)
    page = (await client.get("/home", headers=HTML)).text
    assert "2 groups, 4 signals" in page
    form = {
        "pick": (b"g" * 16).hex(),
        "query": "status=open",
        "back": "/home?status=open",
        "status": "investigating",
    }
    headers = {**HTML, CSRF_HEADER: token}
    changed = await client.post("/signals/bulk", data=form, headers=headers)
    assert changed.status_code == 303
    place = changed.headers["location"]
    assert place.startswith("/home?status=open&bulk=")
    shown = (await client.get(place, headers=HTML)).text
    assert "Investigating: 3 signals." in shown
    assert "1 group, 1 signal" in shown
    bulk_id = place.rpartition("=")[2]
    undone = await client.post(
        f"/signals/bulk/{bulk_id}/undo", data={"back": "/home"}, headers=headers
    )
    again = (await client.get(undone.headers["location"], headers=HTML)).text
    assert "Taken back for 3 signals." in again
    states = [
        (await caller.client.get(f"/api/v1/signals/{one}")).json()["status"]
        for one in (*ids, other)
    ]
    assert states == ["open"] * 4


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({}, "Choose signals first."),
        ({"id": "0" * 32}, "Choose what to change"),
        ({"id": "0" * 32, "status": "resolved"}, "Say why"),
        ({"which": "all", "assignee": "nobody@example.com"}, "is no member"),
        ({"id": "0" * 32, "status": "investigating"}, "Nothing was changed."),
    ],
)
async def test_a_form_that_cannot_be_followed_is_answered_on_the_page(
    form: dict[str, str], said: str, browser: tuple[httpx.AsyncClient, str]
) -> None:
    client, token = browser
    headers = {**HTML, CSRF_HEADER: token}
    data = {"back": "/signals?severity=high", "query": "severity=high", **form}
    answer = await client.post("/signals/bulk", data=data, headers=headers)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/signals?severity=high&")
    assert said in (await client.get(answer.headers["location"], headers=HTML)).text


async def test_a_form_leads_nowhere_else(browser: tuple[httpx.AsyncClient, str]) -> None:
    client, token = browser
    answer = await client.post(
        "/signals/bulk", data={"back": "//evil.example"}, headers={**HTML, CSRF_HEADER: token}
    )
    assert answer.headers["location"] == "/signals?refused=none"


async def test_a_view_is_saved_used_and_removed_by_forms(
    browser: tuple[httpx.AsyncClient, str], caller: Caller, shared_database: Database
) -> None:
    client, token = browser
    insert_rule(shared_database.app, caller.scope)
    mine = insert_signal(shared_database.worker, caller.scope, severity="critical")
    insert_signal(shared_database.worker, caller.scope, severity="low")
    update_signal(shared_database.worker, caller.scope, mine, tags=["pii"])
    headers = {**HTML, CSRF_HEADER: token}
    saved = await client.post(
        "/signals/views",
        data={"name": "Worst", "query": "severity=critical&tag=pii&next=//evil"},
        headers=headers,
    )
    assert saved.headers["location"] == "/signals?severity=critical&tag=pii&done=saved"
    page = (await client.get(saved.headers["location"], headers=HTML)).text
    assert "The view is saved." in page
    assert page.count('id="signal-') == 1
    view = (await client.get("/api/v1/signals/views")).json()["items"][0]
    again = await client.post("/signals/views", data={"name": "worst"}, headers=headers)
    assert again.headers["location"] == "/signals?refused=name_taken"
    removed = await client.post(f"/signals/views/{view['id']}/remove", data={}, headers=headers)
    assert removed.headers["location"] == "/signals?done=removed"
    assert (await client.get("/api/v1/signals/views")).json()["items"] == []
