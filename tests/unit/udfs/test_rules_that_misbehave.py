"""Rules over their budget are counted; a rule in quarantine says nothing more."""

from __future__ import annotations

import pytest

from tests.support.engine import Engine, RulesLog, SpanDraft, SpansLog, final_signals, trace_id
from udfs.life import Output
from udfs.rulebook import ACTIVATION_MS
from udfs.wire import betrace_pb2 as wire

SETTLE_MS = 2_000
PAIRS = "when { left as x and right as y } never { other.where(k == x.k) child of y }"
"""Judged for every pair of spans: 101 × 101 are over the limit of 10,000."""
CHECKED = "when { charge } always { check }"
BYPASSED = "when { charge } never { bypass }"


def a_log(**rules: str) -> RulesLog:
    log = RulesLog()
    log.settings(settle_ms=SETTLE_MS)
    for rule_id, text in rules.items():
        log.rule(rule_id, text)
    return log


def pairs(trace: str, count: int) -> list[SpanDraft]:
    """Return a root and so many spans named left and right."""
    return [
        SpanDraft(trace=trace, id=f"{trace} root", name="root"),
        *(
            SpanDraft(trace=trace, id=f"{name}{number}", parent=f"{trace} root", name=name)
            for name in ("left", "right")
            for number in range(count)
        ),
    ]


def charge(trace: str) -> SpanDraft:
    return SpanDraft(trace=trace, id=f"{trace} root", name="charge")


def rule_stats(outputs: list[Output]) -> list[wire.RuleStats]:
    newest = {o.key: wire.Stats.FromString(o.value) for o in outputs if o.topic == "stats"}
    return [rule for stats in newest.values() for rule in stats.rules]


@pytest.mark.parametrize("restarts", [False, True])
def test_what_ran_out_of_its_budget_is_counted_for_its_rule_alone(restarts: bool) -> None:
    engine, log = Engine(a_log(pairs=PAIRS, checked="when { left } never { gone }")), SpansLog()
    log.send(0, *pairs("large", 101))
    log.send(20_000, *pairs("small", 3))
    for record in log.records:
        engine.receive(record)
        engine.advance(record.time_ms + SETTLE_MS)
        if restarts:
            engine.restart()
    engine.advance(60_000)
    found: dict[str, list[tuple[int, ...]]] = {}
    for rule in rule_stats(engine.outputs):
        counted = rule.satisfied, rule.inconclusive, rule.over_budget, rule.failed
        found.setdefault(rule.rule_id, []).append(counted)
    total = {id_: tuple(map(sum, zip(*each, strict=True))) for id_, each in found.items()}
    assert total == {"pairs": (1, 1, 1, 0), "checked": (2, 0, 0, 0)}


def test_a_rule_in_quarantine_says_nothing_of_traces_that_began_before_either() -> None:
    rules, log = a_log(checked=CHECKED, bypassed=BYPASSED, other=CHECKED), SpansLog()
    effective_ms = 10_000
    for rule_id, text in (("checked", CHECKED), ("bypassed", BYPASSED)):
        rules.rule(
            rule_id, text, version=2, state="QUARANTINED", at_ms=effective_ms - ACTIVATION_MS
        )
    log.send(effective_ms - SETTLE_MS - 1, charge("in time"))
    log.send(effective_ms - SETTLE_MS, charge("at the moment"))
    bypass = SpanDraft(trace="at the moment", id="b", parent="at the moment root", name="bypass")
    log.send(effective_ms, bypass)
    log.send(effective_ms + 1_000, charge("later"))
    engine = Engine(rules)
    engine.run(log.records, until_ms=60_000)
    assert final_signals(engine.outputs) == {
        ("checked", trace_id("in time")): "violated",
        ("other", trace_id("in time")): "violated",
        ("other", trace_id("at the moment")): "violated",
        ("other", trace_id("later")): "violated",
    }


def test_what_was_said_before_a_quarantine_is_not_taken_back() -> None:
    rules, log = a_log(checked=CHECKED), SpansLog()
    rules.rule("checked", CHECKED, version=2, state="QUARANTINED", at_ms=5_000)
    log.send(1_000, charge("t"))
    log.send(20_000, SpanDraft(trace="t", id="late", parent="t root", name="check"))
    engine = Engine(rules)
    engine.run(log.records, until_ms=60_000)
    assert final_signals(engine.outputs) == {("checked", trace_id("t")): "violated"}


def test_a_released_rule_judges_what_begins_from_then_on() -> None:
    rules, log = a_log(checked=CHECKED), SpansLog()
    rules.rule("checked", CHECKED, version=2, state="QUARANTINED", at_ms=5_000)
    rules.rule("checked", CHECKED, version=3, at_ms=15_000)
    log.send(19_999, charge("just before"))
    log.send(20_000, charge("after"))
    engine = Engine(rules)
    engine.run(log.records, until_ms=60_000)
    assert final_signals(engine.outputs) == {("checked", trace_id("after")): "violated"}
