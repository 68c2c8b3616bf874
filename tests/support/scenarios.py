"""Suites of rules over many traces as logs: the same files run as suites, pure and in Flink."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from uuid import NAMESPACE_OID, uuid5

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import dsl
from dsl.many.trials import TriedTrace
from dsl.objects import RuleDocument, RuleTest, parse_rules
from dsl.suites import tried_traces
from tests.support.engine import KINDS, STATUSES, key_value
from tests.support.whole_traces import flags_of
from udfs.lanes import lane_of
from udfs.wire import betrace_pb2 as wire

GOLDEN = Path(__file__).parents[1] / "golden"
SUITES = (
    *sorted((GOLDEN / "dsl").glob("verdicts*.yaml")),
    *(GOLDEN / "dsl" / name for name in ("correlate.yaml", "expect.yaml")),
    GOLDEN / "many" / "scenarios.yaml",
    *sorted((Path(__file__).parents[2] / "dsl" / "library").glob("*.yaml")),
)
"""The suites of the language: its golden verdicts, and those of the library."""
SETTLE_MS = 2_000
PATIENCE_MS = 8_000
MAX_LIFE_MS = 60_000
LATENESS_MS = 60_000
NS_PER_MS = 1_000_000
TESTED = "tested"
"""Id of a rule that a test writes down itself."""


class Sending(NamedTuple):
    """A record of spans: when it is sent after the beginning, its lane and its content."""

    at_ms: int
    lane: int
    payload: bytes
    spans: int


@dataclass(frozen=True)
class Scenario:
    """One test as a tenant of its own."""

    name: str
    rule_id: str
    tenant: str
    rules: tuple[tuple[str, str, tuple[str, ...]], ...]
    """(id, text, group_by)."""
    traces: tuple[TriedTrace, ...]
    expected: tuple[str, ...]
    external_roots: bool = False

    @property
    def waits_for_time(self) -> bool:
        """Whether the verdict depends on how much time passes after the last span."""
        text = next(text for id_, text, _ in self.rules if id_ == self.rule_id)
        return isinstance(dsl.check(text).rule, dsl.ExpectRule)

    @property
    def end_ms(self) -> int:
        """When the last span begins or arrives."""
        times = [max(s.arrives_ns, s.span.start_ns) for t in self.traces for s in t.spans]
        return max([*times, *(trace.at_ns for trace in self.traces)], default=0) // NS_PER_MS

    def rules_log(self, *, lateness_ms: int = LATENESS_MS, **lives: int) -> list[bytes]:
        """Return the records of the rules log."""
        settings = wire.TenantSettings(
            tenant=self.tenant,
            settle_ms=lives.get("settle_ms", SETTLE_MS),
            patience_ms=lives.get("patience_ms", PATIENCE_MS),
            max_life_ms=lives.get("max_life_ms", MAX_LIFE_MS),
            lateness_ms=lateness_ms,
            external_roots=self.external_roots,
        )
        numbers: dict[int, int] = {}
        records = [wire.RuleLogRecord(tenant=settings).SerializeToString()]
        for rule_id, text, group_by in self.rules:
            compiled = dsl.check(text).rule
            assert compiled is not None, text
            version = wire.RuleVersion(
                tenant=self.tenant,
                rule_id=rule_id,
                version=1,
                text=text,
                state=wire.RULE_STATE_ACTIVE,
                severity="high",
                language=1,
                group_by=group_by,
                predicates=[
                    wire.PredicateEntry(
                        number=numbers.setdefault(p.hash, len(numbers)), hash=p.hash
                    )
                    for p in compiled.predicates
                ],
            )
            records.append(wire.RuleLogRecord(rule=version).SerializeToString())
        return records

    def sendings(self, *, begin_ns: int) -> list[Sending]:
        """Return what is sent, in order; spans of a trace that arrive together in one record."""
        found: dict[tuple[int, str], list[dsl.Span]] = {}
        for trace in self.traces:
            for one in trace.spans:
                place = one.arrives_ns // NS_PER_MS, trace.trace_id
                found.setdefault(place, []).append(one.span)
        return [
            Sending(
                at_ms,
                lane_of(self.tenant, bytes.fromhex(trace_id)),
                export_request(bytes.fromhex(trace_id), spans, begin_ns=begin_ns),
                len(spans),
            )
            for (at_ms, trace_id), spans in sorted(found.items(), key=lambda item: item[0])
        ]

    def verdict(self, signals: Iterable[wire.Signal]) -> str:
        """Return what signals say of the rule: was there one that was not withdrawn?"""
        latest: dict[bytes, wire.Signal] = {}
        for signal in signals:
            mine = (signal.tenant, signal.rule_id) == (self.tenant, self.rule_id)
            known = latest.get(signal.id)
            if mine and (known is None or known.revision < signal.revision):
                latest[signal.id] = signal
        return "violated" if any(map(_stood, latest.values())) else "satisfied"


def _stood(signal: wire.Signal) -> bool:
    if signal.verdict == wire.VERDICT_VIOLATED:
        return True
    return signal.overdue.ended in ("sighted", "forgotten")


def scenarios(*path: str) -> Iterator[Scenario]:
    """Yield the tests of a file below tests/golden that name one final verdict each."""
    document = parse_rules(GOLDEN.joinpath(*path).read_text(), filename=path[-1])
    assert document.problems == ()
    for test in document.tests:
        scenario = _scenario(document, test)
        if scenario is not None:
            yield scenario


def _scenario(document: RuleDocument, test: RuleTest) -> Scenario | None:
    rule = dsl.check(test.rule).rule
    if rule is None or isinstance(rule, dsl.CompiledRule):
        return None
    if any(expected.at_ns is not None for expected in test.expect):
        return None
    entries: Iterable[Any] = ({"trace": test.trace},) if test.traces is None else test.traces
    traces = tuple(one for i, entry in enumerate(entries) for one in tried_traces(entry, i, None))
    rules = tuple(
        (one.id, one.rule, one.group_by)
        for one in document.rules
        if dsl.check(one.rule).rule is not None
    )
    rule_id = test.rule_id or TESTED
    if not test.rule_id:
        rules += ((TESTED, test.rule, ()),)
    return Scenario(
        name=test.name,
        rule_id=rule_id,
        tenant=str(uuid5(NAMESPACE_OID, test.name)),
        rules=rules,
        traces=traces,
        expected=test.expect[0].verdicts,
        external_roots=test.external_roots,
    )


def export_request(trace_id: bytes, spans: Iterable[dsl.Span], *, begin_ns: int) -> bytes:
    """Return spans of one trace as an OTLP request, their times moved."""
    request = ExportTraceServiceRequest()
    for one in spans:
        resource_spans = request.resource_spans.add()
        resource_spans.resource.attributes.extend(key_value(k, v) for k, v in one.resource.items())
        span = resource_spans.scope_spans.add().spans.add(
            trace_id=trace_id,
            span_id=one.span_id,
            parent_span_id=one.parent_span_id,
            name=one.name,
            kind=KINDS[one.kind],
            start_time_unix_nano=begin_ns + one.start_ns,
            end_time_unix_nano=begin_ns + one.end_ns,
            dropped_attributes_count=one.dropped_attributes_count + len(one.redacted),
            flags=flags_of(one),
        )
        span.status.code = STATUSES[one.status]
        span.attributes.extend(key_value(k, v) for k, v in one.attributes.items())
    return request.SerializeToString()
