"""Running the tests that rules carry, by the evaluator of the stream.

A test's trace is closed when all its spans have come; with `arrives`, or with expectations over
time, the life of the trace is followed: open, closed after `settle`, judged again for late spans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from dsl.life import Arrival, LifeSettings, judge_whole, state_at
from dsl.objects import Expected, RuleDocument, RuleTest
from dsl.rule import Checked, check
from dsl.traces import TraceError, duration_ns, span_from_fields, spans_from_otlp_json

Load: TypeAlias = Callable[[str], Any]
"""Reads an OTLP/JSON file named in a test; raises TraceError if it cannot."""


@dataclass(frozen=True, slots=True)
class TestResult:
    """What one test came to. verdict: "rejected" where the text does not check."""

    __test__ = False  # not a test class of pytest

    name: str
    rule: str
    expect: Any
    verdict: Any
    passed: bool
    explain: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "name": self.name,
            "rule": self.rule,
            "expect": self.expect,
            "verdict": self.verdict,
            "passed": self.passed,
            "explain": dict(self.explain),
        }


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """The results of all tests, in order."""

    tests: tuple[TestResult, ...]

    @property
    def passed(self) -> int:
        """How many passed."""
        return sum(test.passed for test in self.tests)

    @property
    def failed(self) -> int:
        """How many failed."""
        return len(self.tests) - self.passed

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form of `betrace rules test --format json`."""
        return {
            "tests": [test.to_dict() for test in self.tests],
            "passed": self.passed,
            "failed": self.failed,
        }


def run(document: RuleDocument, *, load: Load | None = None) -> SuiteResult:
    """Run the tests of a document. load: reads the trace files that tests name."""
    checked: dict[str, Checked] = {}
    results = []
    for test in document.tests:
        if test.rule not in checked:
            checked[test.rule] = check(test.rule)
        results.append(_run_one(test, checked[test.rule], load))
    return SuiteResult(tuple(results))


def _run_one(test: RuleTest, checked: Checked, load: Load | None) -> TestResult:
    if checked.rule is None:
        problems = [problem.to_dict() for problem in checked.problems]
        verdicts = ["rejected"] * len(test.expect)
        return _result(test, verdicts, {"problems": problems})
    try:
        arrivals, timed = _arrivals(test.trace, load)
    except TraceError as error:
        return _result(test, ["error"] * len(test.expect), {"error": str(error)})
    rule = checked.rule
    settings = LifeSettings(on_incomplete=test.on_incomplete)
    if test.settle_ns is not None:
        settings = replace(settings, settle_ns=test.settle_ns)
    if not timed and all(expected.at_ns is None for expected in test.expect):
        standing = judge_whole(rule, [arrival.span for arrival in arrivals], settings)
        verdicts = [standing.verdict.value] * len(test.expect)
        return _result(test, verdicts, standing.explain(rule))
    moments = [state_at(rule, arrivals, settings, at_ns=expected.at_ns) for expected in test.expect]
    told = moments[-1].explain(rule) if moments else {}
    return _result(test, [moment.verdict.value for moment in moments], told)


def _result(test: RuleTest, verdicts: list[str], told: Mapping[str, Any]) -> TestResult:
    passed = bool(test.expect) and all(
        verdict in expected.verdicts
        for verdict, expected in zip(verdicts, test.expect, strict=True)
    )
    over_time = any(expected.at_ns is not None for expected in test.expect)
    return TestResult(
        name=test.name,
        rule=test.rule_id or test.rule,
        expect=[_expectation(one) for one in test.expect]
        if over_time
        else _expectation(test.expect[0])
        if test.expect
        else None,
        verdict=verdicts if over_time else verdicts[0] if verdicts else None,
        passed=passed,
        explain=told,
    )


def _expectation(expected: Expected) -> Any:
    verdicts = expected.verdicts
    shown = verdicts[0] if len(verdicts) == 1 else list(verdicts)
    return shown if expected.at_ns is None else {"at": f"{expected.at_ns}ns", "verdict": shown}


# -- traces ----------------------------------------------------------------------------------------


def _arrivals(trace: Any, load: Load | None) -> tuple[list[Arrival], bool]:
    """Return the spans of a test with their times of arrival, and whether any had one."""
    if isinstance(trace, str):
        if load is None:
            raise TraceError(f"the trace file {trace} cannot be read here")
        trace = load(trace)
    if isinstance(trace, Mapping):
        return [Arrival(0, span) for span in spans_from_otlp_json(trace)], False
    if not isinstance(trace, list):
        raise TraceError("`trace` must be a list of spans, an OTLP/JSON document or a file's path")
    arrivals = []
    timed = False
    for position, entry in enumerate(trace):
        if not isinstance(entry, Mapping):
            raise TraceError(f"span {position + 1} must be a map of fields")
        try:
            span = span_from_fields(entry, position=position)
            at_ns = duration_ns(entry.get("arrives", 0), field="arrives")
        except TraceError as error:
            raise TraceError(f"span {position + 1}: {error}") from error
        timed = timed or "arrives" in entry
        arrivals.append(Arrival(at_ns, span))
    return sorted(arrivals, key=lambda arrival: arrival.at_ns), timed
