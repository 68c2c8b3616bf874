"""What the parts of a backtest hand on to rules over many traces, packed until all parts are done.

A lane of traces says what it has to say in the order of event time (`udfs.contributions`). A part
gathers that of all its lanes, in the same order, in chunks that can be read one after the other.
A chunk is a format byte and a zstd frame of items, little-endian:

    i64 judged ms, u8 source, u32 which of that ms, u8 stage, u8 lane, u32 length, content
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

import zstandard

from udfs.contributions import STAGES, unpack_items

FORMAT: Final = 1
MEMBERS_MAX: Final = 1_000_000
"""Of both sides of a backtest and all its parts."""
_CHUNK_ITEMS: Final = 2_000
_CHUNK_BYTES: Final = 1_048_576
_UNPACKED_MAX_BYTES: Final = 64 * 1_048_576
_LEVEL: Final = 3
_ITEM = Struct("<qBIBBI")


class Handed(NamedTuple):
    """One contribution, whom it is for, and its place in the order of what is said."""

    judged_ms: int
    source: int
    nth: int
    stage: str
    lane: int
    content: bytes


class Chunk(NamedTuple):
    """Packed items in order."""

    item_count: int
    packed: bytes


class TooManyMembers(Exception):
    """The rules look at more than a backtest takes; the message says what to do."""

    def __init__(self) -> None:
        super().__init__(
            f"the rules over many traces look at more than {MEMBERS_MAX:,} spans and signals in "
            "what is read: ask for a shorter range, or narrow what they look at"
        )


class HandedOn:
    """Packs what the lanes of one part hand on."""

    def __init__(self) -> None:
        self.item_count = 0
        self._chunks: list[Chunk] = []
        self._new: list[Handed] = []
        self._parts: list[bytes] = []
        self._chunk_items = self._chunk_bytes = 0

    def take(self, stage: str, lane: int, element: bytes) -> None:
        """Take an element, which a lane said to one of a stage."""
        for item in unpack_items(element):
            self._new.append(
                Handed(item.judged_ms, item.source, item.nth, stage, lane, item.content)
            )

    def settle(self) -> None:
        """Put what was taken since the last call in order: nothing earlier comes any more.

        Raises TooManyMembers.
        """
        self.item_count += len(self._new)
        if self.item_count > MEMBERS_MAX:
            raise TooManyMembers
        for one in sorted(self._new):
            self._pack(one)
        self._new.clear()

    def chunks(self) -> list[Chunk]:
        """Return all that was put in order."""
        self._close()
        return self._chunks

    def _pack(self, one: Handed) -> None:
        stage = STAGES.index(one.stage)
        head = _ITEM.pack(one.judged_ms, one.source, one.nth, stage, one.lane, len(one.content))
        self._parts += (head, one.content)
        self._chunk_items += 1
        self._chunk_bytes += len(head) + len(one.content)
        if self._chunk_items == _CHUNK_ITEMS or self._chunk_bytes >= _CHUNK_BYTES:
            self._close()

    def _close(self) -> None:
        if not self._parts:
            return
        packed = zstandard.compress(b"".join(self._parts), level=_LEVEL)
        self._chunks.append(Chunk(self._chunk_items, bytes((FORMAT,)) + packed))
        self._parts.clear()
        self._chunk_items = self._chunk_bytes = 0


def unpack_chunk(packed: bytes) -> Iterator[Handed]:
    """Yield the items of a chunk in order. Raises ValueError for another format or a cut chunk."""
    if packed[:1] != bytes((FORMAT,)):
        found = packed[:1].hex() or "none"
        raise ValueError(f"handed on in format {found}; this build reads {FORMAT}")
    items = zstandard.decompress(packed[1:], max_output_size=_UNPACKED_MAX_BYTES)
    at = 0
    while at < len(items):
        judged_ms, source, nth, stage, lane, size = _ITEM.unpack_from(items, at)
        at += _ITEM.size
        if at + size > len(items):
            raise ValueError(f"a chunk is cut: {len(items)} bytes, {at + size} expected")
        yield Handed(judged_ms, source, nth, STAGES[stage], lane, items[at : at + size])
        at += size
