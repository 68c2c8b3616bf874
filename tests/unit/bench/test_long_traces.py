"""A trace that lives for hours is judged as a whole, and so is a giant one."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from api.bench.engine import EngineSettings, run_engine
from api.bench.giant import LONG_EVERY_MS, LONG_LIFE_MS
from api.bench.hours import LongBeside, measure_hours
from api.bench.long_trace import LONG_RULE_IDS, LONG_RULES, LongTrace
from api.bench.plan import LoadSettings, plan
from api.bench.schedule import Schedule
from udfs.lanes import lane_of

TENANT = "3f0c6f4e-0000-4000-8000-444455556666"
BEGIN_MS = 1_795_000_000_000


def test_spans_come_one_by_one_and_the_root_last() -> None:
    trace = LongTrace(tenant=TENANT, life_ms=10_000, every_ms=1_000)
    trace.begin_at(BEGIN_MS)
    sent = [each for step in range(0, 30_000, 250) for each in trace.due(BEGIN_MS + step)]
    spans = [
        span
        for each in sent
        for of_resource in ExportTraceServiceRequest.FromString(each.payload).resource_spans
        for span in of_resource.scope_spans[0].spans
    ]
    assert {each.lane for each in sent} == {lane_of(TENANT, trace.trace_id)}
    assert [bool(span.parent_span_id) for span in spans] == [True] * 10 + [False]
    assert [span.name for span in spans[:2]] == ["order.place", "payment.bypass"]
    assert {span.trace_id for span in spans} == {trace.trace_id}
    assert spans[-1].end_time_unix_nano - spans[-1].start_time_unix_nano == 10_000_000_000
    assert trace.finished
    assert trace.sent == 11


def test_a_trace_of_minutes_is_judged_as_a_whole_beside_others() -> None:
    found = measure_hours(0.1)
    assert found.long_spans == 73
    assert found.beside.score.planted == found.alone.score.planted + len(LONG_RULE_IDS)
    for run in (found.alone, found.beside):
        assert run.score.precision == run.score.recall == 1.0
        assert run.score.planted > 0
    assert found.to_row()["cpu_ratio"] > 0


@pytest.mark.parametrize("lives", [0.8, 1.4])
def test_a_trace_is_judged_rightly_whether_or_not_it_outlives_its_longest_life(
    lives: float,
) -> None:
    load = LoadSettings(tenant=TENANT, rules=10, chunk_spans=100, record_spans=20)
    settings = EngineSettings(
        load=load,
        cycles=2,
        spans_per_s=100.0,
        settle_ms=1_000,
        patience_ms=3_000,
        late_ms=2_000,
        max_life_ms=LONG_LIFE_MS,
        more_rules=LONG_RULES,
    )
    trace = LongTrace(tenant=TENANT, life_ms=int(lives * LONG_LIFE_MS), every_ms=LONG_EVERY_MS)
    found = run_engine(settings, beside=LongBeside(trace)).score
    assert found.planted >= len(LONG_RULES)
    assert found.precision == found.recall == 1.0


def test_a_giant_breaks_a_promise_and_tells_how_much_of_it_is_left() -> None:
    settings = LoadSettings(tenant=TENANT, rules=20, chunk_spans=2_000, giant_spans=3_000)
    planned = plan(settings)
    giant = planned.truth().giant
    assert giant is not None
    assert giant.violated
    schedule = Schedule(planned.load(), late_ns=0)
    schedule.rate = 100_000.0
    schedule.due(1)
    schedule.add_giant()
    left = [schedule.giant_left]
    for step in range(1, 200):
        list(schedule.due(1 + step * 1_000_000))
        left.append(schedule.giant_left)
    assert left[0] > 0
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0
