"""Splitting and gathering lose, change and misplace nothing, whatever comes."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from api.ingest.gather import Gatherer, Record
from api.ingest.rejects import rejected_spans
from api.ingest.split import Malformed, split
from tests.support.otlp import attribute, spans_by_origin
from udfs.lanes import lane_of

TENANT = "3f1f7a52-0d8c-4f0e-9d26-6f1f0c1f2a01"
MAX_RECORD_BYTES = 3_000
FULL_BYTES = 1_500
EXAMPLES = settings(max_examples=50, deadline=None)

good_trace_ids = st.binary(min_size=16, max_size=16).filter(any)
good_span_ids = st.binary(min_size=8, max_size=8).filter(any)
texts = st.text(max_size=20)


def spans(trace_ids: st.SearchStrategy[bytes]) -> st.SearchStrategy[Span]:
    return st.builds(
        Span,
        trace_id=trace_ids,
        span_id=good_span_ids,
        parent_span_id=st.one_of(st.just(b""), good_span_ids),
        trace_state=st.sampled_from(["", "a=b"]),
        name=texts,
        kind=st.integers(0, 5),
        start_time_unix_nano=st.integers(0, 2**64 - 1),
        attributes=st.lists(st.builds(attribute, texts, texts), max_size=3),
    )


def requests(each: st.SearchStrategy[Span]) -> st.SearchStrategy[ExportTraceServiceRequest]:
    scopes = st.builds(
        ScopeSpans,
        scope=st.builds(InstrumentationScope, name=texts),
        schema_url=st.sampled_from(["", "https://opentelemetry.io/schemas/1.30.0"]),
        spans=st.lists(each, max_size=12),
    )
    resources = st.builds(
        ResourceSpans,
        resource=st.builds(
            Resource, attributes=st.lists(st.builds(attribute, texts, texts), max_size=2)
        ),
        schema_url=st.sampled_from(["", "https://opentelemetry.io/schemas/1.31.0"]),
        scope_spans=st.lists(scopes, max_size=3),
    )
    return st.builds(ExportTraceServiceRequest, resource_spans=st.lists(resources, max_size=3))


good_requests = requests(spans(good_trace_ids))
any_requests = requests(spans(st.one_of(good_trace_ids, st.binary(max_size=20))))


class Holder:
    """Counts the records it waits for."""

    def __init__(self) -> None:
        self.held = 0

    def hold(self) -> None:
        self.held += 1


def gathered(
    requests: list[ExportTraceServiceRequest],
) -> tuple[list[Record[Holder]], list[Holder]]:
    gatherer: Gatherer[Holder] = Gatherer(full_bytes=FULL_BYTES, max_record_bytes=MAX_RECORD_BYTES)
    records: list[Record[Holder]] = []
    holders = [Holder() for _ in requests]
    for request, holder in zip(requests, holders, strict=True):
        divided = split(
            request.SerializeToString(), tenant=TENANT, max_record_bytes=MAX_RECORD_BYTES
        )
        records += gatherer.add(TENANT, divided.parts, holder)
    return records + gatherer.flush_all(), holders


@EXAMPLES
@given(st.lists(good_requests, max_size=5))
def test_every_span_comes_out_once_with_its_resource_and_scope(
    requests: list[ExportTraceServiceRequest],
) -> None:
    records, _ = gathered(requests)
    assert spans_by_origin(record.value for record in records) == spans_by_origin(
        request.SerializeToString() for request in requests
    )


@EXAMPLES
@given(st.lists(good_requests, max_size=5))
def test_a_record_holds_one_lane_and_no_more_bytes_than_allowed(
    requests: list[ExportTraceServiceRequest],
) -> None:
    records, _ = gathered(requests)
    for record in records:
        trace_ids = [
            each.trace_id
            for of_resource in ExportTraceServiceRequest.FromString(record.value).resource_spans
            for of_scope in of_resource.scope_spans
            for each in of_scope.spans
        ]
        assert {lane_of(TENANT, trace_id) for trace_id in trace_ids} == {record.lane}
        assert record.span_count == len(trace_ids)
        assert len(record.value) <= MAX_RECORD_BYTES


@EXAMPLES
@given(st.lists(good_requests, max_size=5))
def test_a_request_waits_for_exactly_the_records_that_hold_something_of_it(
    requests: list[ExportTraceServiceRequest],
) -> None:
    records, holders = gathered(requests)
    waits = [sum(record.waiting.count(holder) for record in records) for holder in holders]
    assert waits == [holder.held for holder in holders]


@EXAMPLES
@given(any_requests)
def test_every_span_is_either_in_a_part_or_rejected(request: ExportTraceServiceRequest) -> None:
    divided = split(request.SerializeToString(), tenant=TENANT)
    in_parts = sum(part.span_count for part in divided.parts.values())
    assert divided.received == in_parts + rejected_spans(divided.rejects)
    assert divided.received == sum(
        len(of_scope.spans) for each in request.resource_spans for of_scope in each.scope_spans
    )


@EXAMPLES
@given(any_requests)
def test_only_spans_with_valid_ids_go_on(request: ExportTraceServiceRequest) -> None:
    def valid(each: Span) -> bool:
        return len(each.trace_id) == 16 and any(each.trace_id)

    divided = split(request.SerializeToString(), tenant=TENANT)
    sent = [
        each
        for of_resource in request.resource_spans
        for of_scope in of_resource.scope_spans
        for each in of_scope.spans
    ]
    assert rejected_spans(divided.rejects) == sum(not valid(each) for each in sent)


@EXAMPLES
@given(st.binary(max_size=300))
def test_any_bytes_are_split_or_called_malformed(payload: bytes) -> None:
    try:
        divided = split(payload, tenant=TENANT)
    except Malformed:
        return
    in_parts = sum(part.span_count for part in divided.parts.values())
    assert divided.received == in_parts + rejected_spans(divided.rejects)


@EXAMPLES
@given(good_requests, st.data())
def test_what_is_left_of_a_damaged_request_decodes(
    request: ExportTraceServiceRequest, data: st.DataObject
) -> None:
    payload = bytearray(request.SerializeToString())
    for position in data.draw(st.lists(st.integers(0, max(len(payload) - 1, 0)), max_size=3)):
        if payload:
            payload[position] ^= data.draw(st.integers(1, 255))
    try:
        divided = split(bytes(payload), tenant=TENANT)
    except Malformed:
        return
    gatherer: Gatherer[Holder] = Gatherer()
    records = gatherer.add(TENANT, divided.parts, Holder()) + gatherer.flush_all()
    total = sum(spans_by_origin(record.value for record in records).values())
    assert total == divided.received - rejected_spans(divided.rejects)


def test_a_full_lane_goes_at_once_and_in_the_order_it_came() -> None:
    gatherer: Gatherer[Holder] = Gatherer(full_bytes=FULL_BYTES, max_record_bytes=MAX_RECORD_BYTES)
    holder = Holder()
    spans = [
        Span(trace_id=b"t" * 16, span_id=number.to_bytes(8), name="x" * 300)
        for number in range(1, 40)
    ]
    request = ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=spans)])]
    )
    divided = split(request.SerializeToString(), tenant=TENANT)
    records = gatherer.add(TENANT, divided.parts, holder)
    assert len(records) >= 3
    assert gatherer.holds(TENANT) == (sum(r.span_count for r in records) < len(spans))
    records += gatherer.flush(TENANT)
    ids = [
        each.span_id
        for record in records
        for each in ExportTraceServiceRequest.FromString(record.value)
        .resource_spans[0]
        .scope_spans[0]
        .spans
    ]
    assert all(before < after for before, after in pairwise(ids))
    assert not gatherer.holds(TENANT)
