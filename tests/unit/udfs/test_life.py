"""The life of a trace, with time moved by hand."""

from __future__ import annotations

from tests.support.engine import (
    TENANT,
    Engine,
    RulesLog,
    SpanDraft,
    SpansLog,
    counts,
    final_signals,
    signals,
    trace_id,
)
from udfs.rulebook import ACTIVATION_MS, RuleBook
from udfs.signals import signal_id
from udfs.wire import betrace_pb2 as wire

PAYMENT = "when { payment.charge.where(amount > 1000) } always { fraud.check }"
BYPASS = "when { payment.charge } never { payment.bypass }"
RETRIES = "when { order.placed } never { count(http.retry) > 3 }"
SETTLE_MS = 2_000


def a_log(*rules: str) -> RulesLog:
    log = RulesLog()
    log.settings(settle_ms=SETTLE_MS)
    for number, text in enumerate(rules):
        log.rule(f"rule-{number}", text)
    return log


def root(trace: str, name: str = "GET /pay") -> SpanDraft:
    return SpanDraft(trace=trace, id=f"{trace} root", name=name)


def span(trace: str, name: str, **attributes: object) -> SpanDraft:
    return SpanDraft(
        trace=trace, id=f"{trace} {name}", parent=f"{trace} root", name=name, attributes=attributes
    )


def verdicts(found: list[wire.Signal]) -> list[str]:
    return [wire.Verdict.Name(s.verdict).removeprefix("VERDICT_").lower() for s in found]


def test_an_absence_is_judged_once_the_trace_is_quiet_for_settle() -> None:
    engine, log = Engine(a_log(PAYMENT)), SpansLog()
    log.send(1_000, root("t"), span("t", "payment.charge", amount=2000))
    assert engine.run(log.records, until_ms=1_000 + SETTLE_MS - 1) == []
    (signal,) = signals(engine.advance(1_000 + SETTLE_MS))
    assert signal == wire.Signal(
        id=signal_id(tenant=TENANT, rule_id="rule-0", version=1, trace_id=trace_id("t")),
        revision=3_000 * 16,
        tenant=TENANT,
        rule_id="rule-0",
        rule_version=1,
        severity="high",
        verdict=wire.VERDICT_VIOLATED,
        broken_clause="always",
        trace_id=trace_id("t"),
        root_name="GET /pay",
        root_service="shop",
        span_count=2,
        first_span_ms=1_000,
        last_span_ms=1_000,
        closed_ms=3_000,
        judged_ms=3_000,
    )


def test_a_kept_promise_gives_no_signal() -> None:
    engine, log = Engine(a_log(PAYMENT)), SpansLog()
    log.send(0, root("t"), span("t", "payment.charge", amount=2000))
    log.send(500, span("t", "fraud.check"))
    log.send(0, root("small"), span("small", "payment.charge", amount=1000))
    assert engine.run(log.records, until_ms=60_000) == []


def test_what_no_span_can_mend_signals_at_once_and_only_once() -> None:
    engine, log = Engine(a_log(BYPASS)), SpansLog()
    log.send(100, root("t"), span("t", "payment.charge"))
    log.send(200, span("t", "payment.bypass"))
    for record in log.records:
        engine.receive(record)
    (signal,) = signals(engine.advance(200))
    assert (signal.judged_ms, signal.closed_ms, signal.broken_clause) == (200, 0, "never")
    assert signals(engine.advance(600_000)) == []


def test_a_late_span_withdraws_the_signal_that_rested_on_its_absence() -> None:
    engine, log = Engine(a_log(PAYMENT)), SpansLog()
    log.send(0, root("t"), span("t", "payment.charge", amount=2000))
    log.send(30_000, span("t", "fraud.check"))
    first, second = engine.run(log.records, until_ms=60_000)
    assert verdicts([first, second]) == ["violated", "satisfied"]
    assert second.id == first.id
    assert second.revision == (30_000 + SETTLE_MS) * 16
    assert second.correction == wire.Correction(
        replaces_revision=first.revision, was=wire.VERDICT_VIOLATED, reason="late_evidence"
    )


def test_a_late_span_raises_a_signal_for_a_trace_that_had_nothing_to_remember() -> None:
    engine, log = Engine(a_log(PAYMENT)), SpansLog()
    log.send(0, root("t"))
    log.send(90_000, span("t", "payment.charge", amount=2000))
    (signal,) = engine.run(log.records, until_ms=200_000)
    assert verdicts([signal]) == ["violated"]
    assert signal.first_span_ms == 0


def test_a_late_second_root_is_not_taken_for_the_first_where_rules_ask_for_it() -> None:
    engine = Engine(a_log("when { trace.root.name == cron } never { cron }"))
    log = SpansLog()
    log.send(1_000, root("t", "GET /pay"))
    log.send(9_000, SpanDraft(trace="t", id="another", name="cron", start_ms=8_000))
    assert engine.run(log.records, until_ms=30_000) == []


def test_spans_sent_twice_count_once() -> None:
    engine, log = Engine(a_log(RETRIES)), SpansLog()
    retries = [
        SpanDraft(trace="t", id=f"retry {n}", parent="t root", name="http.retry") for n in range(3)
    ]
    log.send(0, root("t"), span("t", "order.placed"), *retries)
    log.send(100, *retries)
    log.send(40_000, *retries)
    assert engine.run(log.records, until_ms=100_000) == []
    log.send(100_100, SpanDraft(trace="t", id="retry 4", parent="t root", name="http.retry"))
    (signal,) = engine.run(log.records[3:], until_ms=200_000)
    assert signal.broken_clause == "never"
    assert len(signal.witness_span_ids) == 4


def test_a_span_after_lateness_is_too_late_and_no_new_trace() -> None:
    rules = RulesLog()
    rules.settings(settle_ms=SETTLE_MS, lateness_ms=120_000, max_life_ms=600_000)
    rules.rule("payment", PAYMENT)
    engine, log = Engine(rules), SpansLog()
    log.send(0, root("t"))
    log.send(0, root("u"), span("u", "payment.charge", amount=2000))
    log.send(400_000, root("x"), span("t", "payment.charge", amount=2000))
    log.send(400_000, span("u", "fraud.check"))
    found = engine.run(log.records, until_ms=500_000)
    assert [(s.trace_id, s.judged_ms) for s in found] == [(trace_id("u"), SETTLE_MS)]
    assert counts(engine.outputs)["too_late"] == 2


def test_without_lateness_every_span_after_the_closing_is_too_late() -> None:
    rules = RulesLog()
    rules.settings(settle_ms=SETTLE_MS, lateness_ms=0)
    rules.rule("payment", PAYMENT)
    engine, log = Engine(rules), SpansLog()
    log.send(0, root("t"), span("t", "payment.charge", amount=2000))
    log.send(SETTLE_MS + 1, span("t", "fraud.check"))
    log.send(90_000, span("t", "fraud.check.again"))
    (signal,) = engine.run(log.records, until_ms=200_000)
    assert (verdicts([signal]), signal.judged_ms) == (["violated"], SETTLE_MS)
    assert counts(engine.outputs)["too_late"] == 2


def test_settings_that_say_nothing_of_lateness_mean_the_default() -> None:
    written_before = wire.TenantSettings.FromString(b"\x0a\x06tenant\x10\xd0\x0f")
    assert written_before == wire.TenantSettings(tenant="tenant", settle_ms=2_000)
    book = RuleBook()
    for offset, settings in enumerate(
        (written_before, wire.TenantSettings(tenant="tenant", lateness_ms=0))
    ):
        record = wire.RuleLogRecord(tenant=settings).SerializeToString()
        book.add(record, append_ms=offset, offset=offset)
    lateness_ms = [book.settings("tenant", at_ms + ACTIVATION_MS).lateness_ms for at_ms in (0, 1)]
    assert lateness_ms == [600_000, 0]


def test_without_a_root_absence_is_not_known() -> None:
    engine, log = Engine(a_log(PAYMENT)), SpansLog()
    log.send(0, span("t", "payment.charge", amount=2000))
    assert engine.run(log.records, until_ms=70_000) == []
    log.send(70_500, root("t"))
    (signal,) = engine.run(log.records[1:], until_ms=80_000)
    assert verdicts([signal]) == ["violated"]


def test_a_rule_can_ask_for_signals_of_incomplete_traces() -> None:
    rules = a_log()
    rules.rule("payment", PAYMENT, on_incomplete="signal")
    engine, log = Engine(rules), SpansLog()
    log.send(0, span("t", "payment.charge", amount=2000))
    (signal,) = engine.run(log.records, until_ms=70_000)
    assert (verdicts([signal]), signal.incomplete) == (["violated"], True)


def test_a_trace_that_never_rests_is_closed_at_its_longest_life() -> None:
    rules = RulesLog()
    rules.settings(settle_ms=SETTLE_MS, max_life_ms=10_000)
    rules.rule("bypass", BYPASS)
    rules.rule("payment", PAYMENT)
    engine, log = Engine(rules), SpansLog()
    for second in range(15):
        log.send(second * 1_000, span("t", "tick") if second else root("t"))
    log.send(15_000, span("t", "payment.charge", amount=2000))
    (signal,) = engine.run(log.records, until_ms=40_000)
    assert (signal.rule_id, signal.judged_ms) == ("payment", 17_000)


def test_a_rule_judges_traces_that_begin_once_it_is_active() -> None:
    rules = a_log()
    rules.rule("payment", PAYMENT, at_ms=10_000)
    engine, log = Engine(rules), SpansLog()
    for at_ms, trace in ((14_999, "before"), (15_000, "after")):
        log.send(at_ms, root(trace), span(trace, "payment.charge", amount=2000))
    log.send(15_500, span("before", "x"))
    (signal,) = engine.run(log.records, until_ms=60_000)
    assert signal.trace_id == trace_id("after")


def test_a_trace_is_judged_by_the_version_it_began_under() -> None:
    rules = a_log()
    rules.rule("payment", PAYMENT, at_ms=-5_000)
    rules.rule("payment", "when { nowhere.seen } always { x }", version=2, at_ms=0)
    engine, log = Engine(rules), SpansLog()
    log.send(4_000, root("old"))
    log.send(5_500, span("old", "payment.charge", amount=2000))
    log.send(5_500, root("new"), span("new", "payment.charge", amount=2000))
    (signal,) = engine.run(log.records, until_ms=60_000)
    assert (signal.trace_id, signal.rule_version) == (trace_id("old"), 1)


def test_a_rule_switched_off_judges_no_new_trace() -> None:
    rules = a_log()
    rules.rule("payment", PAYMENT, at_ms=-5_000)
    rules.rule("payment", PAYMENT, version=2, at_ms=0, state="OFF")
    engine, log = Engine(rules), SpansLog()
    log.send(6_000, root("t"), span("t", "payment.charge", amount=2000))
    assert engine.run(log.records, until_ms=60_000) == []


def test_a_rule_may_settle_longer_than_its_tenant() -> None:
    rules = a_log(PAYMENT)
    rules.rule("slow", PAYMENT, settle_ms=30_000)
    engine, log = Engine(rules), SpansLog()
    log.send(0, root("t"), span("t", "payment.charge", amount=2000))
    found = engine.run(log.records, until_ms=60_000)
    assert [(s.rule_id, s.judged_ms) for s in found] == [("rule-0", 2_000), ("slow", 30_000)]


def test_tenants_with_one_trace_id_are_apart() -> None:
    other = "00000000-0000-4000-8000-000000000000"
    rules = a_log(PAYMENT)
    rules.settings(settle_ms=SETTLE_MS, tenant=other)
    rules.rule("rule-0", PAYMENT, tenant=other)
    engine, log = Engine(rules), SpansLog()
    log.send(0, root("t"), span("t", "payment.charge", amount=2000))
    log.send(0, root("t"), span("t", "fraud.check"), tenant=other)
    (signal,) = engine.run(log.records, until_ms=60_000)
    assert signal.tenant == TENANT


def test_malformed_payload_becomes_a_dead_letter_and_harms_no_other() -> None:
    engine, log = Engine(a_log(PAYMENT)), SpansLog()
    log.send(0, root("t"), span("t", "payment.charge", amount=2000))
    record = log.records[0]
    engine.receive(type(record)(0, record.lane, 7, b"\xff\xff\xff"))
    assert [s.trace_id for s in engine.run(log.records, until_ms=60_000)] == [trace_id("t")]
    (letter,) = [o for o in engine.outputs if o.topic == "dead-letters"]
    assert wire.DeadLetter.FromString(letter.value).code == "otlp.malformed"


def test_accounts_add_up() -> None:
    engine, log = Engine(a_log(PAYMENT)), SpansLog()
    log.send(0, root("t"), span("t", "payment.charge", amount=2000))
    log.send(70_000, span("t", "fraud.check"), root("u"))
    engine.run(log.records, until_ms=300_000)
    assert counts(engine.outputs) == {
        "received": 4,
        "judged": 3,
        "late": 1,
        "late_2m": 1,
        "judged_traces": 2,
        "rejudged_traces": 1,
        "signals": 1,
        "corrections": 1,
    }
    assert final_signals(engine.outputs) == {("rule-0", trace_id("t")): "satisfied"}


def test_late_spans_are_counted_by_how_long_their_trace_had_been_quiet() -> None:
    engine, log = Engine(a_log(PAYMENT)), SpansLog()
    log.send(0, root("t"), span("t", "payment.charge", amount=2000))
    log.send(1_000, root("nothing is kept of it"))
    log.send(9_000, span("t", "one"), span("t", "two"))
    log.send(10_000, span("t", "three"))
    log.send(26_000, span("nothing is kept of it", "four"))
    for record in log.records:
        engine.receive(record)
        engine.advance(record.time_ms)
        engine.restart()
    engine.advance(60_000)
    found = counts(engine.outputs)
    assert {name: found[name] for name in found if name.startswith("late")} == {
        "late": 4,
        "late_10s": 2,
        "late_5s": 1,
        "late_30s": 1,
    }


def test_spans_that_are_too_late_are_counted_by_how_long_ago_their_trace_was_closed() -> None:
    rules = RulesLog()
    rules.settings(settle_ms=SETTLE_MS, lateness_ms=60_000, max_life_ms=7_200_000)
    rules.rule("payment", PAYMENT)
    counted = []
    for restarting in (False, True):
        engine, log = Engine(rules), SpansLog()
        log.send(0, root("t"), root("u"), root("v"))
        log.send(190_000, span("t", "a"))
        log.send(1_500_000, span("u", "b"), span("u", "c"))
        log.send(6_000_000, span("v", "d"))
        for record in log.records:
            engine.receive(record)
            engine.advance(record.time_ms)
            if restarting:
                engine.restart()
        engine.advance(6_100_000)
        found = counts(engine.outputs)
        counted.append({name: found[name] for name in found if name.startswith("too_late")})
    # From a time on it is known to ten minutes only by when a trace was closed.
    expected = {"too_late": 4, "too_late_5m": 1, "too_late_30m": 2, "too_late_2h": 1}
    assert counted == [expected, expected]
