"""Running the tests that rules carry, by the evaluator of the stream.

A test's trace is closed when all its spans have come; with `arrives`, or with expectations over
time, the life of the trace is followed: open, closed after `settle`, judged again for late spans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, TypeAlias

from dsl.explain import explain
from dsl.judging import Moment, judge_spans
from dsl.objects import Expected, RuleDocument, RuleTest
from dsl.rule import Checked, CompiledRule, check
from dsl.spans import Span, root_of
from dsl.structure import FOR_EVER
from dsl.traces import TraceError, duration_ns, span_from_fields, spans_from_otlp_json
from dsl.verdict import Judgement, Reason

DEFAULT_SETTLE_NS: Final = 10_000_000_000
PATIENCE_NS: Final = 60_000_000_000

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


@dataclass(frozen=True, slots=True)
class _Arrival:
    at_ns: int
    span: Span


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
    if not timed and all(expected.at_ns is None for expected in test.expect):
        explanation = explain(rule, [arrival.span for arrival in arrivals])
        verdict = explanation.judgement.verdict.value
        return _result(test, [verdict] * len(test.expect), explanation.to_dict())
    settle_ns = DEFAULT_SETTLE_NS if test.settle_ns is None else test.settle_ns
    moments = [_state_at(rule, arrivals, settle_ns, expected) for expected in test.expect]
    told = {} if not moments else moments[-1].explain(rule)
    return _result(test, [moment.verdict for moment in moments], told)


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


def _arrivals(trace: Any, load: Load | None) -> tuple[list[_Arrival], bool]:
    """Return the spans of a test with their times of arrival, and whether any had one."""
    if isinstance(trace, str):
        if load is None:
            raise TraceError(f"the trace file {trace} cannot be read here")
        trace = load(trace)
    if isinstance(trace, Mapping):
        return [_Arrival(0, span) for span in spans_from_otlp_json(trace)], False
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
        arrivals.append(_Arrival(at_ns, span))
    return sorted(arrivals, key=lambda arrival: arrival.at_ns), timed


# -- life ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Standing:
    """The last judgement at a moment: on which spans, when, and how complete they were."""

    judgement: Judgement
    spans: tuple[Span, ...]
    complete: bool
    in_doubt: frozenset[Reason]
    moment: Moment

    @property
    def verdict(self) -> str:
        return self.judgement.verdict.value

    def explain(self, rule: CompiledRule) -> dict[str, Any]:
        told = explain(
            rule,
            self.spans,
            complete=self.complete,
            in_doubt=self.in_doubt,
            moment=self.moment,
        )
        return told.to_dict()


class _Life:
    """A trace as it comes in: open, closed once it is quiet, judged again for late spans."""

    def __init__(self, rule: CompiledRule, arrivals: list[_Arrival], settle_ns: int) -> None:
        self.rule = rule
        self.arrivals = arrivals
        self.settle_ns = settle_ns
        self.seen: list[Span] = []
        self.closed = False
        self.standing = self.judge(0, complete=False, doubt=Reason.STILL_OPEN)

    def judge(self, now_ns: int, *, complete: bool, doubt: Reason) -> _Standing:
        arrived = {one.span.span_id: one.at_ns for one in reversed(self.arrivals)}
        moment = Moment(now_ns=now_ns, settle_ns=self.settle_ns, arrived_ns=arrived)
        in_doubt = frozenset() if complete else frozenset({doubt})
        judgement = judge_spans(
            self.rule, self.seen, complete=complete, in_doubt=in_doubt, moment=moment
        )
        return _Standing(judgement, tuple(self.seen), complete, in_doubt, moment)

    def take(self, now_ns: int, until_ns: int) -> None:
        """Take in what arrives now, and judge what is due until then."""
        self.seen.extend(one.span for one in self.arrivals if one.at_ns == now_ns)
        if not self.closed:
            self.standing = self.judge(now_ns, complete=False, doubt=Reason.STILL_OPEN)
        rooted = root_of(self.seen) is not None
        quiet_ns = now_ns + (self.settle_ns if rooted or self.closed else PATIENCE_NS)
        due_ns: int | None = quiet_ns
        while due_ns is not None and due_ns <= until_ns:
            self.closed = True
            self.standing = self.judge(due_ns, complete=rooted, doubt=Reason.NO_ROOT)
            due_ns = self.standing.judgement.due_ns


def _state_at(
    rule: CompiledRule, arrivals: list[_Arrival], settle_ns: int, expected: Expected
) -> _Standing:
    """Return the standing judgement at a moment (None: after everything)."""
    life = _Life(rule, arrivals, settle_ns)
    end_ns = FOR_EVER if expected.at_ns is None else expected.at_ns
    times = sorted({arrival.at_ns for arrival in arrivals})
    for time_ns, next_ns in pairwise([*times, FOR_EVER]):
        if time_ns > end_ns:
            break
        life.take(time_ns, min(end_ns, next_ns))
    return life.standing
