"""Suites of rules over many traces: what `traces:` may hold, and the commands that run them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api.command.rules import app
from dsl.objects import parse_rules
from dsl.suites import TestResult, run

EXPECT = "id: e\nrule: 'expect { backup } every 1h'\n"


def results(text: str, *, load: Any = None) -> tuple[TestResult, ...]:
    document = parse_rules(text, filename="suite.yaml")
    assert document.problems == ()
    return run(document, load=load).tests


def otlp(start_ns: int) -> dict[str, Any]:
    spans = [
        {"traceId": trace * 16, "spanId": "01" * 8, "name": "a", "startTimeUnixNano": start_ns}
        for trace in ("01", "02")
    ]
    return {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}


def test_one_trace_is_enough_for_a_rule_over_many() -> None:
    (result,) = results(EXPECT + "tests:\n- {trace: [{name: backup}], expect: satisfied}\n")
    assert (result.verdict, result.passed) == ("satisfied", True)


def test_a_promise_is_not_judged_on_several_traces() -> None:
    rule = "id: p\nrule: 'when { a } always { b }'\n"
    (result,) = results(rule + "tests:\n- {traces: [{trace: []}], expect: satisfied}\n")
    assert (result.verdict, result.passed) == ("error", False)
    assert "one `trace:`" in result.explain["error"]


def test_otlp_documents_are_moved_to_their_moment_and_may_hold_several_traces() -> None:
    text = """
id: c
rule: "correlate { a } by name within 10m having distinct(trace) >= 2"
tests:
- traces: [{at: 5m, trace: t.json}]
  expect: [{at: 4m, verdict: not_applicable}, {at: 5m, verdict: violated}]
"""
    (result,) = results(text, load=lambda _path: otlp(1_700_000_000_000_000_000))
    assert result.passed
    assert result.explain["times"]["window_to"] == 300_000_000_000


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        ('correlate { violated("x") } by rule within 1m having count > 1', "no rule `x`"),
        ('correlate { violated("c") } by rule within 1m having count > 1', "its own signals"),
    ],
)
def test_signals_of_rules_that_cannot_be_judged_are_an_error(rule: str, error: str) -> None:
    text = f"id: c\nrule: '{rule}'\ntests:\n- {{traces: [{{trace: []}}], expect: satisfied}}\n"
    (result,) = results(text)
    assert (result.verdict, result.passed) == ("error", False)
    assert error in result.explain["error"]


def test_a_span_that_cannot_be_read_is_an_error_of_its_test() -> None:
    (result,) = results(EXPECT + "tests:\n- {traces: [{trace: [{nme: x}]}], expect: satisfied}\n")
    assert (result.verdict, result.passed) == ("error", False)


def test_the_fields_of_signals_come_from_the_first_witness_of_when() -> None:
    (result,) = results("""
rules:
- {id: p, group_by: [service, user.id, name], rule: "when { login } never { login.where(bad) }"}
- id: c
  rule: 'correlate { violated("p") } by service, user.id, name within 1m having count >= 1'
  tests:
  - trace:
    - {name: root, id: r}
    - name: login
      parent: r
      start: 2s
      service: web
      attributes: {bad: true, user.id: 7, name: n}
    expect: violated
""")
    assert result.explain["key"] == {"service": "web", "user.id": "7", "name": "login"}
    assert result.explain["times"]["held_since"] == 0


def test_the_commands_take_rules_over_many_traces(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(
        EXPECT + "tests:\n- {name: t, trace: [{name: x, start: 2h}], expect: satisfied}\n"
    )
    checked = CliRunner().invoke(app, ["check", str(file)])
    assert (checked.exit_code, checked.stdout) == (0, "1 rule, 0 problems, 0 warnings\n")
    tested = CliRunner().invoke(app, ["test", str(file)])
    assert tested.exit_code == 1
    assert tested.stdout.splitlines()[:3] == [
        "FAIL  t",
        "      expected satisfied, and it is violated",
        "      expect: backup is false",
    ]
    as_json = CliRunner().invoke(app, ["test", str(file), "--format", "json"])
    assert json.loads(as_json.stdout)["tests"][0]["explain"]["missing"] == "backup"


def test_rules_check_looks_at_the_rules_of_a_file_together(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(
        '- id: c\n  rule: |\n    correlate { violated("c") } by rule within 1m having count > 1\n'
    )
    result = CliRunner().invoke(app, ["check", str(file)])
    assert result.exit_code == 1
    assert result.stdout.startswith(
        f"{file}:3:17: `c` would wait for its own signals: c → c [rule.cycle]\n"
    )
