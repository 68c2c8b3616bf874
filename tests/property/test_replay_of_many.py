"""The law for rules over many traces: from spans to their signals, a function of the logs alone."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.test_replay import END_MS, distinct, spans_logs, the_rules
from tests.support.engine import Engine, Record, RulesLog, signals
from udfs.life import Output


def many_rules() -> RulesLog:
    rules = the_rules()
    rules.rule(
        "unchecked", 'correlate { violated("check") } by service within 2m having count >= 2'
    )
    rules.rule(
        "retries",
        "correlate { http.retry } by service within 30s having count >= 3 and distinct(trace) >= 2",
    )
    rules.rule("others", "expect { other } every 40s")
    rules.rule("others", "expect { other } every 50s", version=2, at_ms=200_000)
    rules.rule(
        "both",
        'correlate { violated("retries") or violated("others") or payment.bypass } by service'
        " within 5m having count >= 1",
    )
    return rules


def new_engine() -> Engine:
    engine = Engine(many_rules())
    engine.many.wake(time_ms=0)
    return engine


def at_once(records: list[Record]) -> list[Output]:
    engine = new_engine()
    engine.run(records, until_ms=END_MS)
    return engine.outputs


@settings(deadline=None, max_examples=60)
@given(spans_logs(), st.integers(0, 2**32))
def test_bundles_and_watermarks_change_nothing(records: list[Record], seed: int) -> None:
    chance = random.Random(seed)
    engine = new_engine()
    for record in records:
        if chance.random() < 0.6:
            engine.advance(record.time_ms - chance.choice((1, 1, 1, 700)))
        engine.receive(record)
    for watermark_ms in sorted(chance.randrange(END_MS) for _ in range(5)):
        engine.advance(max(watermark_ms, records[-1].time_ms))
    engine.advance(END_MS)
    assert sorted(engine.outputs) == sorted(at_once(records))


@settings(deadline=None, max_examples=60)
@given(spans_logs(), st.integers(0, 2**32))
def test_crashes_repeat_records_but_never_change_them(records: list[Record], seed: int) -> None:
    chance = random.Random(seed)
    engine = new_engine()
    for record in records:
        engine.advance(record.time_ms - 1)
        engine.receive(record)
        if chance.random() < 0.3:
            engine.restart()
    engine.advance(END_MS)
    assert distinct(engine.outputs) == distinct(at_once(records))


@settings(deadline=None, max_examples=60)
@given(spans_logs())
def test_promises_are_judged_as_if_there_were_no_other_rules(records: list[Record]) -> None:
    engine = Engine(the_rules())
    engine.run(records, until_ms=END_MS)
    alone = [s.SerializeToString() for s in signals(engine.outputs)]
    promises = {"check", "bypass", "retry"}
    beside = [s.SerializeToString() for s in signals(at_once(records)) if s.rule_id in promises]
    assert beside == alone
