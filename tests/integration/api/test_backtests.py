"""Asking for backtests over REST: ranges, rules, what is compared, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI

from api.auth.principal import Role
from api.database import Pool
from api.kafka.log_times import Extent
from tests.integration.api.conftest import Caller, client_of
from tests.support.log_times import FakeLogTimes
from tests.support.postgres import Database
from tests.support.tenants import (
    insert_backtest,
    insert_count,
    insert_part,
    insert_result,
    make_key,
)
from udfs.wire import betrace_pb2 as wire

TEXT = "when { payment.charge } always { fraud.check }"
OTHER = "when { payment.charge } always { fraud.check } never { bypass }"
CORRELATE = "correlate { login.failed } by user.id within 10m having count >= 5"
OVER_NOBODY = 'correlate { violated("nobody") } by rule within 10m having count >= 5'
OVER_TEXT = 'correlate { violated("b") } by user.id within 10m having count >= 5'
BACKTESTS = "/api/v1/backtests"


@pytest.fixture
def log_times(app: FastAPI) -> FakeLogTimes:
    fake = FakeLogTimes()
    app.state.services = replace(app.state.services, log_times=fake)
    return fake


async def ask(caller: Caller, *rules: dict[str, Any], **more: Any) -> Any:
    return await caller.client.post(BACKTESTS, json={"rules": rules, **more})


async def save(caller: Caller, rule_id: str, text: str, **fields: Any) -> None:
    body = {"rule": text, **fields}
    (await caller.client.put(f"/api/v1/rules/{rule_id}", json=body)).raise_for_status()


def records_of(database: Database, backtest_id: str) -> dict[str, list[wire.RuleVersion]]:
    import psycopg

    with psycopg.connect(database.admin) as connection:
        row = connection.execute(
            "select now_records, was_records from backtests where id = %s", [backtest_id]
        ).fetchone()
    assert row is not None
    return {
        side: [wire.RuleLogRecord.FromString(bytes(record)).rule for record in records]
        for side, records in zip(("now", "was"), row, strict=True)
    }


async def test_a_draft_is_compared_with_the_saved_rule_whose_other_fields_it_keeps(
    caller: Caller, log_times: FakeLogTimes, shared_database: Database
) -> None:
    await save(caller, "checked", TEXT, name="Checked", settle="7s", severity="critical")
    answer = await ask(caller, {"id": "checked", "rule": OTHER}, **{"from": "2h", "to": "30m"})
    assert answer.status_code == 202
    body = answer.json()
    assert answer.headers["Location"] == f"{BACKTESTS}/{body['id']}"
    assert body["state"] == "queued"
    assert body["rules"] == [
        {
            "id": "checked",
            "name": "Checked",
            "severity": "critical",
            "kind": "promise",
            "now": {"version": None, "text": OTHER},
            "was": {"version": 1, "text": TEXT},
        }
    ]
    begin, end = (datetime.fromisoformat(body[name]) for name in ("from", "to"))
    assert end - begin == timedelta(minutes=90)
    stored = records_of(shared_database, body["id"])
    assert [(r.version, r.text, r.settle_ms) for r in stored["now"]] == [(0, OTHER, 7_000)]
    assert [(r.version, r.text, r.settle_ms) for r in stored["was"]] == [(1, TEXT, 7_000)]


async def test_a_draft_that_changes_nothing_is_the_saved_version(
    caller: Caller, log_times: FakeLogTimes
) -> None:
    await save(caller, "checked", TEXT)
    body = (await ask(caller, {"id": "checked", "rule": TEXT})).json()
    assert body["rules"][0]["now"]["version"] == 1


async def test_saved_versions_are_compared_by_their_numbers(
    caller: Caller, log_times: FakeLogTimes
) -> None:
    await save(caller, "checked", TEXT)
    await save(caller, "checked", OTHER)
    body = (await ask(caller, {"id": "checked"}, against=[{"id": "checked", "version": 1}])).json()
    (rule,) = body["rules"]
    assert (rule["now"]["version"], rule["was"]["version"]) == (2, 1)


@pytest.mark.parametrize("state", ["off", "deleted"])
async def test_a_rule_that_is_not_live_is_nothing_to_compare_with(
    caller: Caller, log_times: FakeLogTimes, state: str, shared_database: Database
) -> None:
    await save(caller, "checked", TEXT, state="active" if state == "deleted" else state)
    if state == "deleted":
        await caller.client.delete("/api/v1/rules/checked")
    body = (await ask(caller, {"id": "checked", "rule": OTHER, "state": "off"})).json()
    assert body["rules"][0]["was"] is None
    stored = records_of(shared_database, body["id"])
    assert [record.state for record in stored["now"]] == [wire.RULE_STATE_ACTIVE]
    assert stored["was"] == []


async def test_all_problems_of_all_rules_are_told_at_once(
    caller: Caller, log_times: FakeLogTimes
) -> None:
    answer = await ask(
        caller, {"id": "one", "rule": "when { a }"}, {"id": "two", "rule": "when { a && b }"}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "rule.invalid")
    assert {problem["rule"] for problem in answer.json()["problems"]} == {"one", "two"}


async def test_rules_that_a_correlate_looks_at_come_with_it_and_are_not_reported(
    caller: Caller, log_times: FakeLogTimes, shared_database: Database
) -> None:
    await save(caller, "b", TEXT, group_by=["user.id"])
    await save(caller, "a", OVER_TEXT)
    await save(caller, "top", 'correlate { violated("a") } by user.id within 1h having count > 1')
    asked = (await ask(caller, {"id": "top"})).json()
    assert [(rule["id"], rule["kind"]) for rule in asked["rules"]] == [("top", "correlate")]
    records = records_of(shared_database, asked["id"])
    for side in ("now", "was"):
        assert sorted((one.rule_id, one.version) for one in records[side]) == [
            ("a", 1), ("b", 1), ("top", 1),
        ]  # fmt: skip


async def test_a_rule_of_the_request_is_looked_at_in_place_of_the_saved_one(
    caller: Caller, log_times: FakeLogTimes, shared_database: Database
) -> None:
    await save(caller, "b", TEXT, group_by=["user.id"])
    await save(caller, "a", OVER_TEXT)
    asked = (await ask(caller, {"id": "a"}, {"id": "b", "rule": OTHER})).json()
    records = records_of(shared_database, asked["id"])
    assert {one.rule_id: (one.version, one.text) for one in records["now"]} == {
        "a": (1, OVER_TEXT),
        "b": (0, OTHER),
    }
    assert {one.rule_id: (one.version, one.text) for one in records["was"]} == {
        "a": (1, OVER_TEXT),
        "b": (1, TEXT),
    }


async def test_a_rule_that_is_off_is_looked_at_where_it_is_tried_and_not_where_it_was(
    caller: Caller, log_times: FakeLogTimes, shared_database: Database
) -> None:
    await save(caller, "b", TEXT, group_by=["user.id"], state="off")
    await save(caller, "a", OVER_TEXT)
    records = records_of(shared_database, (await ask(caller, {"id": "a"})).json()["id"])
    assert {side: sorted(one.rule_id for one in records[side]) for side in records} == {
        "now": ["a", "b"],
        "was": ["a"],
    }


@pytest.mark.parametrize(
    ("rules", "more", "status", "code"),
    [
        ([{"rule": TEXT}], {}, 400, "backtest.rules"),
        ([{"id": "a", "rule": TEXT}] * 2, {}, 400, "backtest.rules"),
        ([{"id": "a", "version": "1"}], {}, 400, "backtest.rules"),
        ([{"id": "a", "version": 7}], {}, 404, "request.not_found"),
        ([{"id": "nobody"}], {}, 404, "request.not_found"),
        ([{"id": "a", "rule": OVER_NOBODY}], {}, 422, "backtest.looked_at"),
        ([{"id": "a", "rule": OVER_TEXT}, {"id": "b", "rule": TEXT}], {}, 422, "rule.invalid"),
        (
            [{"id": "a", "rule": CORRELATE}],
            {"against": [{"id": "a", "rule": TEXT}]},
            422,
            "backtest.kinds",
        ),
        ([], {}, 400, "request.invalid"),
        ([{"id": "a", "rule": TEXT}], {"from": "yesterday"}, 400, "backtest.time"),
        ([{"id": "a", "rule": TEXT}], {"from": "2026-11-23T12:00:00"}, 400, "backtest.time"),
        ([{"id": "a", "rule": TEXT}], {"from": "1h", "to": "2h"}, 400, "backtest.range"),
        ([{"id": "a", "rule": TEXT}], {"from": "25h"}, 400, "backtest.range"),
        ([{"id": "a", "rule": TEXT}], {"to": "2999-01-01T00:00:00Z"}, 400, "backtest.range"),
        ([{"id": "a", "rule": TEXT}], {"against": "yesterday"}, 400, "request.invalid"),
    ],
)
async def test_what_cannot_be_done_is_refused(
    caller: Caller,
    log_times: FakeLogTimes,
    rules: list[dict[str, Any]],
    more: dict[str, Any],
    status: int,
    code: str,
) -> None:
    answer = await ask(caller, *rules, **more)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await caller.client.get(BACKTESTS)).json()["items"] == []


async def test_a_range_that_has_expired_is_refused_with_the_earliest_time(
    caller: Caller, log_times: FakeLogTimes
) -> None:
    begins_at = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
    log_times.found = {
        0: Extent(0, 10, 1_000, 2_000),
        1: Extent(5, 10, int(begins_at.timestamp() * 1000), 2_000),
    }
    draft = {"id": "a", "rule": TEXT}
    refused = (await ask(caller, draft, **{"from": "2h"})).json()
    assert refused["code"] == "backtest.expired"
    around = datetime.fromisoformat(refused["earliest"]) - begins_at
    assert timedelta(minutes=80) <= around <= timedelta(minutes=85)
    assert refused["earliest"][:19] in refused["detail"]
    assert (await ask(caller, draft, **{"from": refused["earliest"]})).status_code == 202


async def test_without_kafka_it_is_said_to_try_again(
    caller: Caller, log_times: FakeLogTimes
) -> None:
    log_times.found = None
    answer = await ask(caller, {"id": "a", "rule": TEXT})
    assert (answer.status_code, answer.json()["code"]) == (503, "kafka.unavailable")
    assert answer.headers["Retry-After"]


async def test_a_second_one_is_refused_with_the_first_ones_id(
    caller: Caller, stranger: Caller, log_times: FakeLogTimes
) -> None:
    first = (await ask(caller, {"id": "a", "rule": TEXT})).json()
    refused = await ask(caller, {"id": "a", "rule": TEXT})
    assert refused.status_code == 409
    assert (refused.json()["code"], refused.json()["running"]) == ("backtest.running", first["id"])
    assert (await ask(stranger, {"id": "a", "rule": TEXT})).status_code == 202
    cancelled = await caller.client.post(f"{BACKTESTS}/{first['id']}/cancel")
    assert cancelled.json()["state"] == "cancelled"
    assert (await ask(caller, {"id": "a", "rule": TEXT})).status_code == 202


async def test_progress_and_counts_are_summed_over_what_is_done(
    caller: Caller, shared_database: Database
) -> None:
    worker = shared_database.worker
    started_at = datetime.now(UTC) - timedelta(seconds=30)
    version = {"version": 1, "text": TEXT}
    rule = {"id": "promise", "name": "P", "severity": "high", "now": version, "was": version}
    backtest_id = insert_backtest(
        shared_database.app, caller.scope, rule, state="running", started_at=started_at
    )
    insert_part(worker, caller.scope, backtest_id)
    insert_part(
        worker,
        caller.scope,
        backtest_id,
        partition=1,
        done_at=None,
        records_read=50,
        end_offset=100,
    )
    for was, now, traces in (
        ("violated", "violated", 3),
        ("satisfied", "violated", 2),
        ("not_applicable", "violated", 5),
        ("not_applicable", "not_applicable", 40),
    ):
        insert_count(worker, caller.scope, backtest_id, was, now, traces)
    body = (await caller.client.get(f"{BACKTESTS}/{backtest_id}")).json()
    progress = body["progress"]
    assert (progress["share"], progress["records_read"], progress["records_total"]) == (
        0.75,
        150,
        200,
    )
    assert (progress["partitions_done"], progress["partitions_total"]) == (1, 2)
    assert progress["seconds_left"] == pytest.approx(10, abs=3)
    (summary,) = body["summary"]
    assert summary["now"] == {
        "violated": 10, "satisfied": 0, "inconclusive": 0, "not_applicable": 40, "open": 0,
    }  # fmt: skip
    assert summary["was"] == {
        "violated": 3, "satisfied": 2, "inconclusive": 0, "not_applicable": 45, "open": 0,
    }  # fmt: skip
    assert summary["changed"] == 7
    assert summary["changes"] == [
        {"was": "not_applicable", "now": "violated", "traces": 5},
        {"was": "satisfied", "now": "violated", "traces": 2},
    ]


async def test_backtests_are_listed_newest_first_and_by_rule(
    caller: Caller, shared_database: Database
) -> None:
    text = {"version": None, "text": TEXT}
    other = {"id": "other", "name": "O", "severity": "low", "now": text, "was": None}
    now = datetime.now(UTC)
    ids = [
        insert_backtest(
            shared_database.app,
            caller.scope,
            *rules,
            state="done",
            created_at=now - timedelta(minutes=age),
            finished_at=now,
        )
        for age, rules in ((3, ()), (2, (other,)), (1, ()))
    ]
    page = (await caller.client.get(BACKTESTS, params={"limit": 2})).json()
    rest = (await caller.client.get(BACKTESTS, params={"cursor": page["next_cursor"]})).json()
    assert [item["id"] for item in (*page["items"], *rest["items"])] == ids[::-1]
    own = (await caller.client.get(BACKTESTS, params={"rule_id": "promise"})).json()
    assert [item["id"] for item in own["items"]] == [ids[2], ids[0]]


async def test_a_key_for_testing_is_shown_no_texts_of_rules(
    caller: Caller, app: FastAPI, pool: Pool, log_times: FakeLogTimes
) -> None:
    await save(caller, "checked", TEXT)
    key = await make_key(pool, caller.scope, Role.API_CLIENT)
    async with client_of(app, key=key) as client:
        asked = await client.post(BACKTESTS, json={"rules": [{"id": "checked", "rule": OTHER}]})
        path = f"{BACKTESTS}/{asked.json()['id']}"
        answers = [asked, await client.get(path), await client.post(f"{path}/cancel")]
        listed = (await client.get(BACKTESTS)).json()["items"]
    for body in (*(answer.json() for answer in answers), *listed):
        (rule,) = body["rules"]
        assert (rule["now"], rule["was"]) == (
            {"version": None, "text": None},
            {"version": 1, "text": None},
        )
    (rule,) = (await caller.client.get(path)).json()["rules"]
    assert (rule["now"]["text"], rule["was"]["text"]) == (OTHER, TEXT)


async def test_a_key_for_testing_sees_counts_and_no_traces(
    caller: Caller, app: FastAPI, pool: Pool, shared_database: Database
) -> None:
    backtest_id = insert_backtest(shared_database.app, caller.scope)
    insert_part(shared_database.worker, caller.scope, backtest_id)
    insert_result(shared_database.worker, caller.scope, backtest_id)
    key = await make_key(pool, caller.scope, Role.API_CLIENT)
    async with client_of(app, key=key) as client:
        assert (await client.get(f"{BACKTESTS}/{backtest_id}")).status_code == 200
        assert (await client.get(f"{BACKTESTS}/{backtest_id}/results")).status_code == 403
    found = (await caller.client.get(f"{BACKTESTS}/{backtest_id}/results")).json()
    assert [(item["now"]["verdict"], item["was"]) for item in found["items"]] == [
        ("violated", None)
    ]
