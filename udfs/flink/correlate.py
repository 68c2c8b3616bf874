"""The operator `correlate`: facts in, signals, statistics and dead letters out.

What traces hand on to rules over many traces leaves by side outputs: most jobs have none.

Keyed by lane. It keeps each lane's machine (`udfs.life.Lane`) in the function instance and what
is needed to rebuild it in Flink's state:

- a ListState of byte records: what came in since the last snapshot, appended without reading,
  and replaced by a snapshot when the lane asks for it;
- a MapState of quiet and closed traces, put without reading, read by point.

It never judges on arrival: an element is put into the lane's inbox, and one event-time timer
per lane, at the next inbox entry or deadline, lets the machine advance to the watermark.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyflink.common import Row, Types
from pyflink.datastream import KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import ListStateDescriptor, MapStateDescriptor

from udfs.contributions import MANY_SPANS, wake
from udfs.flink.figures import RULES_OFFSET
from udfs.flink.in_hand import CORRELATE, notes_folder, open_note
from udfs.flink.lane_keys import lane_of_key
from udfs.flink.many import Outlets
from udfs.flink.rules_log import FollowedRules, RulesLogAddress, shared_rules
from udfs.garbage import spare_the_living
from udfs.native import engine_module

if TYPE_CHECKING:
    from pyflink.datastream.state import MapState

    from udfs.life import Lane
    from udfs.ruleset import RuleSets
else:
    Lane = engine_module("life").Lane
    RuleSets = engine_module("ruleset").RuleSets

_LOG = logging.getLogger(__name__)
MAX_WATERMARK = 2**63 - 1
"""Sent when the input ends. It says that nothing more comes, not that time has passed."""


@dataclass(slots=True)
class _Working:
    """A lane's machine and the time of the timer that stands in Flink for it."""

    lane: Lane
    armed_ms: int | None = None


class FlinkClosedStore:
    """The closed traces of the current key, in Flink's MapState."""

    def __init__(self, state: MapState) -> None:
        self._state = state

    def get(self, key: bytes) -> bytes | None:
        """Return what was put under a key."""
        value: bytes | None = self._state.get(key)
        return value

    def put(self, key: bytes, value: bytes) -> None:
        """Put without reading."""
        self._state.put(key, value)

    def remove(self, key: bytes) -> None:
        """Forget a key; one that is not there is no error."""
        self._state.remove(key)


class CorrelateFacts(KeyedProcessFunction):  # type: ignore[misc]
    """Row(lane, facts, partition, offset) → Row(topic, key, value, headers), and side outputs.

    Empty facts wake the lane of rules over many traces: its partition's first record came.
    topics: the engine's names ("signals", "stats" …) to names of Kafka topics. Raises
    RulesLogUnavailable, so that Flink restarts the job.
    """

    def __init__(self, rules: RulesLogAddress, *, topics: dict[str, str]) -> None:
        self._address = rules
        self._topics = topics
        self._rules: FollowedRules | None = None

    def open(self, runtime_context: RuntimeContext) -> None:
        """Read the rules log for the first time and take hold of the state."""
        # Descriptors hold references into the JVM and cannot travel with the function.
        value = Types.PRIMITIVE_ARRAY(Types.BYTE())
        self._records = runtime_context.get_list_state(ListStateDescriptor("lane", value))
        self._closed = FlinkClosedStore(
            runtime_context.get_map_state(MapStateDescriptor("closed", value, value))
        )
        address = self._address
        self._note = open_note(notes_folder(address.bootstrap_servers, address.topic), CORRELATE)
        self._rules = shared_rules().follow(address)
        self._rules.read()
        self._book = self._rules.book
        runtime_context.get_metrics_group().gauge(RULES_OFFSET, self._rules.next_offset)
        self._rule_sets = RuleSets(self._book)
        self._failures_told = 0
        self._outlets = Outlets(self._topics)
        self._working: dict[int, _Working] = {}
        spare_the_living()

    def process_element(self, value: Row, ctx: KeyedProcessFunction.Context) -> Iterator[Row]:
        """Put one element into its lane's inbox."""
        lane, element, partition, offset = value
        time_ms = ctx.timestamp()
        if not element:
            return iter((self._outlets.said(MANY_SPANS, lane, wake(time_ms=time_ms)),))
        working = self._of_key(ctx.get_current_key())
        self._records.add(
            working.lane.receive(
                time_ms=time_ms, partition=partition, offset=offset, element=element
            )
        )
        if working.armed_ms is None or time_ms < working.armed_ms:
            self._arm(working, ctx)
        return iter(())

    def on_timer(self, timestamp: int, ctx: KeyedProcessFunction.OnTimerContext) -> Iterator[Row]:
        """Let the lane advance to the watermark, and write what it has to say."""
        watermark_ms = ctx.timer_service().current_watermark()
        if watermark_ms == MAX_WATERMARK:
            return
        working = self._of_key(ctx.get_current_key())
        if working.armed_ms is not None and timestamp != working.armed_ms:
            return  # overtaken by an earlier one, which has armed the next
        lane = working.lane
        assert self._rules is not None
        # A quarantine counts from the time of judgement on, which may lie after the last record.
        self._rules.be_ready_for(max(lane.latest_time_ms(), watermark_ms))
        self._note.busy()
        outputs = lane.advance(watermark_ms, self._closed)
        self._note.put_down()
        if len(self._rule_sets.failures) > self._failures_told:
            self._tell_failures()
        for output in outputs:
            yield self._outlets.row(output)
        if lane.wants_snapshot():
            self._records.update(lane.snapshot(self._closed))
        self._arm(working, ctx)

    def close(self) -> None:
        """Leave the broker, and no note behind."""
        if self._rules is not None:
            shared_rules().leave(self._rules)
            self._note.close()

    def _tell_failures(self) -> None:
        failures = list(self._rule_sets.failures.items())
        for (tenant, rule_id), error in failures[self._failures_told :]:
            _LOG.error("rule %s of tenant %s could not be asked: %s", rule_id, tenant, error)
        self._failures_told = len(failures)

    def _of_key(self, key: int) -> _Working:
        working = self._working.get(key)
        if working is None:
            lane = Lane.restore(
                lane_of_key(key),
                self._book,
                self._records.get() or (),
                self._closed,
                rule_sets=self._rule_sets,
            )
            working = self._working[key] = _Working(lane)
        return working

    def _arm(self, working: _Working, ctx: KeyedProcessFunction.Context) -> None:
        """See to it that the timer of the lane's next inbox entry or deadline stands in Flink."""
        working.armed_ms = working.lane.next_timer_ms()
        if working.armed_ms is not None:
            ctx.timer_service().register_event_time_timer(working.armed_ms)
