"""Builders for the pure engine: spans to records, rules to log records, a lane driven by hand."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

import dsl
from tests.support.many import ManyStages
from udfs.lanes import lane_of
from udfs.life import Lane, Output
from udfs.match import Matcher
from udfs.otlp import as_any_value
from udfs.rulebook import ACTIVATION_MS, RuleBook
from udfs.wire import betrace_pb2 as wire

TENANT = "3f0c7d0e-0c1b-4c0a-9a55-1f2e3d4c5b6a"
KINDS = {"unspecified": 0, "internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
STATUSES = {"unset": 0, "ok": 1, "error": 2}


@dataclass(frozen=True, kw_only=True)
class SpanDraft:
    """One span to be sent."""

    trace: str
    id: str
    name: str
    parent: str = ""
    service: str = "shop"
    start_ms: int = 0
    duration_ms: int = 1
    kind: str = "internal"
    status: str = "unset"
    attributes: Mapping[str, Any] = field(default_factory=dict)
    dropped: int = 0
    flags: int = 0


def trace_id(text: str) -> bytes:
    """Return a 16-byte id for a short name."""
    return random.Random(f"trace {text}").randbytes(16)


def traces_of_lane(lane: int, *, count: int, tenant: str = TENANT) -> list[str]:
    """Return short names of traces that lie in one lane."""
    names = (f"storm {number}" for number in itertools.count())
    return list(itertools.islice((n for n in names if lane_of(tenant, trace_id(n)) == lane), count))


def span_id(text: str) -> bytes:
    """Return an 8-byte id for a short name; an empty name is no id."""
    return random.Random(f"span {text}").randbytes(8) if text else b""


def export_request(spans: Iterable[SpanDraft]) -> bytes:
    """Return the spans as an ExportTraceServiceRequest, one resource per service."""
    request = ExportTraceServiceRequest()
    by_service: dict[str, Any] = {}
    for draft in spans:
        scope_spans = by_service.get(draft.service)
        if scope_spans is None:
            resource_spans = request.resource_spans.add()
            resource_spans.resource.attributes.append(key_value("service.name", draft.service))
            scope_spans = by_service[draft.service] = resource_spans.scope_spans.add()
        span = scope_spans.spans.add(
            trace_id=trace_id(draft.trace),
            span_id=span_id(draft.id),
            parent_span_id=span_id(draft.parent),
            name=draft.name,
            kind=KINDS[draft.kind],
            start_time_unix_nano=draft.start_ms * 1_000_000,
            end_time_unix_nano=(draft.start_ms + draft.duration_ms) * 1_000_000,
            dropped_attributes_count=draft.dropped,
            flags=draft.flags,
        )
        span.status.code = STATUSES[draft.status]
        span.attributes.extend(key_value(k, v) for k, v in draft.attributes.items())
    return request.SerializeToString()


def key_value(key: str, value: Any) -> KeyValue:
    """Return an OTLP attribute."""
    return KeyValue(key=key, value=as_any_value(value))


class RulesLog:
    """A rules log in memory, with the dictionary of numbers that the API keeps."""

    def __init__(self) -> None:
        self.records: list[tuple[int, bytes]] = []
        self._numbers: dict[tuple[str, int], int] = {}

    def rule(
        self,
        rule_id: str,
        text: str,
        *,
        at_ms: int = -ACTIVATION_MS,
        version: int = 1,
        tenant: str = TENANT,
        state: str = "ACTIVE",
        group_by: Sequence[str] = (),
        **fields: Any,
    ) -> None:
        """Append a version of a rule."""
        checked = dsl.check(text)
        if checked.rule is None:
            raise ValueError(f"{rule_id}: {[p.message for p in checked.problems]}")
        record = wire.RuleLogRecord()
        record.rule.tenant = tenant
        record.rule.rule_id = rule_id
        record.rule.version = version
        record.rule.text = text
        record.rule.state = wire.RuleState.Value(f"RULE_STATE_{state}")
        record.rule.severity = "high"
        record.rule.language = 1
        record.rule.group_by.extend(group_by)
        for name, value in fields.items():
            setattr(record.rule, name, value)
        for predicate in checked.rule.predicates:
            number = self._numbers.setdefault((tenant, predicate.hash), len(self._numbers))
            record.rule.predicates.add(number=number, hash=predicate.hash)
        self.records.append((at_ms, record.SerializeToString()))

    def settings(self, *, at_ms: int = -ACTIVATION_MS, tenant: str = TENANT, **fields: int) -> None:
        """Append settings of a tenant."""
        record = wire.RuleLogRecord(tenant=wire.TenantSettings(tenant=tenant, **fields))
        self.records.append((at_ms, record.SerializeToString()))

    def gap(self, *, at_ms: int, **fields: Any) -> None:
        """Append a gap."""
        record = wire.RuleLogRecord(gap=wire.Gap(**fields))
        self.records.append((at_ms, record.SerializeToString()))

    def death(self, *, at_ms: int, **fields: Any) -> None:
        """Append the death of a worker."""
        record = wire.RuleLogRecord(death=wire.Death(**fields))
        self.records.append((at_ms, record.SerializeToString()))

    def forget(
        self, rule_id: str, key: str, *, at_ms: int, tenant: str = TENANT, id_: bytes = b""
    ) -> None:
        """Append that a key of an `expect` is to be forgotten."""
        forgetting = wire.Forgetting(
            tenant=tenant, rule_id=rule_id, key=key, id=id_ or b"%d" % len(self.records)
        )
        record = wire.RuleLogRecord(forgetting=forgetting)
        self.records.append((at_ms, record.SerializeToString()))

    def book(self, *, reader: str = "") -> RuleBook:
        """Return a book that has read all of the log."""
        book = RuleBook(reader=reader)
        for offset, (at_ms, record) in enumerate(self.records):
            book.add(record, append_ms=at_ms, offset=offset)
        return book


class MemoryStore:
    """A ClosedStore in memory."""

    def __init__(self) -> None:
        self.entries: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self.entries.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        self.entries[key] = value

    def remove(self, key: bytes) -> None:
        self.entries.pop(key, None)


@dataclass(frozen=True)
class Record:
    """One record of betrace.spans."""

    time_ms: int
    lane: int
    offset: int
    payload: bytes
    tenant: str = TENANT


class SpansLog:
    """A spans topic in memory: batches are split by lane and get offsets of one partition."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def send(self, at_ms: int, *spans: SpanDraft, tenant: str = TENANT) -> None:
        """Append the spans, split by lane, all at one time."""
        by_lane: dict[int, list[SpanDraft]] = {}
        for span in spans:
            by_lane.setdefault(lane_of(tenant, trace_id(span.trace)), []).append(span)
        for lane, drafts in sorted(by_lane.items()):
            payload = export_request(drafts)
            self.records.append(Record(at_ms, lane, len(self.records), payload, tenant))


class Engine:
    """Matcher and lanes over two logs, driven by hand, with state that can be restored."""

    def __init__(self, rules: RulesLog, *, reader: str = "") -> None:
        self.rules = rules
        self.reader = reader
        self.state: dict[int, list[bytes]] = {}
        self.stores: dict[int, MemoryStore] = {}
        self.outputs: list[Output] = []
        self.many = ManyStages(rules.book())
        self.restart()

    def restart(self) -> None:
        """Lose everything in memory; lanes are built again from their state."""
        self.begin_anew(self.rules.book(reader=self.reader))

    def begin_anew(self, book: RuleBook) -> None:
        """Go by a book from now on."""
        self.book = book
        self.matcher = Matcher(book)
        self.lanes: dict[int, Lane] = {}
        self.many.restart(book)

    def receive(self, record: Record) -> None:
        """Take one record of the spans log."""
        for number, element in self.matcher.match(
            record.payload,
            tenant=record.tenant,
            lane=record.lane,
            partition=0,
            offset=record.offset,
            time_ms=record.time_ms,
        ):
            kept = self._lane(number).receive(
                time_ms=record.time_ms, partition=0, offset=record.offset, element=element
            )
            self.state.setdefault(number, []).append(kept)

    def advance(self, watermark_ms: int) -> list[Output]:
        """Let event time come to a watermark in all lanes. Returns what was emitted."""
        emitted = []
        for number in sorted(self.state):
            lane = self._lane(number)
            emitted += lane.advance(watermark_ms, self.stores[number])
            if lane.wants_snapshot():
                self.state[number] = lane.snapshot(self.stores[number])
        emitted = self.many.advance(emitted, watermark_ms)
        self.outputs += emitted
        return emitted

    def run(self, records: Sequence[Record], *, until_ms: int) -> list[wire.Signal]:
        """Take all records, then come to a time. Returns the signals, in order."""
        for record in records:
            self.receive(record)
        return signals(self.advance(until_ms))

    def _lane(self, number: int) -> Lane:
        lane = self.lanes.get(number)
        if lane is None:
            store = self.stores.setdefault(number, MemoryStore())
            lane = Lane.restore(number, self.book, self.state.get(number, []), store)
            self.lanes[number] = lane
        return lane


def signals(outputs: Iterable[Output]) -> list[wire.Signal]:
    """Return the signals among outputs."""
    return [each for each in _of_signals(outputs) if not each.HasField("fold")]


def folds(outputs: Iterable[Output]) -> list[wire.Signal]:
    """Return what was folded: of each lane, rule and minute the record that holds."""
    latest: dict[bytes, wire.Signal] = {}
    for each in _of_signals(outputs):
        known = latest.get(each.id)
        if each.HasField("fold") and (known is None or known.revision < each.revision):
            latest[each.id] = each
    return list(latest.values())


def _of_signals(outputs: Iterable[Output]) -> Iterable[wire.Signal]:
    return (wire.Signal.FromString(o.value) for o in outputs if o.topic == "signals")


def final_signals(outputs: Iterable[Output]) -> dict[tuple[str, bytes], str]:
    """Return the verdict with the highest revision per (rule, trace)."""
    latest: dict[bytes, wire.Signal] = {}
    for signal in signals(outputs):
        known = latest.get(signal.id)
        if known is None or signal.revision > known.revision:
            latest[signal.id] = signal
    return {
        (s.rule_id, s.trace_id): wire.Verdict.Name(s.verdict).removeprefix("VERDICT_").lower()
        for s in latest.values()
    }


def accounts(outputs: Iterable[Output]) -> list[wire.Stats]:
    """Return the accounts of every lane, tenant and minute, each by its highest revision."""
    latest: dict[bytes, wire.Stats] = {}
    for output in outputs:
        if output.topic == "stats":
            stats = wire.Stats.FromString(output.value)
            known = latest.get(output.key)
            if known is None or stats.revision > known.revision:
                latest[output.key] = stats
    return list(latest.values())


def counts(outputs: Iterable[Output]) -> dict[str, int]:
    """Return the sums of all accounts."""
    total: dict[str, int] = {}
    for stats in accounts(outputs):
        for name, count in stats.counts.items():
            total[name] = total.get(name, 0) + count
    return total
