"""Rules in front of traces at hand, with nothing expected: what somebody who writes a rule tries.

The traces and verdicts are those of a suite (`dsl.suites`); only nothing is expected of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from dsl.life import Arrival, Before, unbounded
from dsl.many.trials import Trial, TriedRule
from dsl.rule import CompiledRule
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
