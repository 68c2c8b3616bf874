"""The stages of rules over many traces, driven by hand, with state that can be restored."""

from __future__ import annotations

from collections.abc import Iterable

from udfs.contributions import MANY_SIGNALS, MANY_SPANS, STAGES, wake
from udfs.lanes import LANES
from udfs.life import Output
from udfs.many_lane import ManyLane
from udfs.rulebook import RuleBook


class MemoryKeys:
    """A KeyStore in memory."""

    def __init__(self) -> None:
        self.entries: dict[bytes, bytes] = {}

    def put(self, key: bytes, value: bytes) -> None:
        self.entries[key] = value

    def remove(self, key: bytes) -> None:
        self.entries.pop(key, None)

    def items(self) -> Iterable[tuple[bytes, bytes]]:
        return list(self.entries.items())


class ManyStages:
    """Both stages over one rule book. What lanes of traces put out goes in, signals come out."""

    def __init__(self, book: RuleBook) -> None:
        self.records: dict[tuple[str, int], list[bytes]] = {}
        self.stores: dict[tuple[str, int], MemoryKeys] = {}
        self.restart(book)

    def restart(self, book: RuleBook) -> None:
        """Lose everything in memory; lanes are built again from their state."""
        self.book = book
        self.lanes: dict[tuple[str, int], ManyLane] = {}

    def wake(self, *, time_ms: int) -> None:
        """Let event time come to all lanes for the first time."""
        for lane in range(LANES):
            self.say(MANY_SPANS, lane, wake(time_ms=time_ms))

    def say(self, stage: str, lane: int, element: bytes) -> None:
        """Say something to a lane."""
        record = self.lane(stage, lane).receive(element)
        if record is not None:
            self.records.setdefault((stage, lane), []).append(record)

    def advance(self, outputs: Iterable[Output], watermark_ms: int) -> list[Output]:
        """Hand on what is said, and come to a watermark. Returns all other outputs."""
        passed = self._hand_on(outputs)
        for stage in (MANY_SPANS, MANY_SIGNALS):
            # Of lanes that have state there are timers, whether or not they are at work.
            for place in sorted(place for place in self.records if place[0] == stage):
                lane = self.lane(*place)
                passed += self._hand_on(lane.advance(watermark_ms))
                if lane.wants_snapshot():
                    self.records[place] = lane.snapshot(self.stores[place])
        return passed

    def lane(self, stage: str, number: int) -> ManyLane:
        """Return a lane, built from its state if it is not at work."""
        place = (stage, number)
        if place not in self.lanes:
            store = self.stores.setdefault(place, MemoryKeys())
            records = self.records.get(place, [])
            self.lanes[place] = ManyLane.restore(number, stage, self.book, records, store)
        return self.lanes[place]

    def _hand_on(self, outputs: Iterable[Output]) -> list[Output]:
        passed = []
        for output in outputs:
            if output.topic in STAGES:
                self.say(output.topic, output.key[0], output.value)
            else:
                passed.append(output)
        return passed
