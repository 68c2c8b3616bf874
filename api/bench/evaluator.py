"""The evaluator alone, in process: traces matched and judged, and texts checked, on one core.

All times are CPU times. Traces are judged that were not judged before, since what the rule set
remembers of combinations would otherwise answer for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from api.bench.drafts import TraceDraft
from api.bench.encode import encode_record, encode_span
from api.bench.engine import rule_book
from api.bench.large_trace import JudgedTrace, judge_structured
from api.bench.long_texts import CheckedText, check_slowest
from api.bench.rules import BenchRule, LargeCharge, rule_mix
from api.bench.traffic import MAX_BREACH_RANK, Planter, TrafficSettings, draft_trace
from udfs.garbage import spare_the_living
from udfs.lanes import lane_of
from udfs.match import Matcher
from udfs.native import engine_module, is_compiled
from udfs.rulebook import ACTIVATION_MS
from udfs.wire import betrace_pb2 as wire

if TYPE_CHECKING:
    from udfs.facts import unpack_facts
    from udfs.ruleset import RuleSet
    from udfs.trace_state import TraceState
else:
    unpack_facts = engine_module("facts").unpack_facts
    RuleSet = engine_module("ruleset").RuleSet
    TraceState = engine_module("trace_state").TraceState

TENANT = "00000000-0000-4000-8000-0000000bec40"
RULE_COUNTS = (1, 10, 100, 1_000, 10_000)
TRACE_SPANS = 10
LARGE_TRACE_SPANS = 10_000
LARGE_TRACE_RULES = 100
_RECORD_SPANS = 512
_APPEND_MS = 1_795_000_000_000
_NOW_MS = _APPEND_MS + 2 * ACTIVATION_MS


@dataclass(frozen=True, slots=True)
class RuleCountFigures:
    """Small traces against so many rules. applying: rules that apply to a trace, on average."""

    rules: int
    applying: float
    traces_per_s: float
    match_us: float
    judge_us: float


@dataclass(frozen=True, slots=True)
class EvaluatorFigures:
    """What the evaluator does on one core of this machine.

    compiled: whether the pass over records and the judging ran compiled (`udfs.native`). by_rules:
    figures of small traces by rule count. large: how long one large trace takes. text: the slowest
    of the longest rule texts.
    """

    compiled: bool
    by_rules: tuple[RuleCountFigures, ...]
    large: tuple[JudgedTrace, ...]
    text: CheckedText

    def loss(self, few: int, many: int) -> float | None:
        """Return the share of traces per second lost from few rules to many, if both are known."""
        rates = {row.rules: row.traces_per_s for row in self.by_rules}
        if few not in rates or many not in rates:
            return None
        return 1 - rates[many] / rates[few]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            "compiled": self.compiled,
            "trace_spans": TRACE_SPANS,
            "by_rules": [
                {
                    "rules": row.rules,
                    "rules_applying": round(row.applying, 2),
                    "traces_per_s": round(row.traces_per_s),
                    "match_us": round(row.match_us, 1),
                    "judge_us": round(row.judge_us, 1),
                }
                for row in self.by_rules
            ],
            "loss_10_to_1000": self.loss(10, 1_000),
            "large_trace": [
                {"judged_by": one.judged_by, "spans": one.spans, "rules": one.rules, "ms": one.ms}
                for one in self.large
            ],
            "check": {
                "slowest": self.text.shape,
                "text_bytes": self.text.text_bytes,
                "ms": self.text.ms,
            },
        }


def measure_evaluator(
    *, rules: Iterable[int] = RULE_COUNTS, traces: int, repeats: int
) -> EvaluatorFigures:
    """Measure everything; each figure is the least of so many repeats (what disturbs a
    measurement only adds to it).

    traces: how many small traces are judged in one repeat.
    """
    spare_the_living()  # as the job's workers and the API do
    text = check_slowest(repeats=repeats)
    large = (
        judge_structured(LARGE_TRACE_RULES, spans=LARGE_TRACE_SPANS, repeats=repeats),
        _large_trace(LARGE_TRACE_RULES, spans=LARGE_TRACE_SPANS, repeats=repeats),
    )
    return EvaluatorFigures(
        compiled=is_compiled(),
        by_rules=tuple(_small_traces(n, traces=traces, repeats=repeats) for n in rules),
        large=large,
        text=text,
    )


# -- traces as records -----------------------------------------------------------------------------

Records = Sequence[tuple[bytes, int]]
"""The records of one trace, each with its lane."""


def few_apply(mix: Sequence[BenchRule]) -> tuple[BenchRule, ...]:
    """Return the rules of a mix that concern few others: of the thresholds only the lowest.

    A charge above the n-th threshold is a matter of n rules at once.
    """
    return tuple(
        rule
        for rule in mix
        if not (isinstance(rule.family, LargeCharge) and rule.k > MAX_BREACH_RANK)
    )


def trace_records(trace: TraceDraft, rng: Random, *, tenant: str = TENANT) -> Records:
    """Return the records of a trace of a tenant."""
    trace_id = rng.randbytes(16)
    ids = [rng.randbytes(8) for _ in trace.spans]
    runs = []
    for span, span_id in zip(trace.spans, ids, strict=True):
        parent = b"" if span.parent is None else ids[span.parent]
        if not span.lost:
            encoded = encode_span(span, trace_id=trace_id, span_id=span_id, parent_span_id=parent)
            runs.append((span.operation.service, [encoded.content]))
    lane = lane_of(tenant, trace_id)
    starts = range(0, len(runs), _RECORD_SPANS)
    return [(encode_record(runs[at : at + _RECORD_SPANS]).content, lane) for at in starts]


def _drafted(mix: Sequence[BenchRule], *, spans: int, count: int) -> list[Records]:
    rng = Random(1)
    planter = Planter(few_apply(mix), TrafficSettings())
    return [trace_records(draft_trace(rng, planter, size=spans), rng) for _ in range(count)]


# -- measuring -------------------------------------------------------------------------------------


class _Evaluator:
    """A matcher and a rule set of one mix, as the job has them."""

    def __init__(self, mix: tuple[BenchRule, ...]) -> None:
        settings = wire.TenantSettings(tenant=TENANT)
        book = rule_book(TENANT, mix, append_ms=_APPEND_MS, settings=settings)
        self._rules = book.in_force(TENANT, _NOW_MS)
        self._matcher = Matcher(book)
        self.forget()

    def forget(self) -> None:
        """Forget the combinations of predicates seen so far."""
        self._rule_set = RuleSet(self._rules)

    def match(self, records: Records) -> list[bytes]:
        """Return the packed facts of the records of a trace."""
        return matched(self._matcher, records, tenant=TENANT, time_ms=_NOW_MS)

    def judge(self, elements: Sequence[bytes]) -> int:
        """Judge a trace of these facts as closed; return how many rules apply to it."""
        return len(self._rule_set.judge(closed_trace(elements, now_ms=_NOW_MS)))


def matched(matcher: Matcher, records: Records, *, tenant: str, time_ms: int) -> list[bytes]:
    """Return the packed facts of the records of one trace."""
    return [
        of_lane.element
        for payload, lane in records
        for of_lane in matcher.match(
            payload, tenant=tenant, lane=lane, partition=lane, offset=0, time_ms=time_ms
        )
    ]


def closed_trace(elements: Iterable[bytes], *, now_ms: int) -> TraceState:
    """Return a closed trace of packed facts, all of which are taken for its own."""
    trace = TraceState(begin_ms=now_ms, partition=0, offset=0)
    trace.complete = True
    for element in elements:
        facts = unpack_facts(element)
        for _, _, _, fact_set in facts.fragments:
            true, maybe = facts.sets[fact_set]
            trace.true |= true
            trace.maybe |= maybe
        for _, span_id, identity, number, certain in facts.counted:
            trace.add_counted(number, span_id, identity, certain=certain)
    return trace


def _small_traces(rules: int, *, traces: int, repeats: int) -> RuleCountFigures:
    mix = rule_mix(rules)
    evaluator = _Evaluator(mix)
    drafted = _drafted(mix, spans=TRACE_SPANS, count=2 * traces)
    elements = [evaluator.match(records) for records in drafted]
    applying = sum(map(evaluator.judge, elements[traces:])) / traces

    def judge_anew() -> float:
        evaluator.forget()
        _cpu_s(evaluator.judge, elements[:traces])
        return _cpu_s(evaluator.judge, elements[traces:])

    match_s = min(_cpu_s(evaluator.match, drafted[traces:]) for _ in range(repeats)) / traces
    judge_s = min(judge_anew() for _ in range(repeats)) / traces
    return RuleCountFigures(
        rules=rules,
        applying=applying,
        traces_per_s=1 / (match_s + judge_s),
        match_us=match_s * 1e6,
        judge_us=judge_s * 1e6,
    )


def _large_trace(rules: int, *, spans: int, repeats: int) -> JudgedTrace:
    """Measure one large trace against the mix, from its records to its verdicts."""
    mix = rule_mix(rules)
    evaluator = _Evaluator(mix)
    (records,) = _drafted(mix, spans=spans, count=1)

    def judge_anew(records: Records) -> None:
        evaluator.judge(evaluator.match(records))

    evaluator.match(records)  # builds the index
    times_s = []
    for _ in range(repeats):
        evaluator.forget()
        times_s.append(_cpu_s(judge_anew, [records]))
    return JudgedTrace("plain rules", spans, rules, min(times_s) * 1e3)


def _cpu_s(work: Callable[[Any], object], items: Iterable[Any]) -> float:
    """Return the CPU seconds of some work on every item."""
    begun_ns = time.process_time_ns()
    for item in items:
        work(item)
    return (time.process_time_ns() - begun_ns) / 1e9
