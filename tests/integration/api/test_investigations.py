"""What people find out about signals: how they end, notes, links, what is related, regressions."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from api.auth.principal import Role
from tests.integration.api.conftest import Caller, client_of
from tests.support.postgres import Database
from tests.support.tenants import (
    NOON,
    insert_rule,
    insert_signal,
    insert_trace,
    make_key,
    update_signal,
)

Insert = Callable[..., str]
GROUP = bytes(range(16))


@pytest.fixture
def insert(caller: Caller, shared_database: Database) -> Insert:
    """Write a signal of the caller's tenant and return its id."""
    insert_rule(shared_database.app, caller.scope)
    return partial(insert_signal, shared_database.worker, caller.scope)


@pytest.fixture
def update(caller: Caller, shared_database: Database) -> Callable[..., None]:
    """Change a signal of the caller's tenant as the worker does."""
    return partial(update_signal, shared_database.worker, caller.scope)


async def patch(client: httpx.AsyncClient, signal_id: str, **change: Any) -> httpx.Response:
    return await client.patch(f"/api/v1/signals/{signal_id}", json=change)


async def resolve(client: httpx.AsyncClient, signal_id: str, **change: Any) -> dict[str, Any]:
    await patch(client, signal_id, status="investigating")
    answer = await patch(client, signal_id, status="resolved", reason="fixed in 4.2", **change)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


# ---------------------------------------------------------------------- how signals end


async def test_how_a_signal_ended_is_told_and_is_taken_back_when_it_opens_again(
    caller: Caller, insert: Insert
) -> None:
    signal_id = insert()
    ended = await resolve(caller.client, signal_id, disposition="fixed", until_regression=True)
    assert (ended["disposition"], ended["until_regression"]) == ("fixed", True)
    entry = ended["history"][-1]
    assert (entry["to_status"], entry["disposition"], entry["until_regression"]) == (
        "resolved", "fixed", True,
    )  # fmt: skip
    again = (await patch(caller.client, signal_id, status="open", reason="came back")).json()
    assert (again["disposition"], again["until_regression"]) == (None, False)


async def test_how_it_ended_can_be_corrected_without_opening_it(
    caller: Caller, insert: Insert
) -> None:
    signal_id = insert()
    ended = await resolve(caller.client, signal_id, disposition="fixed")
    told = (
        await patch(caller.client, signal_id, status="resolved", disposition="duplicate")
    ).json()
    assert (told["disposition"], told["version"]) == ("duplicate", ended["version"] + 1)
    same = (await patch(caller.client, signal_id, status="resolved")).json()
    assert (same["disposition"], same["version"]) == ("duplicate", told["version"])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"status": "false_positive", "disposition": "fixed"}, "signal.disposition"),
        ({"status": "investigating", "disposition": "fixed"}, "signal.disposition"),
        ({"status": "false_positive", "until_regression": True}, "signal.until_regression"),
        ({"status": "open", "until_regression": True}, "signal.until_regression"),
        ({"disposition": "fixed", "assignee": None}, "request.invalid"),
        ({"status": "false_positive", "disposition": "whatever"}, "request.invalid"),
    ],
)
async def test_endings_that_make_no_sense_are_refused(
    change: dict[str, Any], code: str, caller: Caller, insert: Insert
) -> None:
    refused = await patch(caller.client, insert(), reason="because", **change)
    assert (refused.status_code, refused.json()["code"]) == (400, code)


async def test_a_signal_resolved_until_a_regression_opens_with_the_next_of_its_group(
    caller: Caller, insert: Insert, update: Callable[..., None]
) -> None:
    watched = insert(group_fingerprint=GROUP)
    settled = insert(group_fingerprint=GROUP)
    await resolve(caller.client, watched, until_regression=True)
    await resolve(caller.client, settled)
    later = datetime.now(UTC) + timedelta(hours=1)
    before = insert(group_fingerprint=GROUP, judged_at=NOON)
    shadow = insert(group_fingerprint=GROUP, judged_at=later, shadow=True)
    other = insert(group_fingerprint=bytes(16), judged_at=later)
    assert len({before, shadow, other}) == 3
    assert (await caller.client.get(f"/api/v1/signals/{watched}")).json()["status"] == "resolved"

    # Of a trace the group is known only once its copy is explained.
    again = insert(judged_at=later)
    update(again, group_fingerprint=GROUP)
    body = (await caller.client.get(f"/api/v1/signals/{watched}")).json()
    assert (body["status"], body["status_reason"], body["until_regression"]) == (
        "open", "regressed", False,
    )  # fmt: skip
    entry = body["history"][-1]
    assert (entry["actor"], entry["from_status"], entry["to_status"], entry["other_id"]) == (
        "engine", "resolved", "open", again,
    )  # fmt: skip
    assert (await caller.client.get(f"/api/v1/signals/{settled}")).json()["status"] == "resolved"


async def test_a_batch_opens_what_it_breaks_again_in_one_tenant_alone(
    caller: Caller, stranger: Caller, insert: Insert, shared_database: Database
) -> None:
    watched = insert(group_fingerprint=GROUP)
    await resolve(caller.client, watched, until_regression=True)
    insert_rule(shared_database.app, stranger.scope)
    later = datetime.now(UTC) + timedelta(hours=1)
    insert_signal(shared_database.worker, stranger.scope, group_fingerprint=GROUP, judged_at=later)
    assert (await caller.client.get(f"/api/v1/signals/{watched}")).json()["status"] == "resolved"


# ---------------------------------------------------------------------- notes


async def test_a_note_is_kept_laid_out_and_on_the_record_by_its_hash(
    caller: Caller, insert: Insert
) -> None:
    signal_id = insert()
    text = "The **flag** was off.\n\n<script>alert(1)</script>"
    made = await caller.client.post(f"/api/v1/signals/{signal_id}/notes", json={"text": text})
    note = made.json()
    assert (made.status_code, made.headers["etag"], note["version"]) == (201, '"1"', 1)
    assert (note["text"], note["text_sha256"]) == (text, sha256(text.encode()).hexdigest())
    assert "<strong>flag</strong>" in note["html"]
    assert "<script>" not in note["html"]
    query = {"action": "signal.note_added"}
    (row,) = (await caller.client.get("/api/v1/audit", params=query)).json()["items"]
    assert row["target"] == f"signal:{signal_id}"
    assert row["details"]["sha256"] == note["text_sha256"]
    assert "flag" not in str(row)


async def test_personal_data_and_secrets_never_reach_the_database(
    caller: Caller, insert: Insert, shared_database: Database
) -> None:
    signal_id = insert()
    secrets_ = ("ada.lovelace@customer.example", "4111 1111 1111 1111", "AKIAIOSFODNN7EXAMPLE")
    text = "Asked {}, card {}, key {}; pod 10.1.2.3 was slow.".format(*secrets_)
    made = await caller.client.post(f"/api/v1/signals/{signal_id}/notes", json={"text": text})
    with psycopg.connect(shared_database.admin) as connection:
        (kept,) = connection.execute(
            "select text from signal_notes where id = %s", [made.json()["id"]]
        ).fetchone() or ("",)
    assert kept == made.json()["text"]
    assert [secret for secret in secrets_ if secret in kept] == []
    assert "pod 10.1.2.3 was slow" in kept


async def test_who_wrote_a_note_corrects_and_removes_it_and_nobody_else(
    caller: Caller, insert: Insert, app: FastAPI
) -> None:
    notes = f"/api/v1/signals/{insert()}/notes"
    note = (await caller.client.post(notes, json={"text": "First."})).json()
    one = f"{notes}/{note['id']}"
    changed = await caller.client.put(one, json={"text": "Second."}, headers={"If-Match": '"1"'})
    assert (changed.json()["text"], changed.headers["etag"]) == ("Second.", '"2"')
    assert changed.json()["changed_at"] is not None
    stale = await caller.client.put(one, json={"text": "Third."}, headers={"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (409, "request.stale_version")
    key = await make_key(app.state.services.pool, caller.scope, Role.SRE)
    async with client_of(app, key=key) as colleague:
        for method, body in (("PUT", {"text": "Theirs."}), ("DELETE", None)):
            refused = await colleague.request(method, one, json=body)
            assert (refused.status_code, refused.json()["code"]) == (403, "note.of_somebody_else")
    gone = (await caller.client.delete(one)).json()
    assert (gone["text"], gone["html"], gone["removed_by"]) == ("", "", note["author"])
    listed = (await caller.client.get(notes)).json()["items"]
    assert [(item["id"], item["text"]) for item in listed] == [(note["id"], "")]
    again = await caller.client.put(one, json={"text": "Back."})
    assert again.status_code == 404


async def test_notes_are_paged_newest_first(caller: Caller, insert: Insert) -> None:
    notes = f"/api/v1/signals/{insert()}/notes"
    for number in range(5):
        await caller.client.post(notes, json={"text": f"Note {number}"})
    seen, cursor = [], None
    while True:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await caller.client.get(notes, params=query)).json()
        seen += [item["text"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"Note {number}" for number in (4, 3, 2, 1, 0)]


@pytest.mark.parametrize("text", ["", "   \n ", "x" * 10_001])
async def test_a_note_without_a_text_or_with_too_long_a_one_is_refused(
    text: str, caller: Caller, insert: Insert
) -> None:
    refused = await caller.client.post(f"/api/v1/signals/{insert()}/notes", json={"text": text})
    assert refused.status_code == 400


async def test_a_note_on_another_signal_is_not_found_there(caller: Caller, insert: Insert) -> None:
    note = (
        await caller.client.post(f"/api/v1/signals/{insert()}/notes", json={"text": "Here."})
    ).json()
    elsewhere = f"/api/v1/signals/{insert()}/notes/{note['id']}"
    assert (await caller.client.put(elsewhere, json={"text": "There."})).status_code == 404
    assert (await caller.client.delete(elsewhere)).status_code == 404


# ---------------------------------------------------------------------- links, related


async def test_a_link_counts_for_both_and_stands_in_both_histories(
    caller: Caller, insert: Insert
) -> None:
    one, other = insert(), insert()
    for _ in range(2):  # said twice, it is one link
        answer = await caller.client.put(f"/api/v1/signals/{one}/links/{other}")
        assert [signal["id"] for signal in answer.json()["linked"]] == [other]
    related = (await caller.client.get(f"/api/v1/signals/{other}/related")).json()
    assert [signal["id"] for signal in related["linked"]] == [one]
    for first, second in ((one, other), (other, one)):
        history = (await caller.client.get(f"/api/v1/signals/{first}")).json()["history"]
        assert [(e["change"], e["other_id"]) for e in history] == [("linked", second)]
    gone = await caller.client.delete(f"/api/v1/signals/{other}/links/{one}")
    assert gone.json()["linked"] == []
    history = (await caller.client.get(f"/api/v1/signals/{one}")).json()["history"]
    assert [e["change"] for e in history] == ["linked", "unlinked"]


async def test_a_signal_is_not_linked_to_itself_nor_to_nothing(
    caller: Caller, insert: Insert
) -> None:
    one = insert()
    itself = await caller.client.put(f"/api/v1/signals/{one}/links/{one}")
    assert (itself.status_code, itself.json()["code"]) == (400, "signal.link")
    assert (await caller.client.put(f"/api/v1/signals/{one}/links/{'f' * 32}")).status_code == 404


async def test_signals_of_the_same_trace_and_group_are_related(
    caller: Caller, insert: Insert
) -> None:
    trace_id = secrets.token_bytes(16)
    one = insert(trace_id=trace_id, group_fingerprint=GROUP)
    beside = insert(trace_id=trace_id, judged_at=NOON + timedelta(seconds=1))
    earlier = insert(group_fingerprint=GROUP, judged_at=NOON - timedelta(hours=2))
    insert(trace_id=trace_id, verdict="inconclusive")  # never raised
    related = (await caller.client.get(f"/api/v1/signals/{one}/related")).json()
    assert [signal["id"] for signal in related["of_trace"]] == [beside]
    assert [signal["id"] for signal in related["of_group"]] == [earlier]
    assert (related["group_count"], related["first_at"], related["last_at"]) == (
        2, "2026-11-23T10:00:00Z", "2026-11-23T12:00:00Z",
    )  # fmt: skip


# ---------------------------------------------------------------------- beside a kept promise


async def test_a_trace_that_kept_the_promise_is_found_and_compared(
    caller: Caller, shared_database: Database
) -> None:
    insert_rule(shared_database.app, caller.scope)  # when { a } never { b }
    broken, kept, other = (secrets.token_hex(16) for _ in range(3))
    insert_trace(shared_database.worker, caller.scope, broken, "GET /", "a", "b")
    insert_trace(shared_database.worker, caller.scope, kept, "GET /", "a", "c")
    insert_trace(shared_database.worker, caller.scope, other, "GET /", "d")  # it does not apply
    signal_id = insert_signal(shared_database.worker, caller.scope, trace_id=bytes.fromhex(broken))
    body = (await caller.client.get(f"/api/v1/signals/{signal_id}/comparison")).json()
    assert body["trace_id"] == kept
    assert [(item["kind"], item["path"][-1]["name"], item["row"]) for item in body["items"]] == [
        ("missing", "c", -1), ("added", "b", 2),
    ]  # fmt: skip


async def test_without_a_kept_promise_there_is_nothing_to_compare_with(
    caller: Caller, shared_database: Database
) -> None:
    insert_rule(shared_database.app, caller.scope)
    broken, also = secrets.token_hex(16), secrets.token_hex(16)
    for trace_id in (broken, also):
        insert_trace(shared_database.worker, caller.scope, trace_id, "GET /", "a", "b")
    signal_id = insert_signal(shared_database.worker, caller.scope, trace_id=bytes.fromhex(broken))
    body = (await caller.client.get(f"/api/v1/signals/{signal_id}/comparison")).json()
    assert (body["trace_id"], body["tried"], body["items"]) == (None, 1, [])
