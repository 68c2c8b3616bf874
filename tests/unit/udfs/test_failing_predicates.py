"""A predicate that meets an error harms the rules that ask it, and no record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest

import dsl
from dsl.predicates import AttributeTest
from tests.support.engine import TENANT, Engine, RulesLog, SpanDraft, SpansLog, signals
from tests.unit.udfs.test_failing_rules import failures
from udfs.facts import RARE_VERSION, pack_facts, unpack_facts
from udfs.rulebook import Matched
from udfs.trace_state import RARE_FORMAT, TraceState, unpack_trace
from udfs.wire import betrace_pb2 as wire

END_MS = 600_000
FILED = "check.where(note contains ok)"
UNFILED = "check.where(not (note exists and note != ok))"
OTHER = "when { charge } always { receipt }"
BAD = "a bad note"

by_any_way = pytest.mark.parametrize("test", [FILED, UNFILED])
"""Found by the value of an attribute, and asked of every span of its name."""


class _FailingOnBadNotes(AttributeTest):
    @property
    def test(self) -> Callable[[object], bool]:
        whole = super().test

        def test(value: object) -> bool:
            if value == BAD:
                raise ZeroDivisionError("a bug")
            return whole(value)

        return test


def failing_on_bad_notes(predicate: dsl.SpanPredicate) -> dsl.SpanPredicate:
    """Return the same with a bug: it cannot read one note."""

    def with_bug(span: dsl.SpanView) -> bool | None:
        if span.span_attribute("note") == BAD:
            raise ZeroDivisionError("a bug")
        return predicate.named(span)

    necessary = tuple(
        _FailingOnBadNotes(**{part.name: getattr(needed, part.name) for part in fields(needed)})
        for needed in predicate.necessary
    )
    return replace(predicate, test=with_bug, named=with_bug, necessary=necessary)


def an_engine(*texts: str) -> Engine:
    """Return an engine with rules, in which the predicates on `check` have a bug."""
    log = RulesLog()
    log.settings(settle_ms=2_000)
    for number, text in enumerate(texts):
        log.rule(f"rule-{number}", text)
    engine = Engine(log)
    with_bugs(engine)
    return engine


def with_bugs(engine: Engine) -> None:
    whole: Callable[[str, int], Matched] = engine.book.matched

    def matched(tenant: str, time_ms: int) -> Matched:
        found = whole(tenant, time_ms)
        predicates = tuple(
            (number, failing_on_bad_notes(one) if one.name == "check" else one)
            for number, one in found.predicates
        )
        return replace(found, predicates=predicates)

    engine.book.matched = matched  # type: ignore[method-assign]


def span(name: str, **attributes: Any) -> SpanDraft:
    parent = "" if name == "charge" else "charge"
    return SpanDraft(trace="t", id=name, parent=parent, name=name, attributes=attributes)


def told(found: list[wire.Signal]) -> list[tuple[str, str, list[str]]]:
    return [
        (s.rule_id, wire.Verdict.Name(s.verdict).removeprefix("VERDICT_"), list(s.reasons))
        for s in found
    ]


@by_any_way
def test_the_rule_that_asks_is_inconclusive_and_counted_and_others_judge(test: str) -> None:
    engine, log = an_engine(f"when {{ charge }} always {{ {test} }}", OTHER), SpansLog()
    log.send(0, span("charge"), span("check", note=BAD))
    found = engine.run(log.records, until_ms=END_MS)
    assert told(found) == [("rule-1", "VIOLATED", [])]
    assert failures(engine) == {"rule-0": 1, "rule-1": 0}
    assert not [output for output in engine.outputs if output.topic == "dead-letters"]
    (asked,) = (p for _, p in engine.book.matched(TENANT, 0).predicates if p.name == "check")
    assert engine.matcher.failures == {(TENANT, asked.canonical): "ZeroDivisionError: a bug"}


@by_any_way
def test_what_another_span_answers_is_known(test: str) -> None:
    engine, log = an_engine(f"when {{ charge and {test} }} always {{ receipt }}"), SpansLog()
    log.send(0, span("charge"), span("check", note=BAD), replace(span("check", note="ok"), id="2"))
    assert told(engine.run(log.records, until_ms=END_MS)) == [("rule-0", "VIOLATED", [])]
    assert failures(engine) == {"rule-0": 0}


@by_any_way
def test_a_signal_that_becomes_doubtful_says_why_also_after_a_restart(test: str) -> None:
    engine, log = an_engine(f"when {{ charge }} always {{ {test} }}"), SpansLog()
    log.send(0, span("charge"))
    log.send(10_000, span("check", note=BAD))
    engine.run(log.records, until_ms=11_000)
    (lane,) = engine.lanes.values()
    engine.state[lane.lane] = lane.snapshot(engine.stores[lane.lane])
    engine.restart()
    engine.advance(END_MS)
    assert told(signals(engine.outputs)) == [
        ("rule-0", "VIOLATED", []),
        ("rule-0", "INCONCLUSIVE", ["failed"]),
    ]


def test_what_else_is_in_doubt_is_told_too() -> None:
    rule = f"when {{ charge }} always {{ {FILED} or receipt.where(kept) }}"
    engine, log = an_engine(rule), SpansLog()
    log.send(0, span("charge"))
    log.send(10_000, span("check", note=BAD), replace(span("receipt"), dropped=1))
    engine.run(log.records, until_ms=END_MS)
    assert told(signals(engine.outputs))[1:] == [
        ("rule-0", "INCONCLUSIVE", ["failed", "redacted"]),
    ]


def test_spans_that_are_counted_or_kept_are_in_doubt() -> None:
    rules = (
        f"when {{ charge }} never {{ count({FILED}) > 0 }}",
        f"when {{ charge as c }} never {{ {FILED} child of c }}",
    )
    engine, log = an_engine(*rules), SpansLog()
    log.send(0, span("charge"), span("check", note=BAD))
    assert engine.run(log.records, until_ms=END_MS) == []
    assert failures(engine) == {"rule-0": 1, "rule-1": 1}


def test_failures_are_packed_and_read_alike() -> None:
    engine, log = an_engine(f"when {{ charge }} always {{ {FILED} }}"), SpansLog()
    log.send(0, span("charge"), span("check", note=BAD))
    (record,) = log.records
    ((_, element),) = engine.matcher.match(
        record.payload, tenant=TENANT, lane=record.lane, partition=0, offset=0, time_ms=0
    )
    facts = unpack_facts(element)
    assert (element[0], pack_facts(facts)) == (RARE_VERSION, element)
    ((fragment, number),) = facts.failed
    assert fragment == 0
    trace = TraceState(begin_ms=0, partition=0, offset=0)
    trace.failed = 1 << number
    packed = trace.pack()
    again = unpack_trace(packed)
    assert (packed[0], again.failed, again.beginnings) == (RARE_FORMAT, 1 << number, None)
