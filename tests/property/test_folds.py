"""Folding hides signals and loses none, and is a function of the logs as everything is."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.test_replay import distinct
from tests.support.engine import (
    Engine,
    Record,
    RulesLog,
    SpanDraft,
    SpansLog,
    folds,
    signals,
    traces_of_lane,
)
from udfs.accounts import MINUTE_MS
from udfs.lanes import lane_of
from udfs.life import Output
from udfs.rulebook import FOLD_NEVER
from udfs.wire import betrace_pb2 as wire

TRACES = (*traces_of_lane(3, count=6), *traces_of_lane(20, count=4))
NAMES = ("charge", "charge", "fraud.check", "bypass")
END_MS = 900_000
VIOLATED = wire.VERDICT_VIOLATED


def the_rules(fold_after: int) -> RulesLog:
    rules = RulesLog()
    rules.settings(
        settle_ms=2_000, patience_ms=5_000, lateness_ms=180_000, max_life_ms=90_000,
        fold_after=fold_after,
    )  # fmt: skip
    rules.rule("check", "when { charge } always { fraud.check }")
    rules.rule("bypass", "when { charge } never { bypass }")
    rules.rule("after", "when { charge as c } always { fraud.check after c within 30s }")
    rules.rule("many", 'correlate { violated("check") } by service within 5m having count >= 2')
    rules.rule("check", "when { charge } always { bypass }", version=2, at_ms=200_000)
    return rules


@st.composite
def storms(draw: st.DrawFn) -> list[Record]:
    log = SpansLog()
    at_ms = 0
    for nth in range(draw(st.integers(1, 25))):
        at_ms += draw(st.sampled_from((0, 0, 1, 500, 2_000, 7_001, 15_000, 59_000, 61_000)))
        drafts = []
        for trace in draw(st.lists(st.sampled_from(TRACES), min_size=1, max_size=8, unique=True)):
            name = draw(st.sampled_from(NAMES))
            is_root = draw(st.booleans())
            drafts.append(
                SpanDraft(
                    trace=trace,
                    id=f"{trace}/{name}/{nth}",
                    parent="" if is_root else f"{trace}/root",
                    name=name,
                    start_ms=at_ms,
                )
            )
        log.send(at_ms, *drafts)
    return log.records


fold_afters = st.sampled_from((1, 2, 3))


def at_once(records: list[Record], fold_after: int) -> list[Output]:
    engine = Engine(the_rules(fold_after))
    engine.run(records, until_ms=END_MS)
    return engine.outputs


def of_promises(outputs: Iterable[Output]) -> list[wire.Signal]:
    return [signal for signal in signals(outputs) if signal.trace_id]


def standing(found: Iterable[wire.Signal]) -> Counter[str]:
    newest: dict[bytes, wire.Signal] = {}
    for signal in found:
        newest[signal.id] = max(signal, newest.get(signal.id, signal), key=lambda s: s.revision)
    return Counter(s.rule_id for s in newest.values() if s.verdict == VIOLATED)


@settings(deadline=None, max_examples=60)
@given(storms(), fold_afters)
def test_whole_and_folded_signals_are_all_signals(records: list[Record], fold_after: int) -> None:
    shown, folded = at_once(records, fold_after), folds(at_once(records, fold_after))
    whole, every = of_promises(shown), of_promises(at_once(records, FOLD_NEVER))
    wholly = {signal.id for signal in whole}
    assert whole == [signal for signal in every if signal.id in wholly]
    raised, counted = Counter[str](), Counter[str]()
    for one in folded:
        raised[one.rule_id] += one.fold.raised
        counted[one.rule_id] += one.fold.raised + one.fold.renewed - one.fold.withdrawn
    first = {signal.id: signal for signal in reversed(every)}
    hidden = Counter(s.rule_id for s in first.values() if s.id not in wholly)
    assert +raised == hidden
    assert standing(whole) + counted == standing(every)


@settings(deadline=None, max_examples=60)
@given(storms(), fold_afters)
def test_the_first_of_each_minute_are_whole_and_examples_are_the_next(
    records: list[Record], fold_after: int
) -> None:
    outputs = at_once(records, fold_after)
    wholly = {signal.id for signal in of_promises(outputs)}
    expected: dict[tuple[str, int, int, int], list[wire.Signal]] = defaultdict(list)
    seen: set[bytes] = set()
    for signal in of_promises(at_once(records, FOLD_NEVER)):
        if signal.id not in seen:
            seen.add(signal.id)
            lane = lane_of(signal.tenant, signal.trace_id)
            minute_ms = signal.judged_ms // MINUTE_MS * MINUTE_MS
            expected[signal.rule_id, signal.rule_version, lane, minute_ms].append(signal)
    for found in expected.values():
        assert [signal.id in wholly for signal in found] == [
            nth < fold_after for nth in range(len(found))
        ]
    told = {
        (one.rule_id, one.rule_version, one.fold.lane, one.fold.minute_ms): [
            one.fold.raised, one.fold.first_judged_ms, one.fold.last_judged_ms,
            *one.fold.example_trace_ids,
        ]
        for one in folds(outputs)
        if one.fold.raised
    }  # fmt: skip
    assert told == {
        key: [
            len(hidden), hidden[0].judged_ms, hidden[-1].judged_ms,
            *(signal.trace_id for signal in hidden[:5]),
        ]
        for key, found in expected.items()
        if (hidden := found[fold_after:])
    }  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(storms(), fold_afters)
def test_rules_over_many_traces_do_not_notice(records: list[Record], fold_after: int) -> None:
    def of_many(outputs: list[Output]) -> list[bytes]:
        return [s.SerializeToString() for s in signals(outputs) if not s.trace_id]

    assert of_many(at_once(records, fold_after)) == of_many(at_once(records, FOLD_NEVER))


@settings(deadline=None, max_examples=60)
@given(storms(), fold_afters, st.integers(0, 2**32))
def test_bundles_and_watermarks_change_nothing(
    records: list[Record], fold_after: int, seed: int
) -> None:
    chance = random.Random(seed)
    engine = Engine(the_rules(fold_after))
    for record in records:
        if chance.random() < 0.6:
            engine.advance(record.time_ms - chance.choice((1, 1, 1, 700)))
        engine.receive(record)
    for watermark_ms in sorted(chance.randrange(END_MS) for _ in range(5)):
        engine.advance(max(watermark_ms, records[-1].time_ms))
    engine.advance(END_MS)
    assert sorted(engine.outputs) == sorted(at_once(records, fold_after))


@settings(deadline=None, max_examples=60)
@given(storms(), fold_afters, st.integers(0, 2**32))
def test_crashes_repeat_records_but_never_change_them(
    records: list[Record], fold_after: int, seed: int
) -> None:
    chance = random.Random(seed)
    engine = Engine(the_rules(fold_after))
    for record in records:
        engine.advance(record.time_ms - 1)
        engine.receive(record)
        if chance.random() < 0.3:
            engine.restart()
    engine.advance(END_MS)
    assert distinct(engine.outputs) == distinct(at_once(records, fold_after))


@settings(deadline=None, max_examples=30)
@given(storms(), fold_afters)
def test_a_log_read_twice_gives_the_same_bytes(records: list[Record], fold_after: int) -> None:
    assert at_once(records, fold_after) == at_once(records, fold_after)
