"""Rules in front of traces at hand, with nothing expected: what somebody who writes a rule tries.

The traces and verdicts are those of a suite (`dsl.suites`); only nothing is expected of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from dsl.life import Arrival, Before, judge_whole, unbounded
from dsl.many.trials import Trial, TriedRule, TriedSpan, TriedTrace
from dsl.rule import CompiledRule
from dsl.spans import Span
from dsl.suites import arrivals_of, standing_after_all, tried_traces, verdict_at
from dsl.traces import TraceError

GivenTrace: TypeAlias = Mapping[str, Any]
"""An entry of `traces:`: `trace`, and `at` for when it comes (default: at the beginning)."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one rule says of one trace, or of all traces together.

    trace: the number of its entry, from 1; None for a rule over many traces. trace_id: in hex,
    empty where the entry names none.
    """

    rule: str
    verdict: str
    explanation: Mapping[str, Any]
    trace: int | None = None
    trace_id: str = ""


def try_rules(
    rules: Sequence[TriedRule], traces: Sequence[GivenTrace], *, before: Before = unbounded
) -> Iterator[Told]:
    """Judge every trace by every promise, and all of them together by every other rule.

    An OTLP/JSON document with spans of several traces is judged as several. before: asked before
    every judgement; what it raises ends the trial. Raises TraceError, for people, for a trace that
    cannot be read and for a rule that looks at one that is not here.
    """
    read = [one for number, entry in enumerate(traces, 1) for one in _read(entry, number)]
    many = [one for place, entry in enumerate(traces) for one in tried_traces(entry, place, None)]
    together = Trial({rule.id: rule for rule in rules}, many, partial(verdict_at, before=before))
    spans = sum(len(trace.spans) for trace in many)
    for tried in rules:
        if isinstance(tried.rule, CompiledRule):
            yield from _of_promise(tried, tried.rule, read, before)
        else:
            before(spans * len(tried.rule.predicates))
            told = together.judge(tried.rule)
            yield Told(tried.id, told.verdict.value, told.to_dict())


def try_on_spans(
    rule: TriedRule, traces: Sequence[tuple[str, Sequence[Span]]], *, before: Before = unbounded
) -> Iterator[Told]:
    """Judge whole traces by a promise, or all of them together by another rule, at their own times.

    traces: ids in hex with the spans. Raises what `try_rules` raises.
    """
    if isinstance(rule.rule, CompiledRule):
        for number, (trace_id, spans) in enumerate(traces, 1):
            standing = judge_whole(rule.rule, spans, rule.life, before=before)
            told = standing.explain(rule.rule)
            yield Told(rule.id, standing.verdict.value, told, number, trace_id)
        return
    before(sum(len(spans) for _, spans in traces) * len(rule.rule.predicates))
    together = Trial(
        {rule.id: rule}, list(_at_their_times(traces)), partial(verdict_at, before=before)
    )
    found = together.judge(rule.rule)
    yield Told(rule.id, found.verdict.value, found.to_dict())


def _at_their_times(traces: Sequence[tuple[str, Sequence[Span]]]) -> Iterator[TriedTrace]:
    for trace_id, spans in traces:
        at_ns = min((span.start_ns for span in spans), default=0)
        yield TriedTrace(trace_id, at_ns, tuple(TriedSpan(at_ns, span) for span in spans))


@dataclass(frozen=True, slots=True)
class _Trace:
    number: int
    trace_id: str
    arrivals: Sequence[Arrival]
    timed: bool


def _read(entry: GivenTrace, number: int) -> list[_Trace]:
    try:
        arrivals, timed = arrivals_of(entry.get("trace"), None)
    except TraceError as error:
        raise TraceError(f"trace {number}: {error}") from error
    by_id: dict[str, list[Arrival]] = {}
    for one in arrivals:
        by_id.setdefault(one.span.trace_id.hex(), []).append(one)
    return [
        _Trace(number, trace_id, found, timed) for trace_id, found in (by_id or {"": []}).items()
    ]


def _of_promise(
    tried: TriedRule, rule: CompiledRule, traces: Sequence[_Trace], before: Before
) -> Iterator[Told]:
    for one in traces:
        standing = standing_after_all(
            rule, one.arrivals, tried.life, timed=one.timed, before=before
        )
        yield Told(
            tried.id, standing.verdict.value, standing.explain(rule), one.number, one.trace_id
        )
