"""A process that uses no more than its share of a core."""

from __future__ import annotations

import pytest

from api.worker.backtests.part import Throttle


@pytest.mark.parametrize(
    ("share", "used_s", "naps"),
    [
        (0.5, [0.0, 1.0], [1.0]),
        (0.25, [0.0, 1.0], [3.0]),
        (1.0, [0.0, 1.0], []),
        (0.5, [0.0, 0.002, 0.004, 0.006], [0.006]),  # small debts are paid together
    ],
)
def test_it_sleeps_for_what_was_used(share: float, used_s: list[float], naps: list[float]) -> None:
    clock = iter(used_s)
    slept: list[float] = []
    throttle = Throttle(share, used_s=lambda: next(clock), sleep=slept.append)
    for _ in used_s[1:]:
        throttle.pay()
    assert slept == pytest.approx(naps)
