"""Takes a request apart by lane, and refuses the spans that cannot be used.

What leaves here is decodable: downstream, requests are joined into larger records, and one
undecodable span would take the others with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from zlib import crc32

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from api.ingest.rejects import Reject
from api.ingest.span_ids import (
    NAME_TAG,
    NO_SPAN,
    NO_TRACE,
    PARENT_TAG,
    SPAN_ID_BYTES,
    SPAN_ID_TAG,
    TRACE_ID_TAG,
    USUAL_HEAD_BYTES,
    check_ids,
    read_ids,
    usual_head,
)
from udfs.lanes import LANES, tenant_prefix_crc
from udfs.wire.otlp_lazy_pb2 import SplitRequest, SplitResourceSpans, SplitScopeSpans

MAX_RECORD_BYTES = 900_000
_SPAN_FRAME_BYTES = 6  # tag and length of a span in its ScopeSpans
_GROUP_FRAME_BYTES = 40  # tags and lengths of ResourceSpans, ScopeSpans and their four fields


class Malformed(Exception):
    """The body is not an OTLP export request."""


class Origin(NamedTuple):
    """Where spans come from: resource and scope, serialized, and their schema URLs."""

    resource: bytes
    resource_schema_url: bytes
    scope: bytes
    scope_schema_url: bytes

    @property
    def size_bytes(self) -> int:
        """At most so many bytes stand around the spans of one origin in a record."""
        return sum(map(len, self)) + _GROUP_FRAME_BYTES


Group = tuple[Origin, list[bytes]]
"""Serialized spans of one origin."""


@dataclass(slots=True)
class Part:
    """What a request has for one lane."""

    groups: list[Group] = field(default_factory=list)
    span_count: int = 0
    size_bytes: int = 0
    """Never less than the size of the serialized groups."""

    def add(self, origin: Origin, spans: list[bytes]) -> None:
        """Take in spans of one origin."""
        self.groups.append((origin, spans))
        self.span_count += len(spans)
        self.size_bytes += group_bytes(origin, spans)


@dataclass(slots=True)
class Split:
    """A request by lane. received = spans in parts + spans in rejects."""

    parts: dict[int, Part]
    rejects: list[Reject]
    received: int


def group_bytes(origin: Origin, spans: Sequence[bytes]) -> int:
    """Return a size that the serialized group does not exceed."""
    return origin.size_bytes + sum(map(len, spans)) + _SPAN_FRAME_BYTES * len(spans)


def split(payload: bytes, *, tenant: str, max_record_bytes: int = MAX_RECORD_BYTES) -> Split:
    """Split one serialized ExportTraceServiceRequest.

    Spans are refused, each with its reason, when an id is missing, of the wrong length or zero,
    when the span does not fit into a record together with its resource and scope, or when it (or
    its resource or scope) does not decode while the request around it does.
    Raises Malformed when the request as a whole does not decode.
    """
    decodable = _decodes(payload)
    try:
        request = SplitRequest.FromString(payload)
    except DecodeError as error:
        raise Malformed("the body is not an ExportTraceServiceRequest") from error
    prefix_crc = tenant_prefix_crc(tenant)
    parts: defaultdict[int, Part] = defaultdict(Part)
    rejects: list[Reject] = []
    received = 0
    for of_resource in request.resource_spans:
        for of_scope in of_resource.scope_spans:
            spans: list[bytes] = list(of_scope.spans)
            received += len(spans)
            origin = Origin(
                of_resource.resource, of_resource.schema_url, of_scope.scope, of_scope.schema_url
            )
            if not decodable:
                spans = _salvage(origin, spans, rejects)
            room_bytes = max_record_bytes - origin.size_bytes - _SPAN_FRAME_BYTES
            if spans and max(map(len, spans)) > room_bytes:
                spans = _fitting(spans, room_bytes, rejects)
            for lane, of_lane in _by_lane(spans, prefix_crc, rejects).items():
                parts[lane].add(origin, of_lane)
    if not decodable and not received:
        raise Malformed("the body is not an ExportTraceServiceRequest")
    return Split(dict(parts), rejects, received)


def encode(groups: Sequence[Group]) -> bytes:
    """Serialize groups as one ExportTraceServiceRequest, keeping their order."""
    return bytes(
        SplitRequest(
            resource_spans=[
                SplitResourceSpans(
                    resource=origin.resource,
                    schema_url=origin.resource_schema_url,
                    scope_spans=[
                        SplitScopeSpans(
                            scope=origin.scope, schema_url=origin.scope_schema_url, spans=spans
                        )
                    ],
                )
                for origin, spans in groups
            ]
        ).SerializeToString()
    )


def _by_lane(
    spans: list[bytes], prefix_crc: int, rejects: list[Reject]
) -> defaultdict[int, list[bytes]]:
    """Sort spans by lane. Every exporter known writes ids first: that is the short way."""
    lanes: defaultdict[int, list[bytes]] = defaultdict(list)
    for span in spans:
        if len(span) >= USUAL_HEAD_BYTES:
            trace_tag, trace_id, span_tag, span_id, next_tag, next_length = usual_head(span)
            if (
                trace_tag == TRACE_ID_TAG
                and span_tag == SPAN_ID_TAG
                and (
                    next_tag == NAME_TAG
                    or (next_tag == PARENT_TAG and next_length == SPAN_ID_BYTES)
                )
                and trace_id != NO_TRACE
                and span_id != NO_SPAN
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
    if _decodes(encode([(origin, spans)])):
        return spans
    if not _decodes(encode([(origin, [])])):
        detail = "the resource or scope of the span does not decode"
        rejects.append(Reject("otlp.origin_malformed", detail, b"".join(origin), len(spans)))
        return []
    sound: list[bytes] = []
    for span in spans:
        if _decodes(encode([(origin, [span])])):
            sound.append(span)
        else:
            rejects.append(Reject("otlp.span_malformed", "the span does not decode", span))
    return sound


def _decodes(payload: bytes) -> bool:
    """Whether the official schema reads it, UTF-8 of strings and depth of nesting included."""
    try:
        ExportTraceServiceRequest.FromString(payload)
    except DecodeError:
        return False
    return True
