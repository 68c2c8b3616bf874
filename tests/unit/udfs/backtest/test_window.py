"""What a backtest reads around its range."""

from __future__ import annotations

from tests.support.engine import TENANT, RulesLog
from udfs.backtest.rules import GivenRules, LogEntry
from udfs.backtest.window import Window, reading_around_ms, reading_before_ms
from udfs.rulebook import LifeSettings
from udfs.wire import betrace_pb2 as wire

MINUTE_MS = 60_000
LIFE = LifeSettings(
    settle_ms=2_000, patience_ms=20_000, max_life_ms=60 * MINUTE_MS, lateness_ms=10 * MINUTE_MS
)


def rules(text: str, *, settle_ms: int = 0) -> GivenRules:
    log = RulesLog()
    log.rule("promise", text, settle_ms=settle_ms)
    return GivenRules([record for _, record in log.records], [], tenant=TENANT)


def test_it_is_the_longest_life_the_lateness_and_what_is_remembered_beyond() -> None:
    given = rules("when { a } always { b }")
    assert reading_around_ms([LIFE], given.rules) == 82 * MINUTE_MS + 20_000


def test_a_rule_that_settles_longer_reaches_further() -> None:
    given = rules("when { a } always { b }", settle_ms=50_000)
    assert reading_around_ms([LIFE], given.rules) == 82 * MINUTE_MS + 50_000


def test_an_open_window_keeps_traces_for_its_length_and_a_longest_life_more() -> None:
    given = rules("when { a as x } always { b after x within 5m }")
    assert reading_around_ms([LIFE], given.rules) == 147 * MINUTE_MS + 20_000


def test_of_several_settings_the_longest_counts() -> None:
    short = LifeSettings(max_life_ms=1_000, lateness_ms=1_000)
    assert reading_around_ms([short, LIFE]) == reading_around_ms([LIFE])


def test_the_range_is_half_open() -> None:
    window = Window(1_000, 2_000, 500)
    assert [window.reports(at_ms) for at_ms in (999, 1_000, 1_999, 2_000)] == [
        False, True, True, False,
    ]  # fmt: skip
    assert (window.read_from_ms, window.read_to_ms) == (500, 2_500)
    assert Window(100, 200, 500).read_from_ms == 0


def test_settings_that_were_replaced_before_the_range_no_longer_count() -> None:
    entries = [
        LogEntry(at_ms, wire.RuleLogRecord(tenant=settings).SerializeToString())
        for at_ms, settings in (
            (1_000, wire.TenantSettings(tenant=TENANT, max_life_ms=1)),
            (50_000, wire.TenantSettings(tenant=TENANT, max_life_ms=2)),
            (90_000, wire.TenantSettings(tenant=TENANT, max_life_ms=3)),
        )
    ]
    given = GivenRules([], entries, tenant=TENANT)
    assert [s.max_life_ms for s in given.settings_since(60_000)] == [2, 3]


def many(**texts: str) -> GivenRules:
    log = RulesLog()
    for rule_id, text in texts.items():
        log.rule(rule_id, text, group_by=["service"])
    return GivenRules([record for _, record in log.records], [], tenant=TENANT)


def test_promises_need_nothing_more_before() -> None:
    assert reading_before_ms([LIFE], rules("when { a } always { b }").many) == 0


def test_a_correlate_reads_some_windows_and_a_life_more_before() -> None:
    given = many(c="correlate { a } by k within 10m having count > 1")
    assert reading_before_ms([LIFE], given.many) == (40 + 70) * MINUTE_MS


def test_an_expect_reads_as_far_back_as_its_last_sighting_may_lie() -> None:
    given = many(e="expect { a } every 2h")
    assert reading_before_ms([LIFE], given.many) == 120 * MINUTE_MS


def test_a_rule_over_signals_needs_what_made_them_as_well() -> None:
    given = many(
        top='correlate { violated("c") or violated("e") } by rule within 5m having count > 1',
        c="correlate { a } by k within 10m having count > 1",
        e="expect { a } every 2h",
    )
    assert reading_before_ms([LIFE], given.many) == (20 + 70 + 120) * MINUTE_MS
