"""Which spans are refused, why, and that the others go on."""

from __future__ import annotations

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from api.ingest.rejects import Reject, describe
from api.ingest.span_ids import SpanIds, read_ids
from api.ingest.split import Malformed, split
from tests.support.otlp import request, span

TENANT = "3f1f7a52-0d8c-4f0e-9d26-6f1f0c1f2a01"


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (span(trace_id=b""), "otlp.trace_id_missing"),
        (span(trace_id=b"t" * 15), "otlp.trace_id_length"),
        (span(trace_id=b"t" * 32), "otlp.trace_id_length"),
        (span(trace_id=bytes(16)), "otlp.trace_id_zero"),
        (span(span_id=b""), "otlp.span_id_missing"),
        (span(span_id=b"s" * 7), "otlp.span_id_length"),
        (span(span_id=bytes(8)), "otlp.span_id_zero"),
        (span(parent_span_id=b"p" * 4), "otlp.parent_span_id_length"),
        (Span(), "otlp.trace_id_missing"),
    ],
)
def test_a_span_with_a_bad_id_is_rejected_and_its_neighbour_is_not(bad: Span, code: str) -> None:
    divided = split(request(bad, span()).SerializeToString(), tenant=TENANT)
    assert [(reject.code, reject.content) for reject in divided.rejects] == [
        (code, bad.SerializeToString())
    ]
    assert sum(part.span_count for part in divided.parts.values()) == 1


def test_a_span_that_does_not_fit_into_a_record_is_rejected() -> None:
    large = span(note="x" * 900_000)
    divided = split(request(large, span()).SerializeToString(), tenant=TENANT)
    assert [reject.code for reject in divided.rejects] == ["otlp.span_too_large"]
    assert sum(part.span_count for part in divided.parts.values()) == 1


def test_a_span_that_does_not_decode_is_rejected_alone() -> None:
    good, bad = span("good"), span("caf@")
    payload = request(good, bad).SerializeToString().replace(b"caf@", b"caf\xe9")
    divided = split(payload, tenant=TENANT)
    assert [reject.code for reject in divided.rejects] == ["otlp.span_malformed"]
    assert sum(part.span_count for part in divided.parts.values()) == 1


def test_a_resource_that_does_not_decode_takes_its_spans_with_it() -> None:
    payload = request(span(), span(), service="caf@").SerializeToString()
    divided = split(payload.replace(b"caf@", b"caf\xe9"), tenant=TENANT)
    assert [(reject.code, reject.count) for reject in divided.rejects] == [
        ("otlp.origin_malformed", 2)
    ]
    assert divided.parts == {}


@pytest.mark.parametrize("payload", [b"garbage", b"\xff" * 40, b"\x0a\x7f"])
def test_what_is_no_export_request_is_malformed(payload: bytes) -> None:
    with pytest.raises(Malformed):
        split(payload, tenant=TENANT)


def test_an_empty_request_has_no_spans() -> None:
    divided = split(b"", tenant=TENANT)
    assert (divided.parts, divided.rejects, divided.received) == ({}, [], 0)


def test_ids_are_found_in_any_order_of_fields_and_the_last_one_counts() -> None:
    trace_id, span_id, parent_span_id = b"t" * 16, b"s" * 8, b"p" * 8
    serialized = b"".join(
        [
            Span(name="first", kind=Span.SPAN_KIND_CLIENT).SerializeToString(),
            Span(start_time_unix_nano=5, flags=1).SerializeToString(),
            Span(parent_span_id=parent_span_id).SerializeToString(),
            b"\xa3\x06\x08\x01\xa4\x06",  # an unknown group, number 100
            Span(span_id=b"old id..").SerializeToString(),
            Span(span_id=span_id).SerializeToString(),
            Span(trace_id=trace_id).SerializeToString(),
        ]
    )
    assert Span.FromString(serialized).span_id == span_id
    assert read_ids(serialized) == SpanIds(trace_id, span_id, parent_span_id)


def test_the_message_of_a_partial_success_names_each_reason_with_its_count() -> None:
    rejects = [
        Reject("otlp.trace_id_zero", "a trace id must not be all zeros"),
        Reject("otlp.origin_malformed", "the resource does not decode", count=3),
        Reject("otlp.trace_id_zero", "a trace id must not be all zeros"),
    ]
    assert describe(rejects) == (
        "3 × otlp.origin_malformed: the resource does not decode; "
        "2 × otlp.trace_id_zero: a trace id must not be all zeros"
    )
