"""What grows is told from what only varies, by the rule that is printed."""

from __future__ import annotations

import pytest

from api.bench.trend import Figure, Trend, slope_per_minute, trend

MEMORY = Figure("rss_mb", "memory", "MB", allowed=20)
HEAP = Figure("heap_mb", "heap", "MB", allowed=20, of_minute=min)
TIDE = Figure("rss_mb", "memory", "MB", allowed=20, period=10)


def found(figure: Figure, values: list[tuple[float, float]]) -> Trend:
    result = trend(figure, values)
    assert result is not None
    return result


def test_a_leak_grows() -> None:
    leak = found(MEMORY, [(minute, 1_000 + 8 * minute) for minute in range(10)])
    assert leak.slope_per_minute == 8
    assert leak.added == 80
    assert leak.grows


@pytest.mark.parametrize(
    ("per_minute", "grows"),
    [(1.9, False), (4.9, False), (5.5, True), (-8.0, False)],
)
def test_growth_counts_over_a_twentieth_and_over_what_is_allowed(
    per_minute: float, grows: bool
) -> None:
    values = [(minute, 1_000 + per_minute * (minute - 5)) for minute in range(10)]
    assert found(MEMORY, values).grows is grows


def test_small_figures_may_differ_by_what_is_allowed() -> None:
    assert not found(MEMORY, [(minute, 10 + 1.9 * minute) for minute in range(10)]).grows
    assert found(MEMORY, [(minute, 10 + 2.1 * minute) for minute in range(10)]).grows


def test_one_outlier_turns_nothing() -> None:
    values = [(float(minute), 500.0) for minute in range(10)]
    assert found(MEMORY, [*values[:9], (9.0, 5_000.0)]).slope_per_minute == 0


def test_of_a_heap_the_least_of_each_minute_counts() -> None:
    saw = [(minute + part / 4, 100 + 150 * part) for minute in range(5) for part in range(4)]
    assert found(HEAP, saw) == Trend(HEAP, 5, 100, 100, 100, 0)


@pytest.mark.parametrize(("per_minute", "grows"), [(0.0, False), (4.0, True)])
def test_what_comes_and_goes_in_a_known_time_is_compared_over_whole_such_times(
    per_minute: float, grows: bool
) -> None:
    values = [(minute, 500 + 7 * (minute % 10) + per_minute * minute) for minute in range(18)]
    tide = found(TIDE, values)
    assert tide.slope_per_minute == per_minute
    assert tide.grows is grows
    assert found(TIDE, values[:9]).slope_per_minute == 7 + per_minute, "too short to tell"


def test_two_minutes_say_nothing() -> None:
    assert trend(MEMORY, [(0.1, 1), (0.5, 9), (1.2, 1)]) is None


def test_the_slope_is_that_of_a_line_with_gaps_in_it() -> None:
    assert slope_per_minute([(0, 1), (1, 3), (4, 9), (9, 19)]) == 2
