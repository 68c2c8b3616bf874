"""The live feed: nothing missed, nothing twice, nothing of another tenant."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import psycopg
import pytest
from fastapi import FastAPI

from api.auth.principal import TenantScope
from api.database import Pool
from api.signals.feed import Change, FeedHub, Place, SignalEvent, SignalFeed
from api.signals.model import Shown
from api.signals.routes import feed_events
from tests.integration.api.conftest import Caller
from tests.support.postgres import Database
from tests.support.tenants import insert_rule, insert_signal, make_tenant, update_signal

PATIENCE_S = 10


@pytest.fixture
async def feed(pool: Pool, shared_database: Database) -> AsyncIterator[SignalFeed]:
    hub = FeedHub(shared_database.app)
    listening = asyncio.create_task(hub.run())
    yield SignalFeed(pool, hub)
    listening.cancel()


@pytest.fixture
def tenant(scope: TenantScope, shared_database: Database) -> TenantScope:
    """A tenant with a rule."""
    insert_rule(shared_database.app, scope)
    return scope


async def _take(events: AsyncIterator[SignalEvent], count: int) -> list[SignalEvent]:
    async with asyncio.timeout(PATIENCE_S):
        return [await anext(events) for _ in range(count)]


def _told(events: list[SignalEvent]) -> list[tuple[Change, str | None]]:
    return [(event.change, event.signal.id if event.signal else None) for event in events]


async def test_what_happens_after_the_list_was_read_is_told(
    feed: SignalFeed, tenant: TenantScope, shared_database: Database
) -> None:
    before = insert_signal(shared_database.worker, tenant)
    place = await feed.place(tenant)
    events = feed.events(tenant, last_event_id=place)
    raised = insert_signal(shared_database.worker, tenant)
    first = await _take(events, 1)
    update_signal(shared_database.worker, tenant, before, status="investigating", version=2)
    assert _told([*first, *await _take(events, 1)]) == [
        (Change.RAISED, raised), (Change.CHANGED, before),
    ]  # fmt: skip


async def test_a_reader_who_comes_back_misses_nothing_and_sees_nothing_twice(
    feed: SignalFeed, tenant: TenantScope, shared_database: Database
) -> None:
    place = await feed.place(tenant)
    ids = [insert_signal(shared_database.worker, tenant) for _ in range(5)]
    seen = await _take(feed.events(tenant, last_event_id=place), 2)
    seen += await _take(feed.events(tenant, last_event_id=seen[-1].id), 3)
    assert _told(seen) == [(Change.RAISED, signal_id) for signal_id in ids]


async def test_an_older_transaction_that_commits_later_is_not_skipped(
    feed: SignalFeed, tenant: TenantScope, shared_database: Database
) -> None:
    events = feed.events(tenant, last_event_id=await feed.place(tenant))
    with psycopg.connect(shared_database.worker) as older:
        older.execute("select pg_current_xact_id()")
        newer = insert_signal(shared_database.worker, tenant)
        waiting = asyncio.create_task(_take(events, 1))
        done, _ = await asyncio.wait({waiting}, timeout=0.3)
        assert not done
        older.commit()
    assert _told(await waiting) == [(Change.RAISED, newer)]


async def test_several_changes_of_one_signal_are_told_once(
    feed: SignalFeed, tenant: TenantScope, shared_database: Database
) -> None:
    place = await feed.place(tenant)
    signal_id = insert_signal(shared_database.worker, tenant)
    for version in (2, 3):
        update_signal(shared_database.worker, tenant, signal_id, version=version)
    last = insert_signal(shared_database.worker, tenant)
    told = await _take(feed.events(tenant, last_event_id=place), 2)
    assert _told(told) == [(Change.RAISED, signal_id), (Change.RAISED, last)]
    assert told[0].signal is not None
    assert told[0].signal.version == 3


async def test_a_judgement_that_was_never_a_violation_is_not_told(
    feed: SignalFeed, tenant: TenantScope, shared_database: Database
) -> None:
    place = await feed.place(tenant)
    insert_signal(shared_database.worker, tenant, verdict="inconclusive")
    raised = insert_signal(shared_database.worker, tenant)
    told = await _take(feed.events(tenant, last_event_id=place), 1)
    assert _told(told) == [(Change.RAISED, raised)]


async def test_a_stream_tells_nothing_of_another_tenant(
    feed: SignalFeed, tenant: TenantScope, pool: Pool, shared_database: Database
) -> None:
    other = await make_tenant(pool)
    insert_rule(shared_database.app, other)
    place = await feed.place(other)
    insert_signal(shared_database.worker, tenant)
    own = insert_signal(shared_database.worker, other)
    assert _told(await _take(feed.events(other, last_event_id=place), 1)) == [(Change.RAISED, own)]


@pytest.mark.parametrize(
    "last_event_id",
    ["", "nonsense", "1-2", str(Place(1, 1, 1)), str(Place(2**62, 1, 2**40)), "9" * 30 + "-1-1"],
)
async def test_whoever_was_away_too_long_is_told_to_load_anew(
    last_event_id: str, feed: SignalFeed, tenant: TenantScope, shared_database: Database
) -> None:
    events = feed.events(tenant, last_event_id=last_event_id)
    assert _told(await _take(events, 1)) == [(Change.RELOAD, None)]
    raised = insert_signal(shared_database.worker, tenant)
    assert _told(await _take(events, 1)) == [(Change.RAISED, raised)]


async def test_readers_go_on_after_the_listening_connection_broke(
    feed: SignalFeed, tenant: TenantScope, shared_database: Database
) -> None:
    events = feed.events(tenant, last_event_id=await feed.place(tenant))
    with psycopg.connect(shared_database.admin, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'betrace-feed' and datname = current_database()"
        )
    raised = insert_signal(shared_database.worker, tenant)
    assert _told(await _take(events, 1)) == [(Change.RAISED, raised)]


async def test_events_are_server_sent_with_their_id(
    app: FastAPI, caller: Caller, shared_database: Database
) -> None:
    insert_rule(shared_database.app, caller.scope)
    services = app.state.services
    place = await services.feed.place(caller.scope)
    signal_id = insert_signal(shared_database.worker, caller.scope)
    stream = feed_events(services, caller.scope, Shown.ALERTS, last_event_id=place)
    async with asyncio.timeout(PATIENCE_S):
        sent = await anext(stream)
    told = messages(sent)
    assert [(name, json.loads(data)["id"]) for name, data, _ in told] == [("raised", signal_id)]
    assert Place.parse(told[0][2]) is not None


def messages(chunk: bytes) -> list[tuple[str, str, str]]:
    """Return the events of a chunk: name, data, id."""
    found = []
    for text in chunk.decode().replace("\r\n", "\n").strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in text.split("\n"))
        found.append((fields["event"], fields["data"], fields["id"]))
    return found


async def test_many_readers_read_the_database_once(
    feed: SignalFeed, tenant: TenantScope, shared_database: Database
) -> None:
    place = await feed.place(tenant)
    readers = [feed.batches(tenant, last_event_id=place) for _ in range(100)]
    waiting = [asyncio.ensure_future(anext(reader)) for reader in readers]
    async with asyncio.timeout(60):
        while feed.watched(tenant) < len(readers):
            await asyncio.sleep(0.01)
    raised = insert_signal(shared_database.worker, tenant)
    async with asyncio.timeout(PATIENCE_S):
        told = await asyncio.gather(*waiting)
    assert {id(batch) for batch in told} == {id(told[0])}
    assert _told(list(told[0].events)) == [(Change.RAISED, raised)]
    for reader in readers:
        await reader.aclose()


async def test_a_reader_who_fell_behind_catches_up_without_loss(
    feed: SignalFeed,
    tenant: TenantScope,
    shared_database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.signals.feed.KEPT_MAX", 2)
    monkeypatch.setattr("api.signals.feed.PACE_S", 0.0)
    place = await feed.place(tenant)
    quick, slow = (feed.events(tenant, last_event_id=place) for _ in range(2))
    ids = [insert_signal(shared_database.worker, tenant)]
    seen = _told(await _take(slow, 1))
    await _take(quick, 1)
    for _ in range(6):
        ids.append(insert_signal(shared_database.worker, tenant))
        await _take(quick, 1)
    seen += _told(await _take(slow, 6))
    assert seen == [(Change.RAISED, signal_id) for signal_id in ids]


async def test_of_much_at_once_the_last_is_told_and_the_rest_is_counted(
    app: FastAPI, caller: Caller, shared_database: Database
) -> None:
    insert_rule(shared_database.app, caller.scope)
    services = app.state.services
    place = await services.feed.place(caller.scope)
    ids = [insert_signal(shared_database.worker, caller.scope) for _ in range(5)]
    stream = feed_events(services, caller.scope, Shown.ALERTS, last_event_id=place, most=2)
    async with asyncio.timeout(PATIENCE_S):
        told = messages(await anext(stream))
    assert (told[0][0], json.loads(told[0][1])) == ("more", {"count": 3})
    assert [json.loads(data)["id"] for name, data, _ in told[1:]] == ids[3:]
    again = feed_events(services, caller.scope, Shown.ALERTS, last_event_id=told[0][2])
    async with asyncio.timeout(PATIENCE_S):
        after = messages(await anext(again))
    assert [json.loads(data)["id"] for _, data, _ in after] == ids[3:]


async def test_who_begins_now_is_told_the_place_before_anything_happens(
    app: FastAPI, caller: Caller, shared_database: Database
) -> None:
    insert_rule(shared_database.app, caller.scope)
    services = app.state.services
    stream = feed_events(services, caller.scope, Shown.ALERTS, last_event_id=None)
    async with asyncio.timeout(PATIENCE_S):
        said = (await anext(stream)).decode()
    place = said.removeprefix("id: ").strip()
    assert Place.parse(place) is not None
    assert said == f"id: {place}\r\n\r\n"
    missed = insert_signal(shared_database.worker, caller.scope)
    again = feed_events(services, caller.scope, Shown.ALERTS, last_event_id=place)
    async with asyncio.timeout(PATIENCE_S):
        told = (await anext(again)).decode()
    assert "event: raised" in told
    assert missed in told
