"""`betrace rules check, test, explain, fmt` as people and CI systems call them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from api.command.rules import app

WRONG = "when { a }\nalways { b.where(x = 1) }\n"
RULES = """\
rules:
- id: paid
  rule: |
    when { order } always { payment.where(amount > 5 and ok) }
  tests:
  - {name: "paid \\x07", trace: [{name: order}, {name: payment}], expect: satisfied}
  - {name: unread, trace: [{name: order, colour: red}], expect: satisfied}
  - {name: unpaid, trace: [{name: order}], expect: violated}
- id: shipped
  rule: when { order } always { shipping }
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> Any:
    return CliRunner().invoke(app, list(words))


# -- check -----------------------------------------------------------------------------------------


def test_sarif_says_what_code_hosts_need(here: Path) -> None:
    (here / "my rules").mkdir()
    (here / "my rules" / "a.rule").write_text(WRONG)
    result = run("check", "my rules/a.rule", "--format", "sarif")
    log = json.loads(result.stdout)
    [found] = log["runs"]
    assert (result.exit_code, log["version"], found["columnKind"]) == (
        1,
        "2.1.0",
        "unicodeCodePoints",
    )
    assert found["tool"]["driver"]["rules"] == [
        {
            "id": "rule.single_equals",
            "name": "RuleSingleEquals",
            "shortDescription": {"text": "`=` does not compare."},
            "fullDescription": {"text": "`=` does not compare. Write `==`."},
            "help": {"text": "`=` does not compare. Write `==`."},
            "defaultConfiguration": {"level": "error"},
        }
    ]
    assert found["results"] == [
        {
            "ruleId": "rule.single_equals",
            "ruleIndex": 0,
            "level": "error",
            "message": {"text": "`=` does not compare. Write `==`."},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {
                            "uri": "my%20rules/a.rule",
                            "uriBaseId": "%SRCROOT%",
                        },
                        "region": {
                            "startLine": 2,
                            "startColumn": 20,
                            "endLine": 2,
                            "endColumn": 21,
                        },
                    }
                }
            ],
        }
    ]


def test_sarif_of_a_file_elsewhere_has_its_whole_address(here: Path) -> None:
    elsewhere = here / "a.rule"
    elsewhere.write_text(WRONG)
    (here / "inner").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here / "inner")
        log = json.loads(run("check", str(elsewhere), "--format", "sarif").stdout)
    [result] = log["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place == {"uri": elsewhere.as_uri()}


def test_check_counts_what_it_found(here: Path) -> None:
    (here / "a.rule").write_text(WRONG)
    (here / "b.rule").write_text("when { a } never { a }")
    assert run("check", "a.rule", "b.rule").stdout.endswith("\n\n2 rules, 1 problem, 1 warning\n")


def test_the_text_of_a_rule_with_a_wrong_field_is_checked_too(here: Path) -> None:
    (here / "a.yaml").write_text("id: a\nsevrity: high\nrule: |\n  when { a && b } never { c }\n")
    found = json.loads(run("check", "a.yaml", "--format", "json").stdout)["files"][0]["problems"]
    assert [(one["code"], one["line"], one["column"]) for one in found] == [
        ("object.unknown_field", 2, 10),
        ("rule.ampersands", 4, 12),
    ]


def test_rules_of_a_file_are_checked_together(here: Path) -> None:
    (here / "a.yaml").write_text(
        RULES + "- id: many\n  rule: |\n"
        '    correlate { violated("payed") } by rule within 5m having count > 3\n'
    )
    found = json.loads(run("check", "a.yaml", "--format", "json").stdout)["files"][0]
    [warning] = found["warnings"]
    assert (warning["line"], warning["column"], "`paid`" in warning["hint"]) == (13, 17, True)


def test_check_shows_what_the_first_betrace_understood_otherwise(here: Path) -> None:
    (here / "a.yaml").write_text(
        "id: a\nrule: |\n  when { a.where(x != 1) }\n  never { b.amount < limit }\n"
    )
    result = run("check", "a.yaml", "--from", "betrace", "--format", "json")
    found = json.loads(result.stdout)["files"][0]["differences"]
    assert result.exit_code == 0
    assert [(one["code"], one["line"], one["column"], one["hint"]) for one in found] == [
        ("first.missing", 3, 18, "add `or not x exists` if it should"),
        ("first.missing", 4, 11, "add `or b.where(not amount exists)` if it should"),
        ("first.word", 4, 22, 'write `"limit"` for the text'),
    ]
    assert run("check", "a.yaml", "--from", "betrace").stdout.endswith(", 3 differences\n")
    assert "differences" not in run("check", "a.yaml").stdout


def test_colours_are_for_people_who_want_them(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "a.rule").write_text(WRONG)
    assert "\x1b[" not in run("check", "a.rule").stdout
    monkeypatch.delenv("NO_COLOR", raising=False)
    on_a_terminal = CliRunner().invoke(app, ["check", "a.rule"], color=True)
    assert "\x1b[31m^\x1b[0m" in on_a_terminal.stdout
    monkeypatch.setenv("NO_COLOR", "1")
    refused = CliRunner().invoke(app, ["check", "a.rule"], color=True)
    assert "\x1b[" not in refused.stdout


# -- test ------------------------------------------------------------------------------------------


def test_junit_tells_failures_from_errors(here: Path) -> None:
    (here / "r.yaml").write_text(RULES)
    (here / "broken.yaml").write_text("id: [")
    result = run("test", "r.yaml", "broken.yaml", "--format", "junit")
    suites = ElementTree.fromstring(result.stdout)
    assert result.exit_code == 1
    assert [(suite.get("name"), suite.attrib) for suite in suites] == [
        (
            "r.yaml",
            {"name": "r.yaml", "tests": "3", "failures": "1", "errors": "1", "skipped": "0"},
        ),
        (
            "broken.yaml",
            {"name": "broken.yaml", "tests": "1", "failures": "0", "errors": "1", "skipped": "0"},
        ),
    ]
    failed, unread, unpaid = suites[0]
    # A character that no XML can hold does not make the report unreadable.
    assert (failed.get("classname"), failed.get("name")) == ("paid", "paid �")
    [failure] = failed
    assert (failure.tag, failure.get("message")) == (
        "failure",
        "expected satisfied, and it is violated",
    )
    assert "nearest: payment fails amount > 5 (amount is missing)" in (failure.text or "")
    assert [child.tag for child in unread] == ["error"]
    assert list(unpaid) == []


def test_results_of_several_files_stand_under_their_names(here: Path) -> None:
    (here / "r.yaml").write_text(RULES)
    (here / "s.yaml").write_text(
        'id: s\nrule: "when { a } never { b }"\n'
        "tests:\n- {name: empty, trace: [], expect: not_applicable}\n"
    )
    assert run("test", "r.yaml", "s.yaml").stdout.endswith(
        "pass  unpaid\ns.yaml\npass  empty\n2 passed, 2 failed\n"
    )


# -- explain ---------------------------------------------------------------------------------------

TRACE = "- {name: order, id: o}\n- {name: payment, id: p, parent: o, attributes: {amount: 7}}\n"


def test_explain_shows_clauses_spans_and_values(here: Path) -> None:
    (here / "r.yaml").write_text(RULES)
    (here / "t.yaml").write_text(TRACE)
    result = run("explain", "r.yaml", "--trace", "t.yaml", "--rule", "paid")
    assert (result.exit_code, result.stdout) == (
        0,
        "violated\n"
        "when is true\n"
        "  true      1:8  order\n"
        "           order (o)\n"
        "always is false\n"
        "  false    1:25  payment.where(amount > 5 and ok)\n"
        "           nearest: payment (p) fails\n"
        "             ok == true (ok is missing)\n",
    )


def test_explain_tells_of_every_rule_of_a_file_and_every_trace(here: Path) -> None:
    (here / "r.yaml").write_text(RULES)
    lines = [
        {
            "resourceSpans": [
                {"scopeSpans": [{"spans": [{"traceId": trace, "spanId": "01" * 8, "name": name}]}]}
            ]
        }
        for trace, name in (("aa" * 16, "order"), ("bb" * 16, "shipping"))
    ]
    (here / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    result = run("explain", "r.yaml", "--trace", "t.jsonl", "--format", "json")
    told = json.loads(result.stdout)["explanations"]
    assert [(one["rule"], one["trace"][:2], one["verdict"]) for one in told] == [
        ("paid", "aa", "violated"),
        ("paid", "bb", "not_applicable"),
        ("shipped", "aa", "violated"),
        ("shipped", "bb", "not_applicable"),
    ]
    text = run("explain", "r.yaml", "--trace", "t.jsonl").stdout
    assert f"\n\nshipped, trace {'bb' * 16}\nnot_applicable\n" in text


def test_explain_leaves_rules_over_many_traces_to_their_tests(here: Path) -> None:
    (here / "r.yaml").write_text(RULES + "- id: many\n  rule: |\n    expect { order } every 1h\n")
    (here / "t.yaml").write_text(TRACE)
    result = run("explain", "r.yaml", "--trace", "t.yaml")
    assert result.exit_code == 0
    assert "many" not in result.stdout
    assert result.stderr == (
        "1 rule over many traces left out: `betrace rules test` explains them\n"
    )


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("r.yaml", "--trace", "t.yaml", "--rule", "payed"), 2, "no rule `payed` in the file. did"),
        (("r.yaml", "--trace", "bad.yaml"), 2, "bad.yaml:1:5: not valid YAML"),
        (("r.yaml", "--trace", "colour.yaml"), 2, "`colour` is not a field of a span."),
        (("wrong.rule", "--trace", "t.yaml"), 1, "`=` does not compare"),
    ],
)
def test_explain_says_what_it_cannot_use(
    here: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    (here / "r.yaml").write_text(RULES)
    (here / "wrong.rule").write_text(WRONG)
    (here / "t.yaml").write_text(TRACE)
    (here / "bad.yaml").write_text("a: [")
    (here / "colour.yaml").write_text("- {name: a, colour: red}")
    result = run("explain", *words)
    assert result.exit_code == code
    assert said in result.stderr


# -- fmt -------------------------------------------------------------------------------------------


def test_fmt_changes_files_once(here: Path) -> None:
    file = here / "a.rule"
    file.write_bytes(b"when{a} // why\r\nnever{b}")
    assert run("fmt", "a.rule", "--check").exit_code == 1
    assert file.read_bytes() == b"when{a} // why\r\nnever{b}"
    result = run("fmt", "a.rule")
    assert (result.exit_code, result.stdout) == (0, "changed a.rule\n1 file read, 1 changed\n")
    assert file.read_bytes() == b"when  { a }  // why\r\nnever { b }\r\n"
    result = run("fmt", "a.rule", "--check")
    assert (result.exit_code, result.stdout) == (0, "1 file read, 0 would change\n")


def test_fmt_shows_a_difference_and_changes_nothing(here: Path) -> None:
    (here / "r.yaml").write_text(RULES)
    result = run("fmt", "r.yaml", "--diff")
    assert (here / "r.yaml").read_text() == RULES
    assert (result.exit_code, result.stdout.split("\n")[2:9]) == (
        0,
        [
            "@@ -1,7 +1,8 @@",
            " rules:",
            " - id: paid",
            "   rule: |",
            "-    when { order } always { payment.where(amount > 5 and ok) }",
            "+    when   { order }",
            "+    always { payment.where(amount > 5 and ok) }",
        ],
    )


def test_fmt_leaves_what_does_not_parse_and_says_why(here: Path) -> None:
    (here / "a.rule").write_text(WRONG)
    (here / "b.yaml").write_text("id: [")
    result = run("fmt", "a.rule", "b.yaml")
    assert (result.exit_code, result.stdout) == (1, "2 files read, 0 changed, 2 with problems\n")
    assert "a.rule:2:20: `=` does not compare" in result.stderr
    assert "b.yaml:1:6: not valid YAML" in result.stderr
    assert (here / "a.rule").read_text() == WRONG


def test_a_file_of_bytes_is_refused_in_one_line(here: Path) -> None:
    (here / "a.rule").write_bytes(b"when \xff")
    result = run("check", "a.rule")
    assert (result.exit_code, result.stderr) == (1, "a.rule is not UTF-8 text (byte 5).\n")
