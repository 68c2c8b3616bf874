"""Rows of stored traces, by the API: stretches, search, single spans."""

from __future__ import annotations

import secrets
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.integration.api.conftest import Caller
from tests.support.postgres import Database
from tests.support.tenants import insert_rule, insert_signal, insert_trace


@pytest.fixture
def trace_id(caller: Caller, shared_database: Database) -> str:
    """A stored trace: a root, two children of it."""
    trace_id = secrets.token_hex(16)
    insert_trace(shared_database.worker, caller.scope, trace_id, "GET /", "load cart", "charge")
    return trace_id


async def test_rows_are_told_by_column(caller: Caller, trace_id: str) -> None:
    body = (await caller.client.get(f"/api/v1/traces/{trace_id}/rows")).json()
    assert (body["row_count"], body["span_count"], body["error_count"]) == (3, 3, 0)
    assert body["start_ns"] == 2**63  # spans' times have 64 bits without a sign
    assert body["services"] == [{"name": "shop", "span_count": 3, "error_count": 0}]
    assert [body["names"][number] for number in body["rows"]["name"]] == [
        "GET /", "load cart", "charge",
    ]  # fmt: skip
    assert body["rows"] | {"name": None} == {
        "ordinal": [0, 1, 2],
        "parent": [-1, 0, 0],
        "depth": [0, 1, 1],
        "below": [2, 0, 0],
        "errors_below": [0, 0, 0],
        "name": None,
        "service": [0, 0, 0],
        "start_ns": [0, 1, 2],
        "duration_ns": [1_000, 999, 998],
        "flags": [0, 0, 0],
    }


async def test_stretches_of_rows_fit_together(caller: Caller, trace_id: str) -> None:
    url = f"/api/v1/traces/{trace_id}/rows"
    whole = (await caller.client.get(url)).json()
    pieces = [
        (await caller.client.get(url, params={"first": first, "limit": 1})).json()
        for first in range(4)
    ]
    told = [one["names"][number] for one in pieces for number in one["rows"]["name"]]
    assert told == [whole["names"][number] for number in whole["rows"]["name"]]
    assert pieces[3]["rows"]["ordinal"] == []


async def test_answers_are_packed_for_who_takes_them_packed(
    caller: Caller, shared_database: Database
) -> None:
    trace_id = secrets.token_hex(16)
    names = [f"step {number}" for number in range(60)]
    insert_trace(shared_database.worker, caller.scope, trace_id, "GET /", *names)
    url = f"/api/v1/traces/{trace_id}/rows"
    plain = await caller.client.get(url, headers={"Accept-Encoding": "identity"})
    packed = await caller.client.get(url, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json() == plain.json()


async def test_a_copy_that_was_made_anew_is_laid_out_anew(
    caller: Caller, trace_id: str, shared_database: Database
) -> None:
    url = f"/api/v1/traces/{trace_id}/rows"
    assert (await caller.client.get(url)).json()["span_count"] == 3
    with psycopg.connect(shared_database.worker) as connection:
        for statement in (
            b"delete from trace_spans where trace_id = %s and ordinal = 2",
            b"update trace_copies set copied_at = clock_timestamp() where trace_id = %s",
        ):
            connection.execute(statement, [bytes.fromhex(trace_id)])
    assert (await caller.client.get(url)).json()["span_count"] == 2


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ({"q": "CART"}, [1]),
        ({"q": "shop"}, [0, 1, 2]),
        ({"q": "amount"}, [0, 1, 2]),
        ({"q": "0202020202020202"}, [1]),
        ({"q": "fefefefefefefefe"}, []),
        ({"q": "100%"}, []),
        ({"q": ""}, []),
        ({"q": "a\0b"}, []),
        ({"failed": "true"}, []),
    ],
)
async def test_spans_are_found_by_what_they_hold(
    query: dict[str, Any], rows: list[int], caller: Caller, trace_id: str
) -> None:
    answer = await caller.client.get(f"/api/v1/traces/{trace_id}/rows/search", params=query)
    assert answer.json() == {"rows": rows, "more": False}


async def test_one_span_is_told_in_full(caller: Caller, trace_id: str) -> None:
    span = (await caller.client.get(f"/api/v1/traces/{trace_id}/spans/1")).json()
    assert (span["name"], span["attributes"], span["duration_ns"]) == (
        "load cart", {"amount": 12}, 999,
    )  # fmt: skip
    gone = await caller.client.get(f"/api/v1/traces/{trace_id}/spans/7")
    assert (gone.status_code, gone.json()["code"]) == (404, "request.not_found")


async def test_the_rows_of_a_signal_say_what_its_clauses_rest_on_and_miss(
    caller: Caller, trace_id: str, shared_database: Database
) -> None:
    rule = 'when { "load cart" } always { "fraud check" }'
    saved = await caller.client.post("/api/v1/rules", json={"id": "paid", "rule": rule})
    assert saved.status_code == 201, saved.text
    condition = {"text": '"load cart"', "line": 1, "column": 8, "state": "true"}
    found = {**condition, "spans": [{"span_id": "02" * 8, "name": "load cart", "values": {}}]}
    missed = {"text": '"fraud check"', "line": 1, "column": 31, "state": "false", "spans": []}
    clauses = [
        {"clause": "when", "state": "true", "text": "", "conditions": [found]},
        {"clause": "always", "state": "false", "text": "", "conditions": [missed]},
    ]
    signal_id = insert_signal(
        shared_database.worker,
        caller.scope,
        rule_id="paid",
        trace_id=bytes.fromhex(trace_id),
        explanation=Jsonb({"verdict": "violated", "clauses": clauses}),
        explained_revision=1,
    )
    body = (await caller.client.get(f"/api/v1/signals/{signal_id}/rows")).json()
    assert body["marks"] == [[1, ["when"]]]
    assert [(ghost["row"], ghost["clause"], ghost["text"]) for ghost in body["ghosts"]] == [
        (2, "always", '"fraud check"'),
    ]  # fmt: skip
    assert body["rows"]["ordinal"] == [0, 1, -1, 2]
    found_rows = await caller.client.get(
        f"/api/v1/signals/{signal_id}/rows/search", params={"q": "charge"}
    )
    assert found_rows.json()["rows"] == [3]
    span = await caller.client.get(f"/api/v1/signals/{signal_id}/spans/2")
    assert span.json()["name"] == "charge"


async def test_a_signal_without_a_copied_trace_has_no_rows(
    caller: Caller, shared_database: Database
) -> None:
    insert_rule(shared_database.app, caller.scope)
    signal_id = insert_signal(shared_database.worker, caller.scope)
    for path in ("rows", "rows/search", "spans/0", "comparison"):
        answer = await caller.client.get(f"/api/v1/signals/{signal_id}/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "request.not_found")
