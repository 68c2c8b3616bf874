"""Running the tests of rule files: every case by the evaluator that judges the stream."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dsl.explain import Explanation, explain
from dsl.objects import RuleDocument, RuleTest
from dsl.problems import render
from dsl.rule import Checked, check
from dsl.spans import Span
from dsl.traces import span_from_fields, spans_from_otlp_json

REJECTED = "rejected"
ReadFile = Callable[[str], str]
"""Returns the text of a file named in a test. Raises OSError."""


@dataclass(frozen=True, slots=True)
class TestResult:
    """How one test went. verdict: one of the four, `rejected`, or empty if it could not run."""

    __test__ = False

    name: str
    rule: str
    expect: tuple[str, ...]
    verdict: str
    explain: str

    @property
    def passed(self) -> bool:
        """Whether the verdict is one of those expected."""
        return self.verdict in self.expect

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form of the command line."""
        expect = self.expect[0] if len(self.expect) == 1 else list(self.expect)
        return {
            "name": self.name,
            "rule": self.rule,
            "expect": expect,
            "verdict": self.verdict,
            "passed": self.passed,
            "explain": self.explain,
        }


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """How the tests of a document went, in its order."""

    tests: tuple[TestResult, ...]

    @property
    def failed(self) -> int:
        """How many did not pass."""
        return sum(not test.passed for test in self.tests)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form of the command line."""
        return {
            "tests": [test.to_dict() for test in self.tests],
            "passed": len(self.tests) - self.failed,
            "failed": self.failed,
        }


def run(document: RuleDocument, *, read_file: ReadFile | None = None) -> SuiteResult:
    """Run all tests of a document.

    read_file: how to get at OTLP/JSON files that tests name; without it such a test cannot run.
    A test that cannot run fails, with the reason in place of an explanation.
    """
    texts = {rule.id: rule.rule for rule in document.rules}
    runner = _Runner(texts, read_file)
    results = [
        runner.run(test, owner=rule.id, text=rule.rule)
        for rule in document.rules
        for test in rule.tests
    ]
    results += [runner.run(test, owner="", text="") for test in document.tests]
    return SuiteResult(tuple(results))


class _Runner:
    def __init__(self, texts: Mapping[str, str], read_file: ReadFile | None) -> None:
        self._texts = texts
        self._read_file = read_file
        self._checked: dict[str, Checked] = {}

    def run(self, test: RuleTest, *, owner: str, text: str) -> TestResult:
        """Run one test. owner, text: the rule it stands in, if any."""
        name = test.name or "unnamed"
        if test.rule:
            # The id of a rule of the file, or a text of its own.
            owner = test.rule if test.rule in self._texts else owner
            text = self._texts.get(test.rule, test.rule)
        if not text:
            return TestResult(name, owner, test.expect, "", "the test names no rule: add `rule:`")
        checked = self._checked.get(text)
        if checked is None:
            checked = self._checked[text] = check(text)
        if checked.rule is None:
            shown = render(text, checked.problems)
            return TestResult(name, owner, test.expect, REJECTED, shown)
        try:
            spans = self._spans(test.trace)
        except (OSError, ValueError) as error:
            return TestResult(name, owner, test.expect, "", str(error))
        explanation: Explanation = explain(checked.rule, spans)
        verdict = str(explanation.judgement.verdict)
        return TestResult(name, owner, test.expect, verdict, explanation.render_text())

    def _spans(self, trace: Sequence[Mapping[str, Any]] | str) -> list[Span]:
        if not isinstance(trace, str):
            return [span_from_fields(span, position=at) for at, span in enumerate(trace)]
        if self._read_file is None:
            raise ValueError(f"{trace}: files cannot be read here; write the spans out")
        document = json.loads(self._read_file(trace))
        if not isinstance(document, dict):
            raise ValueError(f"{trace}: no OTLP/JSON trace")
        return spans_from_otlp_json(document)
