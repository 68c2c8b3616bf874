"""Running the tests that rules carry, by the evaluator of the stream.

A test's trace is closed when all its spans have come; with `arrives`, or with expectations over
time, the life of the trace is followed: open, closed after `settle`, judged again for late spans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

from dsl.life import (
    Arrival,
    Before,
    LifeSettings,
    Standing,
    judge_whole,
    state_at,
    unbounded,
)
from dsl.many.rule import CorrelateRule, ExpectRule
from dsl.many.rule_set import fields_among
from dsl.many.trials import Trial, TriedRule, TriedSpan, TriedTrace
from dsl.objects import Expected, RuleDocument, RuleTest
from dsl.rule import Checked, CompiledRule, check
from dsl.spans import id_of
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
    return SuiteResult(tuple(results(document, load=load)))


def results(
    document: RuleDocument, *, load: Load | None = None, before: Before = unbounded
) -> Iterator[TestResult]:
    """Run the tests of a document one after the other, each when its result is asked for.

    before: asked before every judgement; what it raises ends the run.
    """
    fields_of = fields_among({rule.id: (rule.rule, rule.group_by) for rule in document.rules})
    checked: dict[str, Checked] = {}

    def checked_text(text: str) -> Checked:
        if text not in checked:
            checked[text] = check(text, fields_of=fields_of)
        return checked[text]

    for test in document.tests:
        of_test = checked_text(test.rule)
        if isinstance(of_test.rule, CompiledRule) or of_test.rule is None:
            yield _run_one(test, of_test, load, before)
        else:
            rules = tried_rules(document, checked_text, external_roots=test.external_roots)
            yield _run_many(test, of_test.rule, rules, load, before)


def _run_one(test: RuleTest, checked: Checked, load: Load | None, before: Before) -> TestResult:
    rule = checked.promise
    if rule is None:
        problems = [problem.to_dict() for problem in checked.problems]
        verdicts = ["rejected"] * len(test.expect)
        return _result(test, verdicts, {"problems": problems})
    try:
        if test.traces is not None:
            raise TraceError("a promise is judged on one `trace:`; `traces:` are for other rules")
        arrivals, timed = arrivals_of(test.trace, load)
    except TraceError as error:
        return _result(test, ["error"] * len(test.expect), {"error": str(error)})
    settings = life_settings(test.settle_ns, test.on_incomplete, test.external_roots)
    if not timed and all(expected.at_ns is None for expected in test.expect):
        standing = standing_after_all(rule, arrivals, settings, timed=False, before=before)
        verdicts = [standing.verdict.value] * len(test.expect)
        return _result(test, verdicts, standing.explain(rule))
    moments = [
        state_at(rule, arrivals, settings, at_ns=expected.at_ns, before=before)
        for expected in test.expect
    ]
    told = moments[-1].explain(rule) if moments else {}
    return _result(test, [moment.verdict.value for moment in moments], told)


def standing_after_all(
    rule: CompiledRule,
    arrivals: Sequence[Arrival],
    settings: LifeSettings,
    *,
    timed: bool,
    before: Before = unbounded,
) -> Standing:
    """Return how a promise stands when all is over. timed: the spans say when they arrive."""
    if timed:
        return state_at(rule, arrivals, settings, at_ns=None, before=before)
    return judge_whole(rule, [arrival.span for arrival in arrivals], settings, before=before)


def life_settings(
    settle_ns: int | None, on_incomplete: str | None, external_roots: bool
) -> LifeSettings:
    """Return how a trace lives whose rule says so."""
    settings = LifeSettings(on_incomplete=on_incomplete, external_roots=external_roots)
    return settings if settle_ns is None else replace(settings, settle_ns=settle_ns)


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


def arrivals_of(trace: Any, load: Load | None) -> tuple[list[Arrival], bool]:
    """Return the spans of a test with their times of arrival, and whether any had one.

    Raises TraceError.
    """
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


# -- rules over many traces ------------------------------------------------------------------------


def tried_rules(
    document: RuleDocument, checked_text: Callable[[str], Checked], *, external_roots: bool
) -> dict[str, TriedRule]:
    """Return the rules of a file that check: those that `violated("…")` can name."""
    found = {}
    for rule in document.rules:
        checked = checked_text(rule.rule)
        if checked.rule is not None:
            settle_ns = duration_ns(rule.settle, field="settle") if rule.settle else None
            life = life_settings(settle_ns, rule.on_incomplete, external_roots)
            found[rule.id] = TriedRule(rule.id, checked.rule, rule.group_by, life)
    return found


def _run_many(
    test: RuleTest,
    rule: CorrelateRule | ExpectRule,
    rules: Mapping[str, TriedRule],
    load: Load | None,
    before: Before,
) -> TestResult:
    entries = ({"trace": test.trace},) if test.traces is None else test.traces
    try:
        traces = [
            trace for i, entry in enumerate(entries) for trace in tried_traces(entry, i, load)
        ]
        trial = Trial(rules, traces, partial(verdict_at, before=before))
        told = [trial.judge(rule, expected.at_ns) for expected in test.expect]
    except TraceError as error:
        return _result(test, ["error"] * len(test.expect), {"error": str(error)})
    shown = told[-1].to_dict() if told else {}
    return _result(test, [one.verdict.value for one in told], shown)


def tried_traces(entry: Mapping[str, Any], position: int, load: Load | None) -> list[TriedTrace]:
    """Return the traces of one entry of `traces:`, moved to when it comes."""
    at_ns = duration_ns(entry.get("at", 0), field="at")
    trace = entry.get("trace")
    arrivals, _ = arrivals_of(trace, load)
    # Times in a list count from the trace's beginning; those of OTLP/JSON from 1970.
    first_ns = min((one.span.start_ns for one in arrivals), default=0)
    moved_ns = at_ns if isinstance(trace, list) else at_ns - first_ns
    own_id = id_of(f"trace {position + 1}", size=16).hex()
    spans: dict[str, list[TriedSpan]] = {}
    for one in arrivals:
        moved = replace(
            one.span,
            start_ns=one.span.start_ns + moved_ns,
            end_ns=one.span.end_ns + moved_ns,
        )
        trace_id = one.span.trace_id.hex() or own_id
        spans.setdefault(trace_id, []).append(TriedSpan(at_ns + one.at_ns, moved))
    return [TriedTrace(trace_id, at_ns, tuple(found)) for trace_id, found in spans.items()]


def verdict_at(
    tried: TriedRule, trace: TriedTrace, moment_ns: int | None, *, before: Before = unbounded
) -> str:
    """Return the verdict of a promise on one of several traces, by its life if it has one."""
    rule = tried.rule
    assert isinstance(rule, CompiledRule)
    if all(one.arrives_ns == trace.at_ns for one in trace.spans):
        return judge_whole(rule, trace.arrived_by(None), tried.life, before=before).verdict.value
    arrivals = [Arrival(one.arrives_ns, one.span) for one in trace.spans]
    return state_at(rule, arrivals, tried.life, at_ns=moment_ns, before=before).verdict.value
