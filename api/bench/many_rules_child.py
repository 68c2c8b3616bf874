"""The process that `api.bench.many_rules` measures: it prints its figures as one JSON object."""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from api.bench.evaluator import Records, closed_trace, few_apply, matched, trace_records
from api.bench.many_rules import CHANGED, RULES, RulesAsked, read_log, tenant_id, tenant_mix
from api.bench.traffic import Planter, TrafficSettings, draft_trace
from udfs.garbage import spare_the_living
from udfs.match import Matcher
from udfs.native import engine_module, is_compiled
from udfs.rulebook import ACTIVATION_MS, IDLE_MS, RuleBook

if TYPE_CHECKING:
    from udfs.ruleset import RuleSets
else:
    RuleSets = engine_module("ruleset").RuleSets

_APPEND_MS = 1_795_000_000_000
_NOW_MS = _APPEND_MS + 2 * ACTIVATION_MS
_CHANGED_MS = _NOW_MS + 60_000
_TRACES = 300
_STATM = Path("/proc/self/statm")


class _Trace(NamedTuple):
    """The records of a trace. spans: how many they hold."""

    records: Records
    spans: int


class _Process:
    """What the operators of one process of the job share, without Flink."""

    def __init__(self) -> None:
        self.book = RuleBook()
        self._matcher = Matcher(self.book)
        self._rule_sets = RuleSets(self.book)

    def judge(self, tenant: str, trace: _Trace, *, time_ms: int) -> None:
        """Match the records of one trace, and judge it as closed."""
        elements = matched(self._matcher, trace.records, tenant=tenant, time_ms=time_ms)
        since_ms, _ = self.book.epoch(tenant, time_ms)
        rules = self._rule_sets.of(tenant, since_ms=since_ms)
        rules.judge(closed_trace(elements, now_ms=time_ms))


def measure(asked: RulesAsked) -> dict[str, Any]:
    """Return the figures as JSON values, by the names of ManyRulesFigures."""
    spare_the_living()  # as the job's workers do
    log, changes = (Path(asked.folder) / name for name in (RULES, CHANGED))
    traces = [_traces(number, asked, count=1)[0] for number in range(asked.tenants)]
    many = _traces(0, asked, count=2 * _TRACES)
    process = _Process()
    base_mb = _resident_mb()

    begun_ns = time.process_time_ns()
    _read(process.book, log, append_ms=_APPEND_MS)
    read_s = _since_s(begun_ns)
    idle_mb = _resident_mb()

    first_s = _judge_s(process, 0, traces[:1], time_ms=_NOW_MS)
    _judge_s(process, 0, many[:_TRACES], time_ms=_NOW_MS)
    spans = sum(trace.spans for trace in many[_TRACES:])
    steady_s = _judge_s(process, 0, many[_TRACES:], time_ms=_NOW_MS)

    begun_ns = time.process_time_ns()
    _read(process.book, changes, append_ms=_CHANGED_MS - ACTIVATION_MS)
    process.judge(tenant_id(0), traces[0], time_ms=_CHANGED_MS)
    changed_s = _since_s(begun_ns)

    begun_ns = time.process_time_ns()
    for number in range(1, asked.tenants):
        process.judge(tenant_id(number), traces[number], time_ms=_CHANGED_MS)
    awake_s = first_s + _since_s(begun_ns)
    awake_mb = _resident_mb()

    process.book.looked(_CHANGED_MS + 2 * IDLE_MS)
    process.judge("none", traces[0], time_ms=_CHANGED_MS + 2 * IDLE_MS)
    return {
        "compiled": is_compiled(),
        "tenants": asked.tenants,
        "rules": asked.rules,
        "log_mb": log.stat().st_size / 1e6,
        "base_mb": base_mb,
        "read_s": read_s,
        "idle_mb": idle_mb,
        "first_ms": first_s * 1e3,
        "span_us": steady_s / max(spans, 1) * 1e6,
        "changed_ms": changed_s * 1e3,
        "awake_s": awake_s,
        "awake_mb": awake_mb,
        "let_go_mb": _resident_mb(),
    }


def _read(book: RuleBook, log: Path, *, append_ms: int) -> None:
    for offset, record in enumerate(read_log(log), start=book.next_offset):
        book.add(record, append_ms=append_ms, offset=offset)


def _traces(number: int, asked: RulesAsked, *, count: int) -> list[_Trace]:
    rng = Random(number)
    planter = Planter(few_apply(tenant_mix(number, rules=asked.rules)), TrafficSettings())
    tenant = tenant_id(number)
    drafts = [draft_trace(rng, planter) for _ in range(count)]
    return [
        _Trace(trace_records(draft, rng, tenant=tenant), sum(1 for _ in draft.sent()))
        for draft in drafts
    ]


def _judge_s(process: _Process, number: int, traces: Iterable[_Trace], *, time_ms: int) -> float:
    begun_ns = time.process_time_ns()
    for trace in traces:
        process.judge(tenant_id(number), trace, time_ms=time_ms)
    return _since_s(begun_ns)


def _since_s(begun_ns: int) -> float:
    return (time.process_time_ns() - begun_ns) / 1e9


def _resident_mb() -> float:
    gc.collect()
    return int(_STATM.read_text().split()[1]) * resource.getpagesize() / 1e6


def main(arguments: Sequence[str]) -> None:
    """Measure what the first argument asks for, as JSON."""
    print(json.dumps(measure(RulesAsked(**json.loads(arguments[0])))))


if __name__ == "__main__":
    main(sys.argv[1:])
