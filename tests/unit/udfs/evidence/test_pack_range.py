"""The range that a pack must span."""

from __future__ import annotations

import pytest

from udfs.evidence import verify
from udfs.evidence.checkpoints import Checkpoint
from udfs.evidence.pack import Query
from udfs.evidence.pack_range import CLOCK_SKEW_MS, range_for

MINUTE_MS = 60_000
CHECKPOINTS = [
    Checkpoint("betrace.example/log/x", 10 * minute, bytes(32), minute * MINUTE_MS)
    for minute in range(21)
]


@pytest.mark.parametrize(
    ("from_minute", "to_minute", "expected"),
    [
        (0, 20, (0, 200)),
        (5, 8, (0, 80)),
        (6, 8, (0, 80)),
        (7, 8, (10, 80)),
        (15, 20, (90, 200)),
        (15, 21, None),
    ],
)
def test_a_range_begins_before_the_skew_and_ends_after_the_period(
    from_minute: int, to_minute: int, expected: tuple[int, int] | None
) -> None:
    query = Query(from_minute * MINUTE_MS, to_minute * MINUTE_MS)
    assert range_for(query, CHECKPOINTS) == expected


def test_the_verifier_has_the_same_skew() -> None:
    assert verify.CLOCK_SKEW_MS == CLOCK_SKEW_MS
