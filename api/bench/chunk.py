"""A chunk: some hundred thousand spans laid out as records, sent again and again as new traces.

Encoding spans in Python costs far more than judging them should, so it is done once. What must
differ between two sendings (trace ids and times) is stamped into the bytes in place, for the
whole chunk at once, at about 0.1 µs a span.

A chunk's traces overlap in time as they do in life. Every span has an arrival, counted in
cycles from the beginning of the chunk; one that arrives after the end is "wrapped": it is sent
in the next cycle, under the ids and times of this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from api.bench.encode import END_AFTER_START, TRACE_ID_AT, SpanBytes, encode_record
from api.bench.ids import STEM_BYTES, delta

RESOURCE_RUN_SPANS = 16
"""Spans under one resource: what one of 32 lanes gets of an exporter's batch of 512."""


@dataclass(frozen=True, slots=True)
class PlacedSpan:
    """An encoded span, its lane, and when it arrives, in cycles (0 to below 2)."""

    lane: int
    arrival: float
    service: str
    span: SpanBytes

    @property
    def wrapped(self) -> bool:
        """Tell whether the span is sent in the cycle after its trace's."""
        return self.arrival >= 1


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one record lies in the chunk, and when in the cycle it is sent (0 to 1)."""

    position: float
    lane: int
    spans: int
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a cycle's traces get: their cycle's number and the time from which they count."""

    cycle: int
    begin_ns: int


class Chunk:
    """Records of spans, in the order in which they are sent."""

    __slots__ = ("_buffer", "_eights", "_fours", "_new", "_old", "slots", "spans")

    def __init__(self, placed: Iterable[PlacedSpan], *, record_spans: int) -> None:
        records = sorted(_records(placed, record_spans=record_spans), key=lambda r: r[0])
        content: list[bytes] = []
        slots: list[Slot] = []
        laid: list[tuple[int, int, int, int, bool]] = []
        begin = 0
        for position, lane, runs in records:
            flat = [p for _, run in runs for p in run]
            record = encode_record([(s, [p.span.content for p in run]) for s, run in runs])
            end = begin + len(record.content)
            content.append(record.content)
            slots.append(Slot(position, lane, len(flat), begin, end))
            laid += [_laid(begin + at, p) for at, p in zip(record.span_at, flat, strict=True)]
            begin = end
        self.slots: Sequence[Slot] = tuple(slots)
        self.spans = len(laid)
        self._buffer = np.frombuffer(bytearray(b"".join(content)) + bytearray(8), np.uint8)
        # Every byte offset as the beginning of a number: overlapping views, strides of one.
        size = max(self._buffer.size - 7, 0)
        self._fours: npt.NDArray[np.uint32] = np.ndarray((size,), "<u4", self._buffer.data, 0, (1,))
        self._eights: npt.NDArray[np.uint64] = np.ndarray(
            (size,), "<u8", self._buffer.data, 0, (1,)
        )
        places = np.array([row[:4] for row in laid], np.int64).reshape(-1, 4)
        wrapped = np.array([row[4] for row in laid], bool)
        self._old = _Positions.of(places[wrapped], self._fours)
        self._new = _Positions.of(places[~wrapped], self._fours)

    @property
    def content_bytes(self) -> int:
        """Size of all records."""
        return int(self._buffer.size) - 8

    def stamp(self, stamp: Stamp, *, previous: Stamp) -> None:
        """Renew ids and times in place: wrapped spans belong to the previous cycle."""
        self._new.write(self._fours, self._eights, stamp)
        self._old.write(self._fours, self._eights, previous)

    def record(self, slot: Slot) -> bytes:
        """Return a copy of one record."""
        return self._buffer[slot.begin : slot.end].tobytes()

    def __iter__(self) -> Iterator[tuple[Slot, bytes]]:
        """Return every record as it is now stamped, in the order of sending."""
        return ((slot, self.record(slot)) for slot in self.slots)


@dataclass(frozen=True, slots=True)
class _Positions:
    """Places of ids and times in a chunk, and what they held at first."""

    id_tail_at: npt.NDArray[np.int64]
    start_at: npt.NDArray[np.int64]
    id_tails: npt.NDArray[np.uint32]
    starts_ns: npt.NDArray[np.uint64]
    ends_ns: npt.NDArray[np.uint64]

    @classmethod
    def of(cls, places: npt.NDArray[np.int64], fours: npt.NDArray[np.uint32]) -> _Positions:
        return cls(
            places[:, 0],
            places[:, 1],
            fours[places[:, 0]],
            places[:, 2].astype(np.uint64),
            places[:, 3].astype(np.uint64),
        )

    def write(
        self, fours: npt.NDArray[np.uint32], eights: npt.NDArray[np.uint64], stamp: Stamp
    ) -> None:
        begin_ns = np.uint64(stamp.begin_ns)
        fours[self.id_tail_at] = self.id_tails ^ np.uint32(delta(stamp.cycle))
        eights[self.start_at] = self.starts_ns + begin_ns
        eights[self.start_at + END_AFTER_START] = self.ends_ns + begin_ns


def _laid(begin: int, placed: PlacedSpan) -> tuple[int, int, int, int, bool]:
    """Return where the id's tail and the start lie, start and end in ns, and if it is wrapped."""
    content, start_at = placed.span.content, placed.span.start_at
    end_at = start_at + END_AFTER_START
    return (
        begin + TRACE_ID_AT + STEM_BYTES,
        begin + start_at,
        int.from_bytes(content[start_at : start_at + 8], "little"),
        int.from_bytes(content[end_at : end_at + 8], "little"),
        placed.wrapped,
    )


_Runs = list[tuple[str, list[PlacedSpan]]]


def _records(
    placed: Iterable[PlacedSpan], *, record_spans: int
) -> Iterator[tuple[float, int, _Runs]]:
    """Cut each lane's spans, in the order of arrival, into records; yield (position, lane, runs).

    A record is sent when its last span has arrived.
    """
    ordered = sorted(placed, key=lambda p: (p.lane, p.arrival % 1))
    for lane, group in groupby(ordered, key=lambda p: p.lane):
        spans = list(group)
        for first in range(0, len(spans), record_spans):
            record = spans[first : first + record_spans]
            yield record[-1].arrival % 1, lane, list(_runs(record))


def _runs(record: Sequence[PlacedSpan]) -> Iterator[tuple[str, list[PlacedSpan]]]:
    for service, group in groupby(sorted(record, key=lambda p: p.service), lambda p: p.service):
        spans = list(group)
        for first in range(0, len(spans), RESOURCE_RUN_SPANS):
            yield service, spans[first : first + RESOURCE_RUN_SPANS]
