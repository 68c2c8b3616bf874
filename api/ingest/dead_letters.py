"""Dead letters of the door: refused spans and requests that could not be read."""

from __future__ import annotations

from zlib import crc32

from api.ingest.rejects import Reject
from udfs.wire.betrace_pb2 import DeadLetter

MAX_CONTENT_BYTES = 16 * 1024
PARTITIONS = 4


def dead_letter(
    reject: Reject, *, tenant: str, topic: str = "", partition: int = 0, offset: int = 0
) -> bytes:
    """Serialize a DeadLetter with at most 16 KiB of the content.

    topic, partition and offset say where it was read from; empty for what came over OTLP.
    """
    several = f" ({reject.count} spans)" if reject.count > 1 else ""
    return bytes(
        DeadLetter(
            tenant=tenant,
            source="ingest",
            code=reject.code,
            detail=reject.detail + several,
            topic=topic,
            partition=partition,
            offset=offset,
            content=reject.content[:MAX_CONTENT_BYTES],
        ).SerializeToString()
    )


def dead_letter_partition(tenant: str) -> int:
    """Return the partition on which a tenant's dead letters lie."""
    return crc32(tenant.encode()) % PARTITIONS
