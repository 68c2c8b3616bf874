"""The table of lane keys, computed anew with Flink's own classes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from udfs.flink.lane_keys import _GROUP_KEYS, LANE_KEYS, lane_of_key
from udfs.lanes import LANES, MAX_PARALLELISM


def key_group(jvm: Any, key: int) -> int:
    """Return the key group that Flink assigns to PyFlink's key, a Row of one field."""
    row = jvm.org.apache.flink.types.Row(1)
    row.setField(0, key)
    assignment = jvm.org.apache.flink.runtime.state.KeyGroupRangeAssignment
    return int(assignment.assignToKeyGroup(row, MAX_PARALLELISM))


def test_each_lane_has_the_smallest_key_of_its_key_group(jvm: Any) -> None:
    smallest: dict[int, int] = {}
    for key in range(max(_GROUP_KEYS) + 1):
        smallest.setdefault(key_group(jvm, key), key)
    for keys in (LANE_KEYS, _GROUP_KEYS):
        step = MAX_PARALLELISM // len(keys)
        assert tuple(smallest[group] for group in range(0, MAX_PARALLELISM, step)) == keys
    assert len(LANE_KEYS) == LANES


@pytest.mark.parametrize("parallelism", [1, 2, 4, 8, 16, 32])
def test_lanes_spread_evenly_over_subtasks(jvm: Any, parallelism: int) -> None:
    assignment = jvm.org.apache.flink.runtime.state.KeyGroupRangeAssignment
    lanes = Counter(
        assignment.computeOperatorIndexForKeyGroup(
            MAX_PARALLELISM, parallelism, key_group(jvm, key)
        )
        for key in LANE_KEYS
    )
    assert lanes == dict.fromkeys(range(parallelism), LANES // parallelism)


def test_a_key_leads_back_to_its_lane() -> None:
    assert [lane_of_key(key) for key in LANE_KEYS] == list(range(LANES))


def test_a_key_of_no_lane_is_an_error() -> None:
    with pytest.raises(KeyError):
        lane_of_key(0)
