"""How long a batch waits for company."""

from __future__ import annotations

import pytest

from api.worker.intake import lingering


@pytest.mark.parametrize(
    ("linger_s", "write_s", "waits_s"),
    [(0.05, 0.0, 0.05), (0.05, 0.01, 0.05), (0.05, 0.04, 0.12), (0.05, 3.0, 0.2), (1.0, 3.0, 1.0)],
    ids=["at first", "writing is cheap", "three times as long", "up to a bound", "never shorter"],
)
def test_batches_wait_longer_where_writing_is_dear(
    linger_s: float, write_s: float, waits_s: float
) -> None:
    assert lingering(linger_s, write_s) == pytest.approx(waits_s)
