"""An error in one rule is a verdict of that rule and trace, and of nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NoReturn

from dsl import Judgement, Reason, Verdict
from tests.support.engine import TENANT, Engine, RulesLog, SpanDraft, SpansLog, counts, trace_id
from udfs.rulebook import Rule
from udfs.ruleset import RuleSet
from udfs.wire import betrace_pb2 as wire

RULE = "when { charge } always { check }"
COUNTING = "when { charge } never { count(retry) > 1 }"


class Broken:
    """A compiled rule with a bug."""

    def __init__(self, *, bits_only: bool) -> None:
        self.bits_only = bits_only

    def judge(self, _: object) -> NoReturn:
        raise ZeroDivisionError("a bug")

    violation = judge


def rules_of(*texts: str) -> tuple[RulesLog, tuple[Rule, ...]]:
    log = RulesLog()
    log.settings(settle_ms=2_000)
    for number, text in enumerate(texts):
        log.rule(f"rule-{number}", text)
    return log, log.book().in_force(TENANT, 0)


def broken(rule: Rule) -> Rule:
    linked: Any = Broken(bits_only=rule.linked.bits_only)
    return replace(rule, linked=linked)


def failures(engine: Engine) -> dict[str, int]:
    """Return how often each rule failed, as the accounts have it."""
    newest = {o.key: wire.Stats.FromString(o.value) for o in engine.outputs if o.topic == "stats"}
    found: dict[str, int] = {}
    for stats in newest.values():
        for rule in stats.rules:
            found[rule.rule_id] = found.get(rule.rule_id, 0) + rule.failed
    return found


def test_the_other_rules_judge_and_the_failure_is_told_once() -> None:
    log, rules = rules_of(RULE, RULE, COUNTING)
    engine, spans = Engine(log), SpansLog()
    sets = RuleSet((broken(rules[0]), rules[1], broken(rules[2])))
    for trace in ("t", "u"):
        spans.send(0, SpanDraft(trace=trace, id=f"{trace} root", name="charge"))
        lane = engine._lane(spans.records[-1].lane)
        lane._rule_set = lambda *_: sets  # type: ignore[method-assign]
    found = engine.run(spans.records, until_ms=60_000)
    assert {(s.rule_id, s.trace_id) for s in found} == {
        ("rule-1", trace_id("t")),
        ("rule-1", trace_id("u")),
    }
    assert counts(engine.outputs)["judged_traces"] == 2
    assert failures(engine) == {"rule-0": 2, "rule-1": 0, "rule-2": 2}
    assert sets._failures == {
        (TENANT, "rule-0"): "ZeroDivisionError: a bug",
        (TENANT, "rule-2"): "ZeroDivisionError: a bug",
    }


def test_a_rule_that_failed_says_so_and_claims_nothing() -> None:
    _, rules = rules_of(RULE)
    sets = RuleSet(rules)
    failed = sets.ask(broken(rules[0]), Any)
    assert failed == Judgement(Verdict.INCONCLUSIVE, (Reason.FAILED,))
