"""The stream judges rules about single spans as the language does, however the spans arrive."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import dsl
from tests.property.dsl.generate import rules, traces
from tests.support.engine import Engine, Record, RulesLog, signals
from tests.support.whole_traces import (
    judged_whole,
    record_of,
    told_by_judgement,
    told_by_signal,
)
from udfs.life import Output

SETTLE_MS = 2_000
END_MS = 1_500_000
SECOND_NS = 1_000_000_000
BIG = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example)
CALLER = b"partner-"
GAPS_MS = (0, 1, 500, 1_999, 2_000, 2_001, 4_000, 30_000)
MOST_RECORDS = 30
"""Of one trace: what is drawn goes on for as long as it may."""


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A rule whose times are seconds where the generator says milliseconds."""
    text = re.sub(r"(?<=[0-9])ms\b", "s", draw(rules()))
    return text if dsl.check(text).rule is not None else "when { a } always { b.c }"


@st.composite
def whole_traces(draw: st.DrawFn) -> list[dsl.Span]:
    """Spans in order of arrival, none of them twice; times in seconds."""
    base_ns = draw(st.sampled_from((0, 0, 40 * SECOND_NS)))
    spans = [
        replace(
            span,
            span_id=span.span_id.ljust(8, b"-"),
            parent_span_id=span.parent_span_id and span.parent_span_id.ljust(8, b"-"),
            start_ns=base_ns + 1_000 * span.start_ns,
            end_ns=base_ns + 1_000 * span.end_ns,
        )
        for span in draw(traces())
    ]
    beginning = draw(st.sampled_from(("root", "root", "called", "as drawn"))) if spans else ""
    if beginning == "root":
        spans[0] = replace(spans[0], parent_span_id=b"")
    if beginning == "called":
        spans = [_never_a_root(span) for span in spans]
        spans[0] = replace(spans[0], parent_span_id=CALLER)
    return [span for span in dsl.spans.distinct_spans(spans) if isinstance(span, dsl.Span)]


def _never_a_root(span: dsl.Span) -> dsl.Span:
    return span if span.parent_span_id else replace(span, parent_span_id=b"1".ljust(8, b"-"))


@st.composite
def arrivals(draw: st.DrawFn) -> list[Record]:
    """One trace as records: in any order, split anywhere, some of them sent again later."""
    spans = draw(st.permutations(draw(whole_traces())))
    sent: list[Record] = []
    at_ms = 0
    while spans or (0 < len(sent) < MOST_RECORDS and draw(st.integers(0, 3)) == 0):
        at_ms += draw(st.sampled_from(GAPS_MS))
        if spans:
            count = draw(st.integers(1, len(spans)))
            sent.append(record_of(spans[:count], at_ms=at_ms, offset=len(sent)))
            spans = spans[count:]
        else:
            # By its place: what is sampled from is hashed as a whole for every draw.
            again = sent[draw(st.integers(0, len(sent) - 1))]
            sent.append(replace(again, time_ms=at_ms, offset=len(sent)))
    return sent


def rules_log(
    rule_texts: Sequence[str], *, clock_skew_ms: int = 0, external_roots: bool = False
) -> RulesLog:
    log = RulesLog()
    log.settings(
        settle_ms=SETTLE_MS,
        patience_ms=20_000,
        clock_skew_ms=clock_skew_ms,
        external_roots=external_roots,
    )
    for number, text in enumerate(rule_texts):
        log.rule(f"rule-{number}", text, settle_ms=9_000 if number == 1 else 0)
    return log


def in_bundles(log: RulesLog, records: Sequence[Record], chance: random.Random) -> list[Output]:
    """Run the records with watermarks and restarts at any moment."""
    engine = Engine(log)
    for record in records:
        if chance.random() < 0.6:
            engine.advance(record.time_ms - chance.choice((1, 1, 1, 700)))
        engine.receive(record)
        if chance.random() < 0.3:
            engine.restart()
    for watermark_ms in sorted(chance.randrange(END_MS) for _ in range(4)):
        engine.advance(max(watermark_ms, records[-1].time_ms if records else 0))
        if chance.random() < 0.3:
            engine.restart()
    engine.advance(END_MS)
    return engine.outputs


def last_words(outputs: Sequence[Output]) -> dict[str, tuple[Any, ...]]:
    """Return what is said in the end of every rule that was signalled."""
    ordered = sorted(signals(outputs), key=lambda signal: signal.revision)
    return {signal.rule_id: told_by_signal(signal) for signal in ordered}


@settings(
    deadline=None,
    max_examples=3 * settings.default.max_examples,
    suppress_health_check=BIG,
)
@given(
    st.lists(texts(), min_size=1, max_size=3),
    arrivals(),
    st.integers(0, 2**32),
    st.sampled_from((0, 0, 1_500)),
    st.booleans(),
)
def test_the_stream_says_in_the_end_what_the_language_says(
    rule_texts: list[str],
    records: list[Record],
    seed: int,
    clock_skew_ms: int,
    external_roots: bool,
) -> None:
    tenant: Any = {"clock_skew_ms": clock_skew_ms, "external_roots": external_roots}
    log = rules_log(rule_texts, **tenant)
    said = last_words(in_bundles(log, records, random.Random(seed)))
    for number, text in enumerate(rule_texts):
        judgement = judged_whole(text, records, **tenant)
        event(judgement.verdict.value)
        told = said.get(f"rule-{number}")
        if told is None:
            assert judgement.verdict is not dsl.Verdict.VIOLATED, text
        else:
            assert told == told_by_judgement(judgement), text


@settings(
    deadline=None,
    suppress_health_check=BIG,
)
@given(st.lists(texts(), min_size=1, max_size=3), arrivals(), st.integers(0, 2**32), st.booleans())
def test_bundles_and_restarts_change_no_byte(
    rule_texts: list[str], records: list[Record], seed: int, external_roots: bool
) -> None:
    log = rules_log(rule_texts, external_roots=external_roots)
    at_once = Engine(log)
    at_once.run(records, until_ms=END_MS)
    bundled = in_bundles(log, records, random.Random(seed))
    assert {(o.topic, o.key, o.value) for o in bundled} == {
        (o.topic, o.key, o.value) for o in at_once.outputs
    }
