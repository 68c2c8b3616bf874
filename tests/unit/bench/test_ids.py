"""Renewed trace ids stay in their lanes."""

from __future__ import annotations

from random import Random

import pytest

from api.bench.ids import MAX_CYCLE, cycle_of, renewed
from udfs.lanes import lane_of

TENANT = "3f0c6f4e-0000-4000-8000-444455556666"
CYCLES = (0, 1, 2, 77, 255, 256, 65_535, 65_536, MAX_CYCLE - 1)


def test_a_renewed_id_stays_in_its_lane() -> None:
    rng = Random(7)
    for trace_id in [rng.randbytes(16) for _ in range(200)]:
        lanes = {lane_of(TENANT, renewed(trace_id, cycle=cycle)) for cycle in CYCLES}
        assert lanes == {lane_of(TENANT, trace_id)}


def test_every_cycle_gives_another_id_that_tells_its_cycle() -> None:
    trace_id = Random(8).randbytes(16)
    ids = [renewed(trace_id, cycle=cycle) for cycle in CYCLES]
    assert len(set(ids)) == len(CYCLES)
    assert [cycle_of(i, original=trace_id) for i in ids] == list(CYCLES)


def test_a_foreign_id_has_no_cycle() -> None:
    trace_id = Random(9).randbytes(16)
    with pytest.raises(ValueError, match="no renewal"):
        cycle_of(b"\0" * 16, original=trace_id)


def test_a_cycle_beyond_24_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="not within"):
        renewed(bytes(16), cycle=MAX_CYCLE)
