"""The lane of a trace is part of every stored offset and state: it is the same for ever."""

from __future__ import annotations

import json
from pathlib import Path
from zlib import crc32

from udfs.contributions import SIGNALS_SOURCE
from udfs.lanes import LANES, MAX_PARALLELISM, PARTITIONS, lane_of, partition_of

GOLDEN = json.loads((Path(__file__).parents[2] / "golden" / "lanes.json").read_text())


def test_lanes_are_those_of_the_golden_file() -> None:
    assert [
        {**row, "lane": lane_of(row["tenant"], bytes.fromhex(row["trace_id"]))} for row in GOLDEN
    ] == GOLDEN


def test_a_lane_is_the_crc_of_tenant_zero_and_trace_id() -> None:
    for row in GOLDEN:
        text = row["tenant"].encode() + b"\0" + bytes.fromhex(row["trace_id"])
        assert row["lane"] == crc32(text) % 32


def test_a_trace_stays_in_its_partition_whatever_the_number_of_lanes() -> None:
    assert (LANES % PARTITIONS, MAX_PARALLELISM % LANES) == (0, 0)
    for row in GOLDEN:
        crc = crc32(row["tenant"].encode() + b"\0" + bytes.fromhex(row["trace_id"]))
        for lanes in (LANES, 64):
            assert partition_of(crc % lanes, partitions=PARTITIONS) == crc % 32


def test_what_lanes_say_to_one_another_tells_them_apart_in_one_byte() -> None:
    assert SIGNALS_SOURCE + LANES <= 256
