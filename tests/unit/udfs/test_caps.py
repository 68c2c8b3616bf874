"""Limits of a trace and of a tenant: what is over them is counted and never judged falsely.

Limits of a tenant are given for all lanes together: here a lane's share times LANES.
"""

from __future__ import annotations

from itertools import count, islice
from typing import Any

from tests.support.engine import (
    TENANT,
    Engine,
    RulesLog,
    SpanDraft,
    SpansLog,
    accounts,
    counts,
    final_signals,
    signals,
    trace_id,
)
from udfs.closed import ClosedTraces
from udfs.kept_trace import KeptTrace
from udfs.lanes import LANES, lane_of
from udfs.wire import betrace_pb2 as wire

PAYMENT = "when { payment.charge } always { fraud.check }"
BYPASS = "when { payment.charge } never { payment.bypass }"
JOINED = "when { payment.charge as c } always { fraud.check.where(order == c.order) after c }"
SETTLE_MS = 2_000
LATENESS_MS = 60_000


def rules_log(*texts: str, **limits: int) -> RulesLog:
    log = RulesLog()
    lives = {"settle_ms": SETTLE_MS, "lateness_ms": LATENESS_MS, "max_life_ms": 60_000}
    log.settings(**lives, **limits)
    for number, text in enumerate(texts):
        log.rule(f"rule-{number}", text)
    return log


def one_lane(wanted: int) -> list[str]:
    """Return so many names of traces that share a lane."""
    names = (name for name in map(str, count()) if lane_of(TENANT, trace_id(name)) == 3)
    return list(islice(names, wanted))


def root(trace: str) -> SpanDraft:
    return SpanDraft(trace=trace, id=f"{trace}/root", name="GET /pay")


def span(trace: str, name: str, number: int = 0, **attributes: Any) -> SpanDraft:
    return SpanDraft(
        trace=trace,
        id=f"{trace}/{name}/{number}",
        parent=f"{trace}/root",
        name=name,
        start_ms=number,
        attributes=attributes,
    )


def told(engine: Engine) -> list[tuple[bytes, str, list[str]]]:
    return [
        (s.trace_id, wire.Verdict.Name(s.verdict).removeprefix("VERDICT_").lower(), list(s.reasons))
        for s in signals(engine.outputs)
    ]


def test_a_trace_of_too_many_spans_is_truncated_it_alone() -> None:
    engine, log = Engine(rules_log(PAYMENT, BYPASS, max_trace_spans=3)), SpansLog()
    log.send(0, root("long"), span("long", "payment.charge"))
    log.send(0, root("short"), span("short", "payment.charge"), span("short", "other"))
    log.send(100, span("long", "other", 1), span("long", "other", 2))
    log.send(200, root("broken"), *(span("broken", "payment.bypass", n) for n in range(4)))
    log.send(300, span("broken", "payment.charge"))
    engine.run(log.records, until_ms=60_000)
    assert final_signals(engine.outputs) == {
        ("rule-0", trace_id("short")): "violated",
        ("rule-1", trace_id("broken")): "violated",
    }
    counted = counts(engine.outputs)
    assert (counted["judged"], counted["truncated"]) == (3, 10)


def test_a_tenant_with_too_many_open_traces_gets_no_more_and_the_others_are_judged() -> None:
    first, second, third = one_lane(3)
    engine, log = Engine(rules_log(PAYMENT, max_open_traces=2 * LANES)), SpansLog()
    for at_ms, trace in enumerate((first, second, third)):
        log.send(at_ms, root(trace), span(trace, "payment.charge"))
    engine.run(log.records, until_ms=60_000)
    assert told(engine) == [(trace_id(t), "violated", []) for t in (first, second)]
    counted = counts(engine.outputs)
    assert (counted["received"], counted["judged"], counted["over_cap"]) == (6, 4, 2)


def test_a_trace_that_was_not_opened_stays_so_once_there_is_room() -> None:
    first, second = one_lane(2)
    engine, log = Engine(rules_log(PAYMENT, max_open_traces=LANES)), SpansLog()
    log.send(0, root(first))
    log.send(1, root(second), span(second, "fraud.check"))
    for at_ms in (10_000, 60_000, 110_000):
        log.send(at_ms, span(second, "payment.charge"))
    for record in log.records:
        engine.advance(record.time_ms - 1)
        engine.restart()
        engine.receive(record)
    engine.advance(200_000)
    assert told(engine) == []
    assert counts(engine.outputs)["over_cap"] == 5


def test_late_spans_of_a_tenant_without_room_still_correct_what_was_said() -> None:
    mended, doubtful, other = one_lane(3)
    engine, log = Engine(rules_log(PAYMENT, max_open_traces=2 * LANES)), SpansLog()
    log.send(0, root(mended), span(mended, "payment.charge"))
    log.send(0, root(doubtful), span(doubtful, "payment.charge"))
    log.send(10_000, root(other), span(other, "x"))
    log.send(10_000, root("z"), *(root(name) for name in one_lane(9)[3:]))
    log.send(10_500, span(mended, "fraud.check"))
    log.send(10_600, span(doubtful, "other"))
    engine.run(log.records, until_ms=100_000)
    assert told(engine)[2:] == [
        (trace_id(mended), "satisfied", []),
        (trace_id(doubtful), "inconclusive", ["truncated"]),
    ]
    corrected = signals(engine.outputs)[2:]
    assert [signal.judged_ms for signal in corrected] == [10_500, 10_600]


def test_open_traces_that_take_too_many_bytes_grow_no_more() -> None:
    large, small, later = one_lane(3)
    engine, log = Engine(rules_log(JOINED, max_open_bytes=400 * LANES)), SpansLog()
    log.send(0, root(small), span(small, "payment.charge", order="1"))
    log.send(1, root(large), *(span(large, "fraud.check", n, order="y") for n in range(9)))
    log.send(2, span(large, "payment.charge", order="x"))
    log.send(60_000, root(later), span(later, "payment.charge", order="1"))
    for record in log.records:
        engine.receive(record)
        engine.advance(record.time_ms)
        for number, lane in engine.lanes.items():
            engine.state[number] = lane.snapshot(engine.stores[number])
        engine.restart()
    engine.advance(100_000)
    assert told(engine) == [(trace_id(t), "violated", []) for t in (small, later)]
    counted = counts(engine.outputs)
    assert (counted["judged"], counted["truncated"]) == (4, 11)


def test_a_tenant_that_cannot_even_be_remembered_doubts_what_begins_meanwhile() -> None:
    first, second, third, fourth = one_lane(4)
    log = SpansLog()
    limits = {"max_open_traces": LANES, "max_known_traces": LANES}
    engine = Engine(rules_log(PAYMENT, BYPASS, **limits))
    log.send(0, root(first))
    log.send(10, root(second))  # fills what can be remembered
    log.send(20, root(third), span(third, "fraud.check"))  # nothing remembers it
    after_ms = 20 * 60_000
    log.send(after_ms, root(fourth), span(fourth, "payment.charge"))
    log.send(30, span(third, "payment.charge"))
    for record in sorted(log.records, key=lambda one: one.time_ms):
        engine.advance(record.time_ms - 1)
        engine.restart()
        engine.receive(record)
    engine.advance(after_ms + 60_000)
    assert told(engine) == [(trace_id(fourth), "violated", [])]
    assert counts(engine.outputs)["over_cap"] == 4


def test_while_nothing_remembers_absence_is_not_known() -> None:
    first, second = one_lane(2)
    limits = {"max_known_traces": LANES}
    rules = rules_log(PAYMENT, BYPASS, **limits)
    rules.settings(at_ms=30_000, settle_ms=SETTLE_MS, lateness_ms=LATENESS_MS, max_life_ms=60_000)
    engine, log = Engine(rules), SpansLog()
    log.send(0, root(first))
    log.send(10_000, root(second), span(second, "fraud.check"))
    log.send(40_000, span(second, "payment.charge"), root(second))
    log.send(40_000, root("x"))
    engine.run(log.records, until_ms=100_000)
    assert told(engine) == []
    assert counts(engine.outputs) == {
        "received": 6,
        "judged": 2,
        "truncated": 2,
        "over_cap": 2,
        "judged_traces": 3,
    }


def test_a_tenant_without_promises_has_its_spans_unruled() -> None:
    engine, log = Engine(rules_log()), SpansLog()
    log.send(0, root("a"), span("a", "x"))
    engine.run(log.records, until_ms=60_000)
    (only,) = accounts(engine.outputs)
    assert dict(only.counts) == {"received": 2, "unruled": 2, "judged_traces": 1}
    assert (only.open_before, only.open) == (0, 0)


def test_kept_spans_weigh_what_they_take_in_state() -> None:
    kept = KeptTrace()
    for number in range(3):
        kept.add_member(bytes([number]) * (40 + number), arrived_ms=number)
    kept.add_links(bytes(range(64)))
    assert kept.weight_bytes == len(kept.pack())


def test_closed_traces_are_forgotten_at_one_time_whether_restored_or_not() -> None:
    living, stored, forgotten = ClosedTraces(), [], []
    for minute in range(60):
        restored = ClosedTraces()
        for sealed in stored:
            restored.restore(sealed)
        restored.current_minute, restored.current = living.current_minute, dict(living.current)
        both = [
            traces.turn(minute * 60_000, late_ms=120_000, keep_ms=1_200_000)
            for traces in (living, restored)
        ]
        assert both[0] == both[1]
        assert (living.count, living.minutes) == (restored.count, restored.minutes)
        sealed, dropped = both[0]
        stored = [one for one in stored if one.minute not in dropped]
        stored += [sealed] if sealed is not None else []
        forgotten += dropped
        living.add(trace_id(str(minute)), begin_ms=minute * 60_000, stored_ms=None)
    assert forgotten == list(range(30))
