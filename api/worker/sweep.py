"""Reading many traces out of a log with few reads. Pure.

A signal names the range of the log its trace lies in. Ranges of one partition overlap heavily
(traces of the same seconds lie interleaved), so they are merged and each merged range is read
once, whatever the number of traces in it.

Of a record only the wanted traces' spans are decoded: the request is taken apart with spans left
as bytes, a span's trace id is read off its first field, and what is wanted is put together again
as a small request of its own, in wire order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from udfs.wire import otlp_lazy_pb2 as lazy

_TRACE_ID_FIELD = b"\x0a\x10"
"""Tag of Span.trace_id (field 1, length-delimited) and its length, 16."""
_FEW = 4
"""Up to so many ids, searching the raw bytes for each is cheaper than taking the request apart."""


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """A stretch of a partition of the spans topic; both offsets are inside."""

    partition: int
    first_offset: int
    last_offset: int

    def holds(self, offset: int) -> bool:
        """Say whether an offset of the same partition lies inside."""
        return self.first_offset <= offset <= self.last_offset

    def covers(self, other: Range) -> bool:
        """Say whether another range lies inside."""
        return (
            self.partition == other.partition
            and self.first_offset <= other.first_offset
            and other.last_offset <= self.last_offset
        )


def merged(ranges: Iterable[Range], *, join_within: int = 8) -> list[Range]:
    """Return the fewest ranges that cover all given, sorted.

    join_within: ranges of one partition with at most so many records between them are read as
    one, because a seek costs more than a few records.
    """
    swept: list[Range] = []
    for each in sorted(ranges):
        last = swept[-1] if swept else None
        if (
            last is not None
            and last.partition == each.partition
            and each.first_offset <= last.last_offset + join_within + 1
        ):
            end = max(last.last_offset, each.last_offset)
            swept[-1] = Range(last.partition, last.first_offset, end)
        else:
            swept.append(each)
    return swept


def spans_of_traces(payload: bytes, wanted: Collection[bytes]) -> dict[bytes, bytes]:
    """Return, for each wanted trace with spans in an OTLP request, a request of only those.

    payload: protobuf ExportTraceServiceRequest. wanted: trace ids of 16 bytes.
    Undecodable bytes hold no spans: the job has sent them to the dead letters already.
    """
    sought = frozenset(wanted)
    if len(sought) <= _FEW:
        sought = frozenset(trace_id for trace_id in sought if trace_id in payload)
    if not sought:
        return {}
    try:
        request = lazy.SplitRequest.FromString(payload)
    except DecodeError:
        return {}
    picked: dict[bytes, lazy.SplitRequest] = {}
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            for trace_id, spans in _by_trace(scope_spans.spans, sought).items():
                part = picked.setdefault(trace_id, lazy.SplitRequest())
                resource = part.resource_spans.add(
                    resource=resource_spans.resource, schema_url=resource_spans.schema_url
                )
                resource.scope_spans.add(
                    scope=scope_spans.scope, spans=spans, schema_url=scope_spans.schema_url
                )
    return {trace_id: part.SerializeToString() for trace_id, part in picked.items()}


def _by_trace(spans: Sequence[bytes], wanted: frozenset[bytes]) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for span in spans:
        trace_id = trace_id_of(span)
        if trace_id in wanted:
            found.setdefault(trace_id, []).append(span)
    return found


def trace_id_of(span: bytes) -> bytes:
    """Return the trace id of a serialised Span, empty if it has none.

    Every serialiser known writes fields in order, so the id stands first; otherwise the span is
    parsed.
    """
    if span[:2] == _TRACE_ID_FIELD:
        return span[2:18]
    try:
        return bytes(lazy.Span.FromString(span).trace_id)
    except DecodeError:
        return b""
