"""Policies: what they say of an attribute, how they are written, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tests.support.redaction import a_map, a_span, attribute_after, redacted, redactor, string
from tests.support.redaction import request as a_request
from udfs.redaction.patterns import unconditional
from udfs.redaction.policy import AllowList, CustomDetector, Policy
from udfs.redaction.policy_json import MAX_CUSTOM, PolicyProblem, policy_form, read_policy
from udfs.redaction.strategies import Strategy

FORM: dict[str, Any] = {
    "format": 1,
    "version": 7,
    "strategies": {"email": "tokenize", "ip_address": "allow"},
    "keys": {"customer.id": "hash", "debug.*": "remove"},
    "exempt": ["order.reference"],
    "custom": [{"name": "badge", "pattern": "\\bEMP-[0-9]{6}\\b", "strategy": "mask"}],
    "allow_list": {"keys": ["http.*", "order.id"], "otherwise": "hash"},
    "semantic_conventions": False,
}
POLICY = Policy(
    version=7,
    strategies={"email": Strategy.TOKENIZE, "ip_address": Strategy.ALLOW},
    keys={
        "customer.id": Strategy.HASH,
        "debug.*": Strategy.REMOVE,
        "order.reference": Strategy.ALLOW,
    },
    custom=(CustomDetector("badge", "\\bEMP-[0-9]{6}\\b", Strategy.MASK),),
    allow_list=AllowList(("http.*", "order.id"), Strategy.HASH),
    conventions=False,
)


def test_a_form_is_read_and_written() -> None:
    assert read_policy(FORM) == POLICY
    assert read_policy(policy_form(POLICY)) == POLICY
    assert read_policy({"format": 1}) == Policy()
    assert read_policy(policy_form(Policy())) == Policy()


@pytest.mark.parametrize(
    ("change", "code", "at"),
    [
        ({"format": 2}, "format", "format"),
        ({"version": "7"}, "type", "version"),
        ({"colour": "red"}, "unknown_field", "colour"),
        ({"strategies": {"mail": "hash"}}, "kind", "strategies.mail"),
        ({"strategies": {"email": "burn"}}, "strategy", "strategies.email"),
        ({"strategies": []}, "not_an_object", "strategies"),
        ({"keys": {"a*b": "hash"}}, "key", "keys.a*b"),
        ({"keys": {"": "hash"}}, "key", "keys."),
        ({"keys": {str(n): "hash" for n in range(1001)}}, "too_many", "keys"),
        ({"exempt": ["x" * 257]}, "key", "exempt[0]"),
        ({"exempt": "x"}, "keys", "exempt"),
        ({"custom": [{}] * (MAX_CUSTOM + 1)}, "too_many", "custom"),
        ({"allow_list": {"keys": [], "else": "hash"}}, "unknown_field", "allow_list.else"),
        ({"allow_list": {"keys": [], "otherwise": "x"}}, "strategy", "allow_list.otherwise"),
        ({"semantic_conventions": 1}, "type", "semantic_conventions"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(change: dict[str, Any], code: str, at: str) -> None:
    problems = read_policy({"format": 1, **change})
    assert isinstance(problems, list)
    assert [(problem.code, problem.at) for problem in problems] == [(f"redaction.{code}", at)]


@pytest.mark.parametrize(
    ("change", "code", "at"),
    [
        ({"name": "A"}, "name", "custom[0].name"),
        ({"pattern": None}, "pattern", "custom[0].pattern"),
        ({"pattern": "("}, "pattern", "custom[0].pattern"),
        ({"pattern": "(?=x)"}, "pattern", "custom[0].pattern"),
        ({"pattern": "(a{100}){100}"}, "pattern", "custom[0].pattern"),
        ({"pattern": "x*"}, "pattern_empty", "custom[0].pattern"),
        ({"pattern": "x" * 501}, "pattern_too_long", "custom[0].pattern"),
        ({"pattern": "(\\pL{40}){20}"}, "pattern_too_large", "custom[0].pattern"),
        ({"strategy": None}, "strategy", "custom[0].strategy"),
        ({"z": 1}, "unknown_field", "custom[0].z"),
    ],
)
def test_what_is_wrong_with_a_custom_pattern_is_said(
    change: dict[str, Any], code: str, at: str
) -> None:
    custom = {"name": "a", "pattern": "x", "strategy": "mask", **change}
    problems = read_policy({"format": 1, "custom": [custom]})
    assert isinstance(problems, list)
    assert [(problem.code, problem.at) for problem in problems] == [(f"redaction.{code}", at)]


def test_two_custom_patterns_have_two_names() -> None:
    custom = {"name": "a", "pattern": "x", "strategy": "mask"}
    assert read_policy({"format": 1, "custom": [custom, custom]}) == [
        PolicyProblem("redaction.name_taken", "custom", "two patterns are named 'a'")
    ]


def test_all_problems_are_told_at_once() -> None:
    problems = read_policy({"format": 0, "strategies": {"x": "y"}, "keys": 1})
    assert isinstance(problems, list)
    assert len(problems) == 4
    assert PolicyProblem("redaction.not_an_object", "keys", "must be a JSON object") in problems
    assert read_policy(None) == [
        PolicyProblem("redaction.not_an_object", "policy", "must be a JSON object")
    ]


def test_the_key_of_a_policy_comes_before_everything_else() -> None:
    ours = redactor(
        Policy(
            keys={
                "enduser.id": Strategy.ALLOW,
                "tier": Strategy.HASH,
                "debug.*": Strategy.REMOVE,
                "raw": Strategy.ALLOW,
            }
        )
    )
    assert ours.attribute("enduser.id", "ada") == "ada"
    assert ours.attribute("tier", "gold").startswith("hash:")
    assert ours.attribute("debug.dump", "x") == "[REDACTED]"
    assert ours.attribute("raw", "ada@example.com") == "ada@example.com"
    assert attribute_after("tier", AnyValue(bool_value=True), ours).string_value.startswith("hash:")


def test_a_key_of_a_policy_reaches_into_maps() -> None:
    ours = redactor(Policy(keys={"order.buyer.tier": Strategy.REMOVE, "note.*": Strategy.REMOVE}))
    given = a_map(buyer=a_map(tier=string("gold"), level=string("3")), id=string("7"))
    after = attribute_after("order", given, ours)
    assert after == a_map(buyer=a_map(tier=string("[REDACTED]"), level=string("3")), id=string("7"))
    assert attribute_after("note", a_map(a=string("x")), ours) == a_map(a=string("[REDACTED]"))


def test_in_a_map_of_a_person_the_name_is_a_persons() -> None:
    after = attribute_after("customer", a_map(name=string("Ada King"), tier=string("gold")))
    assert after == a_map(name=string("A** K***"), tier=string("gold"))
    assert attribute_after("queue", a_map(name=string("orders"))) == a_map(name=string("orders"))


def test_with_an_allow_list_only_what_is_listed_passes() -> None:
    ours = redactor(Policy(allow_list=AllowList(("http.*", "order"), Strategy.REMOVE)))
    sent = a_request(
        a_span(
            name="GET /",
            attributes=[
                KeyValue(key="http.route", value=string("/orders")),
                KeyValue(key="http.note", value=string("by ada@example.com")),
                KeyValue(key="order", value=a_map(id=string("7"))),
                KeyValue(key="amount", value=AnyValue(int_value=5)),
                KeyValue(key="note", value=string("hello")),
            ],
        )
    )
    span = redacted(sent, ours).resource_spans[0].scope_spans[0].spans[0]
    values = {kv.key: kv.value for kv in span.attributes}
    assert values["http.route"] == string("/orders")
    assert values["http.note"].string_value.startswith("by hash:")
    assert values["order"] == a_map(id=string("7"))
    assert values["amount"] == values["note"] == string("[REDACTED]")


def test_a_custom_pattern_is_found_in_any_text_and_may_have_conditions() -> None:
    ours = redactor(Policy(custom=(CustomDetector("end", r"ß\d+$", Strategy.REMOVE),)))
    assert ours.text("xß12") == "x[REDACTED]"
    assert ours.text("xß12 ") == "xß12 "
    sent = a_request(a_span(name="xß12"))
    _, counts = ours.record(sent.SerializeToString())
    assert counts.by_kind == {"custom.end": 1}


@pytest.mark.parametrize(
    ("pattern", "gate"),
    [
        (r"^a\b.$", r"(?:)a(?:).(?:)"),
        (r"[^a$]\$\^", r"[^a$]\$\^"),
        (r"\Q^$\E^", r"\Q^$\E(?:)"),
        (r"[]^]x[[:^alpha:]$]", r"[]^]x[[:^alpha:]$]"),
        (r"(?:^|,)x\z", r"(?:(?:)|,)x(?:)"),
    ],
)
def test_a_gate_is_the_pattern_without_conditions(pattern: str, gate: str) -> None:
    assert unconditional(pattern) == gate


def test_the_version_of_the_policy_goes_with_every_result() -> None:
    _, counts = redactor(Policy(version=12)).record(b"")
    assert counts.policy_version == 12
