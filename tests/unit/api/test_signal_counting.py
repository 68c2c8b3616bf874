"""How a range of time is counted: whole days out of sums, the edges out of signals."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from api.signals.counting import Stretch, stretch_of
from api.signals.model import GroupKey

DAY = date(2026, 11, 23)


def at(day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("begin", "end", "stretch"),
    [
        (None, None, Stretch(True)),
        (at(23), at(25), Stretch(False, DAY, date(2026, 11, 25), ())),
        (
            at(22, 18),
            at(25, 6),
            Stretch(
                False, DAY, date(2026, 11, 25), ((at(22, 18), at(23)), (at(25), at(25, 6)))
            ),
        ),
        (at(22, 18), None, Stretch(False, DAY, date.max, ((at(22, 18), at(23)),))),
        (None, at(23, 6), Stretch(False, date.min, DAY, ((at(23), at(23, 6)),))),
        (at(23, 6), at(23, 7), Stretch(False, date(2026, 11, 24), date(2026, 11, 24),
                                       ((at(23, 6), at(23, 7)),))),
        (at(22, 23), at(23, 1), Stretch(False, DAY, DAY, ((at(22, 23), at(23, 1)),))),
    ],
)  # fmt: skip
def test_a_range_is_whole_days_and_edges(
    begin: datetime | None, end: datetime | None, stretch: Stretch
) -> None:
    assert stretch_of(begin, end) == stretch


def test_days_are_those_of_utc() -> None:
    east = timezone(timedelta(hours=5))
    begin = datetime(2026, 11, 23, 5, tzinfo=east)
    assert stretch_of(begin, None) == Stretch(False, DAY, date.max, ())


@pytest.mark.parametrize("text", ["ab" * 16, "rule:large-charges", "rule:a:b"])
def test_a_group_is_read_as_it_was_written(text: str) -> None:
    key = GroupKey.parse(text)
    assert key is not None
    assert str(key) == text


@pytest.mark.parametrize("text", ["", "rule:", "ab", "zz" * 16])
def test_what_names_no_group_is_none(text: str) -> None:
    assert GroupKey.parse(text) is None
