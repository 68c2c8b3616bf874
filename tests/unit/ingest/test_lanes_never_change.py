"""The lane of a trace is part of every stored offset and state: it is the same for ever."""

from __future__ import annotations

import json
from pathlib import Path
from zlib import crc32

from udfs.lanes import LANES, lane_of, partition_of

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "lanes.json").read_text())


def test_lanes_are_those_of_the_golden_file() -> None:
    assert [
        {**row, "lane": lane_of(row["tenant"], bytes.fromhex(row["trace_id"]))} for row in GOLDEN
    ] == GOLDEN


def test_a_lane_is_the_crc_of_tenant_zero_and_trace_id() -> None:
    for row in GOLDEN:
        text = row["tenant"].encode() + b"\0" + bytes.fromhex(row["trace_id"])
        assert row["lane"] == crc32(text) % 32


def test_each_lane_has_a_partition_of_its_own() -> None:
    assert [partition_of(lane, partitions=LANES) for lane in range(LANES)] == list(range(32))
