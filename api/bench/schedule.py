"""When each record of a load is sent: a rate, cycles of a chunk, and what follows late.

Pure: time is handed in. The schedule is open-loop: it owes rate × time spans whether or not
anybody keeps up, so that a slow reader shows as lag and not as a lower rate.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from api.bench.chunk import Chunk, Slot, Stamp
from api.bench.plan import Load

MAX_DEBT_S = 1.0
"""What is owed for longer than this could not be sent; it is forgiven, and shows in `sent`."""

GIANT_EVERY = 4
"""While the giant trace flows, every fourth record is one of its own."""


class Emission(NamedTuple):
    """One record to send."""

    payload: bytes
    lane: int
    spans: int


class Schedule:
    """Sends cycle after cycle of a load at a rate that may be changed at any time.

    rate: spans per second, 0 pauses. sent, sent_bytes: so far, late ones included. cycles: how
    many have been begun, giants: how many giant traces; the measure of the truth once `finished`.
    giant_left: records of the giant trace that have still to be sent.
    """

    def __init__(self, load: Load, *, late_ns: int) -> None:
        """late_ns: from the end of a trace to its late spans; longer than the tenant's settle."""
        self.rate = 0.0
        self.sent = 0
        self.sent_bytes = 0
        self.cycles = 0
        self.giants = 0
        self.finished = False
        self._load = load
        self._late_ns = late_ns
        self._now_ns = 0
        self._credit = 0.0
        self._finishing = False
        self._late: deque[tuple[int, Stamp]] = deque()
        self._giant: Iterator[tuple[Slot, bytes]] = iter(())
        self.giant_left = 0
        self._stream = self._cycles()
        self._exhausted = False

    def finish(self) -> None:
        """Complete the current cycle, then send what is wrapped and late, and be finished."""
        self._finishing = True

    def add_giant(self) -> None:
        """Let the giant trace flow among the others from now on, once per load."""
        if self._load.giant is not None and not self.giants:
            stamp = Stamp(0, self._now_ns)
            self._load.giant.stamp(stamp, previous=stamp)
            self._giant = iter(self._load.giant)
            self.giants = 1
            self.giant_left = len(self._load.giant.slots)

    def due(self, now_ns: int) -> Iterator[Emission]:
        """Yield what is owed by now; times must not go back."""
        elapsed_ns = now_ns - (self._now_ns or now_ns)
        self._now_ns = now_ns
        most = max(self.rate * MAX_DEBT_S, 1.0)
        self._credit = min(self._credit + elapsed_ns / 1e9 * self.rate, most)
        while self._late and self._late[0][0] <= now_ns:
            yield from self._emit(self._stamped(self._load.late, self._late.popleft()[1]))
        while self._credit > 0 and not self._exhausted:
            record = next(self._stream, None)
            if record is None:
                self._exhausted = True
            else:
                yield from self._emit((record,))
        self.finished = self._exhausted and not self._late

    def _emit(self, records: Iterable[tuple[Slot, bytes]]) -> Iterator[Emission]:
        for slot, payload in records:
            self.sent += slot.spans
            self.sent_bytes += len(payload)
            self._credit -= slot.spans
            yield Emission(payload, slot.lane, slot.spans)

    def _cycles(self) -> Iterator[tuple[Slot, bytes]]:
        """Yield the punctual records: the head, wholes until told to finish, the tail."""
        self.cycles = 1
        stamp = Stamp(0, self._now_ns)
        yield from self._with_giant(self._stamped(self._load.head, stamp))
        while not self._finishing:
            previous, stamp = stamp, Stamp(self.cycles, self._now_ns)
            self.cycles += 1
            whole = self._stamped(self._load.whole, stamp, previous=previous)
            yield from self._with_giant(whole)
            self._await_late(previous)
        yield from self._with_giant(self._stamped(self._load.tail, stamp))
        self.giant_left = 0
        yield from self._giant
        self._await_late(stamp)

    def _with_giant(self, records: Iterator[tuple[Slot, bytes]]) -> Iterator[tuple[Slot, bytes]]:
        for number, record in enumerate(records):
            if number % GIANT_EVERY == 0:
                giant = next(self._giant, None)
                if giant is not None:
                    self.giant_left -= 1
                    yield giant
            yield record

    def _await_late(self, stamp: Stamp) -> None:
        self._late.append((self._now_ns + self._late_ns, stamp))

    @staticmethod
    def _stamped(
        chunk: Chunk, stamp: Stamp, *, previous: Stamp | None = None
    ) -> Iterator[tuple[Slot, bytes]]:
        chunk.stamp(stamp, previous=previous or stamp)
        return iter(chunk)
