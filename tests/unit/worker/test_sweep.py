"""Reading many traces with few reads."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from api.worker.sweep import Range, merged, spans_of_traces, trace_id_of

A, B, C = (bytes([n]) * 16 for n in (1, 2, 3))

ranges = st.builds(
    lambda partition, first, length: Range(partition, first, first + length),
    st.integers(0, 2),
    st.integers(0, 100),
    st.integers(0, 30),
)


@given(st.lists(ranges), st.integers(0, 5))
def test_merged_ranges_cover_each_given_one_and_do_not_touch(
    given_ranges: list[Range], join_within: int
) -> None:
    swept = merged(given_ranges, join_within=join_within)
    assert all(any(one.covers(each) for one in swept) for each in given_ranges)
    for left, right in pairwise(swept):
        assert left.partition < right.partition or (
            left.last_offset + join_within + 1 < right.first_offset
        )


def test_overlapping_ranges_become_one() -> None:
    assert merged([Range(1, 5, 9), Range(0, 0, 3), Range(1, 1, 6)], join_within=0) == [
        Range(0, 0, 3),
        Range(1, 1, 9),
    ]


def test_a_small_gap_is_read_over_and_a_large_one_is_not() -> None:
    assert merged([Range(0, 0, 3), Range(0, 6, 8)], join_within=2) == [Range(0, 0, 8)]
    assert merged([Range(0, 0, 3), Range(0, 7, 8)], join_within=2) == [
        Range(0, 0, 3),
        Range(0, 7, 8),
    ]


def request_of(*resources: tuple[str, list[tuple[bytes, str]]]) -> ExportTraceServiceRequest:
    """Return a request with one resource each and its spans as (trace id, name)."""
    request = ExportTraceServiceRequest()
    for service, spans in resources:
        resource_spans = request.resource_spans.add(schema_url=f"urn:{service}")
        resource_spans.resource.attributes.add(key="service.name").value.string_value = service
        scope_spans = resource_spans.scope_spans.add(schema_url="urn:scope")
        scope_spans.scope.name = f"{service} scope"
        for trace_id, name in spans:
            scope_spans.spans.add(trace_id=trace_id, span_id=b"12345678", name=name)
    return request


MIXED = request_of(("shop", [(A, "a1"), (B, "b1"), (A, "a2")]), ("bank", [(C, "c1"), (A, "a3")]))


def test_each_wanted_trace_gets_a_request_of_its_spans_alone() -> None:
    picked = spans_of_traces(MIXED.SerializeToString(), [A, B])
    assert {key: ExportTraceServiceRequest.FromString(part) for key, part in picked.items()} == {
        A: request_of(("shop", [(A, "a1"), (A, "a2")]), ("bank", [(A, "a3")])),
        B: request_of(("shop", [(B, "b1")])),
    }


def test_many_wanted_traces_are_picked_as_few_are() -> None:
    others = [bytes([n]) * 16 for n in range(10, 30)]
    payload = MIXED.SerializeToString()
    assert spans_of_traces(payload, [A, B, *others]) == spans_of_traces(payload, [A, B])


def test_a_trace_that_is_not_there_is_left_out() -> None:
    assert spans_of_traces(MIXED.SerializeToString(), [bytes(16)]) == {}


def test_bytes_that_are_no_request_hold_no_spans() -> None:
    assert spans_of_traces(b"\xff" + A, [A]) == {}


def test_a_trace_id_is_read_wherever_it_stands() -> None:
    name_first = b"\x2a\x01n" + b"\x0a\x10" + A
    assert (trace_id_of(b"\x0a\x10" + A), trace_id_of(name_first), trace_id_of(b"\xff")) == (
        A, A, b"",
    )  # fmt: skip
