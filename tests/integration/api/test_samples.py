"""Samples over the API: taken in, copied from stored traces, listed, changed, deleted."""

from __future__ import annotations

import json
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from api.auth.principal import Role
from api.database import Pool
from api.samples.library import library
from api.samples.model import MAX_SAMPLES
from tests.integration.api.conftest import Caller, client_of
from tests.support.postgres import Database
from tests.support.stored_traces import StoredSpan, store_trace
from tests.support.tenants import insert_rule, insert_sample, insert_signal, make_key
from tests.unit.api.test_samples import otlp

URL = "/api/v1/samples"
MAIL = "ada.lovelace@example.com"


async def add(caller: Caller, **fields: Any) -> httpx.Response:
    body = {"name": "A payment", **fields}
    if not body.keys() & {"otlp", "trace_id", "signal_id"}:
        body["otlp"] = otlp({"name": "payment.charge"})
    return await caller.client.post(URL, json=body)


async def test_a_sample_is_taken_in_redacted_and_read_again(caller: Caller) -> None:
    mail = [{"key": "note", "value": {"stringValue": f"for {MAIL}"}}]
    document = otlp({"name": "payment.charge", "attributes": mail})
    answer = await add(
        caller, otlp=document, description=f"From {MAIL}", tags=["Payments", "payments", " "]
    )
    body = answer.json()
    assert (answer.status_code, body["replaced"]) == (201, 1)
    assert answer.headers["location"] == f"{URL}/{body['id']}"
    assert MAIL not in answer.text
    read = (await caller.client.get(f"{URL}/{body['id']}")).json()
    assert read == {name: value for name, value in body.items() if name != "replaced"}
    assert (read["tags"], read["span_count"], read["services"]) == (["payments"], 1, ["payments"])
    [item] = (await caller.client.get(URL)).json()["items"]
    assert item == {name: value for name, value in read.items() if name != "spans"}


async def test_a_stored_trace_becomes_a_sample_without_its_ids(
    caller: Caller, shared_database: Database
) -> None:
    insert_rule(shared_database.app, caller.scope)
    trace_id = store_trace(
        shared_database.worker,
        caller.scope,
        StoredSpan(name="POST /pay", to_ms=40),
        StoredSpan(
            name="payment.charge",
            service="payments",
            from_ms=5,
            to_ms=20,
            failed=True,
            attributes={"amount": 12, "big": 2**62, "tags": ["a", "b"], "by": MAIL},
            event={"exception.type": "Declined"},
        ),
    )
    signal_id = insert_signal(
        shared_database.worker, caller.scope, trace_id=bytes.fromhex(trace_id)
    )
    of_trace = await add(caller, trace_id=trace_id)
    of_signal = await add(caller, signal_id=signal_id)
    spans = of_trace.json()["spans"]
    assert of_signal.json()["spans"] == spans
    assert trace_id not in of_trace.text
    assert MAIL not in of_trace.text
    assert [span["start"] for span in spans] == ["0ms", "5ms"]
    charge = spans[1]
    assert (charge["parent"], charge["status"], charge["service"]) == ("s1", "error", "payments")
    assert {key: charge["attributes"][key] for key in ("amount", "big", "tags")} == {
        "amount": 12, "big": 2**62, "tags": ["a", "b"],
    }  # fmt: skip
    assert charge["events"][0]["attributes"] == {"exception.type": "Declined"}


async def test_a_sample_is_judged_by_the_trial_of_rules(caller: Caller) -> None:
    sample = (await caller.client.get(f"{URL}/payment-without-fraud-check")).json()
    body = {"rule": sample["rule"], "traces": [sample["spans"]]}
    told = (await caller.client.post("/api/v1/rules/trial", json=body)).json()
    assert [one["verdict"] for one in told["verdicts"]] == [sample["expect"]] == ["violated"]


async def test_the_library_is_the_same_for_everybody_and_stays_as_it_is(
    caller: Caller, stranger: Caller
) -> None:
    listed = [(await who.client.get(f"{URL}/library")).json() for who in (caller, stranger)]
    assert listed[0] == listed[1]
    assert [item["id"] for item in listed[0]["items"]] == list(library())
    one = f"{URL}/retry-storm"
    changed = await caller.client.put(one, json={"name": "Mine"})
    deleted = await caller.client.delete(one)
    assert [(answer.status_code, answer.json()["code"]) for answer in (changed, deleted)] == [
        (409, "sample.library")
    ] * 2


async def test_samples_are_found_by_tag_and_text_and_paged(
    caller: Caller, shared_database: Database
) -> None:
    names = ["Checked payment", "Unchecked payment", "Report"]
    for name in names:
        tags = ["payments"] if "payment" in name else ["reports"]
        insert_sample(shared_database.app, caller.scope, name=name, tags=tags)

    async def found(**params: Any) -> list[str]:
        page = (await caller.client.get(URL, params=params)).json()
        return [item["name"] for item in page["items"]]

    assert await found() == names[::-1]
    assert await found(tag="payments") == names[1::-1]
    assert await found(q="UNCHECKED") == ["Unchecked payment"]
    assert await found(q="100%") == []
    first = (await caller.client.get(URL, params={"limit": 2})).json()
    assert await found(limit=2, cursor=first["next_cursor"]) == ["Checked payment"]


async def test_what_is_said_of_a_sample_changes_and_not_its_spans(caller: Caller) -> None:
    sample = (await add(caller)).json()
    url = f"{URL}/{sample['id']}"
    changed = await caller.client.put(
        url, json={"name": f"By {MAIL}", "tags": ["b"]}, headers={"If-Match": '"1"'}
    )
    late = await caller.client.put(url, json={"name": "Late", "version": 1})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert (late.status_code, late.json()["code"]) == (409, "request.stale_version")
    read = (await caller.client.get(url)).json()
    assert (read["tags"], read["spans"]) == (["b"], sample["spans"])
    assert MAIL not in read["name"]
    assert (await caller.client.delete(url)).status_code == 204
    assert (await caller.client.get(url)).status_code == 404


async def test_what_was_done_with_samples_is_on_the_record(caller: Caller) -> None:
    sample = (await add(caller)).json()
    url = f"{URL}/{sample['id']}"
    await caller.client.put(url, json={"name": "Another"})
    await caller.client.delete(url)
    rows = (await caller.client.get("/api/v1/audit", params={"action": "sample"})).json()["items"]
    assert [row["action"] for row in reversed(rows)] == [
        "sample.added", "sample.changed", "sample.deleted",
    ]  # fmt: skip
    assert {row["target"] for row in rows} == {f"sample:{sample['id']}"}


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"name": ""}, 400, "request.invalid"),
        ({"name": " "}, 400, "sample.name"),
        ({"otlp": {"resourceSpans": 1}}, 400, "sample.malformed"),
        ({"otlp": {}}, 422, "sample.empty"),
        ({"trace_id": "e" * 32}, 404, "request.not_found"),
        ({"trace_id": "nothing"}, 400, "trace.malformed_id"),
        ({"signal_id": "e" * 32}, 404, "request.not_found"),
        ({"otlp": {}, "trace_id": "e" * 32}, 400, "request.invalid"),
        ({"tags": ["t" * 51]}, 400, "request.invalid"),
    ],
)
async def test_what_cannot_be_a_sample_is_refused(
    fields: dict[str, Any], status: int, code: str, caller: Caller
) -> None:
    answer = await add(caller, **fields)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_body_over_the_bounds_is_refused_before_it_is_read(caller: Caller) -> None:
    deep = json.loads("[" * 70 + "]" * 70)
    large = otlp({"name": "x" * (1024 * 1024)})
    for document in ({"resourceSpans": deep}, large):
        assert (await add(caller, otlp=document)).status_code == 413


async def test_a_tenant_has_so_many_samples_and_no_more(
    caller: Caller, shared_database: Database
) -> None:
    insert_sample(shared_database.app, caller.scope)
    with psycopg.connect(shared_database.admin) as connection:
        connection.execute(
            "insert into trace_samples (tenant_id, id, name, spans, span_count, trace_count,"
            " services, redaction_version, created_by) select tenant_id, gen_random_uuid(), name,"
            " spans, span_count, trace_count, services, 0, 'test' from trace_samples,"
            " generate_series(2, %s) where tenant_id = %s",
            [MAX_SAMPLES, caller.scope.tenant_id],
        )
    refused = await add(caller)
    assert (refused.status_code, refused.json()["code"]) == (409, "sample.too_many")


async def test_whoever_may_not_read_traces_makes_no_sample_of_one(
    app: FastAPI, pool: Pool, caller: Caller, shared_database: Database
) -> None:
    trace_id = store_trace(shared_database.worker, caller.scope, StoredSpan(name="root"))
    made = await caller.client.post(
        "/api/v1/keys", json={"name": "writer", "scopes": ["rules.write", "rules.test"]}
    )
    async with client_of(app, key=made.json()["key"]) as client:
        writer = Caller(caller.scope, client)
        assert (await add(writer, trace_id=trace_id)).status_code == 403
        assert (await add(writer)).status_code == 201
    async with client_of(app, key=await make_key(pool, caller.scope, Role.SRE)) as client:
        reader = Caller(caller.scope, client)
        assert (await add(reader)).status_code == 403
        assert len((await client.get(URL)).json()["items"]) == 1


async def test_a_trace_of_another_tenant_becomes_no_sample(
    caller: Caller, stranger: Caller, shared_database: Database
) -> None:
    trace_id = store_trace(shared_database.worker, caller.scope, StoredSpan(name="root"))
    assert (await add(stranger, trace_id=trace_id)).status_code == 404
