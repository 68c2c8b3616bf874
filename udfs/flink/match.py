"""The operator `match`: records of spans in, packed facts out.

Stateless, and chained to the source. What to look for is decided in `udfs.match`, when to read
rules in `udfs.rulebook`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from pyflink.common import Row
from pyflink.datastream import ProcessFunction, RuntimeContext

from udfs.addressing import Address, fallback_lane, read_address, refused
from udfs.flink.fault import CrashOn
from udfs.flink.figures import RSS_BYTES, RULES_OFFSET, resident_bytes
from udfs.flink.in_hand import MATCH, fallen, notes_folder, open_note
from udfs.flink.rules_log import (
    FollowedRules,
    RulesLogAddress,
    append_to_rules_log,
    shared_rules,
)
from udfs.lanes import LANES
from udfs.match import Matcher, OfLane
from udfs.native import is_compiled
from udfs.payload import PayloadUnreadable, expand
from udfs.wire import betrace_pb2 as wire

HEARTBEAT = b""
"""Value of the records that only carry time."""
WAKE = b""
"""Stands for facts where a partition's first record came, whatever it holds."""

_LOG = logging.getLogger(__name__)


class MatchSpans(ProcessFunction):  # type: ignore[misc]
    """Row(payload, tenant, lane, partition, offset, …) → Row(lane, facts, partition, offset).

    payload is what `udfs.payload` opens; tenant and lane are header bytes as `ingest` wrote them;
    the row's time is the broker's append time in ms. Raises RulesLogUnavailable, so that Flink
    restarts the job, and nothing for a bad record: that becomes a dead letter in its element, and
    so does a record of which workers died. A record that a release with other lanes cut becomes one
    row for each of ours.
    """

    def __init__(self, rules: RulesLogAddress, *, partitions: int) -> None:
        """partitions: of the spans topic."""
        self._address = rules
        self._partitions = partitions
        self._rules: FollowedRules | None = None

    def open(self, runtime_context: RuntimeContext) -> None:
        """Tell what workers died of, and read the rules log for the first time."""
        address = self._address
        notes = notes_folder(address.bootstrap_servers, address.topic)
        for death in fallen(notes):
            _LOG.warning("a worker died of partition %d offset %d", death.partition, death.offset)
            append_to_rules_log(address, wire.RuleLogRecord(death=death))
        self._note = open_note(notes, MATCH)
        if not is_compiled():
            _LOG.warning(
                "the engine runs interpreted, at a sixth of its speed: run `python -m "
                "deploy.native` of this release in the Python environment of the TaskManagers"
            )
        self._rules = shared_rules().follow(address)
        self._rules.read()
        self._losses = self._rules.book.losses
        self._matcher = Matcher(self._rules.book)
        self._failures_told = 0
        self._crash_on = CrashOn()
        figures = runtime_context.get_metrics_group()
        figures.gauge(RULES_OFFSET, self._rules.next_offset)
        figures.gauge(RSS_BYTES, resident_bytes)
        self._heard: set[int] = set()

    def process_element(self, value: Row, ctx: ProcessFunction.Context) -> Iterator[Row]:
        """Turn a record into its elements; heartbeats have done their work as watermarks."""
        payload, tenant, lane, partition, offset, _ = value
        if partition not in self._heard:
            self._heard.add(partition)
            for woken in range(partition, LANES, self._partitions):
                yield Row(woken, WAKE, partition, offset)
        if payload is None or payload == HEARTBEAT:
            return
        address = read_address(tenant=tenant, lane=lane)
        if address is None:
            element = refused(
                payload,
                tenant="",
                code="record.no_address",
                detail="the headers tenant and lane are missing or malformed",
                partition=partition,
                offset=offset,
            )
            yield Row(fallback_lane(partition), element, partition, offset)
            return
        for of_lane in self._match(payload, address, partition, offset, ctx.timestamp()):
            yield Row(of_lane.lane, of_lane.element, partition, offset)

    def _match(
        self, value: bytes, address: Address, partition: int, offset: int, time_ms: int
    ) -> Sequence[OfLane]:
        assert self._rules is not None
        self._rules.be_ready_for(time_ms)

        def letter(content: bytes, code: str, detail: str) -> Sequence[OfLane]:
            place = {"partition": partition, "offset": offset}
            packed = refused(content, tenant=address.tenant, code=code, detail=detail, **place)
            return (OfLane(address.lane, packed),)

        if self._losses.is_deadly(partition, offset):
            deaths = self._losses.deaths(partition, offset)
            died = f"{deaths} Python workers died while they matched this record"
            return letter(value, "worker.died", died)
        self._note.take(
            lane=address.lane,
            partition=partition,
            offset=offset,
            time_ms=time_ms,
            tenant=address.tenant,
        )
        payload = value
        try:
            payload = expand(value)
            self._crash_on.look_at(payload)
            elements = self._matcher.match(
                payload,
                tenant=address.tenant,
                lane=address.lane,
                partition=partition,
                offset=offset,
                time_ms=time_ms,
            )
            if len(self._matcher.failures) > self._failures_told:
                self._tell_failures()
            return elements
        except PayloadUnreadable as error:
            return letter(value, "record.unreadable", f"the record cannot be opened: {error}")
        except Exception as error:  # noqa: BLE001
            # The rim: one record that this build cannot read must not stop all others.
            _LOG.exception("match failed on partition %d offset %d", partition, offset)
            return letter(payload, "match.failed", f"{type(error).__name__}: {error}")
        finally:
            self._note.put_down()

    def _tell_failures(self) -> None:
        failures = list(self._matcher.failures.items())
        for (tenant, text), error in failures[self._failures_told :]:
            _LOG.error("`%s` of tenant %s could not be asked of a span: %s", text, tenant, error)
        self._failures_told = len(failures)

    def close(self) -> None:
        """Leave the broker, and no note behind."""
        if self._rules is not None:
            shared_rules().leave(self._rules)
            self._note.close()
