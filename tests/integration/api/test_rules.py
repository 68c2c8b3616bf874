"""Rules by REST: saving, versions, refusals, and their way to the rules log."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from api.auth.principal import Role
from api.database import Pool, tenant_transaction
from api.rules import service
from api.tenants.service import change_settings
from api.tenants.settings import TenantSettings
from tests.integration.api.conftest import Caller, client_of
from tests.support.postgres import Database
from tests.support.rules_log import MemoryRulesLog
from tests.support.scenarios import SUITES
from tests.support.tenants import make_key
from udfs.wire import betrace_pb2 as pb

TEXT = (
    "when { payment.charge.where(amount > 1000) } always { fraud.check } never { payment.bypass }"
)
RULE: dict[str, Any] = {
    "id": "large-payments",
    "name": "Large payments are checked",
    "severity": "high",
    "controls": ["pci-dss.6.4.2"],
    "tags": ["payments"],
    "group_by": ["service"],
    "settle": "3s",
    "rule": TEXT,
}
YAML = """\
id: large-payments
name: Large payments are checked
severity: high
rule: |
  when   { payment.charge.where(amount > 1000) }
  always { fraud.check }
"""


async def _post(client: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    return await client.post("/api/v1/rules", json={**RULE, **changes})


async def test_a_new_rule_is_stored_published_and_takes_effect(
    caller: Caller, rules_log: MemoryRulesLog
) -> None:
    response = await _post(caller.client)
    body = response.json()
    assert (response.status_code, response.headers["etag"]) == (201, '"1"')
    assert response.headers["location"] == "/api/v1/rules/large-payments"
    assert {key: body[key] for key in RULE} == RULE
    assert (body["version"], body["state"], body["published"]) == (1, "active", True)
    published_at = datetime.fromisoformat(body["published_at"])
    assert datetime.fromisoformat(body["takes_effect_at"]) - published_at == timedelta(seconds=5)
    assert body["active_since"] is None
    read = await caller.client.get("/api/v1/rules/large-payments")
    assert (read.json(), read.headers["etag"]) == ({**body, "warnings": None}, '"1"')


async def test_the_record_holds_what_the_job_needs(
    caller: Caller, rules_log: MemoryRulesLog
) -> None:
    await _post(caller.client)
    (record,) = rules_log.rule_records(str(caller.scope.tenant_id))
    assert [entry.number for entry in record.predicates] == list(range(len(record.predicates)))
    assert len(record.predicates) == 3
    record.ClearField("predicates")
    assert record == pb.RuleVersion(
        tenant=str(caller.scope.tenant_id),
        rule_id="large-payments",
        version=1,
        text=TEXT,
        state=pb.RULE_STATE_ACTIVE,
        name=RULE["name"],
        severity="high",
        controls=["pci-dss.6.4.2"],
        tags=["payments"],
        group_by=["service"],
        settle_ms=3_000,
        language=1,
    )


async def test_the_same_span_test_has_the_same_number_in_every_rule(
    caller: Caller, rules_log: MemoryRulesLog
) -> None:
    await _post(caller.client, id="a", rule="when { x } never { y }")
    await _post(caller.client, id="b", rule="when { y } never { z }")
    numbers = [
        {entry.hash: entry.number for entry in record.predicates}
        for record in rules_log.rule_records(str(caller.scope.tenant_id))
    ]
    assert [sorted(entries.values()) for entries in numbers] == [[0, 1], [1, 2]]
    assert len(numbers[0].items() & numbers[1].items()) == 1


@pytest.mark.parametrize("media", ["application/yaml", "application/x-yaml", "text/yaml"])
async def test_a_rule_may_be_written_in_yaml(media: str, caller: Caller) -> None:
    response = await caller.client.post(
        "/api/v1/rules", content=YAML, headers={"Content-Type": media}
    )
    assert (response.status_code, response.json()["severity"]) == (201, "high")


async def test_text_outside_the_basic_plane_survives_json(caller: Caller) -> None:
    response = await caller.client.post(
        "/api/v1/rules",
        content=json.dumps({**RULE, "name": "Zahlungen 💳 geprüft"}),
        headers={"Content-Type": "application/json"},
    )
    assert response.json()["name"] == "Zahlungen 💳 geprüft"


async def test_a_rule_that_does_not_check_is_refused_with_every_problem(
    caller: Caller, rules_log: MemoryRulesLog
) -> None:
    response = await _post(caller.client, rule="when { a = 1 }\nnever { b && c }")
    body = response.json()
    assert (response.status_code, response.headers["content-type"], body["code"]) == (
        422, "application/problem+json", "rule.invalid",
    )  # fmt: skip
    assert len(body["problems"]) >= 2
    for problem in body["problems"]:
        assert {"code", "message", "line", "column", "end_line", "end_column"} <= problem.keys()
    assert (await caller.client.get("/api/v1/rules")).json() == {"items": [], "next_cursor": None}


async def test_a_second_rule_with_the_id_is_refused(caller: Caller) -> None:
    await _post(caller.client)
    response = await _post(caller.client, name="Another")
    assert (response.status_code, response.json()["code"]) == (409, "rule.exists")


async def test_put_creates_changes_and_repeats(caller: Caller, rules_log: MemoryRulesLog) -> None:
    path = "/api/v1/rules/large-payments"
    created = await caller.client.put(path, json=RULE)
    repeated = await caller.client.put(path, json=RULE)
    changed = await caller.client.put(path, json={**RULE, "state": "off"})
    statuses = [response.status_code for response in (created, repeated, changed)]
    versions = [response.json()["version"] for response in (created, repeated, changed)]
    assert (statuses, versions) == ([201, 200, 200], [1, 1, 2])
    assert rules_log.rules_of(str(caller.scope.tenant_id)) == [
        ("large-payments", 1, pb.RULE_STATE_ACTIVE),
        ("large-payments", 2, pb.RULE_STATE_OFF),
    ]


async def test_the_id_of_the_address_counts(caller: Caller) -> None:
    without = {key: value for key, value in RULE.items() if key != "id"}
    taken = await caller.client.put("/api/v1/rules/mine", json=without)
    other = await caller.client.put("/api/v1/rules/yours", json=RULE)
    assert (taken.status_code, taken.json()["id"]) == (201, "mine")
    assert (other.status_code, other.json()["code"]) == (400, "rule.other_id")


async def test_a_change_of_an_old_version_is_refused(caller: Caller) -> None:
    path = "/api/v1/rules/large-payments"
    await caller.client.put(path, json=RULE)
    new = {**RULE, "name": "New"}
    first = await caller.client.put(path, json=new, headers={"If-Match": '"1"'})
    second = await caller.client.put(
        path, json={**RULE, "name": "Newer"}, headers={"If-Match": '"1"'}
    )
    only_new = await caller.client.put(path, json=RULE, headers={"If-None-Match": "*"})
    deleted = await caller.client.delete(path, headers={"If-Match": '"1"'})
    assert [r.status_code for r in (first, second, only_new, deleted)] == [200, 412, 409, 412]
    assert second.json()["current_version"] == 2


async def test_a_deleted_rule_is_gone_off_and_on_record(
    caller: Caller, rules_log: MemoryRulesLog
) -> None:
    path = "/api/v1/rules/large-payments"
    await caller.client.put(path, json=RULE)
    assert (await caller.client.delete(path)).status_code == 204
    assert (await caller.client.get(path)).status_code == 404
    assert (await caller.client.delete(path)).status_code == 404
    versions = (await caller.client.get(f"{path}/versions")).json()["items"]
    assert [(v["version"], v["state"], v["deleted"]) for v in versions] == [
        (2, "off", True), (1, "active", False),
    ]  # fmt: skip
    again = await _post(caller.client)
    assert (again.status_code, again.json()["version"]) == (201, 3)
    first, last, third = rules_log.rule_records(str(caller.scope.tenant_id))
    last.version, last.state = 1, pb.RULE_STATE_ACTIVE
    assert last == first
    third.version = 1
    assert third == first


async def test_every_version_can_be_read(caller: Caller) -> None:
    path = "/api/v1/rules/large-payments"
    await caller.client.put(path, json=RULE)
    await caller.client.put(path, json={**RULE, "severity": "low"})
    first = await caller.client.get(f"{path}/versions/1")
    none = await caller.client.get(f"{path}/versions/9")
    assert (first.json()["severity"], none.status_code) == ("high", 404)


async def test_rules_are_listed_in_pages_by_id(caller: Caller) -> None:
    for rule_id in ("c", "a", "d", "b"):
        await _post(caller.client, id=rule_id)
    await _post(caller.client, id="e", state="off")
    seen, cursor = [], None
    while True:
        query = {"limit": 2, "state": "active", **({"cursor": cursor} if cursor else {})}
        page = (await caller.client.get("/api/v1/rules", params=query)).json()
        seen.append([rule["id"] for rule in page["items"]])
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [["a", "b"], ["c", "d"]]


async def test_every_rule_is_there_however_many_pages_they_fill(
    caller: Caller, stranger: Caller, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "PAGE_MAX", 2)
    for rule_id in ("c", "a", "d", "b", "e"):
        await _post(caller.client, id=rule_id)
    found = await service.every_rule(pool, caller.scope)
    assert [rule.id for rule in found] == ["a", "b", "c", "d", "e"]
    assert await service.every_rule(pool, stranger.scope) == ()


async def test_a_tenant_has_as_many_rules_as_its_settings_allow(
    caller: Caller, stranger: Caller, pool: Pool
) -> None:
    await change_settings(pool, caller.scope, TenantSettings(max_rules=2))
    for rule_id in ("a", "b"):
        assert (await _post(caller.client, id=rule_id)).status_code == 201
    refused = await _post(caller.client, id="c")
    assert (refused.status_code, refused.json()["code"]) == (409, "rule.too_many")
    assert refused.json()["limit"] == 2
    assert "may have 2 rules and has 2" in refused.json()["detail"]
    lower = {**RULE, "id": "a", "severity": "low"}
    changed = await caller.client.put("/api/v1/rules/a", json=lower)
    assert changed.status_code == 200
    assert (await _post(stranger.client, id="c")).status_code == 201
    assert (await caller.client.delete("/api/v1/rules/b")).status_code < 300
    assert (await _post(caller.client, id="c")).status_code == 201


async def test_an_installation_has_no_more_rules_than_it_bears(
    caller: Caller, stranger: Caller, shared_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await _post(caller.client, id="a")).status_code == 201
    assert (await _post(stranger.client, id="b")).status_code == 201
    monkeypatch.setattr(service, "RULES_IN_ALL", _rules_in_all(shared_database))
    refused = await _post(caller.client, id="c")
    assert (refused.status_code, refused.json()["code"]) == (409, "rule.too_many_in_all")
    assert "of all its tenants, and takes no more" in refused.json()["detail"]
    changed = await caller.client.put(
        "/api/v1/rules/a", json={**RULE, "id": "a", "severity": "low"}
    )
    assert changed.status_code == 200
    assert (await stranger.client.delete("/api/v1/rules/b")).status_code < 300
    assert (await _post(caller.client, id="c")).status_code == 201


def _rules_in_all(database: Database) -> int:
    with psycopg.connect(database.admin) as connection:
        row = connection.execute("select count(*) from rules where deleted_at is null").fetchone()
    assert row is not None
    return int(row[0])


async def test_saving_stands_while_kafka_is_down_and_is_published_in_order_later(
    caller: Caller, rules_log: MemoryRulesLog, app: FastAPI
) -> None:
    rules_log.down = True
    first = await _post(caller.client, id="one")
    second = await _post(caller.client, id="two")
    assert [(r.status_code, r.json()["published"]) for r in (first, second)] == [
        (201, False), (201, False),
    ]  # fmt: skip
    assert first.json()["takes_effect_at"] is None
    rules_log.down = False
    assert await app.state.services.publisher.sweep() == 0
    tenant = str(caller.scope.tenant_id)
    assert [rule for rule, _, _ in rules_log.rules_of(tenant)] == ["one", "two"]
    assert (await caller.client.get("/api/v1/rules/one")).json()["published"] is True


async def test_a_failed_publication_is_on_record(
    caller: Caller, rules_log: MemoryRulesLog, pool: Pool
) -> None:
    rules_log.down = True
    await _post(caller.client)
    async with tenant_transaction(pool, caller.scope) as connection:
        rows = await connection.execute(
            "select attempts > 0 as tried, last_error from rules_outbox where published_at is null"
            " order by id limit 1"
        )
        row = await rows.fetchone()
    assert row == {"tried": True, "last_error": "stopped by the test"}


@pytest.mark.parametrize(
    ("content", "media"),
    [
        (json.dumps({"rule": TEXT}), "application/json"),
        (json.dumps(RULE), "application/json"),
        (YAML, "application/yaml"),
        (TEXT, "text/plain"),
    ],
)
async def test_a_good_rule_is_valid_in_every_form(content: str, media: str, caller: Caller) -> None:
    response = await caller.client.post(
        "/api/v1/rules/validate", content=content, headers={"Content-Type": media}
    )
    body = response.json()
    assert (response.status_code, body["valid"], body["problems"]) == (200, True, [])


async def test_a_bad_rule_is_an_answer_and_no_refusal(caller: Caller) -> None:
    response = await caller.client.post("/api/v1/rules/validate", json={"rule": "when { a }"})
    body = response.json()
    assert (response.status_code, body["valid"], len(body["problems"])) == (200, False, 1)


async def test_a_rule_is_tried_on_traces_that_come_with_it(caller: Caller) -> None:
    body = {"rule": TEXT, "traces": [[{"name": "payment.charge", "attributes": {"amount": 2000}}]]}
    response = await caller.client.post("/api/v1/rules/trial", json=body)
    (told,) = response.json()["verdicts"]
    assert (response.status_code, told["verdict"], told["trace"]) == (200, "violated", 1)
    assert told["explanation"]["clauses"][0]["conditions"][0]["spans"][0]["values"]


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.name)
async def test_every_suite_of_the_language_passes_by_rest(path: Path, caller: Caller) -> None:
    response = await caller.client.post(
        "/api/v1/rules/trial",
        content=path.read_bytes(),
        headers={"Content-Type": "application/yaml"},
    )
    told = response.json()
    assert (response.status_code, told["problems"], told["failed"]) == (200, [], 0)
    assert told["passed"] == len(told["tests"]) > 0


@pytest.mark.parametrize(
    ("content", "media", "status", "code"),
    [
        ("{", "application/json", 400, "request.malformed"),
        ("[" * 100_000, "application/json", 413, "request.too_large"),
        ("\xff", "application/json", 400, "request.malformed"),
        ("<rule/>", "application/xml", 415, "request.media_type"),
        (
            json.dumps({**RULE, "rule": "x" * 1_100_000}),
            "application/json",
            413,
            "request.too_large",
        ),
    ],
)
async def test_bodies_that_cannot_be_read_are_refused(
    content: str, media: str, status: int, code: str, caller: Caller
) -> None:
    response = await caller.client.post(
        "/api/v1/rules",
        content=content.encode("latin-1"),
        headers={"Content-Type": media},
    )
    assert (response.status_code, response.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("role", "statuses"),
    [
        (Role.DEVELOPER, (201, 200, 200)),
        (Role.SRE, (403, 200, 200)),
        (Role.API_CLIENT, (403, 403, 200)),
        (Role.VIEWER, (403, 403, 403)),
    ],
)
async def test_roles_may_write_read_and_check_rules(
    role: Role, statuses: tuple[int, int, int], app: FastAPI, caller: Caller, pool: Pool
) -> None:
    async with client_of(app, key=await make_key(pool, caller.scope, role)) as client:
        written = await _post(client)
        read = await client.get("/api/v1/rules")
        checked = await client.post("/api/v1/rules/validate", json={"rule": TEXT})
    assert (written.status_code, read.status_code, checked.status_code) == statuses
