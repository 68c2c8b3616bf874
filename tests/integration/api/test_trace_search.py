"""Stored traces are found by what they hold, how long they took, and what rules said of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from api.settings import Settings
from tests.integration.api.conftest import NO_KAFKA, Caller
from tests.support.keys import MASTER
from tests.support.postgres import Database
from tests.support.stored_traces import StoredSpan, store_trace
from tests.support.tenants import NOON, PEPPER, insert_rule, insert_signal

URL = "/api/v1/traces"
Traces = Mapping[str, str]


@pytest.fixture
def settings(shared_database: Database) -> Settings:
    """Settings of an application with keys of tenants, so that values become hashes."""
    return Settings.model_validate(
        {
            "database_url": shared_database.app,
            "secret_key": PEPPER.decode(),
            "kafka": NO_KAFKA,
            "keys_provider": "local",
            "keys_master": MASTER,
        }
    )


@pytest.fixture
def traces(caller: Caller, shared_database: Database) -> Traces:
    """Four stored traces by what they are: paid, refused, slow and quiet, a minute apart."""
    worker, scope = shared_database.worker, caller.scope
    insert_rule(shared_database.app, scope)
    stored = {
        "paid": (
            StoredSpan(name="POST /pay", to_ms=120, resource={"host.name": "a-1"}),
            StoredSpan(
                name="payment.charge",
                service="payments",
                attributes={"amount": 1800.50, "order.id": "4711", "tags": ["vip", "eu"]},
            ),
        ),
        "refused": (
            StoredSpan(name="POST /pay", to_ms=80),
            StoredSpan(
                name="payment.charge",
                service="payments",
                failed=True,
                attributes={"amount": 12, "order.id": "4712", "retry": True},
                event={"exception.type": "CardDeclined"},
            ),
        ),
        "slow": (StoredSpan(name="GET /report", service="reports", to_ms=45_000),),
        "quiet": (StoredSpan(name="payment.charge", service="shop", to_ms=5),),
    }
    ids = {
        name: store_trace(worker, scope, *spans, at=NOON + timedelta(minutes=minute))
        for minute, (name, spans) in enumerate(stored.items())
    }
    for name, verdict in (("paid", "violated"), ("refused", "satisfied"), ("slow", "violated")):
        rule = "promise" if name != "slow" else insert_rule(shared_database.app, scope, "speed")
        insert_signal(
            worker, scope, trace_id=bytes.fromhex(ids[name]), verdict=verdict, rule_id=rule
        )
    return ids


async def found(caller: Caller, traces: Traces, **params: Any) -> list[str]:
    """Return the names of the traces found, in order."""
    answer = await caller.client.get(URL, params=params)
    assert answer.status_code == 200, answer.text
    names = {trace_id: name for name, trace_id in traces.items()}
    return [names[item["trace_id"]] for item in answer.json()["items"]]


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({}, ["quiet", "slow", "refused", "paid"]),
        ({"service": "payments"}, ["refused", "paid"]),
        ({"service": "pay"}, []),
        ({"operation": "payment.charge"}, ["quiet", "refused", "paid"]),
        ({"operation": "payment.charge", "service": "payments"}, ["refused", "paid"]),
        ({"attribute": "order.id=4711"}, ["paid"]),
        ({"attribute": "amount=1800.5"}, ["paid"]),
        ({"attribute": "amount=1800.500"}, ["paid"]),
        ({"attribute": "amount"}, ["refused", "paid"]),
        ({"attribute": "retry=true"}, ["refused"]),
        ({"attribute": "tags=vip"}, ["paid"]),
        ({"attribute": "host.name=a-1"}, ["paid"]),
        ({"attribute": "exception.type=CardDeclined"}, ["refused"]),
        ({"attribute": ["amount", "order.id=4712"]}, ["refused"]),
        ({"attribute": ["order.id=4711", "order.id=4712"]}, []),
        ({"attribute": "amount="}, []),
        ({"min_duration_ms": 100}, ["slow", "paid"]),
        ({"max_duration_ms": 80}, ["quiet", "refused"]),
        ({"min_duration_ms": 80, "max_duration_ms": 80.0}, ["refused"]),
        ({"error": True}, ["refused"]),
        ({"error": True, "service": "reports"}, []),
        ({"verdict": "violated"}, ["slow", "paid"]),
        ({"verdict": "violated", "rule_id": "promise"}, ["paid"]),
        ({"verdict": "satisfied"}, ["refused"]),
        ({"verdict": "inconclusive"}, []),
        ({"verdict": "none"}, ["quiet"]),
        ({"rule_id": "promise"}, ["refused", "paid"]),
        ({"rule_id": "nobodys"}, []),
        ({"from": (NOON + timedelta(minutes=2)).isoformat()}, ["quiet", "slow"]),
        ({"to": (NOON + timedelta(minutes=1)).isoformat()}, ["paid"]),
        ({"service": "payments", "verdict": "violated", "min_duration_ms": 100}, ["paid"]),
    ],
)
async def test_traces_are_found_by_what_is_asked_for(
    params: dict[str, Any], names: list[str], caller: Caller, traces: Traces
) -> None:
    assert await found(caller, traces, **params) == names


async def test_a_trace_is_told_with_what_rules_said_of_it(caller: Caller, traces: Traces) -> None:
    [item] = (await caller.client.get(URL, params={"attribute": "order.id=4711"})).json()["items"]
    [verdict] = item.pop("verdicts")
    assert item == {
        "trace_id": traces["paid"],
        "root_name": "POST /pay",
        "root_service": "shop",
        "services": ["payments", "shop"],
        "span_count": 2,
        "error_count": 0,
        "duration_ns": 120_000_000,
        "started_at": NOON.isoformat().replace("+00:00", "Z"),
        "whole": True,
    }
    assert (verdict["rule_id"], verdict["verdict"], verdict["status"]) == (
        "promise", "violated", "open",
    )  # fmt: skip


async def test_services_and_operations_are_counted_over_all_that_match(
    caller: Caller, traces: Traces
) -> None:
    params = {"facets": True, "limit": 1, "operation": "payment.charge"}
    first = (await caller.client.get(URL, params=params)).json()
    second = (
        await caller.client.get(URL, params={**params, "cursor": first["next_cursor"]})
    ).json()
    assert first["facets"] == second["facets"] == {
        "counted": 3,
        "more": False,
        "services": [
            {"name": "shop", "trace_count": 3}, {"name": "payments", "trace_count": 2},
        ],
        "operations": [
            {"name": "payment.charge", "trace_count": 3}, {"name": "POST /pay", "trace_count": 2},
        ],
    }  # fmt: skip


@pytest.mark.parametrize("params", [{}, {"verdict": "violated"}, {"operation": "payment.charge"}])
async def test_pages_fit_together(params: dict[str, str], caller: Caller, traces: Traces) -> None:
    whole = await found(caller, traces, **params)
    pieces, cursor = [], ""
    while cursor is not None:
        page = await caller.client.get(
            URL, params={**params, "limit": 1, **({"cursor": cursor} if cursor else {})}
        )
        pieces += [item["trace_id"] for item in page.json()["items"]]
        cursor = page.json()["next_cursor"]
    assert pieces == [traces[name] for name in whole]


async def test_a_value_is_asked_for_as_redaction_left_it(
    caller: Caller, shared_database: Database
) -> None:
    policy = {"keys": {"user.email": "hash", "user.name": "mask"}}
    assert (await caller.client.put("/api/v1/tenant/redaction", json=policy)).is_success
    redactors = caller.client._transport.app.state.services.redactors  # type: ignore[attr-defined]
    redactor = (await redactors.of(caller.scope.tenant_id)).redactor
    values = {"user.email": "ada@example.com", "user.name": "Ada Lovelace"}
    stored = {key: redactor.attribute(key, value) for key, value in values.items()}
    assert stored["user.email"].startswith("hash:")
    trace_id = store_trace(
        shared_database.worker, caller.scope, StoredSpan(name="sign in", attributes=stored)
    )
    for key, value in values.items():
        page = (await caller.client.get(URL, params={"attribute": f"{key}={value}"})).json()
        assert [item["trace_id"] for item in page["items"]] == [trace_id]
        told = [note["about"] for note in page["notes"]]
        assert told == ([f"{key}={value}"] if key == "user.name" else [])
    other = await caller.client.get(URL, params={"attribute": "user.email=bob@example.com"})
    assert other.json()["items"] == []


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"attribute": "=4711"}, "trace.attribute"),
        ({"attribute": "k=" + "v" * 257}, "trace.attribute"),
        ({"cursor": "nonsense"}, "request.cursor"),
        ({"from": "2026-11-27T12:00:00Z", "to": "2026-11-26T12:00:00Z"}, "request.range"),
        ({"min_duration_ms": 2, "max_duration_ms": 1}, "request.range"),
        ({"service": "a\0b"}, "request.invalid"),
        ({"attribute": ["a"] * 9}, "request.invalid"),
        ({"verdict": "good"}, "request.invalid"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused(
    params: dict[str, Any], code: str, caller: Caller
) -> None:
    answer = await caller.client.get(URL, params=params)
    assert (answer.status_code in (400, 422), answer.json()["code"]) == (True, code)


async def test_traces_of_another_tenant_are_not_found(
    caller: Caller, stranger: Caller, traces: Traces
) -> None:
    for params in ({}, {"service": "shop"}, {"verdict": "violated"}, {"verdict": "none"}):
        page = (await stranger.client.get(URL, params={**params, "facets": True})).json()
        assert (page["items"], page["facets"]["counted"]) == ([], 0)


async def test_terms_of_a_transaction_open_nothing_of_another_tenant(
    caller: Caller, stranger: Caller, traces: Traces, shared_database: Database
) -> None:
    with psycopg.connect(shared_database.app) as connection:
        connection.execute(
            "select set_config('app.tenant_id', %s, true),"
            " set_config('app.trace_terms', array[trace_term(%s, 'service', '', 'shop')]::text,"
            " true)",
            [str(stranger.scope.tenant_id), caller.scope.tenant_id],
        )
        assert connection.execute("select from trace_search").rowcount == 0
        connection.execute(
            "select set_config('app.tenant_id', %s, true)", [str(caller.scope.tenant_id)]
        )
        assert connection.execute("select from trace_search").rowcount == 3


async def test_a_copy_that_goes_is_found_no_more(
    caller: Caller, traces: Traces, shared_database: Database
) -> None:
    with psycopg.connect(shared_database.worker) as connection:
        connection.execute(
            "delete from trace_copies where trace_id = %s", [bytes.fromhex(traces["slow"])]
        )
    assert await found(caller, traces, verdict="violated") == ["paid"]


async def test_terms_are_asked_of_their_index_under_row_level_security(
    caller: Caller, traces: Traces, shared_database: Database
) -> None:
    """Where it is the only index: among few rows another one may be cheaper."""
    with psycopg.connect(shared_database.admin) as connection:
        for statement in (
            b"alter table trace_search drop constraint trace_search_pkey",
            b"drop index trace_search_newest, trace_search_longest",
            b"set local role betrace_app",
            b"set local enable_seqscan = off",
            b"select set_config('app.trace_terms', '{1}', true)",
        ):
            connection.execute(statement)
        connection.execute(
            "select set_config('app.tenant_id', %s, true)", [str(caller.scope.tenant_id)]
        )
        plan = connection.execute("explain select from trace_search").fetchall()
        connection.rollback()
    assert any("Index Cond" in line and "terms @>" in line for (line,) in plan), plan
