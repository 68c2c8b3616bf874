"""The engine of the stream over one partition of the log, with rules that are given.

The same matcher and the same lanes as the operators of the job: what they say is a function of
the log alone, so that one partition can be judged after the other, or beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from udfs.addressing import read_address
from udfs.backtest.handed import HandedOn
from udfs.backtest.outcomes import Outcomes
from udfs.backtest.rules import GivenRules
from udfs.backtest.window import Window
from udfs.contributions import STAGES
from udfs.journal import Closing
from udfs.match import Matcher
from udfs.native import engine_module

if TYPE_CHECKING:
    from udfs.life import Lane
    from udfs.ruleset import RuleSets
else:
    Lane = engine_module("life").Lane
    RuleSets = engine_module("ruleset").RuleSets

_ADVANCE_EVERY_MS = 1_000
_TIDY_EVERY_MS = 600_000


class SpansRecord(NamedTuple):
    """A record of the spans topic: spans of one tenant and lane, with the broker's time."""

    partition: int
    offset: int
    time_ms: int
    tenant: bytes | None
    lane: bytes | None
    payload: bytes
    span_count: int = 0
    """As the writer of the record says, for the counts of progress."""


class ClosedInMemory:
    """What lanes keep of closed traces, in this process."""

    def __init__(self) -> None:
        self._entries: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        """Return what was put under a key."""
        return self._entries.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Put a value under a key."""
        self._entries[key] = value

    def remove(self, key: bytes) -> None:
        """Forget a key; one that is not there is no error."""
        self._entries.pop(key, None)


class _Working(NamedTuple):
    lane: Lane
    closed: ClosedInMemory


class Replay:
    """Judges the records of one partition, given in order of their offsets.

    Records of other tenants, heartbeats, and what the job would have made a dead letter of are
    passed over.
    """

    def __init__(self, given: GivenRules, window: Window) -> None:
        self.outcomes = Outcomes(window)
        self.handed = HandedOn()
        """What is said to rules over many traces, up to where time has come."""
        self._tenant = given.tenant.encode()
        self._book = given.book
        self._matcher = Matcher(given.book)
        self._rule_sets = RuleSets(given.book)
        self._journal: list[Closing] = []
        self._lanes: dict[int, _Working] = {}
        self._advanced_ms = 0
        self._tidied_ms = 0

    def take(self, record: SpansRecord) -> None:
        """Take the next record. Raises TooManyMembers."""
        if record.tenant != self._tenant or not record.payload:
            return
        address = read_address(tenant=record.tenant, lane=record.lane)
        if address is None or self._book.losses.is_deadly(record.partition, record.offset):
            return
        if record.time_ms >= self._advanced_ms + _ADVANCE_EVERY_MS:
            self._advance(record.time_ms - 1)
        for lane, element in self._matcher.match(
            record.payload,
            tenant=address.tenant,
            lane=address.lane,
            partition=record.partition,
            offset=record.offset,
            time_ms=record.time_ms,
        ):
            self._of(lane).lane.receive(
                time_ms=record.time_ms,
                partition=record.partition,
                offset=record.offset,
                element=element,
            )

    def finish(self, watermark_ms: int) -> Outcomes:
        """Let time come to where the log ends for all partitions; return what was said.

        Raises TooManyMembers.
        """
        self._advance(watermark_ms)
        for working in self._lanes.values():
            self.outcomes.take_unclosed(working.lane.unclosed())
        return self.outcomes

    def _of(self, lane: int) -> _Working:
        working = self._lanes.get(lane)
        if working is None:
            made = Lane(lane, self._book, rule_sets=self._rule_sets, journal=self._journal)
            working = self._lanes[lane] = _Working(made, ClosedInMemory())
        return working

    def _advance(self, watermark_ms: int) -> None:
        self._advanced_ms = watermark_ms
        tidy = watermark_ms >= self._tidied_ms + _TIDY_EVERY_MS
        for lane, closed in self._lanes.values():
            for output in lane.advance(watermark_ms, closed):
                if output.topic == "signals":
                    self.outcomes.take_signal(output.value)
                elif output.topic in STAGES:
                    self.handed.take(output.topic, output.key[0], output.value)
            if tidy:
                lane.snapshot(closed)  # what is over is forgotten only with a snapshot
        if tidy:
            self._tidied_ms = watermark_ms
        self.outcomes.take_closings(self._journal)
        self._journal.clear()
        self.handed.settle()
