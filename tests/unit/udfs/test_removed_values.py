"""A value that redaction removed was there and is gone: what rules ask of it is unknown."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue, KeyValueList
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

import dsl
from tests.support.redaction import a_span, redacted, redactor
from udfs.otlp import REMOVED_TEXT, decode_spans
from udfs.redaction.policy import Policy
from udfs.redaction.strategies import Strategy
from udfs.redaction.tokens import REMOVED

POLICY = Policy(keys={"diagnosis": Strategy.REMOVE, "inner.diagnosis": Strategy.REMOVE})


def text(value: str) -> AnyValue:
    return AnyValue(string_value=value)


def request(
    *attributes: KeyValue, events: tuple[Span.Event, ...] = (), links: tuple[Span.Link, ...] = ()
) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest(
        resource_spans=[
            ResourceSpans(
                resource=Resource(attributes=[KeyValue(key="diagnosis", value=text("of all"))]),
                scope_spans=[
                    ScopeSpans(
                        spans=[
                            a_span(name="visit", attributes=attributes, events=events, links=links)
                        ]
                    )
                ],
            )
        ]
    )


def verdict(condition: str, sent: ExportTraceServiceRequest) -> tuple[dsl.Verdict, set[dsl.Reason]]:
    checked = dsl.check(f"when {{ visit }} never {{ {condition} }}")
    assert checked.promise is not None, checked.problems
    after = redacted(sent, redactor(POLICY))
    spans = decode_spans(after.SerializeToString())
    judged = dsl.explain(checked.promise, spans, complete=True).judgement
    return judged.verdict, set(judged.reasons)


OF_A_SPAN = request(KeyValue(key="diagnosis", value=text("flu")))
IN_A_MAP = request(
    KeyValue(
        key="inner",
        value=AnyValue(
            kvlist_value=KeyValueList(values=[KeyValue(key="diagnosis", value=text("flu"))])
        ),
    )
)
OF_AN_EVENT = request(
    events=(Span.Event(name="e", attributes=[KeyValue(key="diagnosis", value=text("flu"))]),)
)
OF_A_LINK = request(links=(Span.Link(attributes=[KeyValue(key="diagnosis", value=text("flu"))]),))


def test_the_text_is_that_of_redaction() -> None:
    assert REMOVED_TEXT == REMOVED


@pytest.mark.parametrize(
    ("condition", "sent"),
    [
        ("any.where(diagnosis == flu)", OF_A_SPAN),
        ("any.where(diagnosis != flu)", OF_A_SPAN),
        ("any.where(diagnosis in [flu, cold])", OF_A_SPAN),
        ('any.where(diagnosis matches "^f")', OF_A_SPAN),
        ("any.where(resource.diagnosis == flu)", OF_A_SPAN),
        ("any.where(inner.diagnosis == flu)", IN_A_MAP),
        ("any.where(event.diagnosis == flu)", OF_AN_EVENT),
        ("any.where(link.diagnosis == flu)", OF_A_LINK),
    ],
)
def test_a_rule_that_asks_for_it_is_in_doubt(
    condition: str, sent: ExportTraceServiceRequest
) -> None:
    assert verdict(condition, sent) == (dsl.Verdict.INCONCLUSIVE, {dsl.Reason.REDACTED})


def test_a_rule_that_does_not_is_not() -> None:
    assert verdict("any.where(other == flu)", OF_A_SPAN) == (dsl.Verdict.SATISFIED, set())
