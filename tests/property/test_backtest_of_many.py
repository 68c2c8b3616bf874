"""A backtest of rules over many traces says what the engine over the whole log says."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.test_backtest import LIFE, NAMES, bounded_lives, read_within
from tests.support.engine import TENANT, Engine, Record, RulesLog, SpanDraft, SpansLog
from udfs.backtest.gathering import Gathering, ManyOutcomes
from udfs.backtest.handed import Handed, unpack_chunk
from udfs.backtest.many_difference import many_difference
from udfs.backtest.replay import Replay, SpansRecord
from udfs.backtest.rules import GivenRules, LogEntry
from udfs.backtest.window import Window, reading_around_ms, reading_before_ms
from udfs.wire import betrace_pb2 as wire

TRACES = "abcdefghij"
MANY = ("unchecked", "retries", "trail", "beats", "both")
BEFORE = {
    "check": "when { payment.charge.where(amount > 5) } always { fraud.check }",
    "unchecked": 'correlate { violated("check") } by service within 4m having count >= 2',
    "retries": "correlate { http.retry or payment.bypass } by service within 15m"
    " having count >= 2 and distinct(trace) >= 2",
    "trail": "expect { audit.log } every 3m by service",
    "beats": "expect { payment.charge } every 20m",
    "both": 'correlate { violated("retries") or violated("trail") } by service within 20m'
    " having count >= 1",
}
AFTER = {
    **BEFORE,
    "check": "when { payment.charge.where(amount > 0) } always { fraud.check }",
    "retries": "correlate { http.retry } by service within 10m having count >= 2",
    "trail": "expect { audit.log } every 5m by service in [shop, crm]",
}
STEPS_MS = (0, 700, 1_999, 15_000, 40_000, 61_000, 119_000, 181_000, 320_000)
NEAR_MS = (0, 1, 500, 20_000, 61_000, 240_000)
EARLIER_MS = (0, 0, 300, 20_000, 100_000)
"""How long before a span comes it may have started: less than a trace lives and may be late."""


def rules_log(texts: dict[str, str]) -> RulesLog:
    log = RulesLog()
    log.settings(**LIFE)
    for rule_id, text in texts.items():
        log.rule(rule_id, text, group_by=["service"] if rule_id == "check" else ())
    return log


def given_rules(texts: dict[str, str]) -> GivenRules:
    settings_record, *rules = (record for _, record in rules_log(texts).records)
    return GivenRules(rules, [LogEntry(0, settings_record)], tenant=TENANT)


def window(from_ms: int, to_ms: int, *sides: GivenRules) -> Window:
    life = [each for side in sides for each in side.settings_since(0)]
    return Window(
        from_ms,
        to_ms,
        max(reading_around_ms(life, side.rules) for side in sides),
        max(reading_before_ms(life, side.many) for side in sides),
    )


def gathered(
    records: Sequence[Record], given: GivenRules, within: Window, *, partitions: int
) -> ManyOutcomes:
    """Judge as workers do: partition by partition, then what all of them handed on."""
    handed: list[list[Handed]] = []
    for partition in range(partitions):
        replay = Replay(given, within)
        for r in read_within(list(records), within):
            if r.lane % partitions == partition:
                lane = b"%d" % r.lane
                place = (partition, r.offset, r.time_ms, r.tenant.encode(), lane)
                replay.take(SpansRecord(*place, r.payload))
        replay.finish(within.read_to_ms - 1)
        handed.append([o for c in replay.handed.chunks() for o in unpack_chunk(c.packed)])
    begun_ms = dict.fromkeys(range(partitions), within.read_from_ms)
    gathering = Gathering(given, within, begun_ms=begun_ms)
    for one in heapq.merge(*handed):
        gathering.take(one)
    return gathering.finish(within.read_to_ms - 1)


def streamed(
    records: Sequence[Record], texts: dict[str, str], within: Window
) -> dict[bytes, wire.Signal]:
    """Return the last revisions of the engine over the whole log, up to where reading ends."""
    engine = Engine(rules_log(texts))
    engine.many.wake(time_ms=0)
    found: dict[bytes, wire.Signal] = {}
    for signal in engine.run(records, until_ms=within.read_to_ms - 1):
        if signal.rule_id in MANY and within.reports(own_time_ms(signal)):
            found[signal.id] = signal
    return found


def own_time_ms(signal: wire.Signal) -> int:
    of_correlate = signal.HasField("correlated")
    time_ns = signal.correlated.since_ns if of_correlate else signal.overdue.due_ns
    return time_ns // 1_000_000


def stands(signal: wire.Signal) -> bool:
    """Tell whether a signal is raised in the end, if only for a while."""
    ended = signal.overdue.ended in ("sighted", "forgotten")
    return signal.verdict != wire.VERDICT_SATISFIED or ended


def broken(trace: str, at_ms: int, service: str) -> list[SpanDraft]:
    """Return a trace that breaks the promise, with its root."""
    root = SpanDraft(trace=trace, id=f"{trace}root", name="root", start_ms=at_ms, service=service)
    charge = SpanDraft(
        trace=trace,
        id=f"{trace}charged",
        parent=root.id,
        name="payment.charge",
        service=service,
        start_ms=at_ms,
        attributes={"amount": 12},
    )
    return [root, charge]


@st.composite
def spans_logs(draw: st.DrawFn) -> list[Record]:
    log = SpansLog()
    at_ms = 0
    for _ in range(draw(st.integers(10, 40))):
        at_ms += draw(st.sampled_from(STEPS_MS))
        for _ in range(draw(st.integers(1, 4))):
            trace = draw(st.sampled_from(TRACES))
            if draw(st.booleans()):
                log.send(at_ms, *broken(trace, at_ms, draw(st.sampled_from(("shop", "crm")))))
                continue
            name, number = draw(st.sampled_from(NAMES)), draw(st.integers(0, 3))
            log.send(
                at_ms,
                SpanDraft(
                    trace=trace,
                    id=f"{trace}{name}{number}",
                    parent="" if number == 0 else f"{trace}{NAMES[0]}0",
                    name=name,
                    service=draw(st.sampled_from(("shop", "crm"))),
                    start_ms=max(at_ms - draw(st.sampled_from(EARLIER_MS)), 0),
                    attributes={"amount": 4 * number},
                ),
            )
    return bounded_lives(log.records)


@st.composite
def logs_and_ranges(draw: st.DrawFn) -> tuple[list[Record], int, int]:
    """A log, and a range that begins and ends near records."""
    records = draw(spans_logs())
    times_ms = [record.time_ms for record in records]
    from_ms = max(draw(st.sampled_from(times_ms)) - draw(st.sampled_from(NEAR_MS)), 0)
    to_ms = draw(st.sampled_from(times_ms)) + draw(st.sampled_from(NEAR_MS))
    return records, from_ms, max(to_ms - from_ms, 1)


@settings(deadline=None, max_examples=60)
@given(logs_and_ranges(), st.sampled_from((1, 4, 32)))
def test_it_gives_the_signals_that_the_stream_gave(
    drawn: tuple[list[Record], int, int], partitions: int
) -> None:
    records, from_ms, length_ms = drawn
    given_now = given_rules(BEFORE)
    within = window(from_ms, from_ms + length_ms, given_now)
    outcomes = gathered(records, given_now, within, partitions=partitions)
    raised = {one.outcome.signal_id: one for one in outcomes.raised(MANY)}
    whole = streamed(records, BEFORE, within)
    assert {identity: one.signal for identity, one in raised.items()} == {
        identity: signal for identity, signal in whole.items() if stands(signal)
    }


@settings(deadline=None, max_examples=40)
@given(logs_and_ranges())
def test_every_signal_of_either_side_is_counted_once(
    drawn: tuple[list[Record], int, int],
) -> None:
    records, from_ms, length_ms = drawn
    now, was = given_rules(AFTER), given_rules(BEFORE)
    within = window(from_ms, from_ms + length_ms, now, was)
    sides = [gathered(records, side, within, partitions=4) for side in (now, was)]
    found = many_difference(*sides, rule_ids=MANY, compared=MANY, rows_per_kind=10_000)
    for side, outcomes in zip(("now", "was"), sides, strict=True):
        for rule_id in MANY:
            counted = sum(
                count
                for kind, count in found.counts.items()
                if kind.rule_id == rule_id and getattr(kind, side) in ("violated", "inconclusive")
            )
            assert counted == len(list(outcomes.raised([rule_id])))
    shown = [row for row in found.rows if row.kind.changed]
    changed = {kind: count for kind, count in found.counts.items() if kind.changed}
    assert {kind: sum(row.kind == kind for row in shown) for kind in changed} == changed
    assert len({row.identity for row in found.rows}) == len(found.rows)
    assert not [kind for kind in changed if kind.rule_id == "beats"]
