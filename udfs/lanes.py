"""Lanes: the grain at which traces are ordered, keyed and stored.

A lane is a hash bucket of traces. Every trace lies in one lane, every lane in one Kafka
partition and under one Flink key, whatever the number of tenants. `ingest` and the job must
agree on the function for ever, so golden values stand in `tests/golden/lanes.json`.

Another release may have another number of lanes, but no other partitions: a trace then lies in
another lane, and in the partition where it always lay.
"""

from __future__ import annotations

from zlib import crc32

LANES = 32
"""A multiple of PARTITIONS that divides MAX_PARALLELISM, so 32 or 64: what lanes say to one
another counts three times as many in one byte (`udfs.contributions`)."""
PARTITIONS = 32
"""Of the spans topic. They hold what was written by other releases: never changed."""
MAX_PARALLELISM = 128
"""Flink's number of key groups. Part of every savepoint: never changed."""


def lane_of(tenant: str, trace_id: bytes, /) -> int:
    """Return the lane of a trace: crc32(tenant ‖ 0 ‖ trace id) mod LANES."""
    return crc32(trace_id, tenant_prefix_crc(tenant)) % LANES


def tenant_prefix_crc(tenant: str, /) -> int:
    """Return the running CRC of tenant ‖ 0, to be continued with trace ids of that tenant."""
    return crc32(tenant.encode() + b"\0")


def partition_of(lane: int, /, *, partitions: int) -> int:
    """Return the partition that holds a lane on a topic with so many partitions."""
    return lane % partitions
