"""What an exception is asked of before it is saved: spans that stand for violations, and tests."""

from __future__ import annotations

import json
from typing import Any

import pytest

import dsl
from dsl.exceptions import RuleException
from dsl.excusing import conditions_of, expected_violations, shown_violation, violations_in
from dsl.objects import parse_rules
from dsl.spans import Span
from dsl.suites import tried_rules
from dsl.traces import TraceError

PROMISE = "when { charge.where(amount > 10) as c } always { audit after c }"


def charge(**attributes: Any) -> dict[str, Any]:
    return {"name": "charge", "service": "crm", "attributes": {"amount": 12, **attributes}}


def found(rule: str, *tests: dict[str, Any]) -> list[dsl.SpanView | None]:
    written = json.dumps({"id": "r", "rule": rule, "tests": list(tests)})
    document = parse_rules(written, filename="r.json")
    assert document.problems == ()
    rules = tried_rules(document, dsl.check, external_roots=False)
    return [one.span for test in document.tests for one in expected_violations(test, rules)]


def test_conditions_of_a_span_hold_for_it_and_come_in_a_useful_order() -> None:
    span = Span(
        b"1" * 8,
        name="charge",
        status="error",
        attributes={"amount": 12, "user id": 'a "b"', "name": "x"},
        resource={"service.name": "crm", "zone": "eu"},
    )
    texts = conditions_of(span)
    assert texts[0] == 'service == "crm"'
    assert texts[-1] == 'resource.zone == "eu"'
    assert "amount == 12" in texts
    assert len(texts) == len(set(texts)) == 6
    assert all(RuleException(text, "").holds_for(span) for text in texts)
    other = Span(b"1" * 8, name="pay", attributes={}, resource={"service.name": "shop"})
    assert not any(RuleException(text, "").holds_for(other) for text in texts)


def test_a_span_that_says_nothing_has_no_conditions() -> None:
    assert conditions_of(Span(b"1" * 8, name="charge")) == ()


def test_the_span_of_a_violation_is_the_first_bound_one_of_the_stream() -> None:
    rule = dsl.check(PROMISE).promise
    assert rule is not None
    spans = [
        Span(b"1" * 8, name="charge", start_ns=1, attributes={"amount": 1}),
        Span(b"2" * 8, name="charge", start_ns=2, attributes={"amount": 20}),
    ]
    assert shown_violation(rule, spans) is spans[1]
    assert shown_violation(rule, spans[:1]) is None


def test_only_tests_that_expect_a_violation_and_have_one_are_asked() -> None:
    audited = [{**charge(), "id": "c"}, {"name": "audit", "parent": "c", "start": "5ms"}]
    shown = found(
        PROMISE,
        {"name": "broken", "trace": [charge(zone="eu")], "expect": "violated"},
        {"name": "kept", "trace": audited, "expect": "satisfied"},
        {"name": "wrong", "trace": audited, "expect": "violated"},
    )
    assert [one and one.span_attribute("zone") for one in shown] == ["eu"]


def test_a_test_that_expects_it_at_a_moment_is_asked_then() -> None:
    late = [charge(), {"name": "audit", "start": "5ms", "arrives": "30s"}]
    expect = [{"at": "15s", "verdict": "violated"}, {"at": "60s", "verdict": "satisfied"}]
    [span] = found(PROMISE, {"name": "late", "trace": late, "expect": expect})
    assert span is not None
    assert span.service == "crm"


def test_a_rule_over_many_traces_is_asked_by_its_key() -> None:
    rule = "correlate { charge } by service, user.id within 10m having count >= 2"
    traces = [{"at": f"{n}s", "trace": [charge(**{"user.id": "ada"})]} for n in (0, 1)]
    [span] = found(rule, {"name": "twice", "traces": traces, "expect": "violated"})
    assert span is not None
    assert RuleException("service == crm and user.id == ada", "").holds_for(span)
    assert not RuleException("service == shop", "").holds_for(span)


def test_each_trace_of_a_sample_is_asked_by_itself() -> None:
    written = json.dumps({"id": "r", "rule": PROMISE})
    rules = tried_rules(parse_rules(written, filename="r.json"), dsl.check, external_roots=False)
    spans = [{**charge(zone=zone), "trace": zone} for zone in "ab"]
    shown = [one.span for one in violations_in(rules["r"], spans)]
    assert [span and span.span_attribute("zone") for span in shown] == ["a", "b"]
    with pytest.raises(TraceError):
        list(violations_in(rules["r"], "nowhere.json"))
