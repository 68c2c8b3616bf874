"""A backtest reads a stretch of the log and says what the whole log would have said."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.engine import (
    TENANT,
    Engine,
    Record,
    RulesLog,
    SpanDraft,
    SpansLog,
    trace_id,
)
from udfs.backtest.difference import Kind, difference
from udfs.backtest.outcomes import Outcomes
from udfs.backtest.replay import Replay, SpansRecord
from udfs.backtest.rules import GivenRules, LogEntry
from udfs.backtest.window import Window, reading_around_ms
from udfs.wire import betrace_pb2 as wire

NAMES = ("payment.charge", "fraud.check", "payment.bypass", "http.retry", "audit.log")
TRACES = "abcd"
END_MS = 6_000_000
LIFE = {"settle_ms": 2_000, "patience_ms": 20_000, "lateness_ms": 120_000, "max_life_ms": 60_000}
FORGOTTEN_MS = 900_000
"""Longer than anything is remembered of a trace."""
STEPS_MS = (0, 500, 1_999, 2_001, 15_000, 61_000, 119_000, 181_000, 240_000, 320_000, 1_000_000)
BEFORE = {
    "check": "when { payment.charge.where(amount > 10) } always { fraud.check }",
    "bypass": "when { payment.charge } never { payment.bypass }",
    "retry": "when { payment.charge } never { count(http.retry) > 2 }",
    "audit": "when { payment.charge as c } always { audit.log after c within 30s }",
    "quiet": "when { not fraud.check and http.retry } always { audit.log }",
}
AFTER = {
    **BEFORE,
    "check": "when { payment.charge.where(amount > 5) } always { fraud.check or audit.log }",
    "retry": "when { payment.charge } never { count(http.retry) > 1 }",
    "new": "when { audit.log } always { fraud.check }",
}


def rules_log(texts: dict[str, str]) -> RulesLog:
    log = RulesLog()
    log.settings(**LIFE)
    for rule_id, text in texts.items():
        settle_ms = 9_000 if rule_id == "retry" else 0
        log.rule(rule_id, text, settle_ms=settle_ms)
    return log


def given_rules(texts: dict[str, str]) -> GivenRules:
    settings_record, *rules = (record for _, record in rules_log(texts).records)
    return GivenRules(rules, [LogEntry(0, settings_record)], tenant=TENANT)


def window(from_ms: int, to_ms: int, *given: GivenRules) -> Window:
    around_ms = max(reading_around_ms(one.settings_since(0), one.rules) for one in given)
    return Window(from_ms, to_ms, around_ms)


def replayed(records: list[Record], given: GivenRules, within: Window) -> Outcomes:
    replay = Replay(given, within)
    for r in records:
        lane = b"%d" % r.lane
        replay.take(SpansRecord(0, r.offset, r.time_ms, r.tenant.encode(), lane, r.payload))
    return replay.finish(END_MS)


def read_within(records: list[Record], within: Window) -> list[Record]:
    return [r for r in records if within.read_from_ms <= r.time_ms < within.read_to_ms]


@st.composite
def spans_logs(draw: st.DrawFn) -> list[Record]:
    log = SpansLog()
    at_ms = 0
    for _ in range(draw(st.integers(1, 25))):
        at_ms += draw(st.sampled_from(STEPS_MS))
        spans = []
        for _ in range(draw(st.integers(1, 4))):
            trace = draw(st.sampled_from(TRACES))
            name = draw(st.sampled_from(NAMES))
            number = draw(st.integers(0, 4))
            spans.append(
                SpanDraft(
                    trace=trace,
                    id=f"{trace}{name}{number}",
                    parent="" if number == 0 else f"{trace}{NAMES[0]}0",
                    name=name,
                    start_ms=at_ms,
                    attributes={"amount": 4 * number},
                )
            )
        log.send(at_ms, *spans)
    return bounded_lives(log.records)


def bounded_lives(records: list[Record]) -> list[Record]:
    """Leave out what would keep a trace alive for longer than is read: late spans of late spans.

    After its forgetting, a trace id may come again and begin anew.
    """
    lives: dict[int, tuple[int, int]] = {}
    kept = []
    for record in records:
        first_ms, last_ms = lives.get(record.lane, (-FORGOTTEN_MS, -FORGOTTEN_MS))
        if record.time_ms - last_ms >= FORGOTTEN_MS:
            first_ms = record.time_ms
        if record.time_ms - first_ms <= LIFE["max_life_ms"] + LIFE["lateness_ms"]:
            lives[record.lane] = first_ms, record.time_ms
            kept.append(record)
    return kept


logs_and_ranges = st.tuples(spans_logs(), st.integers(0, 2_000_000), st.integers(1, 1_500_000))


@settings(deadline=None, max_examples=60)
@given(logs_and_ranges)
def test_it_gives_the_signals_that_the_stream_gave(
    drawn: tuple[list[Record], int, int],
) -> None:
    records, from_ms, length_ms = drawn
    given_now = given_rules(BEFORE)
    within = window(from_ms, from_ms + length_ms, given_now)
    outcomes = replayed(read_within(records, within), given_now, within)

    streamed: dict[tuple[str, bytes], wire.Signal] = {}
    for signal in signals_of_stream(records):
        if within.reports(signal.first_span_ms):
            streamed[signal.rule_id, signal.trace_id] = signal
    told = {
        (rule_id, seen.trace_id): outcome
        for seen in outcomes.traces()
        for rule_id, outcome in outcomes.said(seen.trace_id).items()
    }
    assert {
        key: (outcome.signal_id, outcome.revision, outcome.verdict, outcome.incomplete)
        for key, outcome in told.items()
        if outcome.signal_id
    } == {
        key: (signal.id, signal.revision, verdict_name(signal), signal.incomplete)
        for key, signal in streamed.items()
    }


def signals_of_stream(records: list[Record]) -> list[wire.Signal]:
    return Engine(rules_log(BEFORE)).run(records, until_ms=END_MS)


def verdict_name(signal: wire.Signal) -> str:
    return wire.Verdict.Name(signal.verdict).removeprefix("VERDICT_").lower()


@settings(deadline=None, max_examples=60)
@given(logs_and_ranges)
def test_what_lies_outside_of_what_is_read_could_not_change_it(
    drawn: tuple[list[Record], int, int],
) -> None:
    records, from_ms, length_ms = drawn
    now, was = given_rules(AFTER), given_rules(BEFORE)
    within = window(from_ms, from_ms + length_ms, now, was)
    found, whole = (
        difference(
            replayed(read, now, within),
            replayed(read, was, within),
            rule_ids=sorted(AFTER),
            compared=BEFORE,
            rows_per_kind=100,
        )
        for read in (read_within(records, within), records)
    )
    assert found == whole


@settings(deadline=None, max_examples=40)
@given(logs_and_ranges)
def test_every_trace_of_the_range_is_counted_once_for_each_rule(
    drawn: tuple[list[Record], int, int],
) -> None:
    records, from_ms, length_ms = drawn
    records = first_lives(records)
    now, was = given_rules(AFTER), given_rules(BEFORE)
    within = window(from_ms, from_ms + length_ms, now, was)
    sides = replayed(records, now, within), replayed(records, was, within)
    found = difference(*sides, rule_ids=sorted(AFTER), compared=BEFORE, rows_per_kind=1_000)

    expected: Counter[Kind] = Counter()
    for trace in begun_within(records, within):
        for rule_id in AFTER:
            said, says = (
                side.said(trace).get(rule_id, side.unsaid(trace)).verdict for side in sides[::-1]
            )
            expected[Kind(rule_id, said if rule_id in BEFORE else "", says)] += 1
    assert found.counts == dict(expected)
    assert {row.kind for row in found.rows} == {kind for kind in expected if kind.is_shown}
    assert all(row.was is None or row.was == row.now for row in found.rows if not row.kind.changed)
    unchanged = set(BEFORE) - {"check", "retry"}
    assert not [kind for kind in found.counts if kind.changed and kind.rule_id in unchanged]


def first_lives(records: list[Record]) -> list[Record]:
    """Leave out what comes after a trace was forgotten."""
    first_ms: dict[int, int] = {}
    return [
        record
        for record in records
        if record.time_ms - first_ms.setdefault(record.lane, record.time_ms) < FORGOTTEN_MS
    ]


def begun_within(records: list[Record], within: Window) -> set[bytes]:
    """Return the traces whose first record of all lies in the range."""
    begun: set[bytes] = set()
    for name in TRACES:
        wanted = trace_id(name)
        times = [record.time_ms for record in records if wanted in record.payload]
        if times and within.reports(times[0]):
            begun.add(wanted)
    return begun
