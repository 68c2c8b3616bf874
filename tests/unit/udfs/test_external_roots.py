"""Traces that begin outside of what their tenant exports, in the stream; time by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dsl.objects import RuleTest, parse_rules
from tests.support.engine import (
    TENANT,
    Engine,
    RulesLog,
    SpanDraft,
    SpansLog,
    final_signals,
    signals,
    trace_id,
)
from tests.support.scenarios import GOLDEN
from tests.unit.udfs.test_golden_verdicts import play
from udfs.external_root import MAX_CAME
from udfs.facts import Called
from udfs.rulebook import ACTIVATION_MS, LifeSettings
from udfs.trace_state import RARE_FORMAT, TraceState, unpack_trace

OTHER_TENANT = "11111111-2222-4333-8444-555555555555"
REMOTE = 0x300
END_MS = 2_000_000
NS_PER_MS = 1_000_000
CASES = parse_rules(
    GOLDEN.joinpath("dsl", "verdicts_7_external_roots.yaml").read_text(), filename="cases.yaml"
).tests
LIVES = {"settle_ms": 2_000, "patience_ms": 20_000, "max_life_ms": 60_000, "lateness_ms": 60_000}
ABSENT = "when { charge } always { fraud.check }"
NAMED = "when { trace.root.name == charge } always { fraud.check }"


# -- what suites say -------------------------------------------------------------------------------


@pytest.mark.parametrize("test", CASES, ids=lambda test: test.name)
@pytest.mark.parametrize("restarting", [False, True])
def test_the_stream_says_at_every_moment_what_the_suite_expects(
    test: RuleTest, restarting: bool
) -> None:
    play(test, restarting=restarting)


# -- what signals tell -----------------------------------------------------------------------------


def a_log(text: str, *, external_roots: bool = True, **fields: Any) -> RulesLog:
    log = RulesLog()
    log.settings(external_roots=external_roots, **LIVES)
    log.rule("rule", text, **fields)
    return log


def charge(trace: str = "t", **fields: Any) -> SpanDraft:
    drafted = SpanDraft(
        trace=trace, id=f"{trace}/charge", parent="partner", name="charge", flags=REMOTE
    )
    return replace(drafted, **fields)


def stock(trace: str = "t", **fields: Any) -> SpanDraft:
    drafted = SpanDraft(trace=trace, id=f"{trace}/stock", parent=f"{trace}/charge", name="stock")
    return replace(drafted, **fields)


def test_a_signal_names_the_span_that_stands_for_the_root() -> None:
    engine, log = Engine(a_log(ABSENT)), SpansLog()
    log.send(0, charge(service="billing"), stock())
    (signal,) = engine.run(log.records, until_ms=END_MS)
    assert (signal.root_name, signal.root_service) == ("charge", "billing")
    assert (signal.closed_ms, signal.incomplete, list(signal.reasons)) == (20_000, False, [])


def test_a_late_root_names_the_next_revision() -> None:
    engine, log = (
        Engine(a_log("when { charge as c } always { fraud.check child of c }")),
        SpansLog(),
    )
    log.send(0, charge())
    log.send(30_000, SpanDraft(trace="t", id="root", name="GET /", parent=""))
    log.send(30_000, charge(id="t/second"))
    first, second = engine.run(log.records, until_ms=END_MS)
    assert (first.root_name, first.bindings_total) == ("charge", 1)
    assert (second.root_name, second.bindings_total, second.judged_ms) == ("GET /", 2, 32_000)


def test_a_trace_is_judged_whichever_of_its_spans_comes_first() -> None:
    for spans in ((charge(), stock()), (stock(), charge())):
        engine, log = Engine(a_log(ABSENT)), SpansLog()
        for at_ms, span in enumerate(spans):
            log.send(at_ms, span)
        assert len(engine.run(log.records, until_ms=END_MS)) == 1


# -- bounds ----------------------------------------------------------------------------------------


def test_a_trace_that_was_never_quiet_has_no_external_root_at_its_longest_life() -> None:
    engine, log = Engine(a_log(NAMED)), SpansLog()
    for at_ms in range(0, 60_000, 15_000):
        log.send(at_ms, charge() if at_ms == 0 else stock(id=str(at_ms)))
    assert engine.run(log.records, until_ms=60_000) == []
    (lane,) = engine.lanes.values()
    assert not lane._tenants[TENANT].open
    log.send(61_000, stock(id="late"))
    engine.receive(log.records[-1])
    (signal,) = signals(engine.advance(END_MS))
    assert (signal.judged_ms, signal.root_name) == (63_000, "charge")


def test_a_truncated_trace_has_no_external_root() -> None:
    rules = RulesLog()
    rules.settings(external_roots=True, max_trace_spans=100, **LIVES)
    rules.rule("rule", NAMED)
    engine, log = Engine(rules), SpansLog()
    log.send(0, charge(), *(stock(id=str(number)) for number in range(100)))
    assert engine.run(log.records, until_ms=END_MS) == []


def test_more_spans_than_are_kept_truncate_a_trace() -> None:
    trace = TraceState(begin_ms=0, partition=0, offset=0)
    called = Called(b"called--", 7, b"partner-", 1, "charge", "shop")
    ids = b"".join(number.to_bytes(8, "big") for number in range(MAX_CAME))
    trace.add_arrivals(ids, [called])
    assert not trace.truncated
    trace.add_arrivals(b"one more", [])
    assert trace.truncated


def test_where_there_is_no_room_a_trace_is_truncated() -> None:
    trace = TraceState(begin_ms=0, partition=0, offset=0)
    trace.add_arrivals(b"one span", [], room=False)
    assert trace.truncated


def test_with_a_root_nothing_of_it_is_kept_any_more() -> None:
    engine, log = Engine(a_log(ABSENT)), SpansLog()
    log.send(0, charge(), stock())
    log.send(1_000, SpanDraft(trace="t", id="root", name="GET /", parent=""))
    log.send(1_500, charge(id="t/again"))
    engine.run(log.records[:1], until_ms=500)
    (lane,) = engine.lanes.values()
    tenant = lane._tenants[TENANT]
    assert tenant.open_bytes > 0
    for record in log.records[1:]:
        engine.receive(record)
    engine.advance(1_600)
    (trace,) = tenant.open.values()
    assert (trace.beginnings, tenant.open_bytes) == (None, 0)


def test_what_was_noted_from_the_middle_of_a_trace_on_tells_nothing() -> None:
    engine, log = Engine(a_log(ABSENT)), SpansLog()
    log.send(0, charge(parent="lost", flags=0))
    log.send(1_000, stock(flags=REMOTE))
    before = Engine(a_log(ABSENT, external_roots=False))
    before.receive(log.records[0])
    engine.state = before.state
    engine.receive(log.records[1])
    assert signals(engine.advance(END_MS)) == []


# -- settings are those of the beginning -----------------------------------------------------------


def changing(*, first: bool, then: bool) -> Engine:
    """Return an engine of a tenant that changes its mind at 10 s of event time."""
    log = a_log(ABSENT, external_roots=first)
    log.settings(at_ms=10_000 - ACTIVATION_MS, external_roots=then, **LIVES)
    return Engine(log)


@pytest.mark.parametrize(("first", "then"), [(True, False), (False, True)])
def test_a_trace_goes_by_the_setting_under_which_it_began(first: bool, then: bool) -> None:
    engine, log = changing(first=first, then=then), SpansLog()
    log.send(9_000, charge("before"))
    log.send(11_000, stock("before"), charge("after"))
    engine.run(log.records, until_ms=END_MS)
    judged = {trace_id("before"): first, trace_id("after"): then}
    found = final_signals(engine.outputs)
    assert found == {("rule", trace): "violated" for trace, told in judged.items() if told}


def test_a_parent_that_comes_after_the_change_still_explains_its_child() -> None:
    engine, log = changing(first=True, then=False), SpansLog()
    log.send(9_000, stock("t", flags=REMOTE))
    log.send(15_000, charge("t", parent="lost", flags=0))
    assert engine.run(log.records, until_ms=END_MS) == []


def test_what_may_stand_for_a_root_is_noted_until_no_such_trace_can_be_open() -> None:
    book = changing(first=True, then=False).book
    lives = LifeSettings(**LIVES)  # type: ignore[arg-type]
    until_ms = 10_000 + lives.drain_ms + lives.max_life_ms
    noted = [book.matched(TENANT, at_ms).begins_outside for at_ms in (0, until_ms - 1, until_ms)]
    assert noted == [True, True, False]


# -- who does not use it does not pay --------------------------------------------------------------


def element(engine: Engine, *spans: SpanDraft, tenant: str = TENANT) -> bytes:
    log = SpansLog()
    log.send(0, *spans, tenant=tenant)
    (record,) = log.records
    ((_, packed),) = engine.matcher.match(
        record.payload, tenant=tenant, lane=record.lane, partition=0, offset=0, time_ms=0
    )
    return packed


def test_without_the_setting_not_a_byte_is_added() -> None:
    with_it, without = a_log(ABSENT), a_log(ABSENT, external_roots=False)
    plain = element(Engine(without), charge(), stock())
    assert plain[0] == 1
    assert element(Engine(with_it), charge(), stock())[0] == 3
    assert element(Engine(with_it), charge(parent=""), stock()) == element(
        Engine(without), charge(parent=""), stock()
    )


def test_a_tenant_without_promises_notes_nothing() -> None:
    log = RulesLog()
    log.settings(external_roots=True, **LIVES)
    assert element(Engine(log), charge(), stock())[0] == 1


def test_the_setting_of_one_tenant_changes_nothing_for_another() -> None:
    rules = a_log(ABSENT)
    rules.settings(tenant=OTHER_TENANT, **LIVES)
    rules.rule("rule", ABSENT, tenant=OTHER_TENANT)
    engine, log = Engine(rules), SpansLog()
    log.send(0, charge(), tenant=OTHER_TENANT)
    assert engine.run(log.records, until_ms=END_MS) == []
    assert element(engine, charge(), tenant=OTHER_TENANT)[0] == 1


def test_what_may_stand_for_a_root_is_packed_and_read_alike() -> None:
    trace = TraceState(begin_ms=0, partition=0, offset=0)
    explained = Called(b"second--", 8, b"called--", 2, "stock", "shop")
    called = Called(b"called--", 7, b"partner-", 1, "charge", "shop")
    trace.add_arrivals(b"second--", [explained])
    trace.add_arrivals(b"called--", [called])
    packed = trace.pack()
    again = unpack_trace(packed)
    assert (packed[0], again.pack()) == (RARE_FORMAT, packed)
    assert again.beginnings is not None
    assert again.beginnings.external_root() == called
