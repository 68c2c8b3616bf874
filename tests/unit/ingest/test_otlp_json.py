"""OTLP/JSON means what its protobuf twin means."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from api.ingest.json_span import usual_span
from api.ingest.otlp_json import read_json
from api.ingest.rejects import Reject
from api.ingest.request_wire import encode
from api.ingest.split import Malformed
from tests.support.otlp import spans_by_origin


def from_json(body: bytes) -> tuple[bytes, list[Reject]]:
    """A request read and written again."""
    groups, rejects = read_json(body)
    return encode(groups), rejects


texts = st.text(max_size=10)
values = st.recursive(
    st.one_of(
        st.builds(AnyValue, string_value=texts),
        st.builds(AnyValue, bool_value=st.booleans()),
        st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1)),
        st.builds(AnyValue, double_value=st.floats(allow_nan=False)),
        st.builds(AnyValue, bytes_value=st.binary(max_size=10)),
    ),
    lambda inner: st.one_of(
        st.builds(AnyValue, array_value=st.builds(ArrayValue, values=st.lists(inner, max_size=3))),
        st.builds(
            AnyValue,
            kvlist_value=st.builds(
                KeyValueList,
                values=st.lists(st.builds(KeyValue, key=texts, value=inner), max_size=3),
            ),
        ),
    ),
    max_leaves=6,
)
attributes = st.lists(st.builds(KeyValue, key=texts, value=values), max_size=4)
uint32 = st.integers(0, 2**32 - 1)
uint64 = st.integers(0, 2**64 - 1)
spans = st.builds(
    Span,
    trace_id=st.binary(min_size=16, max_size=16),
    span_id=st.binary(min_size=8, max_size=8),
    parent_span_id=st.one_of(st.just(b""), st.binary(min_size=8, max_size=8)),
    trace_state=texts,
    flags=uint32,
    name=texts,
    kind=st.integers(0, 5),
    start_time_unix_nano=uint64,
    end_time_unix_nano=uint64,
    attributes=attributes,
    dropped_attributes_count=uint32,
    events=st.lists(
        st.builds(Span.Event, time_unix_nano=uint64, name=texts, attributes=attributes), max_size=2
    ),
    links=st.lists(
        st.builds(
            Span.Link,
            trace_id=st.binary(min_size=16, max_size=16),
            span_id=st.binary(min_size=8, max_size=8),
            attributes=attributes,
            flags=uint32,
        ),
        max_size=2,
    ),
    status=st.builds(Status, message=texts, code=st.integers(0, 2)),
)
requests = st.builds(
    ExportTraceServiceRequest,
    resource_spans=st.lists(
        st.builds(
            ResourceSpans,
            resource=st.builds(
                Resource, dropped_attributes_count=st.just(1), attributes=attributes
            ),
            schema_url=texts,
            scope_spans=st.just([ScopeSpans(scope=InstrumentationScope(name="s"))]),
        ),
        max_size=2,
    ),
)


def otlp_json(message: ExportTraceServiceRequest) -> dict[str, Any]:
    """protobuf's own JSON, with the two things that OTLP does otherwise: hex ids, enum numbers."""
    encoded: dict[str, Any] = MessageToDict(message, use_integers_for_enums=True)
    for of_resource in encoded.get("resourceSpans", []):
        for of_scope in of_resource.get("scopeSpans", []):
            for each in of_scope.get("spans", []):
                for holder in (each, *each.get("links", [])):
                    for name in ("traceId", "spanId", "parentSpanId"):
                        if name in holder:
                            holder[name] = base64.b64decode(holder[name]).hex()
    return encoded


@settings(max_examples=40, deadline=None)
@given(requests, st.lists(spans, max_size=3))
def test_json_decodes_to_the_request_it_was_written_from(
    request: ExportTraceServiceRequest, spans: list[Span]
) -> None:
    for of_resource in request.resource_spans:
        of_resource.scope_spans[0].spans.extend(spans)
    payload, rejects = from_json(json.dumps(otlp_json(request)).encode())
    assert rejects == []
    # Those of one origin are put together: what counts is each span and where it is from.
    assert spans_by_origin([payload]) == spans_by_origin([request.SerializeToString()])


ID = {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174"}

usual_values = st.one_of(
    st.builds(AnyValue, string_value=st.text(max_size=90)),
    st.builds(AnyValue, bool_value=st.booleans()),
    st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1)),
    st.builds(AnyValue, double_value=st.floats(allow_nan=False, allow_infinity=False)),
)
usual_attributes = st.lists(
    st.builds(KeyValue, key=st.text(min_size=1, max_size=10), value=usual_values), max_size=4
)
usual_spans = st.builds(
    Span,
    trace_id=st.binary(min_size=16, max_size=16),
    span_id=st.binary(min_size=8, max_size=8),
    parent_span_id=st.one_of(st.just(b""), st.binary(min_size=8, max_size=8)),
    flags=uint32,
    name=texts,
    kind=st.integers(0, 5),
    start_time_unix_nano=uint64,
    end_time_unix_nano=uint64,
    attributes=usual_attributes,
    events=st.lists(
        st.builds(Span.Event, time_unix_nano=uint64, name=texts, attributes=usual_attributes),
        max_size=2,
    ),
    status=st.one_of(st.none(), st.builds(Status, message=texts, code=st.integers(0, 2))),
)


@settings(max_examples=100, deadline=None)
@given(usual_spans)
def test_the_usual_span_takes_the_short_way_and_means_the_same(span: Span) -> None:
    request = ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=[span])])]
    )
    (written,) = otlp_json(request)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    content = usual_span(json.loads(json.dumps(written)))
    assert content is not None
    assert Span.FromString(content) == span
    # Ids first: sorting by lane is quick then.
    assert content.startswith(b"\x0a\x10" + span.trace_id + b"\x12\x08" + span.span_id)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": -1},
        {"kind": 6},
        {"kind": "SPAN_KIND_SERVER"},
        {"traceState": "a=b"},
        {"links": [{}]},
        {"droppedEventsCount": 1},
        {"start_time_unix_nano": "5"},
        {"attributes": [{"key": "a", "value": {}}]},
        {"attributes": [{"key": "a", "value": {"arrayValue": {}}}]},
        {"attributes": [{"key": "a", "value": {"intValue": str(2**63)}}]},
        {"attributes": [{"key": "a", "value": {"boolValue": 1}}]},
        {"traceId": "5b8e"},
        {"name": "\ud800"},
    ],
)
def test_what_is_unusual_takes_the_long_way(fields: dict[str, object]) -> None:
    assert usual_span(ID | {"name": "n", "kind": 1}) is not None
    assert usual_span(ID | {"name": "n", "kind": 1} | fields) is None


def test_equal_looking_values_of_other_types_are_not_mixed_up() -> None:
    kinds = {"boolValue": True, "intValue": 1, "doubleValue": 1.0, "stringValue": "1"}
    given = [{"key": "a", "value": {kind: value}} for kind, value in kinds.items()]
    content = usual_span(ID | {"attributes": given})
    assert content is not None
    assert [pair.value for pair in Span.FromString(content).attributes] == [
        AnyValue(bool_value=True),
        AnyValue(int_value=1),
        AnyValue(double_value=1.0),
        AnyValue(string_value="1"),
    ]


def spans_of(*spans: object) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"startTimeUnixNano": "1544712660000000000"},
            {"start_time_unix_nano": 1544712660 * 10**9},
        ),
        ({"startTimeUnixNano": 1544712660000000000}, {"start_time_unix_nano": 1544712660 * 10**9}),
        ({"start_time_unix_nano": "5"}, {"start_time_unix_nano": 5}),
        ({"kind": 2}, {"kind": 2}),
        ({"kind": "SPAN_KIND_SERVER"}, {"kind": 2}),
        ({"name": None}, {}),
        ({"notAField": {"deep": [1]}}, {}),
    ],
)
def test_spellings_that_are_read(fields: dict[str, object], expected: dict[str, Any]) -> None:
    payload, rejects = from_json(spans_of(ID | fields))
    sent = ExportTraceServiceRequest.FromString(payload).resource_spans[0].scope_spans[0].spans[0]
    trace_id, span_id = bytes.fromhex(ID["traceId"]), bytes.fromhex(ID["spanId"])
    assert (sent, rejects) == (Span(trace_id=trace_id, span_id=span_id, **expected), [])


@pytest.mark.parametrize(
    "fields",
    [
        {"traceId": "not hex"},
        {"traceId": 5},
        {"name": 5},
        {"kind": "SPAN_KIND_OF_SORTS"},
        {"startTimeUnixNano": "soon"},
        {"startTimeUnixNano": str(2**64)},
        {"startTimeUnixNano": True},
        {"attributes": {"a": 1}},
        {"attributes": [{"key": "a", "value": "plain"}]},
        {"attributes": [{"key": "a", "value": {"intValue": "1.5"}}]},
        {"attributes": [{"key": "a", "value": {"bytesValue": "!"}}]},
        {"name": "\ud800"},
        {"events": 5},
        {"events": {}},
        {"links": {}},
        {"droppedLinksCount": False},
        {"attributes": [{"key": "a", "value": {"doubleValue": 10**400}}]},
    ],
)
def test_a_span_that_is_not_valid_is_rejected_and_its_neighbour_is_not(
    fields: dict[str, object],
) -> None:
    payload, rejects = from_json(spans_of(ID | fields, ID))
    assert [reject.code for reject in rejects] == ["otlp.span_malformed"]
    scope_spans = ExportTraceServiceRequest.FromString(payload).resource_spans[0].scope_spans[0]
    assert len(scope_spans.spans) == 1


def nested(depth: int) -> dict[str, object]:
    value: dict[str, object] = {"intValue": "1"}
    for _ in range(depth):
        value = {"arrayValue": {"values": [value]}}
    return {"attributes": [{"key": "a", "value": value}]}


def test_values_may_be_nested_as_deep_as_protobuf_reads_them_back() -> None:
    payload, rejects = from_json(spans_of(ID | nested(32), ID | nested(33)))
    assert [reject.code for reject in rejects] == ["otlp.span_malformed"]
    assert ExportTraceServiceRequest.FromString(payload)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[]",
        b"\xff\xfe\xfd",
        b'{"resourceSpans": 3}',
        b'{"resourceSpans": [3]}',
        b'{"resourceSpans": [{"scopeSpans": {}}]}',
        b'{"resourceSpans": [{"resource": 3}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": {}}]}]}',
        b'{"a": NaN}',
        b"[" * 200_000,
    ],
)
def test_what_is_not_shaped_like_a_request_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        from_json(body)
