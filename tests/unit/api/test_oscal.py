"""Assessment results: valid by NIST's schema, the same bytes every time, and no claim in them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from api.evidence.matrix import ControlRow, Matrix, RuleSums
from api.evidence.oscal import Sealed, assessment_results, control_token
from dsl.controls import FRAMEWORKS, catalogue, control
from tests.support.evidence import TENANT, a_log

SCHEMA = Path(__file__).parents[3] / ".tools" / "oscal" / "schema" / "json" / "oscal-ar_schema.json"
LOG = a_log()
SEALED = Sealed(LOG.origin, LOG.frontier.size, LOG.now_ms, LOG.checkpoints[-1].note.decode())
FROM, TO = date(2026, 10, 1), date(2026, 11, 1)


def sums(*, satisfied: int = 0, violated: int = 0, inconclusive: int = 0) -> RuleSums:
    judged = satisfied + violated + inconclusive
    counts = (44_640, judged, satisfied, violated, inconclusive, 0, 0)
    return RuleSums("pii-needs-audit", *counts, day_count=31, last_day=date(2026, 10, 31))


def row(control_id: str, **more: Any) -> ControlRow:
    return ControlRow(id=control_id, described=control(control_id), **more)


def a_matrix(framework: str = "soc2") -> Matrix:
    described = catalogue(framework)
    assert described is not None
    first, second, third, fourth, fifth, *others = (one.id for one in described.controls)
    return Matrix(
        framework=framework,
        from_day=FROM,
        to_day=TO,
        rows=(
            row(first, rules=(sums(satisfied=9),)),
            row(second, rules=(sums(satisfied=9, violated=1),), said={"success": 4}),
            row(third, rules=(sums(satisfied=9, inconclusive=1),)),
            row(fourth, said={"failure": 1, "blocked": 2}),
            row(fifth, verdicts={"violated": 3}),
            *(row(one) for one in others),
            row("own.7", rules=(sums(),)),
        ),
    )


def results(matrix: Matrix) -> dict[str, Any]:
    document = assessment_results(matrix, tenant=TENANT, tenant_name="Acme", sealed=SEALED)
    value: dict[str, Any] = json.loads(document)["assessment-results"]
    return value


@pytest.fixture(scope="module")
def schema() -> jsonschema_rs.Draft7Validator:
    """NIST's schema, as `deploy/prepare.py --browser` gets it."""
    return jsonschema_rs.Draft7Validator(json.loads(SCHEMA.read_text()))


def problems(schema: jsonschema_rs.Draft7Validator, document: dict[str, Any]) -> list[str]:
    return [f"{one.instance_path}: {one.message}" for one in schema.iter_errors(document)]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_document_is_valid_by_the_schema_of_nist(
    schema: jsonschema_rs.Draft7Validator, framework: str
) -> None:
    assert problems(schema, {"assessment-results": results(a_matrix(framework))}) == []


def test_a_document_of_nothing_is_valid_too(schema: jsonschema_rs.Draft7Validator) -> None:
    empty = replace(a_matrix(), rows=(row("soc2.CC6.1"),))
    document = assessment_results(
        empty, tenant=TENANT, tenant_name="", sealed=Sealed("", 0, 1_795_000_000_000, "")
    )
    assert problems(schema, json.loads(document)) == []


def test_the_schema_refuses_what_is_wrong(schema: jsonschema_rs.Draft7Validator) -> None:
    found = results(a_matrix())
    found["results"][0]["findings"][0]["target"]["status"]["state"] = "compliant"
    del found["import-ap"]
    assert len(problems(schema, {"assessment-results": found})) >= 2


def test_equal_evidence_has_equal_bytes_and_more_evidence_other_ids() -> None:
    def document(size: int) -> bytes:
        sealed = replace(SEALED, size=size)
        return assessment_results(a_matrix(), tenant=TENANT, tenant_name="Acme", sealed=sealed)

    assert document(5) == document(5)
    assert (
        json.loads(document(5))["assessment-results"]["uuid"]
        != (json.loads(document(6))["assessment-results"]["uuid"])
    )


def test_only_what_was_satisfied_or_violated_is_a_finding() -> None:
    [result] = results(a_matrix())["results"]
    ids = [one.id for one in a_matrix().rows]
    found = {
        one["target"]["target-id"]: one["target"]["status"]["state"] for one in result["findings"]
    }
    assert found == {
        control_token(ids[0]): "satisfied",
        control_token(ids[1]): "not-satisfied",
        control_token(ids[3]): "not-satisfied",
        control_token(ids[4]): "not-satisfied",
    }
    observed = {one["uuid"] for one in result["observations"]}
    for one in result["findings"]:
        assert {each["observation-uuid"] for each in one["related-observations"]} <= observed
    selected = result["reviewed-controls"]["control-selections"][0]["include-controls"]
    assert [one["control-id"] for one in selected] == [control_token(one) for one in ids]


def test_nothing_in_it_claims_compliance() -> None:
    document = assessment_results(a_matrix(), tenant=TENANT, tenant_name="Acme", sealed=SEALED)
    assert b"compliant" not in document.lower()


@pytest.mark.parametrize(
    ("control_id", "token"),
    [
        ("fedramp.AC-2(1)", "ac-2.1"),
        ("fedramp.AU-12", "au-12"),
        ("hipaa.164.312(a)(2)(iv)", "hipaa_164.312.a.2.iv"),
        ("pci-dss.10.2.1.1", "pci-dss_10.2.1.1"),
        ("gdpr.5(1)(f)", "gdpr_5.1.f"),
        ("iso27001.A.8.15", "iso27001_A.8.15"),
        ("7.own", "_7_own"),
    ],
)
def test_controls_are_written_as_oscal_can(control_id: str, token: str) -> None:
    assert control_token(control_id) == token


def test_no_two_controls_of_a_catalogue_are_written_the_same() -> None:
    for framework in FRAMEWORKS:
        described = catalogue(framework)
        assert described is not None
        tokens = [control_token(f"{framework}.{name}") for name in described.names()]
        assert len(set(tokens)) == len(tokens)
