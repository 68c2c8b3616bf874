"""The load is real OTLP, in lanes, and has the shares it says."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from api.bench.chunk import Chunk, Stamp
from api.bench.ids import cycle_of
from api.bench.load import GeneratorSettings
from api.bench.plan import Load, LoadSettings, Plan, Truth, plan
from api.bench.rules import rule_mix
from api.bench.schedule import Schedule
from udfs.lanes import lane_of

SECOND_NS = 1_000_000_000
BEGIN_NS = 1_795_000_000 * SECOND_NS
GOLDEN = Path(__file__).parents[2] / "golden" / "bench" / "load.json"


def spans_of(payload: bytes) -> list[Span]:
    request = ExportTraceServiceRequest.FromString(payload)
    return [s for r in request.resource_spans for c in r.scope_spans for s in c.spans]


def run(
    load: Load, *, cycles: int, rate: float = 50_000.0
) -> tuple[Schedule, list[tuple[int, bytes]]]:
    """Run a schedule to its end on a made-up clock; returns (lane, payload) as sent."""
    schedule = Schedule(load, late_ns=5 * SECOND_NS)
    schedule.rate = rate
    schedule.add_giant()
    sent = []
    now_ns = BEGIN_NS
    while not schedule.finished:
        now_ns += SECOND_NS // 100
        for emission in schedule.due(now_ns):
            assert emission.spans == len(spans_of(emission.payload))
            sent.append((emission.lane, emission.payload))
        if schedule.cycles >= cycles:
            schedule.finish()
    return schedule, sent


def traces_of(payloads: Iterable[bytes]) -> dict[bytes, set[bytes]]:
    found: dict[bytes, set[bytes]] = {}
    for payload in payloads:
        for span in spans_of(payload):
            found.setdefault(span.trace_id, set()).add(span.span_id)
    return found


def test_records_are_what_any_protobuf_writer_would_write(load: Load) -> None:
    load.whole.stamp(Stamp(1, BEGIN_NS), previous=Stamp(0, BEGIN_NS))
    for _, payload in load.whole:
        assert ExportTraceServiceRequest.FromString(payload).SerializeToString() == payload


def test_a_record_holds_one_lane_and_at_most_the_spans_asked_for(
    load: Load, settings: LoadSettings
) -> None:
    for slot, payload in load.whole:
        spans = spans_of(payload)
        assert {lane_of(settings.tenant, span.trace_id) for span in spans} == {slot.lane}
        assert len(spans) == slot.spans <= settings.record_spans


def test_spans_are_of_a_realistic_size(load: Load) -> None:
    assert 300 <= load.whole.content_bytes / load.whole.spans <= 500
    attributes = [len(s.attributes) for _, payload in load.whole for s in spans_of(payload)]
    assert 9 <= sum(attributes) / len(attributes) <= 13


def test_stamping_renews_ids_and_times_and_nothing_else(planned: Plan) -> None:
    chunk: Chunk = planned.load().whole
    chunk.stamp(Stamp(0, 0), previous=Stamp(0, 0))
    before = [s for _, payload in chunk for s in spans_of(payload)]
    chunk.stamp(Stamp(5, BEGIN_NS), previous=Stamp(4, BEGIN_NS - SECOND_NS))
    after = [s for _, payload in chunk for s in spans_of(payload)]
    for old, new in zip(before, after, strict=True):
        cycle = cycle_of(new.trace_id, original=old.trace_id)
        begin_ns = BEGIN_NS - (5 - cycle) * SECOND_NS
        assert cycle in (4, 5)
        assert new.start_time_unix_nano == old.start_time_unix_nano + begin_ns
        assert new.end_time_unix_nano == old.end_time_unix_nano + begin_ns
        for span in (old, new):
            span.trace_id = b""
            span.start_time_unix_nano = span.end_time_unix_nano = 0
        assert old == new


def test_every_span_of_every_cycle_is_sent_under_one_trace(load: Load, planned: Plan) -> None:
    schedule, sent = run(load, cycles=3)
    found = traces_of(payload for _, payload in sent)
    truth = planned.truth()
    counts = Counter({t.trace_id[:12]: t.spans for t in truth.traces})
    giant = truth.giant
    assert giant is not None
    assert schedule.cycles == 3
    assert len(found) == 3 * len(truth.traces) + 1
    for trace_id, span_ids in found.items():
        located = truth.locate(trace_id)
        if located is None:
            assert len(span_ids) == giant.spans
        else:
            assert located[1] < 3
            assert len(span_ids) == counts[trace_id[:12]]


def test_a_finished_schedule_has_sent_what_it_says(load: Load, planned: Plan) -> None:
    schedule, sent = run(load, cycles=2)
    assert schedule.sent == sum(len(spans_of(payload)) for _, payload in sent)
    giant = planned.giant
    assert giant is not None
    assert schedule.sent == 2 * planned.truth().cycle_spans + len(giant.punctual)


def test_late_spans_follow_only_after_their_delay(load: Load) -> None:
    schedule = Schedule(load, late_ns=5 * SECOND_NS)
    schedule.rate = 1e9
    late = traces_of(payload for _, payload in load.late)
    schedule.finish()
    at_once = [e.payload for step in range(3) for e in schedule.due(BEGIN_NS + step)]
    at_once += [e.payload for e in schedule.due(BEGIN_NS + SECOND_NS)]
    assert not schedule.finished
    later = [e.payload for e in schedule.due(BEGIN_NS + 7 * SECOND_NS)]
    assert schedule.finished
    assert sum(map(len, traces_of(later).values())) == sum(map(len, late.values()))
    assert not set(later) & set(at_once)


def test_shares_of_late_and_duplicated_spans_are_as_asked(planned: Plan) -> None:
    punctual = [index for t in planned.traces for index, _ in t.punctual]
    late = [index for t in planned.traces for index in t.late]
    spans = planned.truth().cycle_spans
    duplicates = sum(
        len(t.punctual) + len(t.late) - len({i for i, _ in t.punctual} | set(t.late))
        for t in planned.traces
    )
    assert len(punctual) + len(late) == spans
    assert 0.005 <= duplicates / spans <= 0.015
    assert 0.008 <= (len(late) - 0.2 * duplicates) / spans <= 0.013


def test_the_share_of_spans_that_give_facts_follows_the_setting(settings: LoadSettings) -> None:
    for wanted in (0.2, 0.5, 0.67):
        asked = replace(settings, rules=100, traffic=replace(settings.traffic, facts_share=wanted))
        assert abs(plan(asked).giving_share - wanted) < 0.05


def test_a_mix_has_half_of_its_rules_on_names_present_and_few_on_any() -> None:
    for count, any_count in ((0, 0), (1, 0), (10, 1), (100, 5), (1_000, 50)):
        places = Counter(rule.place for rule in rule_mix(count))
        assert places["present"] == (count + 1) // 2
        assert places["any"] == any_count
        assert sum(places.values()) == count


def test_traces_vary_from_few_spans_to_a_giant(planned: Plan) -> None:
    truth = planned.truth()
    sizes = sorted(t.spans for t in truth.traces)
    assert sizes[0] >= 3
    assert sizes[len(sizes) // 2] <= 20
    assert sizes[-1] >= 1_000
    assert truth.giant is not None
    assert truth.giant.spans >= 2_000


def test_most_traces_are_spread_over_several_batches(planned: Plan) -> None:
    batches = [len({arrival for _, arrival in trace.punctual}) for trace in planned.traces]
    assert sum(count > 2 for count in batches) / len(batches) > 0.9


def test_equal_settings_give_the_bytes_of_the_golden_file(planned: Plan) -> None:
    load = planned.load()
    digests = {
        name: hashlib.sha256(b"".join(payload for _, payload in chunk)).hexdigest()
        for name, chunk in (("head", load.head), ("whole", load.whole), ("late", load.late))
    }
    assert digests == json.loads(GOLDEN.read_text())


def test_settings_survive_the_way_to_the_generating_process(settings: LoadSettings) -> None:
    given = GeneratorSettings("127.0.0.1:9092", "bench.spans", 32, 5.0, settings)
    assert GeneratorSettings.from_json(given.to_json()) == given


def test_truth_of_another_seed_is_another_truth(settings: LoadSettings, planned: Plan) -> None:
    other: Truth = plan(
        replace(settings, traffic=replace(settings.traffic, seed=2), chunk_spans=1_000)
    ).truth()
    assert not {t.trace_id for t in other.traces} & {t.trace_id for t in planned.truth().traces}
