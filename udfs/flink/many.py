"""The operator of rules over many traces: contributions in, signals and statistics out.

Two of them stand in the job, one for each stage (`udfs.contributions`), keyed by lane as
`correlate` is. Like there, nothing is judged on arrival: elements go into the lane's inbox, and one
event-time timer stands for each lane that was ever woken or spoken to. Flink's state holds a
ListState of what came since the last snapshot, and a MapState of keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyflink.common import Row, Types
from pyflink.datastream import KeyedProcessFunction, OutputTag, RuntimeContext
from pyflink.datastream.state import ListStateDescriptor, MapStateDescriptor

from udfs.contributions import STAGES
from udfs.flink.lane_keys import LANE_KEYS, lane_of_key
from udfs.flink.rules_log import FollowedRules, RulesLogAddress, shared_rules
from udfs.many_lane import ManyLane

if TYPE_CHECKING:
    from pyflink.common.typeinfo import TypeInformation
    from pyflink.datastream.state import MapState

    from udfs.life import Output

MAX_WATERMARK = 2**63 - 1


def element_type() -> TypeInformation:
    """Return the type of what is said to a lane: an element of bytes."""
    return Types.PRIMITIVE_ARRAY(Types.BYTE())


def said_to(stage: str) -> OutputTag:
    """Return the side output of what is said to a stage: Row(key of the lane, element).

    It has the shape that a keyed operator reads, so that no operator is needed to make it so.
    """
    return OutputTag(stage, Types.ROW([Types.INT(), element_type()]))


class Outlets:
    """Where the outputs of a lane go: records to the sink, what is said to the stages."""

    def __init__(self, topics: dict[str, str]) -> None:
        self._topics = topics
        self._tags = {stage: said_to(stage) for stage in STAGES}

    def row(self, output: Output) -> Row | tuple[OutputTag, Row]:
        """Return an output as Flink takes it."""
        tag = self._tags.get(output.topic)
        if tag is None:
            return Row(self._topics[output.topic], output.key, output.value, output.headers)
        return self.said(tag.tag_id, output.key[0], output.value)

    def said(self, stage: str, lane: int, element: bytes) -> tuple[OutputTag, Row]:
        """Return what is said to a lane of a stage."""
        return self._tags[stage], Row(LANE_KEYS[lane], element)


@dataclass(slots=True)
class _Working:
    """A lane's machine and the time of the timer that stands in Flink for it."""

    lane: ManyLane
    armed_ms: int | None = None


class FlinkKeyStore:
    """The keys that the lane at hand follows, in Flink's MapState."""

    def __init__(self, state: MapState) -> None:
        self._state = state

    def put(self, key: bytes, value: bytes) -> None:
        """Put without reading."""
        self._state.put(key, value)

    def remove(self, key: bytes) -> None:
        """Forget a key; one that is not there is no error."""
        self._state.remove(key)

    def items(self) -> Iterable[tuple[bytes, bytes]]:
        """Return everything."""
        found: Iterable[tuple[bytes, bytes]] = self._state.items()
        return found


class JudgeMany(KeyedProcessFunction):  # type: ignore[misc]
    """Element of contributions → Row(topic, key, value, headers), and what is said to a stage.

    Raises RulesLogUnavailable, so that Flink restarts the job.
    """

    def __init__(self, rules: RulesLogAddress, *, stage: str, topics: dict[str, str]) -> None:
        self._address = rules
        self._stage = stage
        self._topics = topics
        self._rules: FollowedRules | None = None

    def open(self, runtime_context: RuntimeContext) -> None:
        """Read the rules log for the first time and take hold of the state."""
        value = element_type()
        self._records = runtime_context.get_list_state(ListStateDescriptor("lane", value))
        self._keys = FlinkKeyStore(
            runtime_context.get_map_state(MapStateDescriptor("keys", value, value))
        )
        self._rules = shared_rules().follow(self._address)
        self._rules.read()
        self._book = self._rules.book
        self._outlets = Outlets(self._topics)
        self._working: dict[int, _Working] = {}

    def process_element(self, value: bytes, ctx: KeyedProcessFunction.Context) -> Iterator[Row]:
        """Put one element into its lane's inbox."""
        working = self._of_key(ctx.get_current_key())
        record = working.lane.receive(value)
        if record is not None:
            self._records.add(record)
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
        assert self._rules is not None
        self._rules.be_ready_for(watermark_ms)
        for output in working.lane.advance(watermark_ms):
            yield self._outlets.row(output)
        if working.lane.wants_snapshot():
            self._records.update(working.lane.snapshot(self._keys))
        working.armed_ms = None
        self._arm(working, ctx)

    def close(self) -> None:
        """Leave the broker."""
        if self._rules is not None:
            shared_rules().leave(self._rules)

    def _of_key(self, key: int) -> _Working:
        working = self._working.get(key)
        if working is None:
            lane = ManyLane.restore(
                lane_of_key(key), self._stage, self._book, self._records.get() or (), self._keys
            )
            working = self._working[key] = _Working(lane)
        return working

    def _arm(self, working: _Working, ctx: KeyedProcessFunction.Context) -> None:
        """See to it that the timer of the lane's next step stands in Flink."""
        next_ms = working.lane.next_timer_ms()
        if next_ms is not None and (working.armed_ms is None or next_ms < working.armed_ms):
            working.armed_ms = next_ms
            ctx.timer_service().register_event_time_timer(next_ms)
