"""Rules about single spans in the stream: windows, late members, orphans, limits; time by hand."""

from __future__ import annotations

from typing import Any

import pytest

from dsl.values import GONE, MISSING
from tests.support.engine import (
    TENANT,
    Engine,
    RulesLog,
    SpanDraft,
    SpansLog,
    counts,
    signals,
    span_id,
)
from udfs.kept_trace import MAX_MEMBERS, unpack_kept
from udfs.kept_values import MAX_VALUE_BYTES, pack_value, unpack_value
from udfs.rulebook import ACTIVATION_MS, LifeSettings
from udfs.trace_state import TraceState, unpack_trace
from udfs.wire import betrace_pb2 as wire

SETTLE_MS = 2_000
AUDITED = """when { db.query.where(pii == true) as q }
always { audit.log.where(user == q.user) after q within 30s }"""
BLESSED = "when { transfer as t } always { login ancestor of t }"
TWICE = "when { charge as c } never { refund.where(amount > c.amount) child of c }"


def a_log(text: str, **fields: Any) -> RulesLog:
    log = RulesLog()
    log.settings(settle_ms=SETTLE_MS, max_life_ms=60_000, lateness_ms=120_000)
    log.rule("rule", text, **fields)
    return log


def span(name: str, at_ms: int, *, own: str = "", parent: str = "root", **fields: Any) -> SpanDraft:
    attributes = {key: fields.pop(key) for key in ("pii", "user", "amount") if key in fields}
    return SpanDraft(
        trace="t",
        id=own or name,
        parent=parent,
        name=name,
        start_ms=at_ms,
        attributes=attributes,
        **fields,
    )


ROOT = span("GET /", 0, own="root", parent="")
QUERY = span("db.query", 0, pii=True, user="ada")


def verdicts(found: list[wire.Signal]) -> list[str]:
    return [wire.Verdict.Name(s.verdict).removeprefix("VERDICT_").lower() for s in found]


def named(signal: wire.Signal) -> list[dict[str, bytes]]:
    return [{one.name: one.span_id for one in found.spans} for found in signal.bindings]


class TestWindows:
    def test_an_absence_is_judged_when_its_window_is_over_and_not_at_the_closing(self) -> None:
        engine, log = Engine(a_log(AUDITED)), SpansLog()
        log.send(1_000, ROOT, QUERY)
        over_ms = 1_000 + 30_000 + SETTLE_MS
        assert engine.run(log.records, until_ms=over_ms - 1) == []
        (signal,) = signals(engine.advance(over_ms))
        assert (verdicts([signal]), signal.judged_ms) == (["violated"], over_ms)
        assert named(signal) == [{"q": span_id("db.query")}]
        assert signal.bindings_total == 1
        assert list(signal.witness_span_ids) == [span_id("db.query")]

    def test_what_comes_within_the_window_keeps_the_promise(self) -> None:
        engine, log = Engine(a_log(AUDITED)), SpansLog()
        log.send(1_000, ROOT, QUERY)
        log.send(20_000, span("audit.log", 19_000, user="ada"))
        assert engine.run(log.records, until_ms=300_000) == []
        assert counts(engine.outputs)["judged_traces"] == 1

    def test_a_window_goes_by_the_clock_of_the_span_too(self) -> None:
        engine, log = Engine(a_log(AUDITED)), SpansLog()
        ahead = span("db.query", 20_000, pii=True, user="ada", duration_ms=5_000)
        log.send(1_000, ROOT, ahead)
        over_ms = 25_000 + 30_000 + SETTLE_MS
        assert engine.run(log.records, until_ms=over_ms - 1) == []
        assert verdicts(signals(engine.advance(over_ms))) == ["violated"]

    def test_a_clock_far_ahead_keeps_no_trace_for_ever(self) -> None:
        engine, log = Engine(a_log(AUDITED)), SpansLog()
        log.send(0, ROOT, span("db.query", 10**12, pii=True, user="ada"))
        assert engine.run(log.records, until_ms=600_000) == []
        (lane,) = engine.lanes.values()
        assert lane.next_timer_ms() is None
        assert counts(engine.outputs)["judged_traces"] == 1

    def test_windows_survive_restarts(self) -> None:
        engine, log = Engine(a_log(AUDITED)), SpansLog()
        log.send(1_000, ROOT, QUERY)
        engine.run(log.records, until_ms=25_000)
        (lane,) = engine.lanes.values()
        engine.state[lane.lane] = lane.snapshot(engine.stores[lane.lane])
        engine.restart()
        assert verdicts(signals(engine.advance(300_000))) == ["violated"]
        rules = [rule for o in engine.outputs if o.topic == "stats" for rule in stats(o.value)]
        assert sum(rule.violated for rule in rules) == 1

    def test_a_violation_stands_while_another_window_is_open(self) -> None:
        engine, log = Engine(a_log(AUDITED)), SpansLog()
        log.send(0, ROOT, QUERY)
        log.send(28_000, span("db.query", 28_000, own="second", pii=True, user="bob"))
        first, second = engine.run(log.records, until_ms=300_000)
        assert (first.judged_ms, first.bindings_total) == (30_001 + SETTLE_MS, 1)
        assert (second.judged_ms, second.bindings_total) == (58_001 + SETTLE_MS, 2)
        assert named(second) == [{"q": span_id("db.query")}, {"q": span_id("second")}]


class TestLateSpans:
    def test_a_late_span_withdraws_what_rested_on_its_absence(self) -> None:
        engine, log = Engine(a_log(AUDITED)), SpansLog()
        log.send(0, ROOT, QUERY)
        log.send(60_000, span("audit.log", 10_000, user="ada"))
        found = engine.run(log.records, until_ms=300_000)
        assert verdicts(found) == ["violated", "satisfied"]
        assert not found[1].bindings

    def test_a_late_span_adds_a_combination_in_the_next_revision(self) -> None:
        engine, log = Engine(a_log(BLESSED)), SpansLog()
        log.send(0, ROOT, span("transfer", 0, own="one"))
        log.send(30_000, span("transfer", 1, own="two"))
        found = engine.run(log.records, until_ms=200_000)
        assert verdicts(found) == ["violated", "violated"]
        assert [signal.bindings_total for signal in found] == [1, 2]
        assert found[1].correction.replaces_revision == found[0].revision

    def test_a_span_sent_again_changes_nothing(self) -> None:
        engine, log = Engine(a_log(BLESSED)), SpansLog()
        log.send(0, ROOT, span("transfer", 0))
        log.send(30_000, span("transfer", 0))
        assert len(engine.run(log.records, until_ms=200_000)) == 1

    def test_of_a_span_that_comes_again_with_other_content_the_first_counts(self) -> None:
        text = "when { charge as c } always { audit.where(amount == c.amount) }"
        engine, log = Engine(a_log(text)), SpansLog()
        log.send(0, ROOT, span("charge", 0, amount=5), span("audit", 1, amount=5))
        log.send(1, span("charge", 0, amount=50))
        log.send(30_000, span("charge", 0, amount=70))
        assert engine.run(log.records, until_ms=200_000) == []


class TestEarly:
    def test_what_no_span_can_mend_signals_at_once(self) -> None:
        engine, log = Engine(a_log(TWICE)), SpansLog()
        log.send(0, ROOT, span("charge", 0, amount=5))
        log.send(500, span("refund", 1, parent="charge", amount=9))
        for record in log.records:
            engine.receive(record)
        (signal,) = signals(engine.advance(500))
        assert (signal.judged_ms, signal.closed_ms, signal.broken_clause) == (500, 0, "never")
        assert signals(engine.advance(300_000)) == []


class TestMissingSpans:
    def test_a_climb_to_a_parent_that_did_not_come_is_in_doubt(self) -> None:
        engine, log = Engine(a_log(BLESSED)), SpansLog()
        log.send(0, ROOT, span("login", 0), span("transfer", 0, parent="lost"))
        assert engine.run(log.records, until_ms=50_000) == []
        log.send(60_000, span("service", 0, own="lost"))
        assert verdicts(engine.run(log.records[1:], until_ms=400_000)) == ["violated"]

    @pytest.mark.parametrize(("choice", "count"), [("", 1), ("hold", 0), ("signal", 1)])
    def test_a_rule_that_holds_does_not_signal_an_absence_beside_orphans(
        self, choice: str, count: int
    ) -> None:
        rules = a_log("when { transfer } always { login }", on_incomplete=choice)
        rules.rule("other", BLESSED)
        engine, log = Engine(rules), SpansLog()
        log.send(0, ROOT, span("transfer", 0), span("other", 0, parent="lost"))
        found = [s for s in engine.run(log.records, until_ms=200_000) if s.rule_id == "rule"]
        assert len(found) == count
        assert all(signal.incomplete for signal in found)


class TestLimits:
    def test_a_trace_with_too_many_members_is_truncated_and_it_alone(self) -> None:
        engine, log = Engine(a_log(BLESSED)), SpansLog()
        many = [span("transfer", n, own=f"transfer {n}") for n in range(MAX_MEMBERS // 2 + 1)]
        log.send(0, ROOT, *many)
        log.send(1, *(span("transfer", n, own=f"more {n}") for n in range(MAX_MEMBERS // 2)))
        log.send(2, SpanDraft(trace="u", id="u", name="transfer"))
        found = engine.run(log.records, until_ms=200_000)
        assert [(s.root_name, s.bindings_total) for s in found] == [("transfer", 1)]

    def test_a_value_over_its_size_counts_as_gone(self) -> None:
        assert unpack_value(pack_value("x" * (MAX_VALUE_BYTES + 1)), 0)[0] is GONE
        rows = tuple(("y" * 100,) for _ in range(100))
        assert unpack_value(pack_value((rows, False)), 0)[0] == ((), True)

    def test_a_span_with_too_much_to_keep_truncates_its_trace(self) -> None:
        keys = [f"k{n}" for n in range(6)]
        compared = " and ".join(f"{key} == c.{key}" for key in keys)
        engine = Engine(a_log(f"when {{ charge as c }} always {{ refund.where({compared}) }}"))
        log, large = SpansLog(), dict.fromkeys(keys, "x" * (MAX_VALUE_BYTES - 9))
        log.send(0, ROOT, SpanDraft(trace="t", id="c", name="charge", attributes=large))
        assert engine.run(log.records, until_ms=200_000) == []
        log.send(0, SpanDraft(trace="u", id="c", name="charge", attributes={"k0": "x"}))
        assert len(engine.run(log.records[1:], until_ms=400_000)) == 1


@pytest.mark.parametrize(("text", "is_matched"), [(AUDITED, True), (TWICE, False)])
def test_a_replaced_rule_with_a_window_is_matched_for_a_life_longer(
    text: str, is_matched: bool
) -> None:
    rules = a_log(text)
    rules.rule("rule", text, version=2, state="OFF", at_ms=0)
    drained_ms = ACTIVATION_MS + LifeSettings(SETTLE_MS, 0, 60_000, 120_000).drain_ms
    assert rules.book().matched(TENANT, drained_ms - 1).kept
    assert bool(rules.book().matched(TENANT, drained_ms + 1).kept) is is_matched


VALUES = [
    *(MISSING, GONE, None, True, False, 0, -1, 2**63, -(2**64), 1.5, float("inf")),
    *("", "ä" * 99, b"\0x", ["a", 1, [True]], {"a": {"b": b"c"}, "": []}),
    (((1, MISSING), (GONE, "x")), True),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_captured_value_is_read_as_it_was(value: Any) -> None:
    packed = pack_value(value)
    found, end = unpack_value(packed, 0)
    assert (found, type(found), end) == (value, type(value), len(packed))


def test_what_is_kept_of_a_trace_is_read_as_it_was() -> None:
    engine, log = Engine(a_log(BLESSED)), SpansLog()
    log.send(1_000, ROOT, span("transfer", 0), span("login", 0, amount=3))
    engine.run(log.records, until_ms=1_500)
    (lane,) = engine.lanes.values()
    record = lane.snapshot(engine.stores[lane.lane])[1]
    packed = record[record.rindex(b"\x02\x41") :]
    trace = unpack_trace(packed)
    assert trace.pack() == packed
    assert isinstance(trace, TraceState)
    assert trace.kept is not None
    kept = trace.kept.pack()
    assert unpack_kept(kept, 0)[0].pack() == kept


def stats(value: bytes) -> list[wire.RuleStats]:
    return list(wire.Stats.FromString(value).rules)


class TestClocks:
    FOLLOWED = "when { db.query as q } always { audit.log after q }"
    PRECEDED = "when { db.query as q } never { audit.log before q }"

    def judged(self, rule: str, *, apart_ms: int, service: str, **settings: int) -> list[Any]:
        """Judge a query at 100 ms and an audit so much before it."""
        rules = a_log(rule)
        rules.settings(settle_ms=SETTLE_MS, **settings)
        engine, log = Engine(rules), SpansLog()
        log.send(0, ROOT, span("db.query", 100))
        log.send(500, span("audit.log", 100 - apart_ms, service=service))
        found = engine.run(log.records, until_ms=60_000)
        return [
            (verdict, one.judged_ms) for verdict, one in zip(verdicts(found), found, strict=True)
        ]

    def test_clocks_that_agree_say_what_came_first(self) -> None:
        assert self.judged(self.FOLLOWED, apart_ms=5, service="x") == [("violated", 2_500)]
        assert self.judged(self.PRECEDED, apart_ms=5, service="x") == [("violated", 500)]

    def test_a_smaller_difference_between_two_services_says_nothing(self) -> None:
        for rule in (self.FOLLOWED, self.PRECEDED):
            assert self.judged(rule, apart_ms=5, service="x", clock_skew_ms=10) == []

    def test_a_larger_one_does_and_so_does_any_within_one_service(self) -> None:
        at_once = [("violated", 500)]
        judged = self.judged(self.PRECEDED, apart_ms=15, service="x", clock_skew_ms=10)
        assert judged == at_once
        judged = self.judged(self.PRECEDED, apart_ms=5, service="shop", clock_skew_ms=10)
        assert judged == at_once


class TestRepetitions:
    def test_one_that_says_something_else_does_not_count_and_is_counted(self) -> None:
        other = span("db.query", 0, pii=True, user="eve")
        engine, log = Engine(a_log(AUDITED)), SpansLog()
        log.send(1_000, ROOT, QUERY, span("audit.log", 5, user="ada"))
        log.send(1_500, QUERY)
        log.send(2_000, other, other)
        log.send(20_000, other)
        for record in log.records:
            engine.receive(record)
            engine.advance(record.time_ms)
            engine.restart()
        engine.advance(100_000)
        assert signals(engine.outputs) == []
        found = counts(engine.outputs)
        assert (found["received"], found["conflicting_span"]) == (7, 3)

    def test_what_other_rules_look_at_is_no_contradiction(self) -> None:
        rules = a_log(AUDITED)
        rules.rule("more", "when { db.query as q } never { q.user == eve }", at_ms=5_000)
        engine, log = Engine(rules), SpansLog()
        log.send(1_000, ROOT, QUERY)
        log.send(ACTIVATION_MS + 5_001, QUERY)
        engine.run(log.records, until_ms=100_000)
        assert "conflicting_span" not in counts(engine.outputs)

    def test_the_same_id_with_another_name_is_another_span(self) -> None:
        rules = a_log("when { a as q } always { b.where(user == q.user) }")
        engine, log = Engine(rules), SpansLog()
        log.send(1_000, ROOT, span("a", 0, own="s", user="ada"))
        log.send(1_100, span("b", 0, own="s", user="ada"))
        assert engine.run(log.records, until_ms=100_000) == []
        assert "conflicting_span" not in counts(engine.outputs)
