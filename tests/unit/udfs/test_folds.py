"""Storms of signals: the first ones whole, the others counted."""

from __future__ import annotations

import pytest

from tests.support.engine import (
    TENANT,
    Engine,
    MemoryStore,
    RulesLog,
    SpanDraft,
    SpansLog,
    counts,
    folds,
    trace_id,
    traces_of_lane,
)
from udfs.journal import Closing
from udfs.life import Lane
from udfs.rulebook import FOLD_AFTER, FOLD_NEVER
from udfs.signals import fold_id
from udfs.wire import betrace_pb2 as wire

CHECKED = "when { charge } always { fraud.check }"
BYPASS = "when { charge } never { bypass }"
SETTLE_MS = 2_000
LANE = 7


def a_log(*texts: str, **settings: int) -> RulesLog:
    log = RulesLog()
    log.settings(settle_ms=SETTLE_MS, **settings)
    for number, text in enumerate(texts):
        log.rule(f"rule-{number}", text)
    return log


def charged(trace: str) -> SpanDraft:
    return SpanDraft(trace=trace, id=f"{trace} charge", name="charge")


def also(trace: str, name: str) -> SpanDraft:
    return SpanDraft(trace=trace, id=f"{trace} {name}", parent=f"{trace} charge", name=name)


def storm(count: int, *, lane: int = LANE) -> list[str]:
    return traces_of_lane(lane, count=count)


def test_the_first_ten_of_a_minute_are_whole_and_the_others_one_record() -> None:
    engine, log = Engine(a_log(CHECKED)), SpansLog()
    traces = storm(18)
    for number, trace in enumerate(traces):
        log.send(1_000 + number, charged(trace))
    whole = engine.run(log.records, until_ms=60_000)
    assert [s.trace_id for s in whole] == [trace_id(t) for t in traces[:FOLD_AFTER]]
    folded = traces[FOLD_AFTER:]
    assert folds(engine.outputs) == [
        wire.Signal(
            id=fold_id(tenant=TENANT, rule_id="rule-0", version=1, lane=LANE, minute_ms=0),
            revision=10_000 * 16,
            tenant=TENANT,
            rule_id="rule-0",
            rule_version=1,
            severity="high",
            fold=wire.Fold(
                lane=LANE,
                minute_ms=0,
                raised=8,
                first_judged_ms=1_010 + SETTLE_MS,
                last_judged_ms=1_017 + SETTLE_MS,
                example_trace_ids=[trace_id(t) for t in folded[:5]],
            ),
        )
    ]


def test_the_record_of_a_minute_grows_at_every_tick_and_is_complete_when_it_is_over() -> None:
    engine, log = Engine(a_log(CHECKED, fold_after=1)), SpansLog()
    for number, trace in enumerate(storm(5)):
        log.send(13_000 * number, charged(trace))
    engine.run(log.records, until_ms=100_000)
    told = [
        (s.revision // 16, s.fold.raised)
        for o in engine.outputs
        if o.topic == "signals" and (s := wire.Signal.FromString(o.value)).HasField("fold")
    ]
    assert told == [(20_000, 1), (30_000, 2), (50_000, 3), (60_000, 4)]
    assert {s.id for s in folds(engine.outputs)} == {
        fold_id(tenant=TENANT, rule_id="rule-0", version=1, lane=LANE, minute_ms=0)
    }


def test_each_minute_lane_rule_and_tenant_has_its_own_first_ones() -> None:
    other = "9d5a3a52-7d0c-4a55-8f8e-0d1f3b6a7c88"
    rules = a_log(CHECKED, BYPASS, fold_after=1)
    rules.settings(settle_ms=SETTLE_MS, fold_after=1, tenant=other)
    rules.rule("rule-0", CHECKED, tenant=other)
    engine, log = Engine(rules), SpansLog()
    for at_ms, traces in ((0, storm(2)), (60_000, storm(4)[2:]), (1, storm(2, lane=8))):
        for trace in traces:
            log.send(at_ms, charged(trace), also(trace, "bypass"))
    for trace in traces_of_lane(LANE, count=2, tenant=other):
        log.send(0, charged(trace), tenant=other)
    records = sorted(log.records, key=lambda record: record.time_ms)
    whole = engine.run(records, until_ms=200_000)
    assert sorted((s.tenant == TENANT, s.rule_id) for s in whole) == [
        (False, "rule-0"),
        (True, "rule-0"), (True, "rule-0"), (True, "rule-0"),
        (True, "rule-1"), (True, "rule-1"), (True, "rule-1"),
    ]  # fmt: skip
    assert sorted(
        (s.tenant == TENANT, s.rule_id, s.fold.lane, s.fold.minute_ms, s.fold.raised)
        for s in folds(engine.outputs)
    ) == [
        (False, "rule-0", LANE, 0, 1),
        *(
            (True, rule, lane, minute_ms, 1)
            for rule in ("rule-0", "rule-1")
            for lane, minute_ms in ((LANE, 0), (LANE, 60_000), (8, 0))
        ),
    ]


def test_a_folded_signal_is_withdrawn_and_renewed_by_counts_alone() -> None:
    engine, log = Engine(a_log(CHECKED, fold_after=1)), SpansLog()
    first, second, third = storm(3)
    log.send(0, charged(first), charged(second), charged(third))
    log.send(70_000, also(second, "fraud.check"))
    whole = engine.run(log.records, until_ms=200_000)
    shown, *hidden = sorted((first, second, third), key=trace_id)
    assert [s.trace_id for s in whole] == [trace_id(shown)]
    assert second in hidden, "the middle one is not the first by id"
    assert [
        (s.fold.minute_ms, s.fold.raised, s.fold.withdrawn, s.fold.first_judged_ms)
        for s in folds(engine.outputs)
    ] == [(0, 2, 0, SETTLE_MS), (60_000, 0, 1, 0)]
    assert counts(engine.outputs)["folded"] == 2
    assert counts(engine.outputs)["folded_corrections"] == 1
    assert counts(engine.outputs)["signals"] == 1


def test_what_was_written_whole_is_corrected_whole_in_the_middle_of_a_storm() -> None:
    engine, log = Engine(a_log(CHECKED, fold_after=1)), SpansLog()
    first, *others = sorted(storm(30), key=trace_id)
    log.send(0, *map(charged, (first, *others)))
    log.send(5_000, also(first, "fraud.check"))
    raised, withdrawn = engine.run(log.records, until_ms=60_000)
    assert (raised.id, raised.verdict) == (withdrawn.id, wire.VERDICT_VIOLATED)
    assert withdrawn.verdict == wire.VERDICT_SATISFIED
    assert [s.fold.raised for s in folds(engine.outputs)] == [29]


def test_early_violations_are_folded_too() -> None:
    engine, log = Engine(a_log(BYPASS, fold_after=2)), SpansLog()
    for number, trace in enumerate(storm(5)):
        log.send(number, charged(trace), also(trace, "bypass"))
    whole = engine.run(log.records, until_ms=10_000)
    assert [s.closed_ms for s in whole] == [0, 0]
    assert [(s.fold.raised, s.fold.last_judged_ms) for s in folds(engine.outputs)] == [(3, 4)]


@pytest.mark.parametrize(("fold_after", "whole"), [(FOLD_NEVER, 30), (0, FOLD_AFTER), (25, 25)])
def test_the_tenant_says_how_many_are_whole(fold_after: int, whole: int) -> None:
    engine, log = Engine(a_log(CHECKED, fold_after=fold_after)), SpansLog()
    log.send(0, *map(charged, storm(30)))
    assert len(engine.run(log.records, until_ms=60_000)) == whole
    assert sum(s.fold.raised for s in folds(engine.outputs)) == 30 - whole


def test_rules_over_many_traces_hear_of_every_folded_signal() -> None:
    rules = a_log(CHECKED, fold_after=1)
    rules.rule("many", 'correlate { violated("rule-0") } by service within 1m having count >= 20')
    engine, log = Engine(rules), SpansLog()
    log.send(0, *map(charged, storm(20)))
    log.send(40_000, also(max(storm(20), key=trace_id), "fraud.check"))
    found = engine.run(log.records, until_ms=120_000)
    assert [(s.rule_id, wire.Verdict.Name(s.verdict)) for s in found if s.rule_id == "many"] == [
        ("many", "VERDICT_VIOLATED"),
        ("many", "VERDICT_SATISFIED"),
    ]


def test_a_lane_that_keeps_a_journal_folds_nothing() -> None:
    engine, log = Engine(a_log(CHECKED, fold_after=1)), SpansLog()
    log.send(0, *map(charged, storm(30)))
    engine.stores[LANE], journal = MemoryStore(), list[Closing]()
    engine.lanes[LANE] = Lane(LANE, engine.book, journal=journal)
    assert len(engine.run(log.records, until_ms=60_000)) == len(journal) == 30
    assert folds(engine.outputs) == []


def test_a_lane_restored_in_the_middle_of_a_minute_goes_on_counting() -> None:
    def outputs(*, restarts: bool) -> list[wire.Signal]:
        engine = Engine(a_log(CHECKED, fold_after=2))
        log = SpansLog()
        for number, trace in enumerate(storm(40)):
            log.send(1_000 * number, charged(trace))
        for record in log.records:
            engine.advance(record.time_ms - 1)
            engine.receive(record)
            if restarts and record.offset % 7 == 6:
                engine.restart()
        engine.advance(120_000)
        return folds(engine.outputs)

    assert outputs(restarts=True) == outputs(restarts=False)
    assert sum(s.fold.raised for s in outputs(restarts=True)) == 38
