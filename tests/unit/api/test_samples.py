"""Samples: the library says what it promises, and what is kept has lost where it comes from."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from api.problems import ApiError
from api.rules.definitions import Form
from api.rules.trial import try_text
from api.samples.anonymous import anonymous
from api.samples.library import library
from api.samples.model import MAX_SPANS, Sample
from api.samples.otlp import redacted_spans, request_of_json
from dsl.traces import span_from_fields
from udfs.otlp import decode_spans
from udfs.redaction.policy import Policy
from udfs.redaction.redactor import Redactor

TRACE = "5b8aa5a2d2c872e8321cf37308d69df2"
NOON_NS = 1_795_780_800_000_000_000
MS = 1_000_000


def otlp(*spans: dict[str, Any], service: str = "payments") -> dict[str, Any]:
    """Return a document with spans of one service."""
    whole = [
        {
            "traceId": TRACE,
            "spanId": f"{at + 1:016x}",
            "name": "span",
            "startTimeUnixNano": str(NOON_NS),
            "endTimeUnixNano": str(NOON_NS + 5 * MS),
            **span,
        }
        for at, span in enumerate(spans)
    ]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": whole}]}]}


def kept(document: dict[str, Any], policy: Policy | None = None) -> list[Any]:
    """Return what is kept of a document."""
    spans, _ = redacted_spans(request_of_json(document), Redactor(policy or Policy(), None))
    return [dict(entry) for entry in anonymous(spans)]


def test_the_library_has_ten_samples_and_more() -> None:
    assert len(library()) >= 10
    assert {tag for sample in library().values() for tag in sample.tags} >= {"kept", "broken"}


@pytest.mark.parametrize("sample", library().values(), ids=lambda sample: sample.id)
def test_a_sample_of_the_library_is_what_it_says(sample: Sample) -> None:
    body = {"rule": sample.rule, "traces": [list(sample.spans or ())]}
    tried = try_text(json.dumps(body), form=Form.JSON)
    assert tried.problems == ()
    assert [told.verdict for told in tried.verdicts] == [sample.expect]
    assert sample.span_count == len(sample.spans or ())


def test_a_kept_trace_has_neither_ids_nor_a_clock() -> None:
    document = otlp(
        {"name": "POST /pay", "kind": 2, "endTimeUnixNano": str(NOON_NS + 40 * MS)},
        {
            "name": "payment.charge",
            "parentSpanId": f"{1:016x}",
            "startTimeUnixNano": str(NOON_NS + 12 * MS + 500_000),
            "endTimeUnixNano": str(NOON_NS + 20 * MS + 500_000),
            "status": {"code": 2, "message": "declined"},
            "attributes": [{"key": "amount", "value": {"doubleValue": 12.5}}],
            "events": [{"name": "retry", "timeUnixNano": str(NOON_NS + 13 * MS)}],
        },
        {"name": "lost.child", "parentSpanId": f"{99:016x}"},
    )
    assert kept(document) == [
        {"name": "lost.child", "id": "s1", "parent": "gone1", "service": "payments",
         "start": "0ms", "duration": "5ms"},
        {"name": "POST /pay", "id": "s2", "service": "payments", "kind": "server",
         "start": "0ms", "duration": "40ms"},
        {"name": "payment.charge", "id": "s3", "parent": "s2", "service": "payments",
         "start": 12_500_000, "duration": "8ms", "status": "error", "status_message": "declined",
         "attributes": {"amount": 12.5}, "events": [{"name": "retry", "time": "13ms"}]},
    ]  # fmt: skip


@given(st.integers(0, 2**32))
def test_the_same_spans_give_the_same_sample_in_whatever_order_and_with_whatever_ids(
    seed: int,
) -> None:
    rng = random.Random(seed)

    def spans(ids: list[bytes], trace_id: bytes, begin_ns: int) -> list[Span]:
        return [
            Span(
                trace_id=trace_id,
                span_id=ids[at],
                parent_span_id=ids[at // 2] if at else b"",
                name=f"step {at}",
                start_time_unix_nano=begin_ns + at * MS,
                end_time_unix_nano=begin_ns + at * MS + 7,
            )
            for at in range(9)
        ]

    def sample(these: list[Span]) -> Any:
        request = ExportTraceServiceRequest()
        request.resource_spans.add().scope_spans.add().spans.extend(these)
        return anonymous(decode_spans(request.SerializeToString()))

    ids = [rng.randbytes(8) for _ in range(9)]
    others = [rng.randbytes(8) for _ in range(9)]
    mixed = spans(others, rng.randbytes(16), NOON_NS + 3_600_000 * MS)
    rng.shuffle(mixed)
    told = sample(spans(ids, rng.randbytes(16), NOON_NS))
    assert sample(mixed) == told
    read = [span_from_fields(entry, position=at) for at, entry in enumerate(told)]
    assert [(span.name, span.start_ns, span.end_ns - span.start_ns) for span in read] == [
        (f"step {at}", at * MS, 7) for at in range(9)
    ]
    assert [span.parent_span_id for span in read[1:]] == [
        read[at // 2].span_id for at in range(1, 9)
    ]


def test_what_redaction_removes_is_not_known_to_rules() -> None:
    document = otlp(
        {
            "name": "payment.charge",
            "attributes": [
                {"key": "card", "value": {"stringValue": "4111 1111 1111 1111"}},
                {"key": "mail", "value": {"stringValue": "ada@example.com"}},
            ],
        }
    )
    [span] = kept(document)
    assert "4111" not in json.dumps(span)
    assert "ada@" not in json.dumps(span)
    assert span["redacted"] == ["card", "mail"]
    rule = 'when { payment.charge.where(mail == "ada@example.com") } always { receipt }'
    tried = try_text(json.dumps({"rule": rule, "traces": [[span]]}), form=Form.JSON)
    assert [told.verdict for told in tried.verdicts] == ["inconclusive"]


def test_traces_of_one_document_stay_apart() -> None:
    other = "0" * 31 + "1"
    link = {"traceId": TRACE, "spanId": f"{1:016x}"}
    told = kept(otlp({"name": "first"}, {"name": "second", "traceId": other, "links": [link]}))
    traces = {span["name"]: span["trace"] for span in told}
    assert set(traces.values()) == {"t1", "t2"}
    [second] = [span for span in told if span["name"] == "second"]
    [first] = [span for span in told if span["name"] == "first"]
    assert second["links"] == [{"trace_id": traces["first"], "span_id": first["id"]}]


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ({}, "sample.empty"),
        ({"resourceSpans": "x"}, "sample.malformed"),
        ({"resourceSpans": [{"scopeSpans": [{"spans": [1]}]}]}, "sample.spans"),
        (otlp({"traceId": ""}), "sample.ids"),
        (otlp({"spanId": "00"}), "sample.ids"),
        (otlp({"parentSpanId": "00ff"}), "sample.ids"),
        (otlp({"startTimeUnixNano": "noon"}), "sample.spans"),
        (otlp(*[{}] * (MAX_SPANS + 1)), "sample.too_many_spans"),
        (otlp(*[{"traceId": f"{at + 1:032x}"} for at in range(21)]), "sample.too_many_traces"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_a_sample_is_refused(document: dict[str, Any], code: str) -> None:
    with pytest.raises(ApiError) as refused:
        kept(document)
    assert refused.value.code == code
    assert 400 <= refused.value.status < 500
