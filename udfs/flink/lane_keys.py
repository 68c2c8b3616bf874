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

from udfs.lanes import LANES

# fmt: off
_GROUP_KEYS = (
    250, 89, 39, 220, 295, 136, 23, 73, 299, 195, 230, 36, 95, 42, 40, 49,
    13, 87, 157, 332, 55, 12, 1, 138, 238, 362, 348, 194, 16, 137, 116, 37,
    22, 53, 47, 212, 239, 141, 280, 107, 8, 176, 21, 923, 44, 143, 84, 132,
    113, 306, 119, 62, 3, 59, 79, 273, 101, 307, 24, 52, 29, 114, 25, 67,
)
# fmt: on
"""The smallest integer of every second key group: enough for as many lanes as there may be."""

LANE_KEYS = _GROUP_KEYS[:: len(_GROUP_KEYS) // LANES]
"""LANE_KEYS[lane] is the lane's Flink key."""

_LANES = {key: lane for lane, key in enumerate(LANE_KEYS)}


def lane_of_key(key: int) -> int:
    """Return the lane that a Flink key stands for. KeyError: no lane has it."""
    return _LANES[key]
