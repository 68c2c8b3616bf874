"""Which traces were closed: what tells a late span from the first span of a new trace.

Per tenant and lane. Traces closed within the lateness are known with the time they began and the
block of the store that holds their facts, so that a late span re-judges them; older ones are
known by a 64-bit hash for `max_life` more, so that a span of a forgotten trace is too late and
never taken for a new trace. Minutes of that kind are merged by tens, so that a look-up asks few
arrays; all minutes of one ten are forgotten together, whether they were merged or a restored lane
has them one by one. A trace that was closed again is known more than once: the newest entry counts.

A trace that was not opened, since its tenant had too many, is known in the same way: its other
spans must not make a trace of their own.
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
_FORMAT = 2
CAPPED_FORMAT = 3
"""Of a minute in which traces were not opened."""
_MERGED = 10
_LEAST_CAPACITY = 64
_STORED_BITS = 17
_STORED_MASK = (1 << _STORED_BITS) - 1
NOT_STORED = 0
"""Of a trace of which nothing but its beginning is known."""
NOT_OPENED = 0xFFFF
"""Of a trace that was not opened."""


class Sealed(NamedTuple):
    """The traces closed in one minute of event time, sorted by hash.

    In the order of the hashes, ages_ms: from a trace's beginning to the end of the minute; stored:
    1 + the ms within the minute at which it was closed and stored, NOT_STORED or NOT_OPENED.
    """

    minute: int
    hashes: array[int]
    ages_ms: array[int]
    stored: array[int]

    def blocks_ms(self) -> list[int]:
        """Return the times at which traces of this minute were stored."""
        start_ms = self.minute * MINUTE_MS
        times = sorted(set(self.stored) - {NOT_STORED, NOT_OPENED})
        return [start_ms + at - 1 for at in times]


class Known(NamedTuple):
    """What is known of a closed trace. stored_ms: when it was stored; None: nothing was."""

    begin_ms: int
    stored_ms: int | None


TOO_LATE = Known(-1, None)
"""A trace closed so long ago that late spans are not taken any more."""
TOO_MANY = Known(-2, None)
"""A trace that was not opened."""


def trace_hash(trace_id: bytes) -> int:
    """Return 64 well-mixed bits of a trace id (ids are not random bytes: X-Ray, B3)."""
    return int.from_bytes(trace_id, "little") * _MULTIPLIER >> 64 & _MASK_64


class _Filter:
    """Tells most hashes that were never added: one bit of sixteen is set for each that was.

    Hashes are not taken out; the filter is made anew when most of its own are gone.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = max(capacity, _LEAST_CAPACITY)
        self.count = 0
        self._mask = (1 << (16 * self.capacity - 1).bit_length()) - 1
        self._bits = bytearray((self._mask >> 3) + 1)

    def add(self, hashes: array[int]) -> None:
        """Add hashes."""
        self.count += len(hashes)
        bits, mask = self._bits, self._mask
        for one in hashes:
            at = one & mask
            bits[at >> 3] |= 1 << (at & 7)

    def may_hold(self, one: int) -> bool:
        """Tell whether a hash may have been added."""
        at = one & self._mask
        return bool(self._bits[at >> 3] >> (at & 7) & 1)


class ClosedTraces:
    """The closed traces of one tenant in one lane, by minute of closing."""

    def __init__(self) -> None:
        self._filter = _Filter(0)
        self.current_minute = -1
        self.current: dict[bytes, int] = {}
        """Closed in the current minute: trace id → time it began, and `stored` in the low bits."""
        self.sealed: list[Sealed] = []
        """Minutes in which late spans may still be taken, oldest first."""
        self._older: list[tuple[int, int, array[int]]] = []
        """(first minute, last minute, hashes) of those before."""
        self._sealed_count = 0

    @property
    def count(self) -> int:
        """How many entries there are."""
        return len(self.current) + self._sealed_count

    @property
    def minutes(self) -> list[int]:
        """All sealed minutes that are still known."""
        older = [minute for first, last, _ in self._older for minute in range(first, last + 1)]
        return older + [entry.minute for entry in self.sealed]

    def blocks_ms(self, minute: int) -> list[int] | None:
        """Return the times at which traces of a sealed minute were stored; None: it was merged."""
        for entry in self.sealed:
            if entry.minute == minute:
                return entry.blocks_ms()
        return None

    def add(self, trace_id: bytes, *, begin_ms: int, stored_ms: int | None) -> None:
        """Note a trace closed in the current minute. stored_ms: if its facts were stored then."""
        stored = NOT_STORED if stored_ms is None else 1 + stored_ms % MINUTE_MS
        self.current[trace_id] = begin_ms << _STORED_BITS | stored

    def add_not_opened(self, trace_id: bytes, *, begin_ms: int) -> None:
        """Note a trace that is not opened, or that more spans came of one."""
        self.current[trace_id] = begin_ms << _STORED_BITS | NOT_OPENED

    def forget(self, trace_id: bytes) -> None:
        """Take back a trace that was opened again, if it was closed in the current minute.

        In an older minute it stays; what is open is asked first.
        """
        self.current.pop(trace_id, None)

    def find(self, trace_id: bytes, *, since_ms: int) -> Known | None:
        """Return what is known of a trace closed after since_ms, or None if it is new.

        TOO_LATE: it was closed before. TOO_MANY: it was not opened.
        """
        noted = self.current.get(trace_id)
        if noted is not None:
            minute = self.current_minute
            return _known(minute, begin_ms=noted >> _STORED_BITS, stored=noted & _STORED_MASK)
        wanted = trace_hash(trace_id)
        if not self._filter.may_hold(wanted):
            return None
        for minute, hashes, ages_ms, stored in reversed(self.sealed):
            at = bisect_left(hashes, wanted)
            if at < len(hashes) and hashes[at] == wanted:
                end_ms = (minute + 1) * MINUTE_MS
                if end_ms <= since_ms:
                    return TOO_LATE
                return _known(minute, begin_ms=end_ms - ages_ms[at], stored=stored[at])
        for _, _, hashes in self._older:
            at = bisect_left(hashes, wanted)
            if at < len(hashes) and hashes[at] == wanted:
                return TOO_LATE
        return None

    def closed_by_ms(self, trace_id: bytes, *, since_ms: int) -> int:
        """Return by when a trace was closed of which `find` says TOO_LATE: the end of a minute.

        Of a ten of minutes where they may have been merged: whether they were, nobody can tell from
        outside. since_ms: as for `find`.
        """
        wanted = trace_hash(trace_id)
        for minute, hashes, _, _ in reversed(self.sealed):
            at = bisect_left(hashes, wanted)
            if at < len(hashes) and hashes[at] == wanted:
                end_of_ten_ms = _end_of_ten(minute) * MINUTE_MS
                return end_of_ten_ms if end_of_ten_ms <= since_ms else (minute + 1) * MINUTE_MS
        for _, last, hashes in self._older:
            at = bisect_left(hashes, wanted)
            if at < len(hashes) and hashes[at] == wanted:
                return _end_of_ten(last) * MINUTE_MS
        return (self.current_minute + 1) * MINUTE_MS

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
        self._sealed_count += len(sealed.hashes)
        if self._filter.count + len(sealed.hashes) > self._filter.capacity:
            self._make_filter()
        else:
            self._filter.add(sealed.hashes)

    def _make_filter(self) -> None:
        """Make the filter of all that is known, with room for as much again."""
        known = [entry.hashes for entry in self.sealed] + [hashes for _, _, hashes in self._older]
        self._filter = _Filter(2 * sum(map(len, known)))
        for hashes in known:
            self._filter.add(hashes)

    def _seal(self) -> Sealed:
        end_ms = (self.current_minute + 1) * MINUTE_MS
        rows = sorted((trace_hash(trace_id), noted) for trace_id, noted in self.current.items())
        self.current = {}
        ages_ms = (min(end_ms - (noted >> _STORED_BITS), 0xFFFFFFFF) for _, noted in rows)
        return Sealed(
            self.current_minute,
            array("Q", (hashed for hashed, _ in rows)),
            array("I", ages_ms),
            array("H", (noted & _STORED_MASK for _, noted in rows)),
        )

    def _merge_older(self, late_minute: int) -> None:
        """Merge the minutes of each ten that lies before late_minute."""
        while self.sealed and _end_of_ten(self.sealed[0].minute) <= late_minute:
            end = _end_of_ten(self.sealed[0].minute)
            ten = [entry for entry in self.sealed if entry.minute < end]
            hashes = array("Q", sorted(h for entry in ten for h in entry.hashes))
            self._older.append((ten[0].minute, ten[-1].minute, hashes))
            self.sealed = self.sealed[len(ten) :]

    def _drop_before(self, minute: int) -> list[int]:
        """Drop the tens of minutes that end before a minute. Returns their minutes."""
        older = [entry for entry in self._older if _end_of_ten(entry[1]) <= minute]
        sealed = [entry for entry in self.sealed if _end_of_ten(entry.minute) <= minute]
        if not older and not sealed:
            return []
        dropped = [one for first, last, _ in older for one in range(first, last + 1)]
        self._older = self._older[len(older) :]
        self.sealed = self.sealed[len(sealed) :]
        gone = sum(len(hashes) for _, _, hashes in older)
        self._sealed_count -= gone + sum(len(entry.hashes) for entry in sealed)
        return dropped + [entry.minute for entry in sealed]


def _end_of_ten(minute: int) -> int:
    return minute // _MERGED * _MERGED + _MERGED


def _known(minute: int, *, begin_ms: int, stored: int) -> Known:
    if stored == NOT_OPENED:
        return TOO_MANY
    return Known(begin_ms, None if stored == NOT_STORED else minute * MINUTE_MS + stored - 1)


def pack_sealed(sealed: Sealed) -> bytes:
    """Pack one minute: u8 format, i64 minute, u32 count, u32 zero, hashes, ages, stored.

    Of each trace: u64 hash, u32 age in ms, u16 stored.
    """
    count = len(sealed.hashes)
    version = CAPPED_FORMAT if NOT_OPENED in sealed.stored else _FORMAT
    head = _HEAD.pack(version, sealed.minute, count, 0)
    return head + b"".join(column.tobytes() for column in sealed[1:])


def unpack_sealed(packed: bytes) -> Sealed:
    """Unpack one minute. Raises ValueError for another format or a cut value."""
    kind, minute, count, _ = _HEAD.unpack_from(packed)
    at = _HEAD.size
    if kind not in (_FORMAT, CAPPED_FORMAT) or len(packed) != at + 14 * count:
        raise ValueError(f"closed traces of format {kind}, {len(packed)} bytes: cannot be read")
    return Sealed(
        minute,
        array("Q", packed[at : at + 8 * count]),
        array("I", packed[at + 8 * count : at + 12 * count]),
        array("H", packed[at + 12 * count :]),
    )
