"""What stands out of the same hours of the days before, and what does not."""

from __future__ import annotations

import pytest

from api.signals.trends import Trend, trend_of, trending


def test_what_was_never_there_is_all_increase() -> None:
    assert trend_of("r", "Rule", 5, []) == Trend("r", "Rule", 5, 0.0, 5.0, 100.0)


def test_one_bad_day_before_hides_no_trend() -> None:
    found = trend_of("r", "Rule", 60, [10, 10, 11, 9, 10, 10, 900])
    assert found is not None
    assert (found.baseline, found.increase_percent) == (10.0, 500.0)


@pytest.mark.parametrize(
    ("current", "before"),
    [
        (4, []),  # too few to be a trend
        (10, [10] * 14),  # as ever
        (12, [10] * 14),  # a fifth more, within what chance does
        (115, [100] * 14),  # not a fifth more
        (40, [1, 35, 2, 40, 30, 3, 38]),  # always restless
        (0, [50] * 14),  # less is no trend
    ],
)
def test_what_is_usual_does_not_stand_out(current: int, before: list[int]) -> None:
    assert trend_of("r", "Rule", current, before) is None


def test_what_stands_out_most_comes_first_and_days_without_signals_count() -> None:
    counts = {
        "busy": {0: 200, 1: 100, 2: 100, 3: 100},
        "new": {0: 30},
        "quiet": {0: 6, 1: 6, 2: 6, 3: 6},
    }
    found = trending(
        counts, {name: name.upper() for name in counts}, days=14, known_days=3, limit=10
    )
    assert [(trend.subject, trend.name, trend.baseline) for trend in found] == [
        ("new", "NEW", 0.0),
        ("busy", "BUSY", 100.0),
    ]


def test_no_more_are_told_than_asked_for() -> None:
    counts = {str(number): {0: 10 + number} for number in range(12)}
    names = {name: name for name in counts}
    found = trending(counts, names, days=14, known_days=0, limit=10)
    assert [trend.current for trend in found] == list(range(21, 11, -1))
