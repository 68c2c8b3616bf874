"""Reading the headers of a record of spans: whose it is, and in which lane.

`ingest` writes them, that of a release with another number of lanes as well. A record of anybody
else's may lack them, and must not stop the stream: it becomes a dead letter, carried in an element
like any other result of `match`.
"""

from __future__ import annotations

from typing import NamedTuple

from udfs.facts import DEAD_LETTER
from udfs.lanes import LANES, MAX_PARALLELISM
from udfs.wire import betrace_pb2 as wire

MAX_CONTENT_BYTES = 16 * 1024
"""Of a refused record in its dead letter."""


class Address(NamedTuple):
    """The tenant of a record, and the lane of its spans; of some, if other lanes cut it."""

    tenant: str
    lane: int


def read_address(*, tenant: bytes | None, lane: bytes | None) -> Address | None:
    """Read the headers `tenant` (UUID text) and `lane` (ASCII decimal); None if unusable.

    No release has more than MAX_PARALLELISM lanes. A lane of one that has a multiple of ours lies
    wholly in the lane that is returned.
    """
    if not tenant or not lane or not tenant.isascii() or not lane.isdigit():
        return None
    number = int(lane) if len(lane) <= 3 else MAX_PARALLELISM
    return Address(tenant.decode("ascii"), number % LANES) if number < MAX_PARALLELISM else None


def fallback_lane(partition: int) -> int:
    """Return a lane that lies in a partition, for what has none of its own."""
    return partition % LANES


def refused(
    payload: bytes, *, tenant: str, code: str, detail: str, partition: int, offset: int
) -> bytes:
    """Return the element for a record that could not be used: a packed dead letter."""
    letter = wire.DeadLetter(
        tenant=tenant,
        source="match",
        code=code,
        detail=detail,
        topic="spans",
        partition=partition,
        offset=offset,
        content=payload[:MAX_CONTENT_BYTES],
    )
    return bytes((DEAD_LETTER,)) + letter.SerializeToString(deterministic=True)
