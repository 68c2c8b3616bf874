"""Which traces are counted and which are shown."""

from __future__ import annotations

import pytest

from tests.support.engine import TENANT, RulesLog, SpanDraft, SpansLog
from udfs.backtest.difference import Kind, difference
from udfs.backtest.outcomes import Outcomes
from udfs.backtest.replay import Replay, SpansRecord
from udfs.backtest.rules import GivenRules
from udfs.backtest.window import Window

WINDOW = Window(0, 10_000, 4_000_000)
TRACES = 5


@pytest.mark.parametrize(
    ("was", "now", "changed", "shown"),
    [
        ("violated", "violated", False, True),
        ("satisfied", "violated", True, True),
        ("violated", "satisfied", True, True),
        ("satisfied", "satisfied", False, False),
        ("not_applicable", "satisfied", True, True),
        ("", "violated", False, True),
        ("", "satisfied", False, False),
        ("open", "open", False, False),
    ],
)
def test_changes_and_violations_are_shown(was: str, now: str, changed: bool, shown: bool) -> None:
    kind = Kind("promise", was, now)
    assert (kind.changed, kind.is_shown) == (changed, shown)


def judged(text: str) -> Outcomes:
    """Return what a rule says of five traces with one span each, begun one after the other."""
    rules = RulesLog()
    rules.rule("promise", text)
    log = SpansLog()
    for number in range(TRACES):
        log.send(number * 100, SpanDraft(trace=f"t{number}", id=f"{number}", name="a"))
    given = GivenRules([record for _, record in rules.records], [], tenant=TENANT)
    replay = Replay(given, WINDOW)
    for record in log.records:
        lane = b"%d" % record.lane
        replay.take(
            SpansRecord(0, record.offset, record.time_ms, TENANT.encode(), lane, record.payload)
        )
    return replay.finish(1_000_000)


def test_of_each_kind_the_first_are_shown_and_all_are_counted() -> None:
    found = difference(
        judged("when { a } always { b }"),
        judged("when { a } never { b }"),
        rule_ids=["promise"],
        compared=["promise"],
        rows_per_kind=2,
    )
    assert found.counts == {Kind("promise", "satisfied", "violated"): TRACES}
    assert [row.trace.begin_ms for row in found.rows] == [0, 100]


def test_traces_to_which_no_rule_applies_are_counted_without_being_kept() -> None:
    silent = judged("when { nothing } always { b }")
    assert list(silent.traces()) == []
    found = difference(silent, None, rule_ids=["promise"], rows_per_kind=2)
    assert found.counts == {Kind("promise", "", "not_applicable"): TRACES}
    assert (found.trace_count, found.open_count, found.rows) == (TRACES, 0, ())
