"""The Flink key of each lane.

Flink hashes keys into key groups and gives each subtask a run of them; keys 0 … 31 would fall
where chance puts them, and one subtask would carry more lanes than another. Lane i therefore
uses the smallest integer whose key group is i · MAX_PARALLELISM / LANES, so that lanes spread
evenly over any parallelism that divides LANES.

The key group is that of `Row(key)`, which is what PyFlink keys by, and not of the integer
itself. The table is part of every savepoint; a test computes it anew with Flink's own
KeyGroupRangeAssignment.
"""

from __future__ import annotations

# fmt: off
LANE_KEYS = (
    250, 39, 295, 23, 299, 230, 95, 40, 13, 157, 55, 1, 238, 348, 16, 116,
    22, 47, 239, 280, 8, 21, 44, 84, 113, 119, 3, 79, 101, 24, 29, 25,
)
# fmt: on
"""LANE_KEYS[lane] is the lane's Flink key."""

_LANES = {key: lane for lane, key in enumerate(LANE_KEYS)}


def lane_of_key(key: int) -> int:
    """Return the lane that a Flink key stands for. KeyError: no lane has it."""
    return _LANES[key]
