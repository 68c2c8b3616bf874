"""Spans that speak of compliance come through the engine, each record of theirs once."""

from __future__ import annotations

import json

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.engine import (
    TENANT,
    Engine,
    RulesLog,
    SpanDraft,
    SpansLog,
    counts,
    export_request,
    span_id,
    trace_id,
)
from udfs.evidence import in_spans
from udfs.evidence.compliance import read_compliance
from udfs.evidence.in_spans import compliance_elements
from udfs.evidence.records import Outcome
from udfs.facts import COMPLIANCE, DEAD_LETTER
from udfs.life import Output
from udfs.wire import betrace_pb2 as wire

SAYS = {
    "betrace.compliance.framework": "soc2",
    "betrace.compliance.control": ["CC6.1", "CC7_2"],
    "betrace.compliance.outcome": "success",
    "betrace.compliance.user": "u-17",
    "http.route": "/admin",
}


def draft(name: str = "grant", **fields: object) -> SpanDraft:
    return SpanDraft(
        trace="t", id=name, name=name, start_ms=1_000, duration_ms=5, service="access", **fields
    )


def found(*drafts: SpanDraft) -> list[wire.ComplianceSpan]:
    """What stands in one record with these spans."""
    elements = compliance_elements(
        export_request(drafts), tenant=TENANT, partition=3, offset=9, time_ms=2_000
    )
    assert all(element[0] == COMPLIANCE for element in elements)
    return [s for e in elements for s in wire.ComplianceSpans.FromString(e[1:]).spans]


def of_evidence(outputs: list[Output]) -> list[wire.ComplianceSpans]:
    return [wire.ComplianceSpans.FromString(o.value) for o in outputs if o.topic == "evidence"]


def test_a_span_that_says_which_control_it_keeps_is_told_of_with_what_it_says() -> None:
    log = SpansLog()
    log.send(2_000, draft(attributes=SAYS), draft("read", attributes={"http.route": "/"}))
    engine = Engine(RulesLog())
    engine.run(log.records, until_ms=10_000)

    (told,) = of_evidence(engine.outputs)

    (record,) = log.records
    assert (told.tenant, told.offset, told.time_ms) == (TENANT, record.offset, 2_000)
    (span,) = told.spans
    assert span == wire.ComplianceSpan(
        trace_id=trace_id("t"),
        span_id=span_id("grant"),
        service="access",
        operation="grant",
        start_ns=1_000_000_000,
        end_ns=1_005_000_000,
        attributes=span.attributes,
    )
    says = json.loads(span.attributes)
    assert says == {key: SAYS[key] for key in SAYS if key != "http.route"}
    read = read_compliance(says)
    assert read is not None
    assert read.controls == ("soc2.CC6.1", "soc2.CC7.2")
    assert read.outcome is Outcome.SUCCESS
    assert read.personal == {"user": "u-17"}


def test_its_record_is_judged_and_counted_as_if_it_said_nothing() -> None:
    rules = RulesLog()
    rules.rule("audit", "when { grant } always { audit }")
    judged = []
    for attributes in (SAYS, {}):
        log = SpansLog()
        log.send(2_000, draft(attributes=attributes))
        engine = Engine(rules)
        raised = engine.run(log.records, until_ms=400_000)
        judged.append((raised, counts(engine.outputs)))
    assert judged[0] == judged[1]
    assert len(judged[0][0]) == 1


def test_a_lane_that_is_restored_tells_of_it_all_the_same() -> None:
    log = SpansLog()
    log.send(2_000, draft(attributes=SAYS))
    engine = Engine(RulesLog())
    engine.receive(log.records[0])
    engine.restart()
    engine.advance(10_000)
    assert [len(told.spans) for told in of_evidence(engine.outputs)] == [1]


def test_the_letters_in_another_place_say_nothing() -> None:
    assert found(draft(attributes={"note": "compliance. is what betrace.compliance. means"})) == []
    assert found(draft("compliance.check", attributes={"my.compliance.framework": "x"})) == []


def test_one_that_names_no_control_is_a_dead_letter_of_its_tenant() -> None:
    log = SpansLog()
    log.send(2_000, draft(attributes={"compliance.framework": "soc2"}), draft("b", attributes=SAYS))
    engine = Engine(RulesLog())
    engine.run(log.records, until_ms=10_000)

    letters = [o.value for o in engine.outputs if o.topic == "dead-letters"]
    (letter,) = map(wire.DeadLetter.FromString, letters)
    assert (letter.tenant, letter.source, letter.code) == (TENANT, "match", in_spans.REFUSED)
    assert ".control" in letter.detail
    (of_resource,) = ExportTraceServiceRequest.FromString(letter.content).resource_spans
    assert of_resource.scope_spans[0].spans[0].name == "grant"
    (told,) = of_evidence(engine.outputs)
    assert [span.operation for span in told.spans] == ["b"]


def test_a_record_full_of_refused_ones_writes_a_few_letters() -> None:
    drafts = [draft(f"s{n}", attributes={"compliance.control": "CC6.1"}) for n in range(200)]
    elements = compliance_elements(
        export_request(drafts), tenant=TENANT, partition=0, offset=0, time_ms=0
    )
    assert [element[0] for element in elements] == [DEAD_LETTER] * in_spans.MAX_REFUSED


def test_what_json_cannot_hold_is_told_as_text() -> None:
    (span,) = found(
        draft(
            attributes={
                "compliance.framework": "soc2",
                "compliance.control": "CC6.1",
                "compliance.big": 2**60,
                "compliance.nan": float("nan"),
                "compliance.raw": b"\x00\xff",
                "compliance.map": {"a": [True, 1.5, 2**60]},
            }
        )
    )
    assert json.loads(span.attributes) == {
        "compliance.framework": "soc2",
        "compliance.control": "CC6.1",
        "compliance.big": str(2**60),
        "compliance.nan": "nan",
        "compliance.raw": "00ff",
        "compliance.map": {"a": [True, 1.5, str(2**60)]},
    }


def test_of_a_span_that_says_too_much_the_short_values_are_kept_and_the_rest_is_named() -> None:
    (span,) = found(
        draft(attributes={**SAYS, "betrace.compliance.dump": "ä" * in_spans.MAX_ATTRIBUTES_BYTES})
    )
    assert list(span.left_out) == ["betrace.compliance.dump"]
    assert len(span.attributes.encode()) <= in_spans.MAX_ATTRIBUTES_BYTES
    assert json.loads(span.attributes)["betrace.compliance.framework"] == "soc2"


def test_a_record_full_of_them_becomes_several_messages_with_each_once() -> None:
    text = "x" * 10_000
    drafts = [draft(f"s{n}", attributes={**SAYS, "compliance.text": text}) for n in range(200)]
    elements = compliance_elements(
        export_request(drafts), tenant=TENANT, partition=0, offset=0, time_ms=0
    )
    messages = [wire.ComplianceSpans.FromString(element[1:]) for element in elements]
    assert len(messages) > 1
    assert max(map(len, elements)) < 1_000_000
    ids = [span.span_id for message in messages for span in message.spans]
    assert ids == [span_id(each.id) for each in drafts]


def test_what_does_not_decode_says_nothing() -> None:
    payload = export_request([draft(attributes=SAYS)])
    whole = {"tenant": TENANT, "partition": 0, "offset": 0, "time_ms": 0}
    assert len(compliance_elements(payload, **whole)) == 1
    assert compliance_elements(payload[:-1], **whole) == []


def test_spans_that_are_rewritten_as_a_request_keep_what_nobody_changed() -> None:
    says = {**SAYS, "compliance.map": {"a": [True, 1.5, 7, "x"]}}
    drafts = [draft("a", attributes=says), draft("b", attributes=SAYS)]
    (element,) = compliance_elements(
        export_request(drafts), tenant=TENANT, partition=1, offset=2, time_ms=3
    )
    message = wire.ComplianceSpans.FromString(element[1:])
    message.spans[1].left_out.append("betrace.compliance.dump")
    assert in_spans.rewritten(message, lambda request: request) is message
    assert in_spans.rewritten(message, lambda request: bytes(bytearray(request))) == message

    changed = in_spans.rewritten(message, lambda request: request.replace(b"u-17", b"u-18"))

    assert [json.loads(s.attributes)["betrace.compliance.user"] for s in changed.spans] == [
        "u-18",
        "u-18",
    ]
    assert [list(s.left_out) for s in changed.spans] == [[], ["betrace.compliance.dump"]]

    changed = in_spans.rewritten(message, lambda request: request.replace(b"dump", b"****"))

    assert [list(s.left_out) for s in changed.spans] == [[], ["betrace.compliance.****"]]
