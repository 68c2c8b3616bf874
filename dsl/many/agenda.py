"""When time alone changes something of a key: what is due is asked for, nothing is called back."""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Generic, TypeVar

K = TypeVar("K")


@dataclass(slots=True)
class Agenda(Generic[K]):
    """For each key the earliest time at which to look at it again; at most one that counts."""

    heap: list[tuple[int, K]] = field(default_factory=list)
    scheduled: dict[K, int] = field(default_factory=dict)

    def put(self, key: K, due_ns: int) -> None:
        """Ask for a key at a time, unless it is asked for earlier already."""
        if key not in self.scheduled or due_ns < self.scheduled[key]:
            self.scheduled[key] = due_ns
            heappush(self.heap, (due_ns, key))

    def next_ns(self) -> int | None:
        """Return the earliest time that a key is asked for at, None if there is none."""
        while self.heap and self.scheduled.get(self.heap[0][1]) != self.heap[0][0]:
            heappop(self.heap)
        return self.heap[0][0] if self.heap else None

    def due(self, watermark_ns: int) -> set[K]:
        """Return the keys whose time lies before the watermark, and take them off."""
        found: set[K] = set()
        while self.heap and self.heap[0][0] < watermark_ns:
            due_ns, key = heappop(self.heap)
            if self.scheduled.get(key) == due_ns:
                del self.scheduled[key]
                found.add(key)
        return found
