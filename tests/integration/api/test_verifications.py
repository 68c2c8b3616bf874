"""Verifications of many records: what each finds, and that it stays on record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from fastapi import FastAPI

from api.auth.principal import Role, TenantScope
from api.database import Pool
from api.evidence.acts import offer_acts
from api.evidence.search import EvidenceFilter
from api.evidence.verification import Badge
from api.evidence.verifying import history_of, verify_chosen, verify_named
from tests.integration.api.conftest import Caller, client_of
from tests.support.evidence import EvidenceLog, span
from tests.support.postgres import Database
from tests.support.stored_evidence import log_of, store_log
from tests.support.tenants import make_key, make_tenant

CONTROL = "soc2.CC6.1"


@pytest.fixture
def log(shared_database: Database, scope: TenantScope) -> EvidenceLog:
    """Two signed hours of records, and one that no checkpoint covers yet."""
    made = log_of(scope.tenant_id)
    for number in range(40):
        made.append(span(number), controls=[CONTROL])
    made.seal()
    store_log(shared_database, made)
    size = made.frontier.size
    made.append(span(size), controls=[CONTROL])
    store_log(shared_database, made, first=size, heads=len(made.heads))
    return made


@pytest.fixture
async def officer(app: FastAPI, pool: Pool, scope: TenantScope) -> AsyncIterator[Caller]:
    """A compliance viewer of the tenant whose log that is."""
    key = await make_key(pool, scope, Role.COMPLIANCE_VIEWER)
    async with client_of(app, key=key) as client:
        yield Caller(scope, client)


async def verified(caller: Caller, **body: Any) -> dict[str, Any]:
    answer = await caller.client.post("/api/v1/evidence/verifications", json=body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def altered(database: Database, statement: str, scope: TenantScope) -> None:
    """Change what no role may, as somebody who owns the machine can."""
    with psycopg.connect(database.admin) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(statement.encode(), [scope.tenant_id])


async def test_each_record_has_a_finding_of_its_own(
    officer: Caller, log: EvidenceLog, shared_database: Database
) -> None:
    size = log.heads[-1].size
    altered(
        shared_database,
        "update evidence_records set line = convert_to(replace(convert_from(line, 'UTF8'),"
        " '\"success\"', '\"failure\"'), 'UTF8') where tenant_id = %s and seq = 3",
        officer.scope,
    )
    altered(
        shared_database,
        "delete from evidence_records where tenant_id = %s and seq = 20",
        officer.scope,
    )
    found = await verified(officer, records=[2, 3, 20, size, size + 100, 2])
    told = {one["seq"]: (one["badge"], one["code"]) for one in found["records"]}
    assert told == {
        2: ("valid", ""),
        3: ("invalid", "record_altered"),
        20: ("invalid", "record_missing"),
        size: ("unsigned", "unsigned"),
        size + 100: ("unverified", "no_record"),
    }
    assert all(bool(one["reason"]) == (one["badge"] != "valid") for one in found["records"])
    assert found["counts"] == {"valid": 1, "invalid": 2, "unsigned": 1, "unverified": 1}
    assert (found["checked"], found["checkpoint"]["size"]) == (5, size)


async def test_a_filter_is_verified_page_by_page(officer: Caller, log: EvidenceLog) -> None:
    chosen = {"control": CONTROL}
    first = await verified(officer, filter=chosen, limit=25)
    second = await verified(officer, filter=chosen, limit=25, cursor=first["next_cursor"])
    assert second["next_cursor"] is None
    seen = [one["seq"] for page in (first, second) for one in page["records"]]
    assert sorted(seen) == [one.seq for one in log.records if CONTROL in one.controls]
    assert (first["asked"], first["counts"]["unsigned"]) == ({"control": CONTROL}, 1)
    assert second["asked"] == {"control": CONTROL, "cursor": first["next_cursor"]}
    nothing = await verified(officer, filter={"control": "soc2.CC9.9"})
    assert (nothing["records"], nothing["checked"]) == ([], 0)


async def test_what_was_found_is_listed_by_verification_and_by_record(
    officer: Caller, log: EvidenceLog, shared_database: Database
) -> None:
    before = await verified(officer, records=[7])
    altered(
        shared_database,
        "update evidence_records set time_ms = time_ms + 1 where tenant_id = %s and seq = 7",
        officer.scope,
    )
    after = await verified(officer, records=[6, 7])
    page = (await officer.client.get("/api/v1/evidence/verifications")).json()
    assert [one["id"] for one in page["items"]] == [after["id"], before["id"]]
    assert {one["actor"].partition(":")[0] for one in page["items"]} == {"key"}
    assert all(one["actor_name"] for one in page["items"])
    one = (await officer.client.get(f"/api/v1/evidence/verifications/{after['id']}")).json()
    assert one == after
    assert [each["seq"] for each in one["records"]] == [7, 6]
    history = (await officer.client.get("/api/v1/evidence/records/7/verifications")).json()
    assert [(one["verification_id"], one["found"]["code"]) for one in history["items"]] == [
        (after["id"], "columns_altered"),
        (before["id"], ""),
    ]
    first = await officer.client.get("/api/v1/evidence/records/7/verifications?limit=1")
    rest = await officer.client.get(
        "/api/v1/evidence/records/7/verifications",
        params={"cursor": first.json()["next_cursor"]},
    )
    assert [one["verification_id"] for one in rest.json()["items"]] == [before["id"]]


async def test_a_verification_is_an_act_on_the_audit_log(
    officer: Caller, log: EvidenceLog, shared_database: Database
) -> None:
    found = await verified(officer, filter={"control": CONTROL, "outcome": ["success"]}, limit=3)
    with psycopg.connect(shared_database.admin) as connection:
        [row] = connection.execute(
            "select target, details ->> 'over', details ->> 'valid' from audit_log"
            " where tenant_id = %s and action = 'evidence.verified'",
            [officer.scope.tenant_id],
        ).fetchall()
    assert row == (
        f"verification:{found['id']}",
        f"control={CONTROL} outcomes=['success']",
        "2" if found["counts"]["unsigned"] else "3",
    )


async def test_nobody_changes_or_removes_one(
    pool: Pool, scope: TenantScope, log: EvidenceLog, shared_database: Database
) -> None:
    await verify_named(pool, scope, [1])
    for role in (shared_database.app, shared_database.worker, shared_database.admin):
        for table in ("evidence_verifications", "evidence_verified"):
            for statement in (
                f"update {table} set tenant_id = tenant_id",
                f"delete from {table} where tenant_id = '{scope.tenant_id}'",
                f"truncate {table} cascade",
            ):
                with psycopg.connect(role) as connection:
                    connection.execute(
                        "select set_config('app.tenant_id', %s, true)", [str(scope.tenant_id)]
                    )
                    with pytest.raises(
                        (psycopg.errors.InsufficientPrivilege, psycopg.errors.RestrictViolation)
                    ):
                        connection.execute(statement.encode())
    assert len((await history_of(pool, scope, 1)).items) == 1


async def test_another_tenant_verifies_and_sees_nothing_of_it(
    pool: Pool, officer: Caller, stranger: Caller, log: EvidenceLog
) -> None:
    ours = await verified(officer, records=[1])
    theirs = await verified(stranger, records=[1])
    assert [(one["badge"], one["code"]) for one in theirs["records"]] == [
        ("unverified", "no_record")
    ]
    listed = (await stranger.client.get("/api/v1/evidence/verifications")).json()["items"]
    assert [one["id"] for one in listed] == [theirs["id"]]
    missing = await stranger.client.get(f"/api/v1/evidence/verifications/{ours['id']}")
    assert missing.status_code == 404
    history = await stranger.client.get("/api/v1/evidence/records/1/verifications")
    assert [one["verification_id"] for one in history.json()["items"]] == [theirs["id"]]
    other = await make_tenant(pool)
    found = await verify_chosen(pool, other, EvidenceFilter())
    assert (found.findings, found.verification.head_number) == ((), None)
    assert set(found.verification.counts) == set(Badge)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"records": []},
        {"records": [-1]},
        {"records": [1], "filter": {}},
        {"records": list(range(1_001))},
        {"records": [1], "cursor": "x"},
        {"filter": {"outcome": ["fine"]}},
        {"filter": {"from": "2026-02-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}},
        {"filter": {}, "cursor": "x"},
        {"filter": {}, "limit": 1_001},
    ],
)
async def test_what_cannot_be_asked_for_is_refused(caller: Caller, body: dict[str, Any]) -> None:
    answer = await caller.client.post("/api/v1/evidence/verifications", json=body)
    assert answer.status_code == 400, answer.text


async def test_it_is_sealed_as_an_act(
    pool: Pool, officer: Caller, log: EvidenceLog, shared_database: Database
) -> None:
    from api.database import open_pool

    await verified(officer, records=[1])
    async with open_pool(shared_database.worker, size=2) as worker:
        await offer_acts(worker, log.now_ms)
    with psycopg.connect(shared_database.admin) as connection:
        heads = connection.execute(
            "select convert_from(head, 'UTF8') from evidence_inbox where tenant_id = %s",
            [officer.scope.tenant_id],
        ).fetchall()
    assert any('"action":"evidence.verified"' in head for (head,) in heads)
