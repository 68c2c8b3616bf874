"""Rules on attributes that redaction changes: literals, operators, and what is said of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

import dsl
from api.command.remote import Server
from api.command.rules_check import check_file, with_redaction
from api.rules.redacted import (
    Redacted,
    RedactedExceptions,
    redacted_exceptions,
    redacted_filter,
    redacted_rule,
)
from dsl.exceptions import RuleException
from udfs.otlp import LazySpan, decode_spans
from udfs.redaction.policy import CustomDetector, Policy
from udfs.redaction.redactor import Redactor
from udfs.redaction.strategies import Strategy
from udfs.redaction.tokens import RedactionKey

KEY = RedactionKey("k1", bytes(range(32)))
POLICY = Policy(
    keys={
        "customer.id": Strategy.HASH,
        "account": Strategy.TOKENIZE,
        "diagnosis": Strategy.REMOVE,
        "salary": Strategy.GENERALIZE,
        "order.id": Strategy.ALLOW,
    },
    custom=(CustomDetector("badge", "EMP-[0-9]{6}", Strategy.HASH),),
)
REDACTOR = Redactor(POLICY, KEY)


def judged(text: str, redactor: Redactor = REDACTOR) -> Redacted:
    checked = dsl.check(text)
    assert checked.rule is not None, checked.problems
    return redacted_rule(text, redactor)


def never(condition: str) -> str:
    return f"when {{ any }} never {{ {condition} }}"


def spans(attributes: dict[str, str | int], *, name: str = "login") -> list[LazySpan]:
    """Spans as they stand in Kafka: redacted."""
    span = Span(
        trace_id=bytes(15) + b"\1",
        span_id=bytes(7) + b"\1",
        name=name,
        attributes=[
            KeyValue(
                key=key,
                value=AnyValue(int_value=value)
                if isinstance(value, int)
                else AnyValue(string_value=value),
            )
            for key, value in attributes.items()
        ],
    )
    request = ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[span])])]
    )
    redacted, _ = REDACTOR.record(request.SerializeToString())
    return decode_spans(redacted)


@pytest.mark.parametrize(
    ("condition", "attributes"),
    [
        ('any.where(customer.id == "c-17")', {"customer.id": "c-17"}),
        ("any.where(customer.id == 17)", {"customer.id": 17}),
        ("any.where(customer.id == ada)", {"customer.id": "ada"}),
        ("any.where(customer.id in [bob, ada])", {"customer.id": "ada"}),
        ('any.where(customer.id in ["a", "c-17"])', {"customer.id": "c-17"}),
        ('any.where(attr(customer.id) == "c-17")', {"customer.id": "c-17"}),
        ('any.where(span.customer.id == "c-17")', {"customer.id": "c-17"}),
        ('any.where("customer.id" == "c-17")', {"customer.id": "c-17"}),
        ('login.account == "DE-1"', {"account": "DE-1"}),
        ('any.where(note == "of ada@example.com")', {"note": "of ada@example.com"}),
        ('any.where(note == "EMP-123456")', {"note": "EMP-123456"}),
        ('any.where(user.email == "ada@example.com")', {"user.email": "ada@example.com"}),
        ("any.where(order.id == ORDER)", {"order.id": "ORDER"}),
    ],
)
def test_what_was_equal_before_redaction_is_so_afterwards(
    condition: str, attributes: dict[str, str | int]
) -> None:
    text = never(condition)
    found = judged(text)
    checked = dsl.check(found.text or text)
    assert (found.problems, found.warnings) == ((), ())
    assert checked.promise is not None
    same = dsl.explain(checked.promise, spans(attributes), complete=True)
    other = dsl.explain(checked.promise, spans(dict.fromkeys(attributes, "else")), complete=True)
    assert (same.judgement.verdict, other.judgement.verdict) == (
        dsl.Verdict.VIOLATED,
        dsl.Verdict.SATISFIED,
    )


def test_the_name_of_a_span_is_compared_as_text() -> None:
    found = judged(never('any.where(name == "mail to ada@example.com")'))
    checked = dsl.check(found.text or "")
    assert checked.promise is not None
    told = dsl.explain(checked.promise, spans({}, name="mail to ada@example.com"), complete=True)
    assert told.judgement.verdict is dsl.Verdict.VIOLATED


def test_an_attribute_of_a_bound_span_is_the_attribute() -> None:
    text = 'when { login as q and q.customer.id == "c-17" } always { audit after q }'
    found = judged(text)
    assert found.text == text.replace('"c-17"', f'"{REDACTOR.attribute("customer.id", "c-17")}"')


def test_keys_that_an_expect_lists_are_those_in_spans() -> None:
    text = 'expect { login } every 1h by customer.id in ["c-17", "c-18"]'
    first, second = (REDACTOR.attribute("customer.id", f"c-{n}") for n in (17, 18))
    assert judged(text).text == text.replace('"c-17"', f'"{first}"').replace(
        '"c-18"', f'"{second}"'
    )


@pytest.mark.parametrize(
    "text",
    [
        never("any.where(amount > 100)"),
        never('any.where(order.id == "o-1")'),
        never("any.where(status == error and duration > 2s and kind == server)"),
        "when { login as a } always { audit.where(customer.id == a.customer.id) after a }",
        "correlate { login.failed } by customer.id within 10m having count >= 5",
        never("any.where(customer.id exists)"),
        never("any.where(note contains refused)"),
    ],
)
def test_what_redaction_does_not_touch_is_judged_as_it_was_written(text: str) -> None:
    assert judged(text) == Redacted(None)


@pytest.mark.parametrize(
    "text",
    [
        never('any.where(customer.id matches "^c-")'),
        never("any.where(customer.id contains c)"),
        never("any.where(customer.id starts_with c)"),
        never("any.where(customer.id > 17)"),
        never("sum(customer.id of login) > 3"),
        "correlate { login.failed } by service within 10m having sum(customer.id) > 5",
    ],
)
def test_an_operator_that_looks_into_a_token_is_refused(text: str) -> None:
    [problem] = judged(text).problems
    assert problem.code == "rule.redacted_operator"
    assert "`customer.id` is hashed" in problem.message
    assert text[problem.column - 1 : problem.end_column - 1].count("customer.id") == 1


@pytest.mark.parametrize(
    ("text", "done"),
    [
        (never("any.where(diagnosis == flu)"), "removed"),
        (never("any.where(diagnosis matches flu)"), "removed"),
        (never('any.where(salary == "1234")'), "generalised"),
        (never("any.where(salary > 1000)"), "generalised"),
        (never('any.where(client.address == "8.8.8.8")'), "changed"),
    ],
)
def test_what_a_strategy_takes_away_is_warned_about(text: str, done: str) -> None:
    found = judged(text)
    assert (found.text, found.problems) == (None, ())
    assert [warning.code for warning in found.warnings] == ["rule.redacted_value"]
    assert done in found.warnings[0].message or "generalised" in found.warnings[0].message


def test_without_a_key_what_would_be_hashed_is_warned_about() -> None:
    found = judged(never('any.where(customer.id == "c-17")'), Redactor(POLICY, None))
    assert found.text is None
    assert ["removed" in warning.message for warning in found.warnings] == [True]


@pytest.mark.parametrize(
    ("where", "attributes"),
    [
        ('customer.id == "c-17"', {"customer.id": "c-17"}),
        ("customer.id in [bob, ada] and not order.id exists", {"customer.id": "ada"}),
        ('name == login and attr(account) == "DE-1"', {"account": "DE-1"}),
        ("service == crm or customer.id == ada", {"customer.id": "ada"}),
    ],
)
def test_an_exception_holds_for_the_redacted_spans_it_was_written_for(
    where: str, attributes: dict[str, str | int]
) -> None:
    stored = redacted_exceptions([{"where": where, "reason": "known"}], REDACTOR).stored
    assert stored is not None
    one = RuleException.from_dict(stored[0])
    assert (one.where, one.holds_for(*spans(attributes))) == (where, True)
    assert not one.holds_for(*spans(dict.fromkeys(attributes, "else")))


def test_exceptions_that_redaction_does_not_touch_are_asked_as_they_were_written() -> None:
    exceptions = [{"where": "service == crm", "reason": "x"}, {"where": "a == 1", "reason": "y"}]
    assert redacted_exceptions(exceptions, REDACTOR) == RedactedExceptions(None)
    assert redacted_filter("a ==", REDACTOR) == Redacted(None)


def test_what_an_exception_cannot_ask_is_said_with_its_number() -> None:
    found = redacted_exceptions(
        [
            {"where": "diagnosis == flu", "reason": "x"},
            {"where": "customer.id starts_with c", "reason": "y"},
        ],
        REDACTOR,
    )
    assert [(one.code, one.message[:13]) for one in (*found.warnings, *found.problems)] == [
        ("rule.redacted_value", "exception 1: "),
        ("rule.redacted_operator", "exception 2: "),
    ]


@pytest.mark.parametrize("text", ["", "when {", "never ] {", 'when { "', "expect { x }"])
def test_a_text_that_does_not_check_is_left_alone(text: str) -> None:
    assert redacted_rule(text, REDACTOR).problems == ()


def test_a_secret_in_a_rule_does_not_reach_the_rules_log() -> None:
    found = judged(never('any.where(note == "AKIAIOSFODNN7EXAMPLE")'))
    texts: Iterable[str] = [found.text or ""]
    assert all("AKIA" not in text for text in texts)


def test_check_tells_what_the_server_says_at_places_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        found = judged(json.loads(request.content)["rule"])
        said = {
            "problems": [problem.to_dict() for problem in found.problems],
            "warnings": [warning.to_dict() for warning in found.warnings],
        }
        return httpx.Response(200, json=said)

    monkeypatch.setenv("BETRACE_URL", "http://betrace.test")
    monkeypatch.setenv("BETRACE_API_KEY", "k")
    file = tmp_path / "rules.yaml"
    text = never('any.where(customer.id matches "^c-" and diagnosis == flu)')
    file.write_text(f"rules:\n- id: a\n  rule: |\n    {text}\n- id: b\n  rule: {never('x')}\n")
    with Server(transport=httpx.MockTransport(answer)) as server:
        checked = with_redaction(check_file(file, compare=False), server)
    [problem], warnings = checked.problems, checked.warnings
    assert (problem.code, problem.line) == ("rule.redacted_operator", 4)
    assert "rule.redacted_value" in {warning.code for warning in warnings}
