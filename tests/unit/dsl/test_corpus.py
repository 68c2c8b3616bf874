"""The corpus of the language: data in YAML, one test for each case."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dsl import Span, check, explain, judge_spans
from dsl.documents import read_document
from dsl.objects import RuleDocument, RuleTest, parse_rules
from dsl.suites import run
from dsl.traces import span_from_fields
from tests.support import naive

HERE = Path(__file__).parents[2] / "golden" / "dsl"


def _id(text: object) -> str:
    """Return a text as the id of a test that a command line can name: plain characters."""
    return str(text).encode("ascii", "replace").decode().replace("\\", "/")


ANSWERS = {"true": True, "false": False, "unknown": None}


def _read(name: str) -> list[dict[str, Any]]:
    document = read_document((HERE / name).read_text(encoding="utf-8"), filename=name)
    assert document.problems == []
    return list(document.values[0])


def _filter_cases() -> list[Any]:
    return [
        pytest.param(
            group["span"],
            text,
            ANSWERS[word],
            id=_id(f"{group['about']}: {text}"),
            marks=pytest.mark.golden("filters.yaml"),
        )
        for group in _read("filters.yaml")
        for word in ANSWERS
        for text in group.get(word, ())
    ]


@pytest.mark.parametrize(("fields", "text", "expected"), _filter_cases())
def test_a_span_answers_a_filter(fields: dict[str, Any], text: str, expected: bool | None) -> None:
    checked = check(f"when {{ any.where({text}) }} never {{ zzz }}")
    assert checked.problems == ()
    assert checked.rule is not None
    assert checked.rule.predicates[0].test(Span.from_dict(fields)) is expected


def _suites() -> dict[str, RuleDocument]:
    files = sorted(HERE.glob("verdicts*.yaml"))
    found = {
        one.name: parse_rules(one.read_text(encoding="utf-8"), filename=one.name) for one in files
    }
    assert [document.problems for document in found.values()] == [()] * len(found)
    return found


SUITES = _suites()
VERDICTS = [
    pytest.param(
        document,
        test,
        id=_id(f"{test.name}: {test.rule_id or test.rule}"),
        marks=pytest.mark.golden(name),
    )
    for name, document in SUITES.items()
    for test in document.tests
]


@pytest.mark.parametrize(("document", "test"), VERDICTS)
def test_a_rule_judges_a_trace_and_its_explanation_agrees(
    document: RuleDocument, test: RuleTest
) -> None:
    (result,) = run(replace(document, tests=(test,))).tests
    assert result.passed, (result.verdict, result.expect)
    if result.verdict == "rejected":
        assert result.explain["problems"]
    else:
        last = result.verdict[-1] if isinstance(result.verdict, list) else result.verdict
        assert result.explain["verdict"] == last


def _told_by_trying(test: RuleTest) -> bool:
    """Tell whether a case is a closed trace and one verdict on it, by the text of a rule alone."""
    timed = any("arrives" in span for span in test.trace) or test.expect[0].at_ns is not None
    return not timed and not test.rule_id and test.expect[0].verdicts != ("rejected",)


@pytest.mark.parametrize(
    "test",
    [test for document in SUITES.values() for test in document.tests if _told_by_trying(test)],
    ids=lambda test: _id(f"{test.name}: {test.rule}"),
)
def test_the_naive_evaluator_judges_it_so_too(test: RuleTest) -> None:
    spans = [span_from_fields(span, position=place) for place, span in enumerate(test.trace)]
    found = naive.judge(test.rule, spans, external_roots=test.external_roots)
    assert found.verdict in test.expect[0].verdicts


PROBLEMS = [
    pytest.param(
        case,
        id=_id(case.get("text", case.get("about")))[:60],
        marks=pytest.mark.golden(file.name),
    )
    for file in sorted(HERE.glob("problems*.yaml"))
    for case in _read(file.name)
]


@pytest.mark.golden("reasons.yaml")
@pytest.mark.parametrize("case", _read("reasons.yaml"), ids=lambda case: _id(case["name"]))
def test_an_inconclusive_verdict_names_every_reason(case: dict[str, Any]) -> None:
    spans = [span_from_fields(span, position=place) for place, span in enumerate(case["trace"])]
    complete = not case.get("open", False)
    rule = check(case["rule"]).rule
    assert rule is not None
    judgement = judge_spans(rule, spans, complete=complete)
    assert [reason.value for reason in judgement.reasons] == case["reasons"]
    assert naive.judge(case["rule"], spans, complete=complete).reasons == set(case["reasons"])


def _first_nearest(told: Any) -> dict[str, Any] | None:
    """Return the first nearest miss that a piece of an explanation holds."""
    if isinstance(told, dict):
        if told.get("nearest_miss"):
            return dict(told["nearest_miss"])
        told = list(told.values())
    found = map(_first_nearest, told) if isinstance(told, list) else iter(())
    return next((one for one in found if one is not None), None)


@pytest.mark.golden("nearest.yaml")
@pytest.mark.parametrize("case", _read("nearest.yaml"), ids=lambda case: _id(case["name"]))
def test_a_broken_always_names_its_nearest_miss(case: dict[str, Any]) -> None:
    spans = [span_from_fields(span, position=place) for place, span in enumerate(case["trace"])]
    rule = check(case["rule"]).rule
    assert rule is not None
    told = explain(rule, spans).to_dict()
    assert (told["verdict"], told["broken"]) == ("violated", "always")
    always = next(clause for clause in told["clauses"] if clause["clause"] == "always")
    nearest = _first_nearest(always) or {"label": None, "failed": []}
    assert nearest["label"] == case["nearest"]
    assert [word for word in case.get("said", ()) if word not in " ".join(nearest["failed"])] == []


def _text_of(case: dict[str, Any]) -> str:
    """Return the text of a case; a long one is put together from pieces, [piece, times] too."""
    if "text" in case:
        return str(case["text"])
    pieces = [piece if isinstance(piece, list) else [piece, 1] for piece in case["pieces"]]
    return "".join(piece * times for piece, times in pieces)


@pytest.mark.parametrize("case", PROBLEMS)
def test_a_text_has_exactly_these_problems(case: dict[str, Any]) -> None:
    checked = check(_text_of(case))
    found = [
        f"{one.code} {one.line}:{one.column}-{one.end_line}:{one.end_column}"
        for one in checked.problems
    ]
    assert found == case["problems"]
    if "hint" in case:
        assert checked.problems[0].hint == case["hint"]


@pytest.mark.golden("warnings.yaml")
@pytest.mark.parametrize("case", _read("warnings.yaml"), ids=lambda case: _id(case["text"])[:60])
def test_a_text_has_exactly_these_warnings(case: dict[str, Any]) -> None:
    checked = check(case["text"])
    assert checked.problems == ()
    found = [f"{one.code} {one.line}:{one.column}" for one in checked.warnings]
    assert found == case["warnings"]


@pytest.mark.golden("canonical.yaml")
@pytest.mark.parametrize("case", _read("canonical.yaml"), ids=lambda case: _id(case["text"])[:60])
def test_a_text_has_this_canonical_text(case: dict[str, Any]) -> None:
    checked = check(case["text"])
    assert checked.problems == ()
    assert checked.rule is not None
    assert checked.rule.canonical.split("\n") == case["canonical"]
    again = check(checked.rule.canonical).rule
    assert again is not None
    assert again.canonical == checked.rule.canonical


@pytest.mark.parametrize(
    ("text", "triggers"),
    [
        ("when { a } always { b }", {0}),
        ("when { a and b } always { c }", {0}),
        ("when { any and b } always { c }", {1}),
        ("when { a or b } always { c }", {0, 1}),
        ("when { not a } always { c }", None),
        ("when { not a and b } always { c }", {1}),
        ("when { count(a) > 2 } always { c }", {0}),
        ("when { count(a) < 2 } always { c }", None),
        ("when { not count(a) < 2 } always { c }", {0}),
        ("when { count(a) > count(b) } always { c }", {0, 1}),
        ("when { trace.duration > 1s } always { c }", None),
        ("when { trace.root.name == x and a } always { c }", {0}),
    ],
)
def test_triggers_are_the_smallest_set_that_is_sound(text: str, triggers: set[int] | None) -> None:
    rule = check(text).rule
    assert rule is not None
    assert rule.triggers == (None if triggers is None else frozenset(triggers))


def test_a_violation_by_absence_says_so() -> None:
    rule = check("when { a } always { b } never { c }").rule
    assert rule is not None
    a, c = Span(b"1", "a"), Span(b"2", "c")
    assert judge_spans(rule, [a]).rests_on_absence
    # `always` broke by absence; `never` would have broken the promise anyway.
    assert not judge_spans(rule, [a, c]).rests_on_absence
