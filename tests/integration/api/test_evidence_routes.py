"""Evidence over REST: found, verified, summed, exported; and the catalogues."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pypdfium2
import pytest
from fastapi import FastAPI

from api.auth.principal import Role
from api.cursors import encode_cursor
from api.database import Pool
from api.settings import Settings
from tests.integration.api.conftest import Caller, client_of
from tests.support.keys import MASTER
from tests.support.postgres import Database
from tests.support.rules_log import MemoryRulesLog
from tests.support.sealed import days_of_evidence, now_ms, seal
from tests.support.tenants import make_key, make_tenant
from udfs.evidence.exports import check_export
from udfs.evidence.keys import VerifierKey, parse_verifier_key

TEXT = "when { charge } always { check }"
CONTROL, SAID = "soc2.CC7.2", "soc2.CC6.1"


@pytest.fixture
async def app(settings: Settings, rules_log: MemoryRulesLog) -> AsyncIterator[FastAPI]:
    """The running application, with keys."""
    from api.main import create_app

    with_keys = Settings.model_validate(
        {
            "database_url": settings.app_dsn,
            "secret_key": settings.pepper.decode(),
            "kafka": settings.kafka,
            "keys_provider": "local",
            "keys_master": MASTER,
        }
    )
    application = create_app(with_keys, rules_log=rules_log)
    async with application.router.lifespan_context(application):
        yield application


@pytest.fixture
async def officer(app: FastAPI, pool: Pool, shared_database: Database) -> AsyncIterator[Caller]:
    """A compliance viewer's key of a tenant with three days of evidence."""
    scope = await make_tenant(pool)
    offers = days_of_evidence(
        scope.tenant_id,
        rule="promise",
        text=TEXT,
        control=CONTROL,
        said=SAID,
        until_ms=now_ms() - 60_000,
    )
    await seal(shared_database, offers)
    key = await make_key(pool, scope, Role.COMPLIANCE_VIEWER)
    async with client_of(app, key=key) as client:
        yield Caller(scope, client)


async def told(caller: Caller, path: str, **query: Any) -> Any:
    response = await caller.client.get(f"/api/v1/evidence/{path}", params=query)
    assert response.status_code == 200, response.text
    return response.json()


async def keys_of(caller: Caller) -> list[VerifierKey]:
    proof = await told(caller, "records/1/verification")
    keys = [parse_verifier_key(key) for key in proof["verifier_keys"]]
    return [key for key in keys if isinstance(key, VerifierKey)]


async def test_records_are_found_with_what_verifying_them_finds(officer: Caller) -> None:
    page = await told(officer, "records", control=SAID, outcome="blocked", limit=5)
    assert (len(page["items"]), page["total"]) == (5, 12)
    assert {one["verification"]["badge"] for one in page["items"]} == {"valid"}
    assert {one["record"]["body"]["outcome"] for one in page["items"]} == {"blocked"}
    more = await told(
        officer, "records", control=SAID, outcome="blocked", cursor=page["next_cursor"]
    )
    assert len(more["items"]) == 7
    assert more["next_cursor"] is None


async def test_a_record_comes_with_all_that_proves_it(officer: Caller) -> None:
    proof = await told(officer, "records/3/verification")
    assert proof["verification"] == {"badge": "valid", "code": "", "reason": ""}
    assert proof["checkpoint"].startswith("betrace.example/log/")
    assert len(proof["verifier_keys"]) == 1
    missing = await officer.client.get("/api/v1/evidence/records/999999/verification")
    assert missing.status_code == 404


async def test_the_matrix_has_controls_with_and_without_evidence(officer: Caller) -> None:
    matrix = await told(officer, "controls", framework="soc2")
    rows = {row["id"]: row for row in matrix["controls"]}
    assert (rows[CONTROL]["standing"], rows[SAID]["standing"]) == ("violated", "satisfied")
    assert rows[CONTROL]["satisfied"] == 12 * 1_200 - 1
    assert rows["soc2.A1.1"]["standing"] == "none"
    quiet = await told(officer, "controls", framework="soc2", without_days=7)
    assert CONTROL not in {row["id"] for row in quiet["controls"]}
    assert "soc2.A1.1" in {row["id"] for row in quiet["controls"]}
    one = await told(officer, f"controls/{CONTROL}")
    assert [sums["violated"] for sums in one["rules"]] == [1]
    assert (await officer.client.get("/api/v1/evidence/controls/soc2.NO")).status_code == 404


async def exported(caller: Caller, form: str, **query: Any) -> bytes:
    response = await caller.client.get("/api/v1/evidence/export", params={"format": form, **query})
    assert response.status_code == 200, response.text
    assert "attachment" in response.headers["content-disposition"]
    return response.content


async def test_json_and_json_lines_end_with_a_manifest_that_the_log_signed(
    officer: Caller,
) -> None:
    keys = await keys_of(officer)
    for form in ("json", "jsonl"):
        file = await exported(officer, form, control=SAID)
        found = check_export(file.splitlines(keepends=True), keys)
        assert (found.problems, found.records, len(found.signers)) == ((), 36, 1), form
        assert found.manifest["query"]["control"] == SAID
        assert found.manifest["complete"] is True
    assert len(json.loads(await exported(officer, "json", control=SAID))["records"]) == 36
    nothing = await exported(officer, "json", framework="gdpr")
    assert json.loads(nothing)["records"] == []
    assert check_export(nothing.splitlines(), keys).problems == ()


async def test_csv_has_a_row_for_each_record_and_no_formula(
    officer: Caller, shared_database: Database
) -> None:
    from api.evidence.model import Offer
    from tests.support.sealed import a_span
    from udfs.evidence.records import Outcome

    tricky = a_span(Outcome.FAILURE)
    offer = Offer(
        tenant=officer.scope.tenant_id,
        id="tricky",
        time_ms=now_ms(),
        body=type(tricky)(
            "=cmd()", '@sum(1,"2")\n', Outcome.FAILURE, "-web", tricky.trace_id, tricky.span_id
        ),
        controls=(SAID,),
    )
    await seal(shared_database, [offer])
    file = (await exported(officer, "csv", control=SAID, outcome="failure")).decode()
    [row] = csv.DictReader(io.StringIO(file, newline=""))
    assert (row["evidence_type"], row["operation"], row["service"]) == (
        *("'=cmd()", '\'@sum(1,"2")\n', "'-web"),
    )
    assert len(list(csv.reader(io.StringIO((await exported(officer, "csv")).decode())))) > 50


async def test_assessment_results_are_the_same_twice(officer: Caller) -> None:
    first, second = [
        await officer.client.get("/api/v1/evidence/oscal", params={"framework": "soc2"})
        for _ in range(2)
    ]
    assert first.content == second.content
    [result] = first.json()["assessment-results"]["results"]
    states = {
        one["target"]["target-id"]: one["target"]["status"]["state"] for one in result["findings"]
    }
    assert states == {"soc2_CC6.1": "satisfied", "soc2_CC7.2": "not-satisfied"}
    unknown = await officer.client.get("/api/v1/evidence/oscal", params={"framework": "sox"})
    assert unknown.status_code == 404


async def test_a_report_is_the_same_twice_and_has_the_numbers_of_the_matrix(
    officer: Caller,
) -> None:
    for asked in ({"framework": "soc2"}, {"control": CONTROL}):
        first, second = [
            await officer.client.get("/api/v1/evidence/report", params=asked) for _ in range(2)
        ]
        assert first.headers["content-type"] == "application/pdf"
        assert first.content == second.content
        document = pypdfium2.PdfDocument(first.content)
        text = " ".join(page.get_textpage().get_text_range() for page in document)
        assert "14,399" in text
        assert (await keys_of(officer))[0].id.hex() in text
    for unknown in ({"framework": "sox"}, {"control": "soc2.NO"}, {}):
        missing = await officer.client.get("/api/v1/evidence/report", params=unknown)
        assert missing.status_code == 404


async def test_words_are_found_listed_and_exported(officer: Caller) -> None:
    page = await told(officer, "records", text="charges block", limit=5)
    assert (len(page["items"]), page["total"]) == (5, 12)
    lines = (await exported(officer, "jsonl", text="charges block")).splitlines()
    found = check_export(lines, await keys_of(officer))
    assert (found.problems, found.records) == ((), 12)
    assert found.manifest["query"]["text"] == "charges block"
    of_control = await told(officer, "records", text="charges", control=CONTROL)
    assert of_control["total"] == 0


async def test_exports_are_on_record(officer: Caller, shared_database: Database) -> None:
    await exported(officer, "csv", control=SAID)
    await officer.client.get("/api/v1/evidence/oscal", params={"framework": "soc2"})
    await officer.client.get("/api/v1/evidence/report", params={"control": SAID})
    with psycopg.connect(shared_database.admin) as connection:
        rows = connection.execute(
            "select details ->> 'format', details ->> 'filters' from audit_log"
            " where tenant_id = %s and action = 'evidence.exported' order by at",
            [officer.scope.tenant_id],
        ).fetchall()
    assert [form for form, _ in rows] == ["csv", "oscal", "pdf"]
    assert rows[0][1] == f"control={SAID}"


async def test_another_tenant_sees_nothing(officer: Caller, stranger: Caller) -> None:
    assert (await told(stranger, "records"))["total"] == 0
    missing = await stranger.client.get("/api/v1/evidence/records/1/verification")
    assert missing.status_code == 404
    matrix = await told(stranger, "controls", framework="soc2")
    assert {row["standing"] for row in matrix["controls"]} == {"none"}
    assert (await exported(stranger, "csv")).count(b"\r\n") == 1
    assert (await exported(stranger, "csv", text="charges")).count(b"\r\n") == 1
    assert (await told(stranger, "records", text="charges"))["total"] == 0
    theirs = await stranger.client.get("/api/v1/evidence/report", params={"framework": "soc2"})
    pages = pypdfium2.PdfDocument(theirs.content)
    assert "14,399" not in " ".join(page.get_textpage().get_text_range() for page in pages)
    found = check_export((await exported(stranger, "jsonl")).splitlines(), ())
    assert (found.records, found.manifest["unsigned"]) == (0, "no key could sign at this moment")


async def test_what_cannot_be_asked_for_is_refused(officer: Caller) -> None:
    later = datetime.now(UTC)
    for path, query, code in (
        ("records", {"outcome": "fine"}, "request.outcome"),
        ("records", {"control": "a\0b"}, "request.invalid"),
        ("records", {"cursor": "x"}, "request.cursor"),
        ("records", {"cursor": encode_cursor(10**30, 1)}, "request.cursor"),
        ("records", {"from": later.isoformat(), "to": (later - timedelta(1)).isoformat()}, "range"),
        ("controls", {"from": "2026-02-01", "to": "2026-01-01"}, "request.range"),
        ("controls", {"from": "1990-01-01", "to": "2026-01-01"}, "request.range"),
    ):
        response = await officer.client.get(f"/api/v1/evidence/{path}", params=query)
        assert response.status_code == 400, path
        assert code in response.json()["code"]


async def test_the_catalogues_are_told_to_everybody_who_is_known(officer: Caller) -> None:
    found = (await officer.client.get("/api/v1/controls")).json()["items"]
    assert [one["id"] for one in found][:2] == ["soc2", "hipaa"]
    one = (await officer.client.get("/api/v1/controls/soc2.CC6.1")).json()
    assert one["title"] == "Only who is allowed gets in"
    assert (await officer.client.get("/api/v1/controls/soc2.CC1.1")).status_code == 404


async def test_a_pack_of_a_control_is_made(officer: Caller) -> None:
    response = await officer.client.post("/api/v1/evidence/export", json={"controls": [CONTROL]})
    assert response.status_code == 200, response.text
    assert response.content[:2] == b"PK"
