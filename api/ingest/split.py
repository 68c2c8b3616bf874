"""Takes a request apart by lane, and refuses the spans that cannot be used.

What leaves here is decodable: downstream, requests are joined into larger records, and one
undecodable span would take the others with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from zlib import crc32

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from api.ingest.rejects import Reject, rejected_spans
from api.ingest.request_wire import (
    SPAN_FRAME_BYTES,
    Group,
    Origin,
    encode,
    resource_head,
    scope_head,
)
from api.ingest.span_ids import (
    NAME_TAG,
    NO_TRACE,
    PARENT_FRAME,
    SPAN_ID_FRAME,
    TRACE_ID_FRAME,
    USUAL_HEAD_BYTES,
    check_ids,
    read_ids,
    usual_head,
)
from udfs.lanes import LANES, tenant_prefix_crc
from udfs.wire.otlp_lazy_pb2 import SplitRequest

MAX_RECORD_BYTES = 900_000


class Malformed(Exception):
    """The body is not an OTLP export request."""


@dataclass(slots=True)
class Part:
    """What a request has for one lane."""

    groups: list[Group] = field(default_factory=list)
    span_count: int = 0
    size_bytes: int = 0
    """Never less than the size of the serialized groups."""

    def add(self, origin: Origin, spans: list[bytes]) -> None:
        """Take in spans of one origin."""
        span_count = len(spans)
        self.groups.append((origin, spans))
        self.span_count += span_count
        self.size_bytes += origin.size_bytes + sum(map(len, spans)) + SPAN_FRAME_BYTES * span_count


@dataclass(slots=True)
class Split:
    """A request by lane. received = spans in parts + spans in rejects."""

    parts: dict[int, Part]
    rejects: list[Reject]
    received: int


Redact = Callable[[bytes], bytes]
"""Takes out of a serialized request what must not go on; the same object if that is nothing."""


def as_it_is(request: bytes) -> bytes:
    """Take nothing out."""
    return request


def split(
    payload: bytes,
    *,
    tenant: str,
    max_record_bytes: int = MAX_RECORD_BYTES,
    redact: Redact = as_it_is,
) -> Split:
    """Split one serialized ExportTraceServiceRequest, redacted before it is taken apart.

    Sizes are those of what goes on; rejects hold what was sent.

    Spans are refused, each with its reason, when an id is missing, of the wrong length or zero,
    when the span does not fit into a record together with its resource and scope, or when it (or
    its resource or scope) does not decode while the request around it does.
    Raises Malformed when the request as a whole does not decode.
    """
    rejects: list[Reject] = []
    if decodes(payload):
        groups = parse(redact(payload))
    else:
        groups = parse(payload)
        if not any(spans for _, spans in groups):
            raise Malformed("the body is not an ExportTraceServiceRequest")
        groups = [(origin, _salvage(origin, spans, rejects)) for origin, spans in groups]
        groups = redacted(groups, redact)
    return divide(groups, rejects, tenant=tenant, max_record_bytes=max_record_bytes)


def redacted(groups: list[Group], redact: Redact) -> list[Group]:
    """Return groups of spans that decode without what must not go on."""
    if redact is as_it_is:
        return groups
    request = encode(groups)
    after = redact(request)
    return groups if after is request else parse(after)


def decodes(payload: bytes) -> bool:
    """Whether the official schema reads it, UTF-8 of strings and depth of nesting included."""
    try:
        ExportTraceServiceRequest.FromString(payload)
    except DecodeError:
        return False
    return True


def parse(payload: bytes) -> list[Group]:
    """Return the spans of a request, serialized as they came, those of one origin together.

    Whether the spans themselves decode is not looked at. Raises Malformed.
    """
    try:
        request = SplitRequest.FromString(payload)
    except DecodeError as error:
        raise Malformed("the body is not an ExportTraceServiceRequest") from error
    groups: dict[Origin, list[bytes]] = {}
    for of_resource in request.resource_spans:
        of_resource_head = resource_head(of_resource.resource, of_resource.schema_url)
        for of_scope in of_resource.scope_spans:
            origin = Origin(of_resource_head, scope_head(of_scope.scope, of_scope.schema_url))
            groups.setdefault(origin, []).extend(of_scope.spans)
    return list(groups.items())


def divide(
    groups: Iterable[Group],
    rejects: list[Reject],
    *,
    tenant: str,
    max_record_bytes: int = MAX_RECORD_BYTES,
) -> Split:
    """Sort spans that decode by lane. rejects: the spans refused so far; it is added to."""
    prefix_crc = tenant_prefix_crc(tenant)
    parts: defaultdict[int, Part] = defaultdict(Part)
    received = rejected_spans(rejects)
    for origin, spans in groups:
        received += len(spans)
        room_bytes = max_record_bytes - origin.size_bytes - SPAN_FRAME_BYTES
        if spans and max(map(len, spans)) > room_bytes:
            spans = _fitting(spans, room_bytes, rejects)
        for lane, of_lane in _by_lane(spans, prefix_crc, rejects).items():
            parts[lane].add(origin, of_lane)
    return Split(dict(parts), rejects, received)


def _by_lane(
    spans: list[bytes], prefix_crc: int, rejects: list[Reject]
) -> defaultdict[int, list[bytes]]:
    """Sort spans by lane. Every exporter known writes ids first: that is the short way."""
    lanes: defaultdict[int, list[bytes]] = defaultdict(list)
    for span in spans:
        if len(span) >= USUAL_HEAD_BYTES:
            trace_frame, trace_id, span_frame, span_id, next_field = usual_head(span)
            if (
                trace_frame == TRACE_ID_FRAME
                and span_frame == SPAN_ID_FRAME
                and (next_field == PARENT_FRAME or next_field & 0xFF == NAME_TAG)
                and span_id
                and trace_id != NO_TRACE
            ):
                lanes[crc32(trace_id, prefix_crc) % LANES].append(span)
                continue
        ids = read_ids(span)
        reject = check_ids(ids, span)
        if reject is None:
            lanes[crc32(ids.trace_id, prefix_crc) % LANES].append(span)
        else:
            rejects.append(reject)
    return lanes


def _fitting(spans: list[bytes], room_bytes: int, rejects: list[Reject]) -> list[bytes]:
    fitting: list[bytes] = []
    for span in spans:
        if len(span) <= room_bytes:
            fitting.append(span)
        else:
            detail = f"a span may have {max(room_bytes, 0)} bytes with this resource and scope"
            rejects.append(Reject("otlp.span_too_large", detail, span))
    return fitting


def _salvage(origin: Origin, spans: list[bytes], rejects: list[Reject]) -> list[bytes]:
    """Return the spans that decode; the request around them is known not to."""
    if decodes(encode([(origin, spans)])):
        return spans
    if not decodes(encode([(origin, [])])):
        detail = "the resource or scope of the span does not decode"
        rejects.append(Reject("otlp.origin_malformed", detail, b"".join(origin), len(spans)))
        return []
    sound: list[bytes] = []
    for span in spans:
        if decodes(encode([(origin, [span])])):
            sound.append(span)
        else:
            rejects.append(Reject("otlp.span_malformed", "the span does not decode", span))
    return sound
