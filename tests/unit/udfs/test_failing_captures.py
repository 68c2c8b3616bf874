"""An error while a value is read off a span harms the rules that want the value, and no record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import dsl
from dsl.captures import Capture
from dsl.structure import Kept
from tests.support.engine import TENANT, Engine, RulesLog, SpanDraft, SpansLog, counts, signals
from tests.unit.udfs.test_failing_rules import failures
from udfs.rulebook import Matched
from udfs.wire import betrace_pb2 as wire

END_MS = 600_000
BAD = "a bad note"
OTHER = "when { charge } always { receipt }"
ORDER = "when { charge as c } always { check after c }"

by_any_capture = pytest.mark.parametrize(
    "text",
    [
        "when { charge as c } always { check.where(note == c.note) }",
        "when { charge as c and c.where(note == ok) } always { receipt }",
        "when { charge } never { distinct(note of check) > 0 }",
        "when { charge as c } never { check.where(event.where(name == note and at == c.note)) }",
    ],
)
"""A value, the answer of a filter, a measured value, rows of events."""


def an_engine(*texts: str) -> Engine:
    """Return an engine with rules, in which every capture fails on spans with a bad note."""
    log = RulesLog()
    log.settings(settle_ms=2_000)
    for number, text in enumerate(texts):
        log.rule(f"rule-{number}", text)
    engine = Engine(log)
    whole: Callable[[str, int], Matched] = engine.book.matched

    def matched(tenant: str, time_ms: int) -> Matched:
        found = whole(tenant, time_ms)
        kept = {number: tuple(map(failing, captures)) for number, captures in found.kept.items()}
        return replace(found, kept=kept)

    engine.book.matched = matched  # type: ignore[method-assign]
    return engine


def failing(capture: Capture) -> Capture:
    """Return a capture with a bug: it cannot read what stands on a span with one note."""

    def read(span: dsl.SpanView) -> Kept:
        if span.span_attribute("note") == BAD:
            raise ZeroDivisionError("a bug")
        return capture.read(span)

    return replace(capture, read=read)


def span(name: str, **attributes: Any) -> SpanDraft:
    parent = "" if name == "charge" else "charge"
    return SpanDraft(trace="t", id=name, parent=parent, name=name, attributes=attributes)


def told(found: list[wire.Signal]) -> list[tuple[str, str, list[str]]]:
    return [
        (s.rule_id, wire.Verdict.Name(s.verdict).removeprefix("VERDICT_"), list(s.reasons))
        for s in found
    ]


@by_any_capture
def test_the_rule_is_inconclusive_and_counted_and_others_judge(text: str) -> None:
    engine, log = an_engine(text, OTHER, ORDER), SpansLog()
    log.send(0, span("charge", note=BAD), replace(span("check", note=BAD), start_ms=1))
    assert told(engine.run(log.records, until_ms=END_MS)) == [("rule-1", "VIOLATED", [])]
    assert failures(engine) == {"rule-0": 1, "rule-1": 0, "rule-2": 0}
    assert not [output for output in engine.outputs if output.topic == "dead-letters"]
    errors = engine.matcher.failures
    assert {tenant for tenant, _ in errors} == {TENANT}
    assert all(error.endswith("ZeroDivisionError: a bug") for error in errors.values())


@by_any_capture
def test_a_trace_on_which_nothing_fails_is_judged(text: str) -> None:
    engine, log = an_engine(text), SpansLog()
    log.send(0, span("charge", note="ok"), span("check", note="ok"))
    engine.run(log.records, until_ms=END_MS)
    assert failures(engine) == {"rule-0": 0}


def test_a_signal_that_becomes_doubtful_says_why() -> None:
    engine = an_engine("when { charge as c } always { check.where(note == c.note) }")
    log = SpansLog()
    log.send(0, span("charge", note="ok"))
    log.send(10_000, span("check", note=BAD))
    engine.run(log.records, until_ms=END_MS)
    assert told(signals(engine.outputs)) == [
        ("rule-0", "VIOLATED", []),
        ("rule-0", "INCONCLUSIVE", ["failed", "redacted"]),
    ]


def test_a_span_whose_key_cannot_be_read_is_no_member_and_is_counted() -> None:
    engine = an_engine("correlate { check } by note within 1m having count >= 1", OTHER)
    log = SpansLog()
    log.send(0, span("charge"), span("check", note=BAD), replace(span("check", note="ok"), id="2"))
    found = engine.run(log.records, until_ms=END_MS)
    assert {signal.rule_id for signal in found} == {"rule-0", "rule-1"}
    assert {part.value for s in found for part in s.correlated.key} == {"ok"}
    assert counts(engine.outputs)["members_no_key"] == 1


def test_an_answer_for_which_there_is_no_room_is_unknown() -> None:
    long = "x" * 4_000
    values = {f"k{number}": long for number in range(5)}
    asked = " and ".join(f"check.where({key} == c.{key}) after c" for key in values)
    rule = f"when {{ charge as c and {asked} and c.where(kept == true) }} always {{ receipt }}"
    log = RulesLog()
    log.settings(settle_ms=2_000)
    log.rule("rule", rule)
    engine, spans = Engine(log), SpansLog()
    spans.send(0, span("charge", kept=True, **values), replace(span("check", **values), start_ms=1))
    assert engine.run(spans.records, until_ms=END_MS) == []
    assert failures(engine) == {"rule": 0}
