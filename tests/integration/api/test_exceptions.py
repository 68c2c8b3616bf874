"""Exceptions of rules: proven, refused where they go too far, added and ended."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from psycopg.types.json import Jsonb

from api.auth.principal import Role
from api.database import Pool
from api.exceptions.model import PAST_DAYS
from tests.integration.api.conftest import Caller, client_of
from tests.support.postgres import Database
from tests.support.tenants import insert_signal, insert_trace, make_key, update_signal

RULES = "/api/v1/rules"
RULE = f"{RULES}/checked"
URL = f"{RULE}/exceptions"
TEXT = "when { charge.where(amount > 10) } always { audit }"
TESTS = [
    {
        "name": "a charge of the shop that nobody audits",
        "trace": [{"name": "charge", "service": "shop", "attributes": {"amount": 12}}],
        "expect": "violated",
    }
]


@pytest.fixture(autouse=True)
async def rule(caller: Caller) -> None:
    """A rule with a test that expects a violation."""
    answer = await caller.client.put(RULE, json={"rule": TEXT, "tests": TESTS})
    assert answer.is_success, answer.text


class World:
    """Stored signals of the rule."""

    def __init__(self, caller: Caller, database: Database) -> None:
        self._caller = caller
        self._database = database

    def signal(self, *, service: str = "staging", stored: bool = True, **columns: Any) -> str:
        """Store a signal with a trace whose charge is of a service; return its id."""
        scope, trace_id = self._caller.scope, secrets.token_hex(16)
        columns = {"occurred_at": datetime.now(UTC), **columns}
        if stored:
            insert_trace(self._database.worker, scope, trace_id, "GET /", "charge")
            with psycopg.connect(self._database.worker) as connection:
                connection.execute(
                    "update trace_spans set service = %s, resource = %s where trace_id = %s",
                    [service, Jsonb({"service.name": service}), bytes.fromhex(trace_id)],
                )
        return insert_signal(
            self._database.worker,
            scope,
            rule_id="checked",
            trace_id=bytes.fromhex(trace_id),
            **columns,
        )

    def change(self, signal_id: str, **columns: Any) -> None:
        """Change columns of a signal."""
        update_signal(self._database.admin, self._caller.scope, signal_id, **columns)


@pytest.fixture
def world(caller: Caller, shared_database: Database) -> World:
    """The signals of the rule."""
    return World(caller, shared_database)


async def proof(caller: Caller, where: str, **more: Any) -> dict[str, Any]:
    answer = await caller.client.post(f"{URL}/trial", json={"where": where, **more})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def add(caller: Caller, where: str, *, version: int | None = None, **more: Any) -> Any:
    headers = {} if version is None else {"If-Match": f'"{version}"'}
    body = {"where": where, "reason": "load tests", **more}
    return await caller.client.post(URL, json=body, headers=headers)


async def kept(caller: Caller) -> list[dict[str, str]]:
    found: list[dict[str, str]] = (await caller.client.get(RULE)).json()["exceptions"]
    return found


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# -- the proof -------------------------------------------------------------------------------------


async def test_a_proof_tells_of_the_signal_the_tests_and_the_last_days(
    caller: Caller, world: World
) -> None:
    mine = world.signal()
    world.signal(service="shop")
    told = await proof(caller, "service == staging", signal_id=mine)
    assert (told["signal"], told["refused"]) == (True, False)
    assert (told["silences"], told["held"], told["unproven"]) == ([], 1, [])
    past = told["past"]
    assert (past["asked"], past["silenced"], past["unknown"], past["more"]) == (2, 1, 0, False)
    assert [one["id"] for one in past["samples"]] == [mine]
    other = await proof(caller, "service == elsewhere", signal_id=mine)
    assert (other["signal"], other["refused"], other["past"]["silenced"]) == (False, True, 0)
    assert await kept(caller) == []


async def test_signals_that_somebody_resolved_are_told_as_true_problems(
    caller: Caller, world: World
) -> None:
    fixed, expected, refuted = (world.signal() for _ in range(3))
    world.change(fixed, status="resolved", disposition="fixed", status_reason="Mended.")
    world.change(expected, status="resolved", disposition="expected", status_reason="So.")
    world.change(refuted, status="false_positive", status_reason="Nothing.")
    past = (await proof(caller, "service == staging"))["past"]
    assert (past["silenced"], past["true_problems"]) == (3, 1)
    assert (past["samples"][0]["id"], past["samples"][0]["true_problem"]) == (fixed, True)


async def test_what_is_not_stored_or_long_ago_is_not_counted_as_asked(
    caller: Caller, world: World
) -> None:
    lost = world.signal(stored=False)
    world.signal(occurred_at=datetime.now(UTC) - timedelta(days=PAST_DAYS + 1))
    told = await proof(caller, "service == staging", signal_id=lost)
    assert (told["signal"], told["refused"]) == (None, False)
    assert (told["past"]["asked"], told["past"]["unknown"]) == (0, 1)


async def test_a_test_or_a_case_that_would_be_silenced_is_named_and_refuses_it(
    caller: Caller,
) -> None:
    case = await caller.client.post(
        f"{RULES}/checked/cases",
        json={"sample": "payment-without-fraud-check", "expect": "violated", "name": "unchecked"},
    )
    text = "when { payment.charge or charge } always { audit }"
    await caller.client.put(RULE, json={"rule": text, "tests": TESTS})
    too_broad = "service exists"
    told = await proof(caller, too_broad)
    assert told["refused"]
    assert told["silences"] == [
        {"name": TESTS[0]["name"], "case_id": ""},
        {"name": "unchecked", "case_id": case.json()["id"]},
    ]
    answer = await add(caller, too_broad)
    assert refused(answer) == (422, "exception.silences_expected")
    assert "unchecked" in answer.json()["detail"]
    assert answer.json()["silences"] == told["silences"]
    assert await kept(caller) == []


async def test_a_filter_that_does_not_check_is_refused_with_its_places(caller: Caller) -> None:
    answer = await caller.client.post(f"{URL}/trial", json={"where": "service = staging"})
    assert refused(answer) == (422, "exception.invalid")
    [problem] = answer.json()["problems"]
    assert (problem["code"], problem["line"], problem["column"]) == ("rule.single_equals", 1, 9)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"where": " "}, "exception.no_filter"),
        ({"where": "service == a", "until": "soon"}, "exception.until"),
        ({"where": "service == a", "until": "2020-01-31"}, "exception.until"),
    ],
)
async def test_what_is_no_exception_is_refused(
    caller: Caller, body: dict[str, str], code: str
) -> None:
    for url, more in ((f"{URL}/trial", {}), (URL, {"reason": "load tests"})):
        assert refused(await caller.client.post(url, json={**body, **more})) == (422, code)


async def test_a_rule_over_many_traces_is_proven_by_keys(
    caller: Caller, world: World, shared_database: Database
) -> None:
    await caller.client.put(
        RULE, json={"rule": "correlate { charge } by user.id within 10m having count >= 2"}
    )
    signals = [
        insert_signal(
            shared_database.worker,
            caller.scope,
            rule_id="checked",
            rule_version=2,
            trace_id=None,
            many=Jsonb({"kind": "correlate", "key": {"user.id": user}}),
            group_values=Jsonb({"user.id": user}),
            occurred_at=datetime.now(UTC),
        )
        for user in ("robot", "ada")
    ]
    told = await proof(caller, "user.id == robot", signal_id=signals[0])
    assert (told["signal"], told["past"]["asked"], told["past"]["silenced"]) == (True, 2, 1)


# -- adding and ending -----------------------------------------------------------------------------


async def test_an_exception_is_added_as_a_version_with_its_reason(
    caller: Caller, world: World
) -> None:
    answer = await add(caller, "service == staging", owner="ada", signal_id=world.signal())
    assert (answer.status_code, answer.headers["ETag"]) == (201, '"2"')
    [one] = await kept(caller)
    assert {name: one[name] for name in ("where", "reason", "owner")} == {
        "where": "service == staging",
        "reason": "load tests",
        "owner": "ada",
    }
    [newest, _] = (await caller.client.get(f"{RULE}/versions")).json()["items"]
    assert newest["reason"] == "load tests"
    trail = (await caller.client.get("/api/v1/audit")).json()["items"]
    changed = next(one for one in trail if one["action"] == "rule.changed")
    assert changed["details"]["fields"] == "exceptions"


async def test_what_does_not_silence_its_signal_or_has_no_reason_is_not_added(
    caller: Caller, world: World
) -> None:
    other = await add(caller, "service == elsewhere", signal_id=world.signal())
    assert refused(other) == (422, "exception.not_this_signal")
    assert refused(await add(caller, "service == staging", reason=" ")) == (
        400,
        "exception.no_reason",
    )
    assert await kept(caller) == []


async def test_an_exception_is_ended_at_once_and_stays_on_record(caller: Caller) -> None:
    await add(caller, "service == staging")
    await add(caller, "service == probes", reason="our probes")
    answer = await caller.client.post(f"{URL}/1/end", headers={"If-Match": '"3"'})
    assert answer.status_code == 200
    ended, other = await kept(caller)
    assert datetime.fromisoformat(ended["until"]) <= datetime.now(UTC)
    assert (ended["reason"], other.get("until") or "") == ("load tests", "")
    assert refused(await caller.client.post(f"{URL}/1/end")) == (409, "exception.over")
    assert refused(await caller.client.post(f"{URL}/3/end")) == (404, "request.not_found")


async def test_a_rule_that_was_changed_meanwhile_takes_none_and_ends_none(caller: Caller) -> None:
    await add(caller, "service == staging", version=1)
    assert refused(await add(caller, "service == probes", version=1)) == (
        412,
        "request.stale_version",
    )
    stale = await caller.client.post(f"{URL}/1/end", headers={"If-Match": '"1"'})
    assert refused(stale) == (412, "request.stale_version")
    assert len(await kept(caller)) == 1


async def test_a_signal_of_another_tenant_or_rule_is_not_there(
    caller: Caller, stranger: Caller, world: World
) -> None:
    await stranger.client.put(RULE, json={"rule": TEXT})
    await caller.client.put(f"{RULES}/other", json={"rule": TEXT})
    body = {"where": "service == staging", "signal_id": world.signal()}
    for client, url in ((stranger.client, URL), (caller.client, f"{RULES}/other/exceptions")):
        answer = await client.post(f"{url}/trial", json=body)
        assert refused(answer) == (404, "request.not_found")


async def test_an_exception_of_another_tenant_is_not_ended(
    caller: Caller, stranger: Caller
) -> None:
    await add(caller, "service == staging")
    assert refused(await stranger.client.post(f"{URL}/1/end")) == (404, "request.not_found")
    [one] = await kept(caller)
    assert not one.get("until")


async def test_who_may_not_write_rules_proves_adds_and_ends_nothing(
    caller: Caller, app: FastAPI, pool: Pool
) -> None:
    async with client_of(app, key=await make_key(pool, caller.scope, Role.SRE)) as client:
        body = {"where": "service == staging", "reason": "load tests"}
        for url, sent in (
            (f"{URL}/trial", {"where": "a == b"}),
            (URL, body),
            (f"{URL}/1/end", None),
        ):
            assert refused(await client.post(url, json=sent)) == (403, "auth.forbidden")
