"""Rules as objects, suites, traces in OTLP/JSON, and the command line over them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from api.command.rules import app
from dsl import GONE, MISSING, Span, spans_from_otlp_json
from dsl.objects import parse_rules
from dsl.suites import run
from dsl.traces import TraceError

RULE = "when { a } always { b }"
OBJECT = f"id: r1\nrule: '{RULE}'\n"


def problems_of(text: str, filename: str = "r.yaml") -> list[str]:
    document = parse_rules(text, filename=filename)
    return [f"{one.code} {one.line}:{one.column}" for one in document.problems]


def test_a_rule_object_has_every_field_and_its_defaults() -> None:
    [rule] = parse_rules(OBJECT, filename="r.yaml").rules
    assert rule.to_dict() == {
        "id": "r1",
        "name": "r1",
        "description": "",
        "severity": "medium",
        "state": "active",
        "controls": [],
        "tags": [],
        "owner": "",
        "runbook": "",
        "rule": RULE,
        "group_by": [],
        "exceptions": [],
        "tests": [],
    }


def test_yaml_and_json_read_the_same_and_to_dict_reads_back() -> None:
    text = (
        "id: r1\nstate: off\nseverity: high\nsettle: 20s\non_incomplete: hold\n"
        "group_by: [service, user.id]\nsuppress: 15m\n"
        "exceptions:\n  - {where: service == staging-crm, reason: load, until: 2027-01-31}\n"
        f"rule: |\n  {RULE}\n"
    )
    [rule] = parse_rules(text, filename="r.yaml").rules
    assert (rule.state, rule.settle, rule.on_incomplete) == ("off", "20s", "hold")
    assert rule.exceptions[0].until == "2027-01-31"
    assert rule.suppress == "15m"
    [again] = parse_rules(json.dumps(rule.to_dict()), filename="r.json").rules
    assert again.to_dict() == rule.to_dict()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (OBJECT, 1),
        (f"{OBJECT}---\nid: r2\nrule: x\n", 2),
        (f"- {{id: a, rule: '{RULE}'}}\n- {{id: b, rule: '{RULE}'}}\n", 2),
        (f"rules:\n  - {{id: a, rule: '{RULE}'}}\n", 1),
        ("", 0),
        ("rules: []\ntests: []\n", 0),
    ],
)
def test_a_file_holds_one_rule_or_many(text: str, count: int) -> None:
    document = parse_rules(text, filename="r.yaml")
    assert (len(document.rules), document.problems) == (count, ())


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("id: r1\n", ["object.missing_field 1:1"]),
        ("rule: x\n", ["object.missing_field 1:1"]),
        (OBJECT + "sevrity: high\n", ["object.unknown_field 3:10"]),
        (OBJECT + "severity: hihg\n", ["object.value 3:11"]),
        (OBJECT + "state: on\n", ["object.value 3:8"]),
        (OBJECT + "tags: privacy\n", ["object.shape 3:7"]),
        (OBJECT + "tags: [{a: 1}]\n", ["object.shape 3:8"]),
        (OBJECT + "settle: 10\n", ["object.value 3:9"]),
        (OBJECT + "settle: soon\n", ["object.value 3:9"]),
        (OBJECT + "suppress: often\n", ["object.value 3:11"]),
        (OBJECT + "suppress: 999ms\n", ["object.value 3:11"]),
        (OBJECT + "suppress: 8d\n", ["object.value 3:11"]),
        ("id: 'r 1'\nrule: x\n", ["object.value 1:5"]),
        (OBJECT + "exceptions:\n- {where: a = b, reason: x}\n", ["rule.single_equals 4:11"]),
        (OBJECT + "exceptions:\n- {reason: x}\n", ["object.missing_field 4:3"]),
        (OBJECT + "exceptions:\n- {where: a, reason: x, unitl: y}\n", [
            "object.unknown_field 4:32"]),
        (OBJECT + "exceptions:\n- {where: a, reason: x, until: soon}\n", ["object.value 4:32"]),
        (OBJECT + "exceptions:\n- {where: a, reason: ''}\n", ["object.missing_field 4:3"]),
        (OBJECT + "exceptions:\n- where: |\n    a and\n    b = c\n  reason: x\n", [
            "rule.single_equals 6:7"]),
        (OBJECT + "tests: [1]\n", ["object.shape 3:9"]),
        (OBJECT + "tests:\n- {trace: [], expect: broken}\n", ["object.value 4:23"]),
        (OBJECT + "tests:\n- {expect: satisfied}\n", ["object.missing_field 4:3"]),
        (OBJECT + "tests:\n- {trace: []}\n", ["object.missing_field 4:3"]),
        (OBJECT + "tests:\n- {traces: [1], expect: satisfied}\n", ["object.shape 4:13"]),
        (OBJECT + "tests:\n- {traces: {}, expect: satisfied}\n", ["object.shape 4:12"]),
        (OBJECT + "tests:\n- {traces: [{at: 1s}], expect: satisfied}\n", [
            "object.missing_field 4:13"]),
        (OBJECT + "tests:\n- {traces: [{trace: [], at: x}], expect: satisfied}\n", [
            "object.value 4:29"]),
        (OBJECT + "tests:\n- {traces: [{trace: [], on: 1s}], expect: satisfied}\n", [
            "object.unknown_field 4:29"]),
        (OBJECT + "tests:\n- {trace: [], traces: [], expect: satisfied}\n", [
            "object.trace_and_traces 4:23"]),
        (OBJECT + "tests:\n- {trace: [], external_roots: maybe, expect: satisfied}\n", [
            "object.shape 4:31"]),
        (OBJECT + "---\n" + OBJECT, ["object.duplicate_id 5:7"]),
        ("id: a\nid: b\n", ["object.duplicate_key 2:1"]),
        ("a: [\n", ["object.syntax 2:1"]),
        ("a: &x 1\nb: *x\n", ["object.aliases 2:4"]),
        ("just text", ["object.shape 1:1"]),
        ("tests:\n- {trace: [], expect: satisfied}\n", ["object.missing_field 2:3"]),
        ("id: r1\nrule: x\ntests:\n- {trace: [], expect: [violated, {at: x}]}", [
            "object.shape 4:24", "object.value 4:34"]),
    ],
)  # fmt: skip
def test_problems_of_an_object_stand_at_their_place(text: str, problems: list[str]) -> None:
    assert problems_of(text) == problems


def test_problems_of_json_have_places_where_json_is_broken() -> None:
    assert problems_of('{"id": \n }', "r.json") == ["object.syntax 2:2"]
    assert problems_of('{"id": 1, "id": 2}', "r.json") == ["object.duplicate_key 1:1"]


SUITE = f"""
rules:
  - id: r1
    rule: "{RULE}"
    tests:
      - {{name: kept, trace: [{{name: a}}, {{name: b}}], expect: satisfied}}
      - {{name: either, trace: [{{name: a}}], expect: [violated, inconclusive]}}
tests:
  - {{name: empty, rule: r1, trace: [], expect: not_applicable}}
  - {{name: own text, rule: "when {{ a }}", expect: rejected}}
  - {{name: fails, rule: r1, trace: [{{name: a}}], expect: satisfied}}
  - {{name: bad span, rule: r1, trace: [{{name: a, colour: red}}], expect: satisfied}}
"""


def test_a_suite_runs_the_tests_of_its_rules_and_its_own() -> None:
    document = parse_rules(SUITE, filename="s.yaml")
    assert document.problems == ()
    result = run(document)
    assert [(one.name, one.rule, one.expect, one.verdict, one.passed) for one in result.tests] == [
        ("kept", "r1", "satisfied", "satisfied", True),
        ("either", "r1", ["violated", "inconclusive"], "violated", True),
        ("empty", "r1", "not_applicable", "not_applicable", True),
        ("own text", "when { a }", "rejected", "rejected", True),
        ("fails", "r1", "satisfied", "violated", False),
        ("bad span", "r1", "satisfied", "error", False),
    ]
    assert (result.passed, result.failed) == (4, 2)


def test_a_trace_is_followed_over_time() -> None:
    text = f"""
rule: "{RULE}"
id: r
settle: 2s
tests:
  - name: over time
    trace: [{{name: a, id: r}}, {{name: b, parent: r, arrives: 10s}}]
    expect: [{{at: 1s, verdict: inconclusive}}, {{at: 2s, verdict: violated}},
             {{at: 11s, verdict: violated}}, {{at: 12s, verdict: satisfied}}]
  - name: no root
    trace: [{{name: a, parent: r, arrives: 0s}}]
    expect: inconclusive
"""
    result = run(parse_rules(text, filename="r.yaml"))
    assert [(one.verdict, one.passed) for one in result.tests] == [
        (["inconclusive", "violated", "violated", "satisfied"], True),
        ("inconclusive", True),
    ]
    assert result.tests[1].explain["reasons"] == ["no_root"]


OTLP: dict[str, Any] = {
    "resourceSpans": [
        {
            "resource": {
                "attributes": [{"key": "service.name", "value": {"stringValue": "crm"}}],
                "droppedAttributesCount": 1,
            },
            "scopeSpans": [
                {
                    "scope": {"name": "otel.db", "version": "1"},
                    "spans": [
                        {
                            "traceId": "5b8efff798038103d269b633813fc60c",
                            "spanId": "eee19b7ec3c1b174",
                            "parentSpanId": "",
                            "name": "a",
                            "kind": 2,
                            "startTimeUnixNano": "1544712660000000000",
                            "endTimeUnixNano": 1544712661000000000,
                            "status": {"code": 2, "message": "boom"},
                            "attributes": [
                                {"key": "n", "value": {"intValue": "9007199254740993"}},
                                {"key": "f", "value": {"doubleValue": "NaN"}},
                                {"key": "ok", "value": {"boolValue": True}},
                                {"key": "raw", "value": {"bytesValue": "AQI="}},
                                {"key": "none", "value": {}},
                                {
                                    "key": "list",
                                    "value": {"arrayValue": {"values": [{"intValue": 1}]}},
                                },
                                {
                                    "key": "map",
                                    "value": {
                                        "kvlistValue": {
                                            "values": [{"key": "k", "value": {"stringValue": "v"}}]
                                        }
                                    },
                                },
                            ],
                            "events": [{"name": "e", "timeUnixNano": "5", "attributes": []}],
                            "unknownField": 1,
                        }
                    ],
                }
            ],
        }
    ]
}


def test_otlp_json_is_read_as_its_specification_says() -> None:
    [span] = spans_from_otlp_json(OTLP)
    assert isinstance(span, Span)
    assert (span.span_id.hex(), span.parent_span_id, span.kind) == (
        "eee19b7ec3c1b174",
        b"",
        "server",
    )
    assert (span.status, span.status_message, span.service) == ("error", "boom", "crm")
    assert span.end_ns - span.start_ns == 10**9
    assert span.span_attribute("n") == 9007199254740993
    assert (span.span_attribute("map.k"), span.span_attribute("list")) == ("v", [1])
    assert (span.span_attribute("raw"), span.span_attribute("none")) == (b"\x01\x02", MISSING)
    assert (span.scope_attribute("name"), span.resource_attribute("x")) == ("otel.db", GONE)
    assert span.events[0].name == "e"


@pytest.mark.parametrize(
    ("flags", "said"),
    [(0, None), (0x01, None), (0x200, None), (0x100, False), ("257", False), (0x300, True)],
)
def test_flags_say_whether_a_parent_is_remote_or_nothing(
    flags: int | str, said: bool | None
) -> None:
    document = {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "a", "flags": flags}]}]}]}
    [span] = spans_from_otlp_json(document)
    assert isinstance(span, Span)
    assert span.parent_is_remote is said


def test_a_span_of_a_test_says_true_or_false_of_its_parent() -> None:
    assert Span.from_dict({"name": "a", "parent_is_remote": True}).parent_is_remote is True
    assert Span.from_dict({"name": "a"}).parent_is_remote is None
    with pytest.raises(TraceError, match="`parent_is_remote` must be true or false, not 'yes'"):
        Span.from_dict({"name": "a", "parent_is_remote": "yes"})


@pytest.mark.parametrize(
    "document",
    [
        {"resourceSpans": 1},
        {"resourceSpans": [1]},
        {"resourceSpans": [{"scopeSpans": [{"spans": [{"spanId": "xx"}]}]}]},
        {"resourceSpans": [{"scopeSpans": [{"spans": [{"startTimeUnixNano": "x"}]}]}]},
    ],
)
def test_broken_otlp_json_is_said_to_be_broken(document: dict[str, Any]) -> None:
    with pytest.raises(TraceError):
        spans_from_otlp_json(document)


# -- the command line ------------------------------------------------------------------------------


def test_rules_test_prints_json_and_exits_with_1_if_one_fails(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SUITE)
    result = CliRunner().invoke(app, ["test", str(tmp_path / "s.yaml"), "--format", "json"])
    told = json.loads(result.stdout)
    assert (result.exit_code, told["passed"], told["failed"]) == (1, 4, 2)
    assert set(told) == {"tests", "passed", "failed"}
    assert set(told["tests"][0]) == {"name", "rule", "expect", "verdict", "passed", "explain"}


def test_rules_test_reads_trace_files_beside_the_suite(tmp_path: Path) -> None:
    (tmp_path / "t.otlp.json").write_text(json.dumps(OTLP))
    tests = "tests:\n- {name: t, trace: t.otlp.json, expect: violated}\n"
    (tmp_path / "s.yaml").write_text(OBJECT + tests)
    result = CliRunner().invoke(app, ["test", str(tmp_path / "s.yaml")])
    assert (result.exit_code, result.stdout) == (0, "pass  t\n1 passed, 0 failed\n")
    (tmp_path / "t.otlp.json").unlink()
    result = CliRunner().invoke(app, ["test", str(tmp_path / "s.yaml")])
    assert result.exit_code == 1
    assert "t.otlp.json cannot be read" in result.stdout


def test_rules_test_prints_junit(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SUITE)
    result = CliRunner().invoke(app, ["test", str(tmp_path / "s.yaml"), "--format", "junit"])
    suite = ElementTree.fromstring(result.stdout)
    # The span that cannot be read is an error of the test, not of the rule.
    counts = [suite.get(name) for name in ("tests", "failures", "errors", "skipped")]
    assert counts == ["6", "1", "1", "0"]


def test_rules_check_shows_problems_at_their_place_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text("id: r1\nrule: |\n    when { a }\n    always { b.where(x = 1) }\n")
    result = CliRunner().invoke(app, ["check", str(file)])
    assert result.exit_code == 1
    assert result.stdout == (
        f"{file}:4:24: `=` does not compare [rule.single_equals]\n"
        "  4 |     always { b.where(x = 1) }\n"
        "    |                        ^\n"
        "    = write `==`\n"
        "\n"
        "1 rule, 1 problem, 0 warnings\n"
    )


@pytest.mark.parametrize("output", ["json", "sarif"])
def test_rules_check_prints_json_and_sarif(tmp_path: Path, output: str) -> None:
    file = tmp_path / "one.rule"
    file.write_text("when { a } never { a }")
    result = CliRunner().invoke(app, ["check", str(file), "--format", output])
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    if output == "json":
        assert (told["problems"], told["warnings"]) == (0, 1)
    else:
        assert told["runs"][0]["results"][0]["ruleId"] == "rule.always_fires"
