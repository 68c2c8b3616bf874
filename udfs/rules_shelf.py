"""The records of the rules log as they were read, by tenant, packed until somebody needs them.

An installation has a hundred thousand rules, and most of the tenants they belong to may send
nothing for days. So of a record no more is understood here than whose it is; what it says is found
out when spans of that tenant come, from what is kept here.

Safe to be read by several threads while one adds.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from threading import Lock
from typing import NamedTuple

from udfs.payload import compress, expand

BLOCK_BYTES = 32 * 1024
"""So much is packed at a time: larger blocks would hardly be smaller, and take longer to open."""

_HEAD = Struct("<qI")
"""Before each record: i64 append time in ms, u32 length."""


class ShelvedRecord(NamedTuple):
    """A record of the rules log with the broker's append time."""

    append_ms: int
    value: bytes


class Shelf:
    """The records of one tenant, in the order of the log."""

    __slots__ = ("_block_ends", "_blocks", "_lock", "_loose", "_loose_bytes", "count")

    def __init__(self) -> None:
        self._blocks: list[bytes] = []
        self._block_ends: list[int] = []
        """How many records there are up to the end of each block."""
        self._loose: list[bytes] = []
        self._loose_bytes = 0
        self._lock = Lock()
        self.count = 0
        """How many records there are: what is derived from fewer of them is out of date."""

    def add(self, record: ShelvedRecord) -> None:
        """Put a record behind the others."""
        framed = _HEAD.pack(record.append_ms, len(record.value)) + record.value
        with self._lock:
            self._loose.append(framed)
            self._loose_bytes += len(framed)
            self.count += 1
            if self._loose_bytes >= BLOCK_BYTES:
                self._blocks.append(compress(b"".join(self._loose)))
                self._block_ends.append(self.count)
                self._loose = []
                self._loose_bytes = 0

    def since(self, count: int) -> Iterator[ShelvedRecord]:
        """Yield the records behind the first `count` ones."""
        with self._lock:
            packed = list(zip(self._blocks, self._block_ends, strict=True))
            loose = list(self._loose)
        at = 0
        for block, end in packed:
            if end > count:
                records = list(_unpacked(expand(block)))
                yield from records[max(0, count - at) :]
            at = end
        for framed in loose[max(0, count - at) :]:
            yield from _unpacked(framed)

    @property
    def size_bytes(self) -> int:
        """Return what the records take in memory, packed as they are."""
        with self._lock:
            return sum(map(len, self._blocks)) + self._loose_bytes


def _unpacked(block: bytes) -> Iterator[ShelvedRecord]:
    at = 0
    while at < len(block):
        append_ms, length = _HEAD.unpack_from(block, at)
        at += _HEAD.size
        yield ShelvedRecord(append_ms, block[at : at + length])
        at += length
