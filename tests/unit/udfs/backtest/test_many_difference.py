"""Which signals of two versions are the same thing said twice."""

from __future__ import annotations

import pytest

from udfs.backtest.gathering import Raised
from udfs.backtest.many_difference import paired
from udfs.backtest.outcomes import Outcome
from udfs.wire import betrace_pb2 as wire


def raised(from_ns: int, to_ns: int) -> Raised:
    name = b"%d-%d" % (from_ns, to_ns)
    return Raised("rule", ("u1",), to_ns, from_ns, to_ns, Outcome("violated", signal_id=name),
                  wire.Signal())  # fmt: skip


@pytest.mark.parametrize(
    ("now", "was", "expected"),
    [
        ([(0, 9)], [(3, 12)], [((0, 9), (3, 12))]),
        ([(0, 9)], [(9, 12)], [((0, 9), (9, 12))]),
        ([(0, 9)], [(10, 12)], [((0, 9), None), (None, (10, 12))]),
        ([(10, 12)], [(0, 9)], [(None, (0, 9)), ((10, 12), None)]),
        ([(0, 3), (5, 9)], [(2, 6)], [((0, 3), (2, 6)), ((5, 9), None)]),
        ([], [(2, 6)], [(None, (2, 6))]),
        ([(2, 6)], [], [((2, 6), None)]),
        ([], [], []),
    ],
)
def test_those_that_overlap_go_together(
    now: list[tuple[int, int]],
    was: list[tuple[int, int]],
    expected: list[tuple[tuple[int, int] | None, tuple[int, int] | None]],
) -> None:
    found = paired([raised(*one) for one in now], [raised(*one) for one in was])
    assert [tuple(one and (one.from_ns, one.to_ns) for one in pair) for pair in found] == expected
