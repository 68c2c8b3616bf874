"""The law: what comes out is a function of the logs, not of bundles, watermarks or restarts."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from zlib import crc32

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.engine import (
    TENANT,
    Engine,
    Record,
    RulesLog,
    SpanDraft,
    SpansLog,
    export_request,
    final_signals,
    trace_id,
)
from udfs.addressing import read_address
from udfs.lanes import LANES, tenant_prefix_crc
from udfs.life import Output

NAMES = ("payment.charge", "fraud.check", "payment.bypass", "http.retry", "other")
END_MS = 700_000


def the_rules() -> RulesLog:
    rules = RulesLog()
    rules.settings(settle_ms=2_000, patience_ms=20_000, lateness_ms=120_000, max_life_ms=60_000)
    rules.rule("check", "when { payment.charge.where(amount > 10) } always { fraud.check }")
    rules.rule("bypass", "when { payment.charge } never { payment.bypass }")
    rules.rule("retry", "when { payment.charge } never { count(http.retry) > 2 }", settle_ms=9_000)
    rules.rule("bypass", "when { other } never { payment.bypass }", version=2, at_ms=100_000)
    retries = "when { payment.charge } never { count(http.retry) > 1 }"
    rules.rule("retry", retries, version=2, at_ms=5_000, state="QUARANTINED")
    rules.rule("retry", retries, version=3, at_ms=60_000)
    return rules


Sent = tuple[int, list[SpanDraft]]
"""Spans that are sent together, and when."""


@st.composite
def traffic(draw: st.DrawFn) -> list[Sent]:
    sent = []
    at_ms = 0
    for _ in range(draw(st.integers(1, 25))):
        at_ms += draw(st.sampled_from((0, 1, 500, 1_999, 2_000, 2_001, 15_000, 61_000)))
        spans = []
        for _ in range(draw(st.integers(1, 4))):
            trace = draw(st.sampled_from("abcd"))
            name = draw(st.sampled_from(NAMES))
            number = draw(st.integers(0, 5))
            spans.append(
                SpanDraft(
                    trace=trace,
                    id=f"{trace}{name}{number}",
                    parent="" if number == 0 else f"{trace}{NAMES[0]}0",
                    name=name,
                    attributes={"amount": 5 * number},
                )
            )
        sent.append((at_ms, spans))
    return sent


def spans_logs() -> st.SearchStrategy[list[Record]]:
    return traffic().map(log_of)


def log_of(traffic: list[Sent]) -> list[Record]:
    log = SpansLog()
    for at_ms, spans in traffic:
        log.send(at_ms, *spans)
    return log.records


def cut(traffic: list[Sent], lanes: Sequence[int]) -> list[Record]:
    """Return records as `ingest` cuts them by so many lanes, which differ from one to the next.

    What is sent together gets one offset, whatever the number of records: signals tell offsets.
    """
    records = []
    for offset, ((at_ms, spans), by) in enumerate(zip(traffic, itertools.cycle(lanes))):
        by_lane: dict[int, list[SpanDraft]] = {}
        for span in spans:
            crc = crc32(trace_id(span.trace), tenant_prefix_crc(TENANT))
            by_lane.setdefault(crc % by, []).append(span)
        for number, drafts in by_lane.items():
            address = read_address(tenant=TENANT.encode(), lane=b"%d" % number)
            assert address is not None
            records.append(Record(at_ms, address.lane, offset, export_request(drafts)))
    return records


def at_once(records: list[Record]) -> list[Output]:
    engine = Engine(the_rules())
    engine.run(records, until_ms=END_MS)
    return engine.outputs


def distinct(outputs: list[Output]) -> set[tuple[str, bytes, bytes]]:
    return {(o.topic, o.key, o.value) for o in outputs}


@settings(deadline=None, max_examples=60)
@given(spans_logs(), st.integers(0, 2**32))
def test_bundles_and_watermarks_change_nothing(records: list[Record], seed: int) -> None:
    chance = random.Random(seed)
    engine = Engine(the_rules())
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
    engine = Engine(the_rules())
    for record in records:
        engine.advance(record.time_ms - 1)
        engine.receive(record)
        if chance.random() < 0.3:
            engine.restart()
    engine.advance(END_MS)
    assert distinct(engine.outputs) == distinct(at_once(records))


@settings(deadline=None, max_examples=60)
@given(spans_logs())
def test_a_log_read_twice_gives_the_same_bytes(records: list[Record]) -> None:
    assert at_once(records) == at_once(records)


@settings(deadline=None, max_examples=60)
@given(spans_logs())
def test_spans_delivered_twice_give_the_same_verdicts(records: list[Record]) -> None:
    twice = [
        Record(r.time_ms, r.lane, 2 * r.offset + again, r.payload)
        for r in records
        for again in (0, 1)
    ]
    assert final_signals(at_once(twice)) == final_signals(at_once(records))


OTHER_LANES = [1, 4, 7, 16, 64]


@settings(deadline=None, max_examples=60)
@given(traffic(), st.lists(st.sampled_from([LANES, *OTHER_LANES]), min_size=1, max_size=5))
def test_records_of_any_number_of_lanes_give_the_same_bytes(
    traffic: list[Sent], lanes: list[int]
) -> None:
    def signalled(lanes: Sequence[int]) -> set[tuple[str, bytes, bytes]]:
        outputs = at_once(cut(traffic, lanes))
        return {row for row in distinct(outputs) if row[0] == "signals"}

    assert signalled(lanes) == signalled([LANES])


@settings(deadline=None, max_examples=60)
@given(traffic(), st.integers(0, 2**32))
def test_a_change_of_lanes_is_judged_alike_however_time_comes_and_after_crashes(
    traffic: list[Sent], seed: int
) -> None:
    chance = random.Random(seed)
    records = cut(traffic, chance.choices([LANES, *OTHER_LANES], k=5))
    engine = Engine(the_rules())
    for record in records:
        if chance.random() < 0.6:
            engine.advance(record.time_ms - 1)
        engine.receive(record)
        if chance.random() < 0.2:
            engine.restart()
    engine.advance(END_MS)
    assert distinct(engine.outputs) == distinct(at_once(records))
