"""Policies of redaction over the API: versions, previews, tokens undone, rules brought along."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from api.auth.principal import Role, TenantScope
from api.database import DatabaseUnavailable, Pool, open_pool
from api.keyring.wiring import Keys
from api.redaction.counting import Counted, RedactionCounts, read_counts
from api.redaction.redactors import RedactionUnavailable, Redactors
from api.redaction.wanted import follow_new_keys
from api.rules.outbox import Publisher
from api.settings import Settings
from tests.integration.api.conftest import NO_KAFKA, Caller, client_of
from tests.support.keys import MASTER, local_keys
from tests.support.postgres import Database
from tests.support.rules_log import MemoryRulesLog
from tests.support.tenants import (
    PEPPER,
    insert_rule,
    insert_signal,
    insert_trace,
    make_key,
    make_tenant,
)
from udfs.keysource.keys import Purpose
from udfs.redaction.counts import Tally
from udfs.wire import betrace_pb2 as wire

POLICY = "/api/v1/tenant/redaction"
RULES = "/api/v1/rules"


@pytest.fixture
def settings(shared_database: Database) -> Settings:
    """Settings of an application with keys of tenants."""
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
def keys(pool: Pool) -> Keys:
    return local_keys(pool)


async def put(caller: Caller, policy: dict[str, Any], **headers: str) -> httpx.Response:
    return await caller.client.put(POLICY, json=policy, headers=headers)


async def judged_texts(rules_log: MemoryRulesLog, rule_id: str) -> list[tuple[int, str]]:
    records = [wire.RuleLogRecord.FromString(record).rule for record in rules_log.records]
    return [(rule.version, rule.text) for rule in records if rule.rule_id == rule_id]


async def test_without_a_policy_the_defaults_hold(caller: Caller) -> None:
    answer = await caller.client.get(POLICY)
    body = answer.json()
    assert (answer.status_code, answer.headers["etag"]) == (200, '"0"')
    assert (body["version"], body["policy"]["strategies"], body["author"]) == (0, {}, "")
    assert body["defaults"]["email"] == "hash"


async def test_a_policy_is_versioned_and_remembers_who_changed_it(caller: Caller) -> None:
    first = await put(caller, {"strategies": {"email": "tokenize"}}, **{"If-Match": '"0"'})
    second = await put(caller, {"keys": {"b.x": "mask", "a": "hash"}, "exempt": ["c"]})
    assert [answer.headers["etag"] for answer in (first, second)] == ['"1"', '"2"']
    history = (await caller.client.get(f"{POLICY}/versions")).json()
    assert [item["version"] for item in history["items"]] == [2, 1]
    assert list(history["items"][0]["policy"]["keys"].items()) == [
        ("b.x", "mask"),
        ("a", "hash"),
        ("c", "allow"),
    ]
    assert history["items"][0]["author"].startswith("key:")
    part = (await caller.client.get(f"{POLICY}/versions", params={"limit": 1})).json()
    assert part["next_before"] == 2


async def test_the_same_policy_again_changes_nothing(caller: Caller) -> None:
    for _ in range(2):
        answer = await put(caller, {"strategies": {"email": "mask"}})
    assert answer.json()["version"] == 1


async def test_a_policy_made_from_an_older_version_is_refused(caller: Caller) -> None:
    await put(caller, {"strategies": {"email": "mask"}})
    answer = await put(caller, {"strategies": {"email": "hash"}}, **{"If-Match": '"0"'})
    assert (answer.status_code, answer.json()["code"]) == (412, "request.stale_version")
    assert answer.json()["current_version"] == 1


async def test_all_that_is_wrong_with_a_policy_is_told_at_once(caller: Caller) -> None:
    wrong = {
        "strategies": {"mail": "hash"},
        "custom": [{"name": "x", "pattern": "(", "strategy": "m"}],
    }
    answer = await put(caller, wrong)
    assert answer.status_code == 422
    assert {problem["at"] for problem in answer.json()["problems"]} >= {
        "strategies.mail",
        "custom[0].pattern",
    }
    assert (await caller.client.get(POLICY)).json()["version"] == 0


@pytest.mark.parametrize("body", ["", "[", "[]", '"x"', "null", '{"keys": {"\\ud800": "hash"}}'])
async def test_a_body_that_is_no_policy_is_refused(caller: Caller, body: str) -> None:
    headers = {"content-type": "application/json"}
    for method, path in (("PUT", POLICY), ("POST", f"{POLICY}/preview")):
        answer = await caller.client.request(method, path, content=body, headers=headers)
        assert answer.status_code in (400, 422), answer.text


async def test_another_tenant_has_a_policy_of_its_own(caller: Caller, stranger: Caller) -> None:
    await put(caller, {"strategies": {"email": "mask"}})
    assert (await stranger.client.get(POLICY)).json()["version"] == 0
    assert (await stranger.client.get(f"{POLICY}/versions")).json()["items"] == []


async def test_only_who_may_change_settings_changes_it(
    app: FastAPI, pool: Pool, caller: Caller
) -> None:
    key = await make_key(pool, caller.scope, Role.DEVELOPER)
    async with client_of(app, key=key) as client:
        seen = await client.get(POLICY)
        refused = [
            await client.put(POLICY, json={}),
            await client.post(f"{POLICY}/preview", json={}),
            await client.get(f"{POLICY}/suggestions"),
            await client.post(f"{POLICY}/reveal", json={"token": "tok:x"}),
        ]
    assert seen.status_code == 200
    assert {answer.status_code for answer in refused} == {403}


async def test_a_change_is_on_the_audit_log(caller: Caller) -> None:
    await put(caller, {"strategies": {"email": "mask"}})
    items = (
        await caller.client.get("/api/v1/audit", params={"action": "redaction.changed"})
    ).json()
    [entry] = [item for item in items["items"] if item["action"] == "redaction.changed"]
    assert (entry["target"], entry["details"]["fields"]) == ("redaction:1", "strategies")


# -- previews and suggestions ----------------------------------------------------------------------


def store_spans(database: Database, scope: TenantScope, *attributes: dict[str, Any]) -> None:
    trace_id = secrets.token_hex(16)
    insert_trace(database.worker, scope, trace_id, *("checkout" for _ in attributes))
    with psycopg.connect(database.worker) as connection:
        for ordinal, values in enumerate(attributes):
            connection.execute(
                "update trace_spans set attributes = %s where tenant_id = %s and trace_id = %s"
                " and ordinal = %s",
                [json.dumps(values), scope.tenant_id, bytes.fromhex(trace_id), ordinal],
            )


async def test_a_preview_counts_what_it_would_take_out_and_shows_it_masked(
    caller: Caller, shared_database: Database
) -> None:
    stored = [{"badge": f"EMP-{n:06}", "n": n, "on": True, "list": ["a"]} for n in range(6)]
    store_spans(shared_database, caller.scope, *stored)
    custom = [{"name": "badge", "pattern": "EMP-[0-9]{6}", "strategy": "hash"}]
    answer = await caller.client.post(f"{POLICY}/preview", json={"custom": custom})
    body = answer.json()
    assert (body["traces"], body["spans"], body["changed"]) == (1, 6, 6)
    assert body["by_kind"] == {"custom.badge": 6}
    [row] = body["found"]
    assert (row["path"], row["count"], row["strategy"]) == ("badge", 6, "hash")
    assert "EMP-00000" not in answer.text
    assert (await caller.client.get(POLICY)).json()["version"] == 0


async def test_another_tenants_spans_are_not_looked_at(
    caller: Caller, stranger: Caller, shared_database: Database
) -> None:
    store_spans(shared_database, caller.scope, {"note": "ada@example.com"})
    body = (await stranger.client.post(f"{POLICY}/preview", json={})).json()
    assert (body["spans"], body["found"]) == (0, [])


async def test_keys_that_look_personal_are_suggested(
    caller: Caller, shared_database: Database
) -> None:
    store_spans(shared_database, caller.scope, *({"shop.license_plate": f"c{n}"} for n in range(6)))
    body = (await caller.client.get(f"{POLICY}/suggestions")).json()
    [one] = body["items"]
    assert (one["key"], one["because"], one["strategy"]) == (
        "shop.license_plate",
        "name",
        "hash",
    )


# -- the vault -------------------------------------------------------------------------------------


@pytest.fixture
def redactors(pool: Pool, keys: Keys) -> Redactors:
    return Redactors(pool, keys.ring)


async def test_a_token_is_undone_by_its_tenant_alone_and_that_is_on_record(
    caller: Caller, stranger: Caller, redactors: Redactors
) -> None:
    tenant = await redactors.of(caller.scope.tenant_id)
    token = tenant.redactor.text("paid with 4111 1111 1111 1111").removeprefix("paid with ")
    assert token.startswith("tok:")
    before = await caller.client.post(f"{POLICY}/reveal", json={"token": token})
    await tenant.settle()
    found = await caller.client.post(f"{POLICY}/reveal", json={"token": token})
    other = await stranger.client.post(f"{POLICY}/reveal", json={"token": token})
    assert (before.status_code, other.status_code) == (404, 404)
    assert found.json() == {"value": "4111 1111 1111 1111", "revoked": False}
    assert found.headers["cache-control"] == "no-store"
    entries = (await caller.client.get("/api/v1/audit")).json()["items"]
    asked = [entry for entry in entries if entry["action"] == "redaction.revealed"]
    assert [(entry["target"], entry["details"]["found"]) for entry in asked] == [
        (f"token:{token}", "True"),
        (f"token:{token}", "False"),
    ]
    assert "4111" not in json.dumps(entries)


async def test_an_encrypted_value_is_undone(caller: Caller, redactors: Redactors) -> None:
    await put(caller, {"strategies": {"email": "encrypt"}})
    redactors.drop(caller.scope.tenant_id)
    text = (await redactors.of(caller.scope.tenant_id)).redactor.text("ada@example.com")
    assert text.startswith("enc:")
    found = await caller.client.post(f"{POLICY}/reveal", json={"token": text})
    assert found.json()["value"] == "ada@example.com"
    changed = await caller.client.post(f"{POLICY}/reveal", json={"token": text[:-4] + "AAAA"})
    assert changed.status_code == 404


@pytest.mark.parametrize("token", ["", "hash:k:00", "tok:x:y", "[REDACTED]", "tok:" + "0" * 36])
async def test_what_is_no_token_is_refused(caller: Caller, token: str) -> None:
    answer = await caller.client.post(f"{POLICY}/reveal", json={"token": token})
    assert (answer.status_code, answer.json()["code"]) == (400, "redaction.no_token")


async def test_what_a_token_stands_for_is_stored_encrypted(
    caller: Caller, redactors: Redactors, shared_database: Database
) -> None:
    tenant = await redactors.of(caller.scope.tenant_id)
    tenant.redactor.text("DE89 3704 0044 0532 0130 00")
    await tenant.settle()
    with psycopg.connect(shared_database.admin) as connection:
        rows = connection.execute(
            "select token, sealed from redaction_vault where tenant_id = %s",
            [caller.scope.tenant_id],
        ).fetchall()
    assert [(token[:4], sealed[:4]) for token, sealed in rows] == [("tok:", "enc:")]


# -- redactors -------------------------------------------------------------------------------------


async def test_a_change_reaches_others_when_they_ask_anew(caller: Caller, pool: Pool) -> None:
    now = [0.0]
    redactors = Redactors(pool, None, monotonic=lambda: now[0])
    before = await redactors.of(caller.scope.tenant_id)
    await put(caller, {"strategies": {"email": "allow"}})
    remembered = await redactors.of(caller.scope.tenant_id)
    now[0] = 5.0
    after = await redactors.of(caller.scope.tenant_id)
    assert [one.version for one in (before, remembered, after)] == [0, 0, 1]
    assert [one.redactor.text("ada@example.com") for one in (before, after)] == [
        "[REDACTED]",
        "ada@example.com",
    ]


async def test_without_postgres_the_last_answer_counts_for_a_time(
    caller: Caller, shared_database: Database
) -> None:
    now = [0.0]
    async with open_pool(shared_database.app, size=1) as pool:
        redactors = Redactors(pool, None, grace_s=60, monotonic=lambda: now[0])
        await redactors.of(caller.scope.tenant_id)
    now[0] = 64.0
    assert (await redactors.of(caller.scope.tenant_id)).version == 0
    now[0] = 66.0
    with pytest.raises(RedactionUnavailable):
        await redactors.of(caller.scope.tenant_id)
    with pytest.raises(RedactionUnavailable):
        await redactors.of(uuid4())


async def test_a_token_that_cannot_be_kept_says_so(
    caller: Caller, shared_database: Database, keys: Keys
) -> None:
    async with open_pool(shared_database.app, size=1) as pool:
        tenant = await Redactors(pool, keys.ring).of(caller.scope.tenant_id)
        tenant.redactor.text("4111 1111 1111 1111")
    with pytest.raises(RedactionUnavailable):
        await tenant.settle()


async def test_a_policy_on_record_that_nobody_can_read_lets_nothing_through(
    scope: TenantScope, pool: Pool, shared_database: Database
) -> None:
    with psycopg.connect(shared_database.admin) as connection:
        connection.execute(
            "insert into redaction_policies (tenant_id, version, form, author)"
            " values (%s, 1, '{\"format\": 99}', 'betrace')",
            [scope.tenant_id],
        )
    with pytest.raises(RedactionUnavailable):
        await Redactors(pool, None).of(scope.tenant_id)


async def test_tenants_have_keys_of_their_own(pool: Pool, redactors: Redactors) -> None:
    texts = [
        (await redactors.of((await make_tenant(pool)).tenant_id)).redactor.text("a@example.com")
        for _ in range(2)
    ]
    assert texts[0] != texts[1]
    assert all(text.startswith("hash:") for text in texts)


# -- rules -----------------------------------------------------------------------------------------


async def test_a_rule_is_announced_with_tokens_and_shown_as_it_was_written(
    caller: Caller, rules_log: MemoryRulesLog, redactors: Redactors
) -> None:
    text = 'when { login } never { any.where(user.email == "ada@example.com") }'
    answer = await caller.client.post(RULES, json={"id": "ada", "rule": text})
    redactor = (await redactors.of(caller.scope.tenant_id)).redactor
    token = redactor.attribute("user.email", "ada@example.com")
    assert (answer.status_code, answer.json()["rule"]) == (201, text)
    assert await judged_texts(rules_log, "ada") == [(1, text.replace("ada@example.com", token))]


async def test_a_change_of_the_policy_brings_rules_along(
    caller: Caller, rules_log: MemoryRulesLog
) -> None:
    text = 'when { login } never { any.where(customer == "c-17") }'
    await caller.client.post(RULES, json={"id": "ours", "rule": text, "state": "shadow"})
    await caller.client.post(RULES, json={"id": "others", "rule": "when { a } never { b }"})
    changed = (await put(caller, {"keys": {"customer": "hash"}})).json()
    back = (await put(caller, {})).json()
    assert (changed["published"], back["published"]) == (["ours"], ["ours"])
    versions = await judged_texts(rules_log, "ours")
    assert [version for version, _ in versions] == [1, 2, 3]
    assert [("hash:" in said, "c-17" in said) for _, said in versions] == [
        (False, True),
        (True, False),
        (False, True),
    ]
    rule = (await caller.client.get(f"{RULES}/ours")).json()
    assert (rule["rule"], rule["state"], rule["version"]) == (text, "shadow", 3)
    again = await caller.client.put(f"{RULES}/ours", json={"rule": text, "state": "shadow"})
    assert again.json()["version"] == 3


async def test_a_rule_that_looks_into_tokens_is_refused_and_one_there_already_is_told_of(
    caller: Caller,
) -> None:
    text = 'when { login } never { any.where(customer matches "^c-") }'
    await caller.client.post(RULES, json={"id": "there", "rule": text})
    looked = await caller.client.post(f"{POLICY}/preview", json={"keys": {"customer": "hash"}})
    changed = await put(caller, {"keys": {"customer": "hash"}})
    refused = await caller.client.post(RULES, json={"id": "new", "rule": text})
    checked = await caller.client.post(f"{RULES}/validate", json={"rule": text})
    for answer in (looked, changed):
        [doubt] = answer.json()["rules_in_doubt"]
        assert (doubt["rule"], doubt["problems"][0]["code"]) == ("there", "rule.redacted_operator")
    assert refused.status_code == 422
    assert refused.json()["problems"][0]["code"] == "rule.redacted_operator"
    assert [problem["code"] for problem in checked.json()["problems"]] == ["rule.redacted_operator"]


EXCEPTIONS = [
    {"where": 'user.email == "ada@example.com"', "reason": "known"},
    {"where": "service == staging", "reason": "load tests"},
]


def stored_exceptions(database: Database, scope: TenantScope) -> list[tuple[int, Any]]:
    """Return (version, exceptions as they are asked) of the tenant's rules, oldest first."""
    with psycopg.connect(database.admin) as connection:
        return connection.execute(
            "select version, judged_exceptions from rule_versions where tenant_id = %s"
            " order by version",
            [scope.tenant_id],
        ).fetchall()


async def test_exceptions_are_asked_of_redacted_spans_and_shown_as_they_were_written(
    caller: Caller, redactors: Redactors, shared_database: Database
) -> None:
    rule = {"id": "excepting", "rule": "when { a } never { b }", "exceptions": EXCEPTIONS}
    answer = await caller.client.post(RULES, json=rule)
    redactor = (await redactors.of(caller.scope.tenant_id)).redactor
    token = redactor.attribute("user.email", "ada@example.com")
    [(version, asked)] = stored_exceptions(shared_database, caller.scope)
    assert (answer.status_code, answer.json()["exceptions"], version) == (201, EXCEPTIONS, 1)
    assert asked == [{**EXCEPTIONS[0], "judged": f'user.email == "{token}"'}, EXCEPTIONS[1]]
    off = await caller.client.post(f"{RULES}/excepting/state", json={"state": "off"})
    assert off.status_code == 200
    assert stored_exceptions(shared_database, caller.scope) == [(1, asked), (2, asked)]
    await put(caller, {"strategies": {"email": "allow"}})
    assert stored_exceptions(shared_database, caller.scope)[-1] == (3, None)


async def test_an_exception_that_looks_into_tokens_is_refused(caller: Caller) -> None:
    rule = {
        "id": "excepting",
        "rule": "when { a } never { b }",
        "exceptions": [{"where": 'user.email ends_with "@example.com"', "reason": "ours"}],
    }
    refused = await caller.client.post(RULES, json=rule)
    checked = await caller.client.post(f"{RULES}/validate", json=rule)
    for answer in (refused, checked):
        [problem] = answer.json()["problems"]
        assert problem["code"] == "rule.redacted_operator"
        assert problem["message"].startswith("exception 1: `user.email` is hashed")


async def test_rules_follow_a_new_redaction_key(
    caller: Caller,
    pool: Pool,
    keys: Keys,
    redactors: Redactors,
    rules_log: MemoryRulesLog,
    shared_database: Database,
) -> None:
    text = 'when { login } never { any.where(user.email == "ada@example.com") }'
    rule = {"id": "ada", "rule": text, "exceptions": EXCEPTIONS}
    await caller.client.post(RULES, json=rule)
    await caller.client.post(RULES, json={"id": "others", "rule": "when { a } never { b }"})
    publisher = Publisher(pool, rules_log)
    await follow_new_keys(pool, publisher, redactors)
    assert len(await judged_texts(rules_log, "ada")) == 1
    made = await keys.care.rotate(caller.scope.tenant_id, Purpose.REDACTION, by="ada")
    await follow_new_keys(pool, publisher, redactors)
    await follow_new_keys(pool, publisher, redactors)
    versions = await judged_texts(rules_log, "ada")
    assert [(version, str(made.id) in said) for version, said in versions] == [
        (1, False),
        (2, True),
    ]
    [*_, (_, asked)] = [
        row for row in stored_exceptions(shared_database, caller.scope) if row[1] is not None
    ]
    assert str(made.id) in asked[0]["judged"]
    assert len(await judged_texts(rules_log, "others")) == 1
    shown = (await caller.client.get(f"{RULES}/ada")).json()
    assert (shown["rule"], shown["exceptions"]) == (text, EXCEPTIONS)


async def test_a_tenant_whose_key_cannot_be_had_waits_and_holds_up_nobody(
    caller: Caller,
    stranger: Caller,
    pool: Pool,
    keys: Keys,
    redactors: Redactors,
    rules_log: MemoryRulesLog,
    shared_database: Database,
) -> None:
    text = 'when { login } never { any.where(user.email == "ada@example.com") }'
    for one in (caller, stranger):
        await one.client.post(RULES, json={"id": one.scope.tenant_id.hex, "rule": text})
        await keys.care.rotate(one.scope.tenant_id, Purpose.REDACTION, by="ada")
    with psycopg.connect(shared_database.admin) as connection:
        connection.execute(
            "insert into redaction_policies (tenant_id, version, form, author)"
            " values (%s, 1, '{\"format\": 99}', 'betrace')",
            [caller.scope.tenant_id],
        )
    await follow_new_keys(pool, Publisher(pool, rules_log), redactors)
    assert len(await judged_texts(rules_log, caller.scope.tenant_id.hex)) == 1
    assert len(await judged_texts(rules_log, stranger.scope.tenant_id.hex)) == 2
    with psycopg.connect(shared_database.admin) as connection:
        waiting = connection.execute("select tenant_id from redaction_rekeyings").fetchall()
    assert (caller.scope.tenant_id,) in waiting
    assert (stranger.scope.tenant_id,) not in waiting


# -- counts ----------------------------------------------------------------------------------------


async def count(pool: Pool, caller: Caller, day: int, version: int, **by_kind: int) -> None:
    counts = RedactionCounts(now=lambda: datetime(2026, 11, day, 23, 59, tzinfo=UTC))
    counts.add(caller.scope.tenant_id, version, Tally(Counter(by_kind), spans=2, failures=1))
    await counts.write(pool)


async def test_what_was_taken_out_is_counted_by_day_kind_and_policy(
    caller: Caller, stranger: Caller, pool: Pool
) -> None:
    for day, version, kinds in (
        (20, 1, {"email": 5, "jwt": 1}),
        (26, 1, {"email": 3}),
        (27, 1, {"email": 2}),
        (27, 2, {"phone": 4}),
    ):
        await count(pool, caller, day, version, **kinds)
        await count(pool, caller, day, version, **kinds)
    found = await read_counts(pool, caller.scope, days=2, today=date(2026, 11, 27))
    assert found == Counted(
        first=date(2026, 11, 26),
        last=date(2026, 11, 27),
        by_kind={"email": 10, "phone": 8},
        by_version={1: 10, 2: 8},
        spans=12,
        failures=6,
    )
    whole = await read_counts(pool, caller.scope, days=30, today=date(2026, 11, 27))
    assert list(whole.by_kind.items()) == [("jwt", 2), ("email", 20), ("phone", 8)]
    theirs = await read_counts(pool, stranger.scope, days=30, today=date(2026, 11, 27))
    assert (theirs.values, theirs.spans) == (0, 0)


async def test_counts_are_told_over_the_api(caller: Caller, pool: Pool) -> None:
    counts = RedactionCounts()
    counts.add(caller.scope.tenant_id, 0, Tally(Counter(email=1_234), spans=7))
    await counts.write(pool)
    body = (await caller.client.get(f"{POLICY}/counts", params={"days": 1})).json()
    assert (body["values"], body["by_kind"], body["by_version"], body["spans"]) == (
        1_234,
        {"email": 1_234},
        {"0": 1_234},
        7,
    )
    assert body["first"] == body["last"]
    refused = await caller.client.get(f"{POLICY}/counts", params={"days": 0})
    assert refused.status_code == 400


async def test_counts_that_cannot_be_written_wait(
    caller: Caller, pool: Pool, shared_database: Database
) -> None:
    counts = RedactionCounts()
    counts.add(caller.scope.tenant_id, 0, Tally(Counter(email=1)))
    counts.add(uuid4(), 0, Tally(Counter(email=9)))
    async with open_pool(shared_database.app, size=1) as closed:
        pass
    with pytest.raises(DatabaseUnavailable):
        await counts.write(closed)
    await counts.write(pool)
    await counts.write(pool)
    assert (await read_counts(pool, caller.scope, days=2)).by_kind == {"email": 1}


# -- what people write -----------------------------------------------------------------------------


async def test_the_reason_of_a_status_is_redacted(
    caller: Caller, shared_database: Database, redactors: Redactors
) -> None:
    insert_rule(shared_database.app, caller.scope)
    signal_id = insert_signal(shared_database.worker, caller.scope)
    change = {
        "status": "false_positive",
        "reason": "asked ada@example.com, card 4111 1111 1111 1111",
    }
    answer = await caller.client.patch(f"/api/v1/signals/{signal_id}", json=change)
    token = (await redactors.of(caller.scope.tenant_id)).redactor.text("4111 1111 1111 1111")
    revealed = await caller.client.post(f"{POLICY}/reveal", json={"token": token})
    assert answer.status_code == 200
    assert "ada@example.com" not in answer.text
    assert "4111" not in answer.text
    assert revealed.json()["value"] == "4111 1111 1111 1111"
