"""Traces whose spans may have been lost: nothing is said of what they lack."""

from __future__ import annotations

import pytest

from tests.support.engine import TENANT, Engine, RulesLog, SpanDraft, SpansLog, trace_id
from udfs.lanes import lane_of
from udfs.losses import DEADLY, SHADOW_MS

SETTLE_MS = 2_000
MAX_LIFE_MS = 60_000
END_MS = 1_000_000


def a_log() -> RulesLog:
    log = RulesLog()
    log.settings(settle_ms=SETTLE_MS, max_life_ms=MAX_LIFE_MS)
    log.rule("payment", "when { payment.charge } always { fraud.check }")
    return log


def broken(trace: str, *, root_at_ms: int) -> tuple[SpanDraft, SpanDraft]:
    """A trace that breaks the promise."""
    return (
        SpanDraft(trace=trace, id=f"{trace} root", name="GET /pay", start_ms=root_at_ms),
        SpanDraft(trace=trace, id=f"{trace} c", parent=f"{trace} root", name="payment.charge"),
    )


def signalled(rules: RulesLog, begun: dict[str, int], *, reader: str = "") -> list[str]:
    """Return which of the traces, by name with the time of their records, are signalled."""
    log = SpansLog()
    for trace, at_ms in begun.items():
        log.send(at_ms, *broken(trace, root_at_ms=at_ms))
    found = Engine(rules, reader=reader).run(log.records, until_ms=END_MS)
    return [trace for trace in begun if trace_id(trace) in {s.trace_id for s in found}]


def lane(trace: str) -> int:
    return lane_of(TENANT, trace_id(trace))


def test_a_gap_without_a_time_is_as_old_as_its_record() -> None:
    rules = a_log()
    rules.gap(at_ms=20_000)
    begun = {
        "judged before": 1_000,
        "open": 19_000,
        "close": 20_000 + SHADOW_MS - 1,
        "after": 20_000 + SHADOW_MS,
    }
    assert signalled(rules, begun) == ["judged before", "after"]


@pytest.mark.parametrize(
    ("reader", "found"), [("", ["after"]), ("mine", ["after"]), ("other", ["before", "after"])]
)
def test_a_gap_says_until_when_spans_are_missing_and_to_whom(reader: str, found: list[str]) -> None:
    rules = a_log()
    rules.gap(at_ms=500_000, until_ms=1_000, reader=reader)
    assert signalled(rules, {"before": 2_000, "after": 1_000 + SHADOW_MS}, reader="mine") == found


def test_a_root_that_started_before_a_gap_tells_that_its_trace_did() -> None:
    rules = a_log()
    rules.gap(at_ms=0, until_ms=100_000)
    log = SpansLog()
    for trace, root_at_ms, at_ms in (
        ("old", 100_000 + SHADOW_MS - 1, 140_000),
        ("new", 100_000 + SHADOW_MS, 140_000),
        ("clock is wrong", 0, 100_000 + SHADOW_MS + MAX_LIFE_MS),
    ):
        log.send(at_ms, *broken(trace, root_at_ms=root_at_ms))
    found = Engine(rules).run(log.records, until_ms=END_MS)
    assert {s.trace_id for s in found} == {trace_id("new"), trace_id("clock is wrong")}


def test_what_was_passed_over_is_missing_in_its_lane_and_nowhere_else() -> None:
    elsewhere = next(trace for trace in "uvwxyz" if lane(trace) != lane("t"))
    rules = a_log()
    place = {"time_ms": 1_000, "tenant": TENANT, "lane": lane("t"), "partition": 3, "offset": 9}
    for number in range(DEADLY):
        rules.death(at_ms=0, process=b"%d" % number, **place)
    assert signalled(rules, {"t": 900, elsewhere: 900}) == [elsewhere]


def test_a_record_is_passed_over_when_enough_processes_died_of_it() -> None:
    rules = a_log()
    rules.death(at_ms=0, partition=3, offset=9, process=b"1")
    rules.death(at_ms=0, partition=3, offset=9, process=b"1")
    rules.death(at_ms=0, partition=3, offset=8, process=b"2")
    assert not rules.book().losses.is_deadly(3, 9)
    rules.death(at_ms=0, partition=3, offset=9, process=b"3")
    losses = rules.book().losses
    assert (losses.is_deadly(3, 9), losses.is_deadly(3, 8), losses.is_deadly(4, 9)) == (
        True,
        False,
        False,
    )
