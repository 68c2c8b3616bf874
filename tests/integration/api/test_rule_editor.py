"""What an editor of rules asks, drafts on stored traces, and rules made out of them."""

from __future__ import annotations

import secrets
from typing import Any

import psycopg
import pytest
from fastapi import FastAPI

from api.auth.principal import Role
from api.database import Pool
from tests.integration.api.conftest import Caller, client_of
from tests.support.postgres import Database
from tests.support.tenants import insert_rule, insert_signal, insert_trace, make_key

BEGIN_NS = 1_764_000_000_000_000_000
KEPT = "when { charge.where(amount > 10) } always { audit }"
MARKS = "/api/v1/rules/editor/marks"
COMPLETIONS = "/api/v1/rules/editor/completions"
HOVER = "/api/v1/rules/editor/hover"
STORED = "/api/v1/rules/trial/stored"


@pytest.fixture
def trace_id(caller: Caller, shared_database: Database) -> str:
    """A stored trace that keeps the promise."""
    trace_id = secrets.token_hex(16)
    insert_trace(shared_database.worker, caller.scope, trace_id, "GET /", "charge", "audit")
    with psycopg.connect(shared_database.worker) as connection:
        connection.execute(
            "update trace_spans set start_ns = %s + ordinal * 1000, end_ns = %s + 9000"
            " where trace_id = %s",
            [BEGIN_NS, BEGIN_NS, bytes.fromhex(trace_id)],
        )
    return trace_id


async def asked(caller: Caller, url: str, **body: Any) -> Any:
    answer = await caller.client.post(url, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


# -- the editor ------------------------------------------------------------------------------------


async def test_marks_tell_what_is_wrong_and_what_each_word_is(caller: Caller) -> None:
    text = "when { \U0001f600.where(a = 1) }\nalways { b }"
    told = await asked(caller, MARKS, text="when { a.where(x = 1) }\nalways { b }")
    assert [(one["code"], one["start"], one["end"], one["fix"]) for one in told["problems"]] == [
        ("rule.single_equals", 17, 18,
         {"title": "Write ==", "start": 17, "end": 18, "insert": "=="}),
    ]  # fmt: skip
    assert told["tokens"][:3] == [[0, 4, "clause"], [7, 8, "span"], [9, 14, "keyword"]]
    beyond = await asked(caller, MARKS, text=text)
    assert [text[one["start"] : one["end"]] for one in beyond["problems"]][:1] == ["\U0001f600"]


async def test_names_come_from_the_tenants_own_traces(
    caller: Caller, stranger: Caller, trace_id: str
) -> None:
    text = "when { charg } never { b }"
    own, others = [
        await asked(who, COMPLETIONS, text=text, offset=12) for who in (caller, stranger)
    ]
    assert [one["label"] for one in own["items"] if one["kind"] == "span"] == ["charge"]
    assert [one["label"] for one in others["items"] if one["kind"] == "span"] == []
    codes = [
        [one["code"] for one in (await asked(who, MARKS, text=text))["problems"]]
        for who in (caller, stranger)
    ]
    assert codes == [["rule.unseen_name"], []]
    told = await asked(caller, HOVER, text=KEPT, offset=9)
    assert "seen once" in told["markdown"]
    told = await asked(stranger, HOVER, text=KEPT, offset=9)
    assert "seen" not in told["markdown"]


async def test_who_may_not_read_traces_is_told_no_names(
    app: FastAPI, pool: Pool, caller: Caller, trace_id: str
) -> None:
    key = await make_key(pool, caller.scope, Role.API_CLIENT)
    async with client_of(app, key=key) as client:
        told = await client.post(COMPLETIONS, json={"text": "when { charg", "offset": 12})
        assert [one["label"] for one in told.json()["items"]] == []
        refused = await client.post(STORED, json={"rule": KEPT, "recent": 5})
        assert refused.status_code == 403


async def test_nothing_is_said_of_a_place_that_means_nothing(caller: Caller) -> None:
    told = await asked(caller, HOVER, text="when { a }", offset=5)
    assert told == {"markdown": "", "start": 5, "end": 5}
    assert (await asked(caller, COMPLETIONS, text="// a ", offset=5)) == {"items": []}


# -- drafts on stored traces -----------------------------------------------------------------------


async def test_a_draft_is_tried_on_the_newest_traces_with_its_clauses_explained(
    caller: Caller, stranger: Caller, shared_database: Database, trace_id: str
) -> None:
    broken = secrets.token_hex(16)
    insert_trace(shared_database.worker, caller.scope, broken, "GET /", "charge")
    told = await asked(caller, STORED, rule=KEPT, recent=20)
    assert {one["trace_id"]: one["verdict"] for one in told["traces"]} == {
        trace_id: "satisfied",
        broken: "violated",
    }
    [violated] = [one for one in told["traces"] if one["verdict"] == "violated"]
    when, always = violated["explanation"]["clauses"]
    assert when["conditions"][0]["spans"][0]["values"] == {"amount": 12}
    assert (always["state"], violated["span_count"], told["together"]) == ("false", 2, None)
    assert len((await asked(caller, STORED, rule=KEPT, recent=1))["traces"]) == 1
    assert (await asked(stranger, STORED, rule=KEPT, recent=20))["traces"] == []


async def test_a_draft_is_tried_on_one_trace_and_on_that_of_a_signal(
    caller: Caller, stranger: Caller, shared_database: Database, trace_id: str
) -> None:
    insert_rule(shared_database.app, caller.scope, "promise")
    signal_id = insert_signal(
        shared_database.worker, caller.scope, trace_id=bytes.fromhex(trace_id)
    )
    for given in ({"trace_id": trace_id}, {"signal_id": signal_id}):
        told = await asked(caller, STORED, rule=KEPT, **given)
        assert [(one["trace_id"], one["verdict"]) for one in told["traces"]] == [
            (trace_id, "satisfied")
        ]
        refused = await stranger.client.post(STORED, json={"rule": KEPT, **given})
        assert (refused.status_code, refused.json()["code"]) == (404, "request.not_found")


async def test_a_draft_with_problems_judges_nothing(caller: Caller, trace_id: str) -> None:
    told = await asked(caller, STORED, rule="when { charge }", recent=20)
    assert [one["code"] for one in told["problems"]] == ["rule.no_promise"]
    assert told["traces"] == []


async def test_a_rule_over_many_traces_is_tried_on_all_of_them_together(
    caller: Caller, trace_id: str
) -> None:
    text = "correlate { charge } by amount within 10m having count >= 1"
    told = await asked(caller, STORED, rule=text, recent=20)
    assert told["together"]["verdict"] == "violated"
    assert [one["verdict"] for one in told["traces"]] == [None]
    others = 'correlate { violated("other") } by service within 10m having count >= 1'
    refused = await caller.client.post(STORED, json={"rule": others, "recent": 20})
    assert (refused.status_code, refused.json()["code"]) == (400, "trial.other_rules")


@pytest.mark.parametrize(
    "given", [{}, {"recent": 1, "trace_id": "00" * 16}, {"recent": 21}, {"recent": 0}]
)
async def test_one_way_to_choose_traces_is_asked_for(caller: Caller, given: dict[str, Any]) -> None:
    refused = await caller.client.post(STORED, json={"rule": KEPT, **given})
    assert refused.status_code == 400


# -- rules out of traces ---------------------------------------------------------------------------


async def test_a_rule_is_made_out_of_picked_spans_and_its_tests_pass(
    caller: Caller, stranger: Caller, trace_id: str
) -> None:
    url = f"/api/v1/traces/{trace_id}/rule"
    body = {
        "picks": [{"span_id": "03" * 8}, {"span_id": "02" * 8, "keys": ["amount", "none"]}],
        "shape": "in_order",
    }
    made = await asked(caller, url, **body)
    assert (made["rule"], made["shape"]) == (
        "when   { charge.where(amount == 12) as first }\nalways { audit after first }\n",
        "in_order",
    )
    suite = {"id": "made", "rule": made["rule"], "tests": made["tests"]}
    tried = await asked(caller, "/api/v1/rules/trial", **suite)
    assert [(one["expect"], one["passed"]) for one in tried["tests"]] == [
        ("satisfied", True),
        ("violated", True),
    ]
    told = await asked(caller, STORED, rule=made["rule"], trace_id=trace_id)
    assert [one["verdict"] for one in told["traces"]] == ["satisfied"]
    refused = await stranger.client.post(url, json=body)
    assert (refused.status_code, refused.json()["code"]) == (404, "request.not_found")


async def test_what_cannot_be_promised_is_refused_with_the_reason(
    caller: Caller, trace_id: str
) -> None:
    url = f"/api/v1/traces/{trace_id}/rule"
    alone = await caller.client.post(url, json={"picks": [{"span_id": "01" * 8}]})
    assert (alone.status_code, alone.json()["code"]) == (422, "rule.no_draft")
    assert "second span" in alone.json()["detail"]
    nowhere = await caller.client.post(url, json={"picks": [{"span_id": "09" * 8}]})
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "trace.no_span")
