"""Renewing trace ids without moving any trace to another lane.

CRC-32 is linear over GF(2): crc(a ⊕ d) = crc(a) ⊕ crc(d) ⊕ crc(0) for texts of equal length. So
one delta, laid over the last four bytes of every trace id of a chunk, leaves all lanes as they
are if crc(d) ⊕ crc(0) is 0 modulo the number of lanes. The delta holds the number of the cycle
and one byte that sees to this:

    trace id   | 12 bytes: which trace of the chunk | fix | cycle, 24 bits, little-endian |
                                                     └──── ⊕ the trace's own tail ────────┘
"""

from __future__ import annotations

from zlib import crc32

from udfs.lanes import LANES

MAX_CYCLE = 1 << 24
STEM_BYTES = 12
"""The leading bytes of a trace id that never change, and tell the trace within its chunk."""


def delta(cycle: int) -> int:
    """Return what to lay (⊕) over the last four bytes of the ids, read as a little-endian number.

    Raises ValueError when the cycle does not fit in 24 bits.
    """
    if not 0 <= cycle < MAX_CYCLE:
        raise ValueError(f"cycle {cycle} is not within 0 and {MAX_CYCLE - 1}")
    return _FIXES[_shift(cycle << 8)] | cycle << 8


def renewed(trace_id: bytes, *, cycle: int) -> bytes:
    """Return a chunk's trace id as it is in the given cycle."""
    tail = int.from_bytes(trace_id[STEM_BYTES:], "little") ^ delta(cycle)
    return trace_id[:STEM_BYTES] + tail.to_bytes(4, "little")


def cycle_of(trace_id: bytes, *, original: bytes) -> int:
    """Return the cycle in which the original id became this one.

    Raises ValueError when it never did.
    """
    laid = int.from_bytes(trace_id[STEM_BYTES:], "little") ^ int.from_bytes(
        original[STEM_BYTES:], "little"
    )
    if trace_id[:STEM_BYTES] != original[:STEM_BYTES] or delta(laid >> 8) != laid:
        raise ValueError(f"{trace_id.hex()} is no renewal of {original.hex()}")
    return laid >> 8


def _shift(value: int) -> int:
    """Return by how much (⊕) the value, laid over an id's last bytes, moves its lane."""
    return (crc32(value.to_bytes(4, "little")) ^ crc32(bytes(4))) % LANES


def _fixes() -> tuple[int, ...]:
    found: dict[int, int] = {}
    for byte in range(256):
        found.setdefault(_shift(byte), byte)
    return tuple(found[shift] for shift in range(LANES))


_FIXES = _fixes()
