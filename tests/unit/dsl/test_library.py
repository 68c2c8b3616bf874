"""The shipped rules: each checks, fires on its violating traces, is silent on others."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import dsl
import dsl.library
from api.command.rules import app
from dsl.documents import read_document
from dsl.library import Pack, packs
from dsl.objects import RuleObject, parse_rules
from dsl.suites import TestResult, run
from dsl.traces import span_from_fields
from tests.support.library_index import CONVENTIONS, README, own_names, with_tables

PACKS = packs()
RULES = [rule for pack in PACKS for rule in pack.rules]
DOCUMENTS = {pack.id: parse_rules(pack.text, filename=f"{pack.id}.yaml") for pack in PACKS}
ORDINARY = Path(__file__).parents[2] / "golden" / "library" / "ordinary.yaml"
CONTROLS = {
    "soc2": r"(CC[1-9]|PI1|A1|C1|P[1-8])\.\d",
    "hipaa": r"164\.3(08|12)\([a-e]\)(\(\d\)(\([ivx]+\))?)?",
    "gdpr": r"\d{1,2}",
    "pci-dss": r"([1-9]|1[0-2])(\.\d{1,2}){1,3}",
    "iso27001": r"A\.[5-8]\.\d{1,2}",
    "eu-ai-act": r"\d{1,3}",
    "owasp-llm": r"LLM(0[1-9]|10)",
}
"""Framework -> how its controls are written; OWASP's list for LLM applications is that of 2025."""


def ids(value: Pack | RuleObject) -> str:
    return value.id


@cache
def results() -> dict[str, list[TestResult]]:
    found: dict[str, list[TestResult]] = {}
    for document in DOCUMENTS.values():
        for test in run(document).tests:
            found.setdefault(test.rule, []).append(test)
    return found


def test_there_are_at_least_65_rules_each_with_an_id_of_its_own() -> None:
    assert len(RULES) >= 65
    assert [name for name, count in Counter(map(ids, RULES)).items() if count > 1] == []


def test_every_file_is_a_pack() -> None:
    folder = Path(dsl.library.__file__).parent
    assert {file.stem for file in folder.glob("*.yaml")} == {pack.id for pack in PACKS}


@pytest.mark.parametrize("pack", PACKS, ids=ids)
def test_a_pack_holds_nothing_but_rules_that_are_well_formed(pack: Pack) -> None:
    document = DOCUMENTS[pack.id]
    assert document.problems == ()
    assert pack.rules == document.rules
    assert {test.rule_id for test in document.tests} == {rule.id for rule in pack.rules}


@pytest.mark.parametrize("rule", RULES, ids=ids)
def test_a_rule_checks(rule: RuleObject) -> None:
    checked = dsl.check(rule.rule)
    assert checked.problems == ()
    # Some promises are about every call of a kind: there is no one value to look them up by.
    assert {warning.code for warning in checked.warnings} <= {"rule.costly"}


@pytest.mark.parametrize("rule", RULES, ids=ids)
def test_a_rule_says_what_it_is_for_and_what_to_do(rule: RuleObject) -> None:
    assert rule.name
    assert 60 < len(rule.description) < 400
    assert 60 < len(rule.runbook) < 400
    assert rule.tags
    assert len(set(rule.tags)) == len(rule.tags)


@pytest.mark.parametrize("rule", RULES, ids=ids)
def test_a_rule_names_controls_as_their_framework_writes_them(rule: RuleObject) -> None:
    for control in rule.controls:
        framework, _, name = control.partition(".")
        assert re.fullmatch(CONTROLS[framework], name), control


@pytest.mark.parametrize("pack", [p for p in PACKS if p.id in CONTROLS], ids=ids)
def test_every_rule_of_a_compliance_pack_serves_its_framework(pack: Pack) -> None:
    for rule in pack.rules:
        assert any(control.startswith(f"{pack.id}.") for control in rule.controls), rule.id


@pytest.mark.parametrize("rule", RULES, ids=ids)
def test_a_rule_passes_its_tests(rule: RuleObject) -> None:
    failed = [
        (test.name, test.expect, test.verdict) for test in results()[rule.id] if not test.passed
    ]
    assert failed == []


def verdicts_in(expect: Any) -> set[str]:
    """Return every verdict that a test expects, at any time."""
    listed = expect if isinstance(expect, list) else [expect]
    return {one["verdict"] if isinstance(one, dict) else one for one in listed}


@pytest.mark.parametrize("rule", RULES, ids=ids)
def test_a_rule_has_tests_that_fire_and_tests_that_do_not(rule: RuleObject) -> None:
    expected = [verdicts_in(test.expect) for test in results()[rule.id]]
    assert any("violated" in one for one in expected)
    assert any(one & {"satisfied", "not_applicable"} for one in expected)


@pytest.mark.parametrize("rule", RULES, ids=ids)
def test_a_rule_is_silent_on_an_ordinary_trace(rule: RuleObject) -> None:
    entries = read_document(ORDINARY.read_text(encoding="utf-8"), filename="t.yaml").values[0]
    spans = [span_from_fields(entry, position=i) for i, entry in enumerate(entries)]
    checked = dsl.check(rule.rule).rule
    if isinstance(checked, dsl.CompiledRule):  # a promise; the others are not about one trace
        verdict = dsl.judge_spans(checked, spans).verdict
        assert verdict in (dsl.Verdict.SATISFIED, dsl.Verdict.NOT_APPLICABLE)


@pytest.mark.parametrize("pack", PACKS, ids=ids)
def test_the_command_runs_a_pack(pack: Pack) -> None:
    file = Path(dsl.library.__file__).with_name(f"{pack.id}.yaml")
    result = CliRunner().invoke(app, ["test", str(file), "--format", "json"])
    told = json.loads(result.output)
    assert (result.exit_code, told["failed"]) == (0, 0)
    assert told["passed"] == len(DOCUMENTS[pack.id].tests)


def test_the_tables_of_the_readme_are_those_of_the_packs() -> None:
    readme = README.read_text(encoding="utf-8")
    assert readme == with_tables(readme), "python -m tests.support.library_index writes them"


def test_the_readme_explains_exactly_the_names_that_no_convention_has() -> None:
    readme = README.read_text(encoding="utf-8")
    explained = readme.partition("## Your own names")[2].partition("## The rules")[0]
    needed = {name for rule in RULES for name in own_names(rule)}
    listed = set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", explained))
    assert listed - CONVENTIONS == needed
