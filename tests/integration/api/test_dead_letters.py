"""Dead letters through the REST API, put back into a real Kafka."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.auth.principal import Role
from api.database import Pool
from api.main import create_app
from api.settings import Settings
from tests.integration.api.conftest import Caller, client_of
from tests.support.engine import SpanDraft, export_request
from tests.support.logs import SpansWriter, create_topics, read_log
from tests.support.postgres import Database
from tests.support.rules_log import MemoryRulesLog
from tests.support.tenants import NOON, insert_letter, make_key, make_tenant
from udfs.lanes import lane_of
from udfs.payload import expand

LETTERS = "/api/v1/dead-letters"
PREFIX = "letters"
TRACE = "put back"
REQUEST = export_request([SpanDraft(trace=TRACE, id="root", name="GET /pay")])


@pytest.fixture(scope="module")
def broker(kafka: str) -> str:
    """A broker with the topics of an installation."""
    create_topics(kafka, PREFIX)
    return kafka


@pytest.fixture
async def client(
    broker: str, settings: Settings, pool: Pool, rules_log: MemoryRulesLog
) -> AsyncIterator[Caller]:
    """An administrator of a new tenant, and an application that knows the broker."""
    chosen = settings.model_copy(update={"kafka": broker, "topic_prefix": PREFIX})
    application = create_app(chosen, rules_log=rules_log)
    async with application.router.lifespan_context(application):
        scope = await make_tenant(pool)
        async with client_of(application, key=await make_key(pool, scope)) as opened:
            yield Caller(scope, opened)


async def replay(caller: Caller, letter: str) -> httpx.Response:
    return await caller.client.post(f"{LETTERS}/{letter}/replay")


def spans_of(broker: str, caller: Caller) -> list[bytes]:
    """Return the caller's records on the topic of spans."""
    tenant = str(caller.scope.tenant_id).encode()
    log = read_log(broker, f"{PREFIX}.spans")
    return [expand(record.value) for record in log if record.headers.get("tenant") == tenant]


async def test_letters_are_listed_newest_first_by_what_is_asked_for(
    caller: Caller, shared_database: Database
) -> None:
    def letter(**columns: Any) -> str:
        return insert_letter(shared_database.worker, caller.scope, **columns)

    old = letter()
    new = letter(at=NOON + timedelta(hours=1), source="match", code="match.failed")
    newest = letter(at=NOON + timedelta(hours=2), code="otlp.trace_id_zero")
    insert_letter(shared_database.worker, None)

    async def found(**query: Any) -> list[str]:
        page = (await caller.client.get(LETTERS, params=query)).json()
        return [item["id"] for item in page["items"]]

    assert await found() == [newest, new, old]
    assert await found(code="otlp") == [newest, old]
    assert await found(code="otlp.malformed") == [old]
    assert await found(source="match") == [new]
    assert await found(state="replayed") == []
    assert await found(**{"from": (NOON + timedelta(hours=2)).isoformat()}) == [newest]
    first = (await caller.client.get(LETTERS, params={"limit": 2})).json()
    assert await found(cursor=first["next_cursor"]) == [old]


async def test_one_letter_shows_what_was_kept(caller: Caller, shared_database: Database) -> None:
    letter = insert_letter(shared_database.worker, caller.scope, content=b"\x00\xff")
    body = (await caller.client.get(f"{LETTERS}/{letter}")).json()
    assert (b64decode(body["content"]), body["cut"], body["state"]) == (
        b"\x00\xff",
        False,
        "waiting",
    )


@pytest.mark.parametrize("letter", ["1-1", "nonsense", "-", "1-", f"{2**31}-1", f"1-{2**63}"])
async def test_what_is_no_letter_is_not_found(caller: Caller, letter: str) -> None:
    assert (await caller.client.get(f"{LETTERS}/{letter}")).status_code == 404


async def test_roles_may_read_or_settle(
    app: FastAPI, pool: Pool, caller: Caller, shared_database: Database
) -> None:
    letter = insert_letter(shared_database.worker, caller.scope)
    answers = {}
    for role in (Role.SRE, Role.DEVELOPER, Role.VIEWER):
        async with client_of(app, key=await make_key(pool, caller.scope, role)) as client:
            listed = await client.get(LETTERS)
            settled = await client.post(f"{LETTERS}/{letter}/discard", json={})
            answers[role] = (listed.status_code, settled.status_code)
    assert answers == {
        Role.SRE: (200, 200),
        Role.DEVELOPER: (200, 403),
        Role.VIEWER: (403, 403),
    }


async def test_discarding_keeps_who_and_why(caller: Caller, shared_database: Database) -> None:
    letter = insert_letter(shared_database.worker, caller.scope)
    url = f"{LETTERS}/{letter}/discard"
    body = (await caller.client.post(url, json={"note": "a scanner"})).json()
    again = (await caller.client.post(url, json={"note": "another"})).json()
    assert (body["state"], body["note"]) == ("discarded", "a scanner")
    assert body["settled_by"].startswith("key:")
    assert again == body
    refused = await replay(caller, letter)
    assert (refused.status_code, refused.json()["code"]) == (409, "dead_letter.discarded")


@pytest.mark.integration
async def test_a_request_is_put_back_once(
    client: Caller, broker: str, shared_database: Database
) -> None:
    letter = insert_letter(shared_database.worker, client.scope, content=REQUEST)
    answer = await replay(client, letter)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["spans"], body["refused"], body["letter"]["state"]) == (1, 0, "replayed")
    assert body["letter"]["note"] == "1 spans taken, 0 refused again"
    again = (await replay(client, letter)).json()
    assert (again["spans"], again["letter"]) == (0, body["letter"])
    assert len(spans_of(broker, client)) == 1


@pytest.mark.integration
async def test_a_record_of_the_stream_is_read_again_whole(
    client: Caller, broker: str, shared_database: Database
) -> None:
    from tests.support.engine import trace_id

    tenant = str(client.scope.tenant_id)
    lane = lane_of(tenant, trace_id(TRACE))
    large = export_request(
        [SpanDraft(trace=TRACE, id="root", name="GET /pay", attributes={"x": "y" * 20_000})]
    )
    writer = SpansWriter(broker, f"{PREFIX}.spans")
    writer.write(large, tenant=tenant, lane=lane, spans=1)
    writer.flush()
    (record,) = [r for r in read_log(broker, f"{PREFIX}.spans") if expand(r.value) == large]
    place = {"source": "match", "topic": "spans", "log_partition": record.partition}

    letter = insert_letter(
        shared_database.worker,
        client.scope,
        content=large[: 16 * 1024],
        log_offset=record.offset,
        **place,
    )
    body = (await replay(client, letter)).json()
    assert body["spans"] == 1, body
    put_back = spans_of(broker, client)
    assert len(put_back) == 2
    assert len(put_back[1]) > 20_000

    gone = insert_letter(
        shared_database.worker, client.scope, content=b"x" * 16 * 1024, log_offset=10**9, **place
    )
    refused = await replay(client, gone)
    assert (refused.status_code, refused.json()["code"]) == (409, "dead_letter.gone")


@pytest.mark.integration
async def test_a_record_of_another_tenant_is_never_put_back(
    client: Caller, broker: str, shared_database: Database
) -> None:
    writer = SpansWriter(broker, f"{PREFIX}.spans")
    writer.write(REQUEST + b"", tenant="3f0c7d0e-0c1b-4c0a-9a55-1f2e3d4c5b6a", lane=5, spans=1)
    writer.flush()
    theirs = next(r for r in read_log(broker, f"{PREFIX}.spans") if r.headers.get("lane") == b"5")
    letter = insert_letter(
        shared_database.worker,
        client.scope,
        source="match",
        content=b"x" * 16 * 1024,
        log_partition=theirs.partition,
        log_offset=theirs.offset,
    )
    assert (await replay(client, letter)).status_code == 409
    assert spans_of(broker, client) == []


@pytest.mark.integration
async def test_what_would_be_refused_again_stays_a_letter(
    client: Caller, broker: str, shared_database: Database
) -> None:
    letter = insert_letter(shared_database.worker, client.scope)
    refused = await replay(client, letter)
    assert (refused.status_code, refused.json()["code"]) == (422, "dead_letter.refused")
    span = insert_letter(shared_database.worker, client.scope, code="otlp.trace_id_zero")
    assert (await replay(client, span)).json()["code"] == "dead_letter.no_spans"
    state = (await client.client.get(f"{LETTERS}/{letter}")).json()["state"]
    assert state == "waiting"


@pytest.mark.integration
async def test_another_tenants_letter_is_not_found(
    client: Caller, pool: Pool, shared_database: Database
) -> None:
    letter = insert_letter(shared_database.worker, await make_tenant(pool), content=REQUEST)
    assert (await replay(client, letter)).status_code == 404


async def test_without_kafka_nothing_is_settled(caller: Caller, shared_database: Database) -> None:
    letter = insert_letter(shared_database.worker, caller.scope, source="match")
    answer = await replay(caller, letter)
    assert (answer.status_code, answer.json()["code"]) == (503, "kafka.unavailable")
    state = (await caller.client.get(f"{LETTERS}/{letter}")).json()["state"]
    assert state == "waiting"
