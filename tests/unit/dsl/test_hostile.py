"""Rules that mean harm: each is refused or bounded, and none slows or bends another rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dsl import Span, check, explain, facts_of, judge_spans, promise, render
from dsl.documents import read_document
from dsl.many.rule_set import check_together
from dsl.objects import RuleObject, parse_rules
from dsl.scene import MAX_COMBINATIONS, MAX_STEPS, Scene
from dsl.traces import TraceError, span_from_fields, spans_from_otlp_json
from dsl.verdict import Judgement, Reason

HERE = Path(__file__).parents[2] / "golden" / "dsl"
CASES: dict[str, list[dict[str, Any]]] = read_document(
    (HERE / "hostile.yaml").read_text(encoding="utf-8"), filename="hostile.yaml"
).values[0]
SPAN_COUNT = 10_000
NEIGHBOUR = "when { a.where(n < 50) as q } always { b child of q } never { c after q }"


def _text_of(case: dict[str, Any]) -> str:
    """Return the text of a case; a long one is put together from pieces, [piece, times] too."""
    if "text" in case:
        return str(case["text"])
    pieces = [piece if isinstance(piece, list) else [piece, 1] for piece in case["pieces"]]
    return "".join(piece * times for piece, times in pieces)


def _cases(kind: str) -> Any:
    params = [
        pytest.param(case, id=case["about"], marks=pytest.mark.golden("hostile.yaml"))
        for case in CASES[kind]
    ]
    return pytest.mark.parametrize("case", params)


def _codes(problems: Any) -> list[str]:
    return list(dict.fromkeys(problem.code for problem in problems))


@pytest.fixture(scope="module")
def spans() -> list[Span]:
    """Ten thousand spans of one name that start together, and a child of each of the first."""
    many = [
        Span(n.to_bytes(2), "a", attributes={"n": n, "f": n + 0.1, "k": "same"})
        for n in range(SPAN_COUNT)
    ]
    children = [
        Span((n + SPAN_COUNT).to_bytes(4), "b", parent_span_id=n.to_bytes(2)) for n in range(50)
    ]
    return [*many, *children]


@pytest.fixture
def scenes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Scene]]:
    """Every judgement of a rule that looks at spans one by one, in order."""
    seen: list[Scene] = []

    class Watched(Scene):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            seen.append(self)

    monkeypatch.setattr(promise, "Scene", Watched)
    return seen


def _judged(text: str, spans: list[Span], scenes: list[Scene]) -> tuple[Judgement, list[int]]:
    """Return the judgement of a rule, and the steps that every part of it took."""
    rule = check(text).promise
    assert rule is not None
    before = len(scenes)
    judgement = judge_spans(rule, spans)
    return judgement, [MAX_STEPS - scene.steps for scene in scenes[before:]]


@_cases("refused")
def test_a_hostile_text_is_refused_with_few_problems(case: dict[str, Any]) -> None:
    text = _text_of(case)
    checked = check(text)
    assert checked.rule is None
    assert _codes(checked.problems) == case["problems"]
    assert render(text, checked.problems[:10])


@_cases("plain")
def test_what_looks_like_code_is_a_name_or_a_text(case: dict[str, Any]) -> None:
    rule = check(_text_of(case)).promise
    assert rule is not None
    known = Span(b"1", "a", attributes={"p": "x", "k": "a" * 5_000 + "!"})
    assert judge_spans(rule, [known]).verdict == "not_applicable"
    assert check(rule.canonical).rule is not None


@_cases("bounded")
def test_a_hostile_rule_is_bounded_and_its_neighbour_is_judged_as_ever(
    case: dict[str, Any], spans: list[Span], scenes: list[Scene]
) -> None:
    alone = _judged(NEIGHBOUR, spans, scenes)
    judgement, steps = _judged(_text_of(case), spans, scenes)
    assert judgement.verdict == case["verdict"]
    assert [reason.value for reason in judgement.reasons] == case["reasons"]
    assert all(spent <= MAX_STEPS + SPAN_COUNT for spent in steps)
    assert all(scene.combinations >= -1 for scene in scenes)
    assert _judged(NEIGHBOUR, spans, scenes) == alone
    assert alone[0].verdict == "satisfied"


def test_an_explanation_of_a_hostile_rule_is_bounded_too(spans: list[Span]) -> None:
    rule = check(_text_of(CASES["bounded"][0])).promise
    assert rule is not None
    told = explain(rule, spans).to_dict()
    assert (told["verdict"], told["reasons"]) == ("inconclusive", ["bindings"])


@_cases("documents")
def test_a_hostile_file_is_refused(case: dict[str, Any]) -> None:
    filename = "rules.json" if case.get("json") else "rules.yaml"
    document = parse_rules(_text_of(case), filename=filename)
    assert _codes(document.problems) == case["problems"]
    assert document.rules == ()


def test_hostile_rules_leave_the_others_of_their_set_as_they_are() -> None:
    hostile = [
        RuleObject(f"hostile-{number}", _text_of(case))
        for number, case in enumerate([*CASES["refused"], *CASES["plain"], *CASES["bounded"]])
    ]
    neighbour = RuleObject("neighbour", NEIGHBOUR)
    (_, alone), *_ = check_together([neighbour])
    beside = {rule.id: one for rule, one in check_together([*hostile, neighbour])}
    assert beside["neighbour"].problems == alone.problems == ()
    assert beside["neighbour"].warnings == alone.warnings
    assert beside["neighbour"].rule == alone.rule
    refused = [name for name, one in beside.items() if one.rule is None]
    assert refused == [f"hostile-{number}" for number in range(len(CASES["refused"]))]


def test_a_message_shows_a_format_as_it_is_written() -> None:
    (problem, *_) = check("when { '{0.__globals__}' } never { b }").problems
    assert "{0.__globals__}" in problem.message + problem.hint


def test_facts_of_a_trace_do_not_grow_with_a_rule(spans: list[Span]) -> None:
    rule = check(_text_of(CASES["bounded"][0])).promise
    assert rule is not None
    facts = facts_of(rule, spans)
    assert facts.structure is not None
    assert sum(map(len, facts.structure.members.values())) <= len(spans)
    assert MAX_COMBINATIONS < SPAN_COUNT**2


LARGEST = "9" * 309


@pytest.mark.parametrize(
    "number",
    [
        f"count(a) * {LARGEST} * {LARGEST}",
        f"count(a) * {LARGEST} * {LARGEST} + 0.5",
        f"max(n of a) * {LARGEST} * {LARGEST}",
        f"trace.spans * -{LARGEST} * -{LARGEST} - count(a)",
    ],
)
def test_a_number_without_a_bound_goes_with_one_greater_than_any_float(number: str) -> None:
    rule = check(f"when {{ {number} < 0 }} never {{ z }}").promise
    assert rule is not None
    spans = [Span(b"1", "a", attributes={"n": 7})]
    still_open = judge_spans(rule, spans, complete=False, in_doubt=frozenset({Reason.STILL_OPEN}))
    assert still_open.verdict in ("not_applicable", "inconclusive")
    assert judge_spans(rule, spans).verdict == "not_applicable"


def _nested(depth: int, outer: Callable[[Any], Any]) -> Any:
    value: Any = {"intValue": 1}
    for _ in range(depth):
        value = outer(value)
    return value


@pytest.mark.parametrize(
    "outer",
    [
        lambda inner: {"arrayValue": {"values": [inner]}},
        lambda inner: {"kvlistValue": {"values": [{"key": "k", "value": inner}]}},
    ],
    ids=["lists", "maps"],
)
@pytest.mark.parametrize(("depth", "read"), [(100, True), (101, False), (5_000, False)])
def test_values_of_otlp_are_nested_so_deep_and_no_deeper(
    outer: Callable[[Any], Any], depth: int, read: bool
) -> None:
    span = {"name": "a", "attributes": [{"key": "k", "value": _nested(depth, outer)}]}
    document = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    if read:
        assert len(spans_from_otlp_json(document)) == 1
    else:
        with pytest.raises(TraceError, match="deeper than 100"):
            spans_from_otlp_json(document)


def test_values_of_a_suite_are_nested_so_deep_and_no_deeper() -> None:
    value: Any = [1]
    for _ in range(99):
        value = [value]
    assert span_from_fields({"name": "a", "attributes": {"k": value}}, position=0).attributes
    with pytest.raises(TraceError, match="deeper than 100"):
        span_from_fields({"name": "a", "attributes": {"k": [value]}}, position=0)


def test_halves_of_utf16_pairs_in_a_trace_are_read_as_what_cannot_be_read() -> None:
    fields = {"name": "\ud800", "id": "\udfff", "attributes": {"k\ud800": ["\udc00"]}}
    span = span_from_fields(fields, position=0)
    assert (span.name, span.attributes) == ("\ufffd", {"k\ufffd": ["\ufffd"]})
    rule = check('when { any.where(name matches "^.$") } never { z }').promise
    assert rule is not None
    assert judge_spans(rule, [span]).verdict == "satisfied"
