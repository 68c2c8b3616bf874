"""Rules tried on traces that come with them: what is answered, and where it ends."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from api.problems import ApiError
from api.rules.definitions import Form
from api.rules.trial import MAX_RULES, MAX_TESTS, MAX_TRACES, Tried, try_text
from api.rules.trial_schemas import TrialBody
from tests.support.scenarios import SUITES

RULE = "when { pay.where(amount > 10) } always { check.where(score < 5) }"
PAID = {"name": "pay", "id": "p", "attributes": {"amount": 20}}
CHECKED = {"name": "check", "parent": "p", "attributes": {"score": 3}}
DOUBTED = {"name": "check", "parent": "p", "attributes": {"score": 7}}


def tried(**body: Any) -> Tried:
    return try_text(json.dumps(body), form=Form.JSON)


def refusal(body: str, *, form: Form = Form.JSON, **more: Any) -> tuple[int, str]:
    with pytest.raises(ApiError) as refused:
        try_text(body, form=form, **more)
    return refused.value.status, refused.value.code


def otlp(*spans: tuple[str, str]) -> dict[str, Any]:
    """Return an OTLP/JSON document of spans, each the id of its trace and its name."""
    return {
        "resourceSpans": [
            {
                "scopeSpans": [
                    {
                        "spans": [
                            {"traceId": trace_id, "spanId": f"{place + 1:016x}", "name": name}
                            for place, (trace_id, name) in enumerate(spans)
                        ]
                    }
                ]
            }
        ]
    }


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.name)
def test_every_suite_passes_as_it_does_on_the_command_line(path: Path) -> None:
    told = try_text(path.read_text(encoding="utf-8"), form=Form.YAML)
    assert told.problems == ()
    assert [(one.name, one.expect, one.verdict) for one in told.tests if not one.passed] == []
    assert told.tests
    TrialBody.of(told).model_dump_json()


def test_each_trace_is_judged_by_each_promise() -> None:
    told = tried(
        rules=[{"id": "first", "rule": RULE}, {"id": "second", "rule": "when { pay } never { x }"}],
        traces=[[PAID, CHECKED], [PAID, DOUBTED], []],
    )
    assert [(one.rule, one.trace, one.verdict) for one in told.verdicts] == [
        ("first", 1, "satisfied"),
        ("first", 2, "violated"),
        ("first", 3, "not_applicable"),
        ("second", 1, "satisfied"),
        ("second", 2, "satisfied"),
        ("second", 3, "not_applicable"),
    ]


def test_a_verdict_tells_the_values_and_the_nearest_miss() -> None:
    (told,) = tried(rule=RULE, traces=[[PAID, DOUBTED]]).verdicts
    when, always = (clause["conditions"][0] for clause in told.explanation["clauses"])
    assert when["spans"][0]["values"] == {"amount": 20}
    assert always["nearest_miss"]["name"] == "check"
    assert "7" in always["nearest_miss"]["failed"][0]


def test_a_document_of_otlp_holds_as_many_traces_as_it_names() -> None:
    first, second = "0a" * 16, "0b" * 16
    document = otlp((first, "a"), (second, "a"), (second, "b"))
    told = tried(rule="when { a } always { b }", traces=[document])
    assert [(one.trace, one.trace_id, one.verdict) for one in told.verdicts] == [
        (1, first, "violated"),
        (1, second, "satisfied"),
    ]


def test_a_rule_over_many_traces_looks_at_all_of_them() -> None:
    rule = 'correlate { violated("checked") } by rule within 1h having count >= 2'
    told = tried(
        rules=[{"id": "checked", "rule": RULE}, {"id": "often", "rule": rule}],
        traces=[{"at": "0s", "trace": [PAID]}, {"at": "1m", "trace": [PAID]}],
    )
    often = told.verdicts[-1]
    assert (often.rule, often.trace, often.verdict) == ("often", None, "violated")


def test_late_spans_and_external_roots_count_as_in_a_suite() -> None:
    called = {"name": "pay", "parent": "outside", "kind": "server", "attributes": {"amount": 20}}
    late = {**called, "arrives": "0s"}
    rules = {"rule": RULE, "traces": [[late]]}
    assert [one.verdict for one in tried(**rules).verdicts] == ["inconclusive"]
    assert [one.verdict for one in tried(**rules, external_roots=True).verdicts] == ["violated"]


def test_problems_are_an_answer_with_their_places() -> None:
    told = tried(
        rules=[{"id": "bad", "rule": "when { a }\nalways { b &&c }"}, {"id": "ok", "rule": RULE}],
        traces=[[PAID]],
    )
    assert [(one["rule"], one["line"], one["column"]) for one in told.problems] == [("bad", 2, 12)]
    assert [(one.rule, one.verdict) for one in told.verdicts] == [("ok", "violated")]


def test_rules_that_wait_for_each_other_are_not_judged() -> None:
    def on(other: str) -> str:
        return f'correlate {{ violated("{other}") }} by rule within 1m having count > 1'

    told = tried(
        rules=[{"id": "a", "rule": on("b")}, {"id": "b", "rule": on("a")}],
        traces=[[PAID]],
    )
    assert {one["code"] for one in told.problems} == {"rule.cycle"}
    assert told.verdicts == ()


def test_a_suite_that_cannot_be_read_is_an_answer_too() -> None:
    told = try_text("rules:\n  - id: x\n    rul: y", form=Form.YAML)
    assert [(one["code"], one["line"]) for one in told.problems] == [
        ("object.unknown_field", 3),
        ("object.missing_field", 2),
    ]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("{", "request.malformed"),
        (r'{"tests": [{"name": "\ud800"}]}', "request.malformed"),
        (json.dumps({"traces": []}), "trial.body"),
        (json.dumps({"traces": [], "rule": RULE, "rules": []}), "trial.body"),
        (json.dumps({"traces": [], "rule": RULE, "tests": []}), "trial.body"),
        (json.dumps({"traces": {}, "rule": RULE}), "trial.body"),
        (json.dumps({"traces": [], "rule": 1}), "trial.body"),
        (json.dumps({"traces": ["file.json"], "rule": RULE}), "trial.trace"),
        (json.dumps({"traces": [[{"nam": "a"}]], "rule": RULE}), "trial.trace"),
        (json.dumps({"traces": [{"at": "soon", "trace": []}], "rule": RULE}), "trial.trace"),
        (json.dumps({"traces": [{"resourceSpans": [1]}], "rule": RULE}), "trial.trace"),
    ],
)
def test_what_is_no_trial_is_refused(body: str, code: str) -> None:
    assert refusal(body) == (400, code)


def test_a_trial_is_bounded() -> None:
    rule = {"id": "r", "rule": RULE}
    many = [{**rule, "id": f"r{number}"} for number in range(MAX_RULES + 1)]
    test = {"name": "t", "trace": [], "expect": "not_applicable"}
    for body in (
        {"rule": RULE, "traces": [[]] * (MAX_TRACES + 1)},
        {"rules": many, "traces": []},
        {"rules": many},
        {"rules": [rule], "tests": [test] * (MAX_TESTS + 1)},
    ):
        assert refusal(json.dumps(body)) == (422, "trial.too_many")
    wide = " or ".join(f"a.where(x == {number})" for number in range(501))
    large = {"rule": f"when {{ {wide} }} never {{ b }}", "traces": [[{"name": "a"}] * 10_000]}
    assert refusal(json.dumps(large)) == (422, "trial.too_large")


def test_a_trial_ends_when_its_time_is_over() -> None:
    seconds = count()
    body = json.dumps({"rule": RULE, "traces": [[PAID]] * 20})
    assert refusal(body, clock=lambda: float(next(seconds))) == (422, "trial.too_long")
    # A trace that arrives in pieces is judged again with each: its time is looked at as well.
    seconds = count()
    spans = [{**PAID, "id": f"p{number}", "arrives": f"{number}s"} for number in range(20)]
    body = json.dumps({"rule": RULE, "traces": [spans]})
    assert refusal(body, clock=lambda: float(next(seconds))) == (422, "trial.too_long")
