"""Show 7: what the door answers to bad requests, and that nothing good is lost with them."""

from __future__ import annotations

import gzip
import io
import os
import time

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.shows.customer import Customer, eventually

pytestmark = pytest.mark.e2e

BOMB_BYTES = 200 * 1024 * 1024
NAME = "shows.door"
RULE = f"when {{ {NAME}.where(bad == true) }} never {{ {NAME}.where(bad == true) }}"


def span(*, trace_id: bytes, root: bool = True, bad: bool = False) -> Span:
    now_ns = time.time_ns()
    return Span(
        trace_id=trace_id,
        span_id=os.urandom(8),
        parent_span_id=b"" if root else os.urandom(8),
        name=NAME,
        start_time_unix_nano=now_ns - 1_000_000,
        end_time_unix_nano=now_ns,
        attributes=[KeyValue(key="bad", value=AnyValue(bool_value=bad))],
    )


def request(*spans: Span) -> bytes:
    message = ExportTraceServiceRequest()
    message.resource_spans.add().scope_spans.add().spans.extend(spans)
    return message.SerializeToString()


def test_malformed_protobuf_is_refused(customer: Customer) -> None:
    assert customer.post_spans(b"\x0a\xff\xff\xff\xff\x0fnot protobuf").status_code == 400


def test_malformed_json_is_refused(customer: Customer) -> None:
    assert customer.post_spans(b"{", Content_Type="application/json").status_code == 400


def test_another_content_type_is_refused(customer: Customer) -> None:
    assert customer.post_spans(b"hello", Content_Type="text/plain").status_code == 415


@pytest.mark.parametrize("key", ["", "wrong", "betrace_live_0123456789abcdefghijklmnop"])
def test_a_wrong_key_is_refused(customer: Customer, key: str) -> None:
    assert customer.post_spans(request(), X_API_Key=key).status_code == 401


def test_a_bomb_is_refused_without_being_expanded(customer: Customer) -> None:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as bomb:
        for _ in range(BOMB_BYTES // (1 << 20)):
            bomb.write(bytes(1 << 20))
    answer = customer.post_spans(packed.getvalue(), Content_Encoding="gzip")
    assert answer.status_code == 413


def test_good_spans_beside_bad_ones_are_taken(customer: Customer) -> None:
    trace_id = os.urandom(16)
    nameless = span(trace_id=b"")
    headless = span(trace_id=os.urandom(16))
    headless.span_id = b""
    with customer.rule(RULE) as rule_id:
        answer = customer.post_spans(request(nameless, span(trace_id=trace_id, bad=True), headless))
        assert answer.status_code == 200
        partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
        assert partial.rejected_spans == 2
        assert partial.error_message
        found = eventually(lambda: customer.signals(rule_id), within_s=12)
        assert [s["trace_id"] for s in found] == [trace_id.hex()]


def test_twenty_thousand_spans_in_one_request_are_all_taken(customer: Customer) -> None:
    trace_id = os.urandom(16)
    spans = [span(trace_id=os.urandom(16)) for _ in range(19_999)]
    with customer.rule(RULE) as rule_id:
        answer = customer.post_spans(request(*spans, span(trace_id=trace_id, bad=True)))
        assert answer.status_code == 200
        response = ExportTraceServiceResponse.FromString(answer.content)
        assert response.partial_success.rejected_spans == 0
        found = eventually(lambda: customer.signals(rule_id), within_s=12)
        assert [s["trace_id"] for s in found] == [trace_id.hex()]


def test_after_all_of_that_the_door_still_takes_spans(customer: Customer) -> None:
    answer = customer.post_spans(request(span(trace_id=os.urandom(16))))
    assert answer.status_code == 200
