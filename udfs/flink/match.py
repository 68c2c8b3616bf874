"""The operator `match`: records of spans in, packed facts out.

Stateless, and chained to the source. What to look for is decided in `udfs.match`, when to read
rules in `udfs.rulebook`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

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
from udfs.match import Matcher
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
    so does a record of which workers died.
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
        """Turn one record into one element; heartbeats have done their work as watermarks."""
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
        element = self._match(payload, address, partition, offset, ctx.timestamp())
        yield Row(address.lane, element, partition, offset)

    def _match(
        self, value: bytes, address: Address, partition: int, offset: int, time_ms: int
    ) -> bytes:
        assert self._rules is not None
        self._rules.be_ready_for(time_ms)
        if self._losses.is_deadly(partition, offset):
            deaths = self._losses.deaths(partition, offset)
            return refused(
                value,
                tenant=address.tenant,
                code="worker.died",
                detail=f"{deaths} Python workers died while they matched this record",
                partition=partition,
                offset=offset,
            )
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
            element = self._matcher.match(
                payload,
                tenant=address.tenant,
                lane=address.lane,
                partition=partition,
                offset=offset,
                time_ms=time_ms,
            )
            if len(self._matcher.failures) > self._failures_told:
                self._tell_failures()
            return element
        except PayloadUnreadable as error:
            return refused(
                value,
                tenant=address.tenant,
                code="record.unreadable",
                detail=f"the record cannot be opened: {error}",
                partition=partition,
                offset=offset,
            )
        except Exception as error:  # noqa: BLE001
            # The rim: one record that this build cannot read must not stop all others.
            _LOG.exception("match failed on partition %d offset %d", partition, offset)
            return refused(
                payload,
                tenant=address.tenant,
                code="match.failed",
                detail=f"{type(error).__name__}: {error}",
                partition=partition,
                offset=offset,
            )
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
