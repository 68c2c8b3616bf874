"""The corpus of rules over many traces: data in YAML, one test for each case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dsl import KnownNames, check
from dsl.documents import read_document
from dsl.objects import parse_rules
from dsl.suites import run

HERE = Path(__file__).parents[2] / "golden" / "dsl"


def _read(name: str) -> list[dict[str, Any]]:
    document = read_document((HERE / name).read_text(encoding="utf-8"), filename=name)
    assert document.problems == []
    return list(document.values[0])


def _results(name: str) -> list[Any]:
    document = parse_rules((HERE / name).read_text(encoding="utf-8"), filename=name)
    assert document.problems == ()
    return list(run(document).tests)


RESULTS = [*_results("correlate.yaml"), *_results("expect.yaml")]


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: result.name)
def test_a_rule_judges_many_traces(result: Any) -> None:
    assert result.passed, (result.expect, result.verdict, result.explain)


def test_every_case_tells_why() -> None:
    for result in RESULTS:
        if result.verdict == "rejected":
            assert result.explain["problems"]
        else:
            last = result.verdict[-1] if isinstance(result.verdict, list) else result.verdict
            assert result.explain["verdict"] == last
            assert result.explain["clauses"]


@pytest.mark.parametrize(
    "case", _read("many_problems.yaml"), ids=lambda case: str(case["text"])[:60]
)
def test_a_text_has_exactly_these_problems(case: dict[str, Any]) -> None:
    checked = check(case["text"])
    found = [
        f"{one.code} {one.line}:{one.column}-{one.end_line}:{one.end_column}"
        for one in checked.problems
    ]
    assert found == case["problems"]
    assert checked.problems[0].hint == case["hint"]


@pytest.mark.parametrize(
    "case", _read("many_warnings.yaml"), ids=lambda case: str(case["text"])[:60]
)
def test_a_text_has_exactly_these_warnings(case: dict[str, Any]) -> None:
    checked = check(case["text"])
    assert checked.problems == ()
    assert [f"{one.code} {one.line}:{one.column}" for one in checked.warnings] == case["warnings"]


@pytest.mark.parametrize(
    "case", _read("many_canonical.yaml"), ids=lambda case: str(case["text"])[:60]
)
def test_a_text_has_this_canonical_text(case: dict[str, Any]) -> None:
    rule = check(case["text"]).rule
    assert rule is not None
    assert rule.canonical == case["canonical"]
    again = check(rule.canonical).rule
    assert again is not None
    assert (again.canonical, again.kind) == (rule.canonical, rule.kind)
    assert again.plan == rule.plan


KNOWN = KnownNames(
    span_names=frozenset({"login.failed"}),
    attributes={"user.id": frozenset({"text"}), "amount": frozenset({"number"})},
)


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        ("correlate { login.failed } by user.id, name within 1m having sum(amount) > 5", []),
        (
            "correlate { login.faild } by usr.id within 1m having sum(amuont) > 5",
            [
                ("rule.unseen_name", "did you mean `login.failed`?"),
                ("rule.unseen_attribute", "did you mean `user.id`?"),
                ("rule.unseen_attribute", "did you mean `amount`?"),
            ],
        ),
        ("expect { login.failed } every 1h by usr.id", [
            ("rule.unseen_attribute", "did you mean `user.id`?")]),
        ('correlate { violated("r") } by group within 1m having count > 1', []),
    ],
)  # fmt: skip
def test_names_that_were_never_seen_are_told(text: str, warnings: list[tuple[str, str]]) -> None:
    found = check(text, known=KNOWN).warnings
    assert [(one.code, one.hint) for one in found] == warnings
