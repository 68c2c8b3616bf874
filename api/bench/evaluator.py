"""The evaluator alone: single traces matched and judged by a rule set, in process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from random import Random

from api.bench.encode import encode_record, encode_span
from api.bench.engine import rule_book
from api.bench.rules import rule_mix
from api.bench.traffic import Planter, TrafficSettings, draft_trace
from udfs.facts import unpack_facts
from udfs.lanes import lane_of
from udfs.match import Matcher
from udfs.rulebook import ACTIVATION_MS
from udfs.ruleset import RuleSet
from udfs.trace_state import TraceState
from udfs.wire import betrace_pb2 as wire

TENANT = "00000000-0000-4000-8000-0000000bec40"
_APPEND_MS = 1_795_000_000_000
_NOW_MS = _APPEND_MS + 2 * ACTIVATION_MS
_SPANS_DRAFTED = 20_000


@dataclass(frozen=True, slots=True)
class EvaluatorFigures:
    """How many traces of a size are matched and judged per CPU second against so many rules."""

    rules: int
    trace_spans: int
    traces_per_s: int
    spans_per_s: int
    judged_per_s: int
    """Judgements of a trace by all rules, its facts given."""

    def to_dict(self) -> dict[str, int]:
        """Return the figures as JSON values."""
        return asdict(self)


def measure_evaluator(
    *, rules: Iterable[int], trace_spans: Iterable[int], seconds: float
) -> list[EvaluatorFigures]:
    """Measure every pairing of a rule count and a trace size, each for so many CPU seconds."""
    sizes = tuple(trace_spans)
    return [_measure(count, size, seconds=seconds) for count in rules for size in sizes]


def _measure(rules: int, size: int, *, seconds: float) -> EvaluatorFigures:
    mix = rule_mix(rules)
    settings = wire.TenantSettings(tenant=TENANT)
    book = rule_book(TENANT, mix, append_ms=_APPEND_MS, settings=settings)
    matcher = Matcher(book)
    records = _records(rules, size)
    rule_set = RuleSet(book.in_force(TENANT, _NOW_MS))
    elements = [_match(matcher, payload, lane) for payload, lane in records]
    matched_per_s = _per_s([partial(_match, matcher, *record) for record in records], seconds)
    judged_per_s = _per_s([partial(_judge, rule_set, element) for element in elements], seconds)
    per_trace_s = 1 / matched_per_s + 1 / judged_per_s
    return EvaluatorFigures(
        rules=rules,
        trace_spans=size,
        traces_per_s=round(1 / per_trace_s),
        spans_per_s=round(size / per_trace_s),
        judged_per_s=round(judged_per_s),
    )


def _match(matcher: Matcher, payload: bytes, lane: int) -> bytes:
    return matcher.match(
        payload, tenant=TENANT, lane=lane, partition=lane, offset=0, time_ms=_NOW_MS
    )


def _judge(rule_set: RuleSet, element: bytes) -> None:
    """Judge the one trace of an element as closed."""
    facts = unpack_facts(element)
    trace = TraceState(begin_ms=_NOW_MS, partition=0, offset=0)
    trace.complete = True
    for _, _, _, fact_set in facts.fragments:
        trace.true, trace.maybe = facts.sets[fact_set]
    for fact in facts.counted:
        trace.add_counted(fact)
    rule_set.judge(trace)


def _records(rules: int, size: int) -> list[tuple[bytes, int]]:
    """Return traces of so many spans, each as a record of its own with its lane."""
    rng = Random(1)
    planter = Planter(rule_mix(rules), TrafficSettings())
    found = []
    for _ in range(max(_SPANS_DRAFTED // size, 1)):
        trace = draft_trace(rng, planter, size=size)
        trace_id = rng.randbytes(16)
        span_ids = [rng.randbytes(8) for _ in trace.spans]
        runs = [
            (
                span.operation.service,
                [
                    encode_span(
                        span,
                        trace_id=trace_id,
                        span_id=span_id,
                        parent_span_id=b"" if span.parent is None else span_ids[span.parent],
                    ).content
                ],
            )
            for span, span_id in zip(trace.spans, span_ids, strict=True)
            if not span.lost
        ]
        found.append((encode_record(runs).content, lane_of(TENANT, trace_id)))
    return found


def _per_s(work: Sequence[Callable[[], object]], seconds: float) -> float:
    """Return how many pieces of work are done per CPU second, in turn."""
    begun = time.process_time()
    done = 0
    while time.process_time() - begun < seconds:
        for piece in work:
            piece()
        done += len(work)
    return done / (time.process_time() - begun)
