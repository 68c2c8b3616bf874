"""What Prometheus is told of the keys of a process."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from prometheus_client import CollectorRegistry

from api.keyring.metrics import RingFigures
from udfs.keysource.keys import Purpose
from udfs.keysource.local import LocalKeys
from udfs.keysource.masters import new_master, read_masters
from udfs.keysource.ring import KeyRing
from udfs.keysource.shelf import MemoryShelf
from udfs.keysource.sources import Sources


async def test_keys_at_hand_are_hits_and_others_misses() -> None:
    source = LocalKeys(read_masters(new_master("m1"), where="the test"))
    ring = KeyRing(Sources([source]), MemoryShelf(lambda: datetime.now(UTC)))
    registry = CollectorRegistry()
    registry.register(RingFigures(ring))
    tenant = uuid4()
    for _ in range(3):
        await ring.current(tenant, Purpose.DATA)
    found = {
        outcome: registry.get_sample_value(
            "betrace_keys_asked_total", {"of": "secrets", "outcome": outcome}
        )
        for outcome in ("hits", "misses", "evictions", "late")
    }
    assert found == {"hits": 2, "misses": 1, "evictions": 0, "late": 0}
