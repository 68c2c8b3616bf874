"""Which traces were closed: what tells a late span from the first span of a new trace.

Per tenant and lane. Traces closed within the lateness are known with the time they began, so
that a late span re-judges them; older ones are known by a 64-bit hash for `max_life` more, so
that a span of a forgotten trace is too late and never taken for a new trace. Minutes of that
kind are merged by tens, so that a look-up asks few arrays.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from struct import Struct
from typing import NamedTuple

from udfs.accounts import MINUTE_MS

_MULTIPLIER = 0x9E3779B97F4A7C15F39CC0605CEDC835
_MASK_64 = 2**64 - 1
_HEAD = Struct("<BqII")
_FORMAT = 1
_MERGED = 10


class Sealed(NamedTuple):
    """The traces closed in one minute of event time, sorted by hash.

    ages_ms: from a trace's beginning to the end of the minute, in the order of the hashes.
    """

    minute: int
    hashes: array[int]
    ages_ms: array[int]


def trace_hash(trace_id: bytes) -> int:
    """Return 64 well-mixed bits of a trace id (ids are not random bytes: X-Ray, B3)."""
    return int.from_bytes(trace_id, "little") * _MULTIPLIER >> 64 & _MASK_64


class ClosedTraces:
    """The closed traces of one tenant in one lane, by minute of closing."""

    def __init__(self) -> None:
        self.current_minute = -1
        self.current: dict[bytes, int] = {}
        """Closed in the current minute: trace id → time it began."""
        self.sealed: list[Sealed] = []
        """Minutes in which late spans may still be taken, oldest first."""
        self._older: list[tuple[int, int, array[int]]] = []
        """(first minute, last minute, hashes) of those before."""

    @property
    def minutes(self) -> list[int]:
        """All sealed minutes that are still known."""
        older = [minute for first, last, _ in self._older for minute in range(first, last + 1)]
        return older + [entry.minute for entry in self.sealed]

    def add(self, trace_id: bytes, *, begin_ms: int) -> None:
        """Note a trace closed in the current minute."""
        self.current[trace_id] = begin_ms

    def forget(self, trace_id: bytes) -> None:
        """Take back a trace that was opened again, if it was closed in the current minute.

        In an older minute it stays; what is open is asked first.
        """
        self.current.pop(trace_id, None)

    def begin_of(self, trace_id: bytes, *, since_ms: int) -> int | None:
        """Return when a trace closed after since_ms began; -1 if it closed earlier; else None."""
        begin_ms = self.current.get(trace_id)
        if begin_ms is not None:
            return begin_ms
        if not (self.sealed or self._older):
            return None
        wanted = trace_hash(trace_id)
        for minute, hashes, ages_ms in reversed(self.sealed):
            at = bisect_left(hashes, wanted)
            if at < len(hashes) and hashes[at] == wanted:
                end_ms = (minute + 1) * MINUTE_MS
                return end_ms - ages_ms[at] if end_ms > since_ms else -1
        for _, _, hashes in self._older:
            at = bisect_left(hashes, wanted)
            if at < len(hashes) and hashes[at] == wanted:
                return -1
        return None

    def turn(self, now_ms: int, *, late_ms: int, keep_ms: int) -> tuple[Sealed | None, list[int]]:
        """Come to a time: seal the minute that is over and drop minutes older than keep_ms.

        late_ms: how long after closing late spans are taken. Returns what was sealed, to be
        stored once, and the minutes dropped.
        """
        minute = now_ms // MINUTE_MS
        if minute == self.current_minute:
            return None, []
        sealed = self._seal() if self.current else None
        if sealed is not None:
            self.restore(sealed)
        self.current_minute = minute
        self._merge_older((now_ms - late_ms) // MINUTE_MS)
        return sealed, self._drop_before((now_ms - keep_ms) // MINUTE_MS)

    def restore(self, sealed: Sealed) -> None:
        """Know a sealed minute again. Minutes come in ascending order."""
        self.sealed.append(sealed)

    def _seal(self) -> Sealed:
        end_ms = (self.current_minute + 1) * MINUTE_MS
        rows = sorted((trace_hash(t), end_ms - begin) for t, begin in self.current.items())
        self.current = {}
        return Sealed(
            self.current_minute,
            array("Q", (row[0] for row in rows)),
            array("I", (min(row[1], 0xFFFFFFFF) for row in rows)),
        )

    def _merge_older(self, late_minute: int) -> None:
        """Merge minutes before late_minute once there are _MERGED of them."""
        older = [entry for entry in self.sealed if entry.minute < late_minute]
        if len(older) < _MERGED:
            return
        hashes = array("Q", sorted(h for entry in older for h in entry.hashes))
        self._older.append((older[0].minute, older[-1].minute, hashes))
        self.sealed = self.sealed[len(older) :]

    def _drop_before(self, minute: int) -> list[int]:
        dropped = [
            m for first, last, _ in self._older if last < minute for m in range(first, last + 1)
        ]
        self._older = [entry for entry in self._older if entry[1] >= minute]
        dropped += [entry.minute for entry in self.sealed if entry.minute < minute]
        self.sealed = [entry for entry in self.sealed if entry.minute >= minute]
        return dropped


def pack_sealed(sealed: Sealed) -> bytes:
    """Pack one minute: u8 format, i64 minute, u32 count, u32 zero, hashes (u64), ages (u32 ms)."""
    count = len(sealed.hashes)
    head = _HEAD.pack(_FORMAT, sealed.minute, count, 0)
    return head + sealed.hashes.tobytes() + sealed.ages_ms.tobytes()


def unpack_sealed(packed: bytes) -> Sealed:
    """Unpack one minute. Raises ValueError for another format or a cut value."""
    kind, minute, count, _ = _HEAD.unpack_from(packed)
    at = _HEAD.size
    if kind != _FORMAT or len(packed) != at + 12 * count:
        raise ValueError(f"closed traces of format {kind}, {len(packed)} bytes: cannot be read")
    hashes = array("Q", packed[at : at + 8 * count])
    return Sealed(minute, hashes, array("I", packed[at + 8 * count :]))
