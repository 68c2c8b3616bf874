"""Cases that rules are held to: kept, run by the rule as it is and by drafts, and put on record."""

from __future__ import annotations

from typing import Any

import httpx
import psycopg
import pytest

from api.cases.model import CASES_MAX
from api.cases.service import digest_of
from api.settings import Settings
from tests.integration.api.conftest import NO_KAFKA, Caller
from tests.support.keys import MASTER
from tests.support.postgres import Database
from tests.support.tenants import PEPPER
from tests.unit.api.test_samples import otlp

RULES = "/api/v1/rules"
CASES = f"{RULES}/checked/cases"
RUNS = f"{RULES}/checked/test-runs"
TEXT = "when { payment.charge.where(amount > 1000) } always { fraud.check }"
WITH, WITHOUT = "payment-with-fraud-check", "payment-without-fraud-check"


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


@pytest.fixture(autouse=True)
async def rule(caller: Caller) -> None:
    """A rule that is held to something."""
    answer = await caller.client.put(f"{RULES}/checked", json={"rule": TEXT})
    assert answer.is_success, answer.text


async def keep(
    caller: Caller, sample: str, expect: str, *, url: str = CASES, **more: Any
) -> httpx.Response:
    return await caller.client.post(url, json={"sample": sample, "expect": expect, **more})


async def run(caller: Caller, *, url: str = RUNS, **body: Any) -> dict[str, Any]:
    answer = await caller.client.post(url, json=body)
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


def outcomes(told: dict[str, Any]) -> list[tuple[str, str, bool]]:
    return [(one["sample"], one["verdict"], one["passed"]) for one in told["results"]]


async def test_a_case_is_kept_and_told_with_what_came_of_it(caller: Caller) -> None:
    kept = await keep(caller, WITHOUT, "violated")
    assert (kept.status_code, kept.json()["name"]) == (201, "A payment that nobody checks")
    assert kept.json()["last"] is None
    told = await run(caller)
    [case] = (await caller.client.get(CASES)).json()["items"]
    assert case["last"] == {
        "at": told["at"],
        "run_id": told["id"],
        "rule_version": 1,
        "verdict": "violated",
        "passed": True,
    }
    assert case | {"last": None} == kept.json()


async def test_a_run_tells_which_cases_failed_and_why(caller: Caller) -> None:
    await keep(caller, WITHOUT, "violated")
    await keep(caller, WITH, "violated", name="Wrong on purpose")
    told = await run(caller)
    assert outcomes(told) == [(WITHOUT, "violated", True), (WITH, "satisfied", False)]
    assert (told["case_count"], told["passed_count"], told["failed_count"]) == (2, 1, 1)
    assert (told["passed"], told["draft"], told["rule_id"]) == (False, False, "checked")
    assert told["results"][0]["explanation"] is None
    failed = told["results"][1]["explanation"]
    assert [clause["state"] for clause in failed["clauses"]] == ["true", "true"]
    read = (await caller.client.get(f"/api/v1/test-runs/{told['id']}")).json()
    assert read == told


async def test_a_draft_is_held_to_the_cases_and_named_as_one(caller: Caller) -> None:
    await keep(caller, WITHOUT, "violated")
    draft = TEXT.replace("1000", "5000")
    told = await run(caller, rule=draft)
    assert outcomes(told) == [(WITHOUT, "not_applicable", False)]
    assert (told["draft"], told["results"][0]["rule_version"]) == (True, None)
    saved = await run(caller)
    assert saved["results"][0]["text_hash"] != told["results"][0]["text_hash"]
    broken = await run(caller, rule="when { payment.charge } alwys { fraud.check }")
    assert outcomes(broken) == [(WITHOUT, "rejected", False)]
    assert broken["results"][0]["explanation"]["problems"][0]["code"] == "rule.unknown_clause"


async def test_a_rule_is_judged_as_its_settings_say(caller: Caller) -> None:
    body = {"rule": "when { payment.charge } always { fraud.check }", "on_incomplete": "hold"}
    await caller.client.put(f"{RULES}/checked", json=body)
    await keep(caller, "missing-root", "inconclusive")
    assert outcomes(await run(caller)) == [("missing-root", "inconclusive", True)]


async def test_what_a_rule_compares_with_is_redacted_as_its_own_samples_are(
    caller: Caller,
) -> None:
    mail = [{"key": "user.email", "value": {"stringValue": "ada@example.com"}}]
    sample = await caller.client.post(
        "/api/v1/samples",
        json={"name": "By Ada", "otlp": otlp({"name": "sign.in", "attributes": mail})},
    )
    rule = 'when { sign.in.where(user.email == "ada@example.com") } always { audit.write }'
    await caller.client.put(f"{RULES}/checked", json={"rule": rule})
    await keep(caller, sample.json()["id"], "violated")
    assert outcomes(await run(caller)) == [(sample.json()["id"], "violated", True)]


async def test_all_rules_are_run_at_once_and_each_has_its_history(caller: Caller) -> None:
    other = f"{RULES}/unchecked"
    await caller.client.put(other, json={"rule": "when { payment.charge } never { fraud.check }"})
    await keep(caller, WITHOUT, "violated")
    await keep(caller, WITH, "violated", url=f"{other}/cases")
    alone = await run(caller)
    everything = await run(caller, url="/api/v1/test-runs")
    assert [one["rule_id"] for one in everything["results"]] == ["checked", "unchecked"]
    assert everything["rule_id"] == ""

    async def runs(**params: Any) -> list[str]:
        page = (await caller.client.get("/api/v1/test-runs", params=params)).json()
        return [item["id"] for item in page["items"]]

    assert await runs() == await runs(rule_id="checked") == [everything["id"], alone["id"]]
    assert await runs(rule_id="unchecked") == [everything["id"]]
    first = (await caller.client.get("/api/v1/test-runs", params={"limit": 1})).json()
    assert await runs(limit=1, cursor=first["next_cursor"]) == [alone["id"]]
    await caller.client.delete(other)
    assert len((await run(caller, url="/api/v1/test-runs"))["results"]) == 1


async def test_a_run_is_on_the_record_with_its_digest(caller: Caller) -> None:
    await keep(caller, WITHOUT, "violated")
    passed = await run(caller)
    failed = await run(caller, rule=TEXT.replace("always", "never "))
    rows = (await caller.client.get("/api/v1/audit", params={"action": "rule"})).json()["items"]
    told = {row["action"]: row for row in rows}
    for action, one in (("rule.cases_passed", passed), ("rule.cases_failed", failed)):
        assert told[action]["target"] == f"case-run:{one['id']}:{one['digest']}"
    assert "rule.case_added" in told
    assert passed["digest"] != failed["digest"]


async def test_a_run_stays_as_it_was(caller: Caller, shared_database: Database) -> None:
    case = (await keep(caller, WITHOUT, "violated")).json()
    told = await run(caller)
    assert (await caller.client.delete(f"{CASES}/{case['id']}")).status_code == 204
    assert (await caller.client.get(CASES)).json()["items"] == []
    assert (await caller.client.get(f"/api/v1/test-runs/{told['id']}")).json() == told
    with psycopg.connect(shared_database.admin) as connection:
        for statement in (
            b"update case_runs set passed_count = 0 where tenant_id = %s",
            b"update case_results set passed = false where tenant_id = %s",
        ):
            with pytest.raises(psycopg.errors.RestrictViolation), connection.transaction():
                connection.execute(statement, [caller.scope.tenant_id])


async def test_a_sample_stays_as_long_as_a_case_uses_it(caller: Caller) -> None:
    sample = await caller.client.post(
        "/api/v1/samples", json={"name": "A", "otlp": otlp({"name": "a"})}
    )
    url = f"/api/v1/samples/{sample.json()['id']}"
    case = (await keep(caller, sample.json()["id"], "not_applicable")).json()
    refused = await caller.client.delete(url)
    assert (refused.status_code, refused.json()["code"]) == (409, "sample.in_use")
    await caller.client.delete(f"{CASES}/{case['id']}")
    assert (await caller.client.delete(url)).status_code == 204


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"sample": "nothing", "expect": "violated"}, 404, "request.not_found"),
        ({"sample": WITH, "expect": "broken"}, 400, "request.invalid"),
        ({"sample": WITH, "expect": "violated", "name": "x" * 256}, 400, "request.invalid"),
    ],
)
async def test_what_is_no_case_is_refused(
    body: dict[str, str], status: int, code: str, caller: Caller
) -> None:
    answer = await caller.client.post(CASES, json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_name_is_one_cases_and_there_are_only_so_many(
    caller: Caller, shared_database: Database
) -> None:
    none = await caller.client.post(RUNS, json={})
    assert (none.status_code, none.json()["code"]) == (409, "case.none")
    await keep(caller, WITH, "satisfied", name="Same")
    taken = await keep(caller, WITHOUT, "violated", name="Same")
    assert (taken.status_code, taken.json()["code"]) == (409, "case.name_taken")
    with psycopg.connect(shared_database.admin) as connection:
        connection.execute(
            "insert into rule_cases (tenant_id, id, rule_id, name, library_id, expect, created_by)"
            " select %s, gen_random_uuid(), 'checked', 'case ' || n, %s, 'satisfied', 'test'"
            " from generate_series(2, %s) n",
            [caller.scope.tenant_id, WITH, CASES_MAX],
        )
    refused = await keep(caller, WITHOUT, "violated")
    assert (refused.status_code, refused.json()["code"]) == (409, "case.too_many")


def test_the_digest_depends_on_what_came_and_not_on_how_it_is_explained() -> None:
    from dataclasses import replace

    from api.cases.model import Result

    result = Result(
        case_id="c",
        case_name="A case",
        rule_id="r",
        rule_version=1,
        text_hash="00",
        sample=WITH,
        expect="violated",
        verdict="violated",
        passed=True,
        explanation=None,
    )
    same = digest_of([replace(result, explanation={"a": 1})])
    assert digest_of([result]) == same
    assert digest_of([replace(result, verdict="satisfied")]) != same
    assert digest_of([result, result]) != same
