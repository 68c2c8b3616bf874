"""The second stage of a backtest: rules over many traces, judged by what all parts handed on.

The very lanes of the job's stages. They are fed in the order of event time, so that what they hold
is what the windows of their rules hold, however long the range.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import dsl
from udfs.backtest.handed import Handed
from udfs.backtest.outcomes import Outcome, outcome_of_signal
from udfs.backtest.rules import GivenRules
from udfs.backtest.window import Window
from udfs.contributions import (
    MANY_SIGNALS,
    MANY_SPANS,
    STAGES,
    Contribution,
    Item,
    Joined,
    lane_of_tenant,
    pack_items,
    wake,
)
from udfs.lanes import LANES
from udfs.life import Output
from udfs.many_lane import ManyLane
from udfs.many_rules import ManyRule
from udfs.wire import betrace_pb2 as wire

SIGNALS_MAX: Final = 50_000
"""Of one side, over all that is read."""
_ADVANCE_EVERY_MS: Final = 10_000
_NS_PER_MS: Final = 1_000_000
_FOR_EVER_NS: Final = 2**63
Key: TypeAlias = tuple[str, ...]
"""One text for each of `by`; empty for an `expect` that has none."""


class TooManySignals(Exception):
    """The rules raise more than a backtest takes; the message says what to do."""

    def __init__(self) -> None:
        super().__init__(
            f"the rules over many traces raise more than {SIGNALS_MAX:,} signals in what is read: "
            "ask for a shorter range, or raise what `having` asks for"
        )


@dataclass(frozen=True, slots=True)
class Raised:
    """A signal of a rule over many traces, as it stands in the end.

    at_ns: its own time: of a `correlate` when it first held, of an `expect` when it was due.
    from_ns, to_ns: what it is about, from the first member or the last sighting on.
    """

    rule_id: str
    key: Key
    at_ns: int
    from_ns: int
    to_ns: int
    outcome: Outcome
    signal: wire.Signal


class ManyOutcomes:
    """What one side says in the end: signals of the range, and keys that were seen in it.

    keys: of every rule, when each was first seen there; those that are expected are seen.
    """

    def __init__(self, window: Window) -> None:
        self._window = window
        self._values: dict[bytes, bytes] = {}
        self.keys: dict[str, dict[Key, int]] = {}

    def expect(self, rule: ManyRule) -> None:
        """Note the keys that a rule expects whether or not they are seen."""
        keys = self.keys.setdefault(rule.id, {})
        if isinstance(rule.rule, dsl.ExpectRule):
            plan = rule.rule.plan
            standing: list[Key] = [()] if plan.by is None else [(key,) for key in plan.listed]
            keys.update(dict.fromkeys(standing, self._window.from_ms * _NS_PER_MS))

    def take_seen(self, contribution: Contribution, *, keyed: bool) -> None:
        """Take what a rule looked at. keyed: it tells keys apart."""
        if isinstance(contribution, Joined):
            member = contribution.member
            if member.withdrawn:
                return
            key, time_ns = tuple(part or "" for part in member.keys), member.time_ns
        else:
            key, time_ns = (contribution.key,) if keyed else (), contribution.time_ns
        if self._window.reports(time_ns // _NS_PER_MS):
            keys = self.keys.setdefault(contribution.rule_id, {})
            keys[key] = min(time_ns, keys.get(key, time_ns))

    def take_signal(self, identity: bytes, value: bytes) -> None:
        """Take a revision of a signal; later ones come later. Raises TooManySignals."""
        self._values[identity] = value
        if len(self._values) > SIGNALS_MAX:
            raise TooManySignals

    def raised(self, rule_ids: Collection[str]) -> Iterator[Raised]:
        """Yield the signals of rules that began in the range and were not withdrawn."""
        for value in self._values.values():
            signal = wire.Signal.FromString(value)
            if signal.rule_id in rule_ids and not _is_withdrawn(signal):
                one = _raised(signal)
                if self._window.reports(one.at_ns // _NS_PER_MS):
                    yield one


class Gathering:
    """Judges the rules over many traces of one side."""

    def __init__(self, given: GivenRules, window: Window, *, begun_ms: Mapping[int, int]) -> None:
        """begun_ms: by partition, when its first record came. There are as many as partitions."""
        settled = given.as_of(window.from_ms)
        self._book = settled.book
        self._outcomes = ManyOutcomes(window)
        self._keyed = {rule.id: _is_keyed(rule) for rule in settled.many}
        self._journal: list[Contribution] = []
        self._lanes = [self._lane(number, MANY_SPANS) for number in range(LANES)]
        self._over_signals = self._lane(lane_of_tenant(given.tenant), MANY_SIGNALS)
        for lane in self._lanes:
            lane.receive(wake(time_ms=begun_ms[lane.lane % len(begun_ms)]))
        for rule in settled.many:
            self._outcomes.expect(rule)
        self._waiting: dict[tuple[str, int, int], list[Item]] = {}
        self._advanced_ms = -1

    def take(self, one: Handed) -> None:
        """Take the next contribution, in the order of all parts. Raises TooManySignals."""
        if one.judged_ms >= self._advanced_ms + _ADVANCE_EVERY_MS:
            self._advance(one.judged_ms - 1)
        item = Item(one.judged_ms, one.source, one.nth, one.content)
        self._waiting.setdefault((one.stage, one.lane, one.source), []).append(item)

    def finish(self, watermark_ms: int) -> ManyOutcomes:
        """Let time come to where the log ends; return what was said. Raises TooManySignals."""
        self._advance(watermark_ms)
        return self._outcomes

    def _lane(self, number: int, stage: str) -> ManyLane:
        return ManyLane(number, stage, self._book, journal=self._journal)

    def _advance(self, watermark_ms: int) -> None:
        self._advanced_ms = watermark_ms
        for (stage, number, source), items in self._waiting.items():
            lane = self._lanes[number] if stage == MANY_SPANS else self._over_signals
            lane.receive(pack_items(items, source=source))
        self._waiting.clear()
        for lane in (*self._lanes, self._over_signals):  # what the first say the last hears
            self._heed(lane.advance(watermark_ms))
        for contribution in self._journal:
            keyed = self._keyed.get(contribution.rule_id, True)
            self._outcomes.take_seen(contribution, keyed=keyed)
        self._journal.clear()

    def _heed(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            if output.topic == "signals":
                self._outcomes.take_signal(output.key, output.value)
            elif output.topic in STAGES:
                self._over_signals.receive(output.value)


def _is_keyed(rule: ManyRule) -> bool:
    return isinstance(rule.rule, dsl.CorrelateRule) or rule.rule.plan.by is not None


def _is_withdrawn(signal: wire.Signal) -> bool:
    """Tell whether it should never have been. An `expect` that ended was overdue all the same."""
    ended = signal.HasField("overdue") and signal.overdue.ended in ("sighted", "forgotten")
    return signal.verdict == wire.VERDICT_SATISFIED and not ended


def _raised(signal: wire.Signal) -> Raised:
    outcome = outcome_of_signal(signal)
    if signal.HasField("correlated"):
        told = signal.correlated
        key = tuple(field.value for field in told.key)
        from_ns = told.since_ns - told.within_ns
        return Raised(signal.rule_id, key, told.since_ns, from_ns, told.last_ns, outcome, signal)
    overdue = signal.overdue
    if signal.verdict == wire.VERDICT_SATISFIED:
        outcome = outcome._replace(verdict=dsl.Verdict.VIOLATED)
    return Raised(
        signal.rule_id,
        tuple(field.value for field in overdue.key),
        overdue.due_ns,
        overdue.last_seen_ns,
        overdue.until_ns or _FOR_EVER_NS,
        outcome,
        signal,
    )
