"""Drafts into OTLP bytes, by hand, because where ids and times lie must be known.

A span is written in the order of its field numbers, as every protobuf writer does
(opentelemetry-proto trace/v1/trace.proto, message Span):

    0A 10 trace id · 12 08 span id · [22 08 parent] · 2A name · 30 kind · 39 start · 41 end ·
    4A attribute … · 7A status · 85 01 flags

The trace id is thus always at byte 2; start and end lie 9 bytes apart.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from api.bench.drafts import SpanDraft, Value
from api.ingest.json_span import varint

TRACE_ID_AT = 2
END_AFTER_START = 9
"""Bytes from a span's start time to its end time: 8 of the start, 1 of the next tag."""

_FLAGS = b"\x85\x01" + struct.pack("<I", 0x101)  # sampled; has_is_remote, not remote


@dataclass(frozen=True, slots=True)
class SpanBytes:
    """One encoded span: start_at is the place of its start time within `content`."""

    content: bytes
    start_at: int


def encode_span(
    span: SpanDraft, *, trace_id: bytes, span_id: bytes, parent_span_id: bytes
) -> SpanBytes:
    """Encode a span whose times are as in the draft, to be stamped later."""
    parent = b"\x22\x08" + parent_span_id if parent_span_id else b""
    named = _named(span.operation.name, span.operation.kind.value)
    head = b"\x0a\x10" + trace_id + b"\x12\x08" + span_id + parent + named
    times = b"\x39%b\x41%b" % (
        span.start_ns.to_bytes(8, "little"),
        span.end_ns.to_bytes(8, "little"),
    )
    attributes = b"".join([_attribute(b"\x4a", k, v) for k, v in span.attributes.items()])
    status = b"\x7a\x02\x18\x02" if span.error else b""
    return SpanBytes(head + times + attributes + status + _FLAGS, len(head) + 1)


@lru_cache(maxsize=1024)
def encode_resource(service: str) -> bytes:
    """Return the content of a Resource message, 5 attributes, for a service."""
    host = sum(service.encode()) % 20
    attributes: Sequence[tuple[str, Value]] = (
        ("service.name", service),
        ("service.version", "2.14.1"),
        ("deployment.environment.name", "production"),
        ("host.name", f"node-{host}"),
        ("telemetry.sdk.language", "python"),
    )
    return b"".join(_attribute(b"\x0a", k, v) for k, v in attributes)


SCOPE = b"\x0a\x1eio.opentelemetry.contrib.bench\x12\x050.1.0"
"""The content of an InstrumentationScope message."""


def field(tag: bytes, content: bytes) -> bytes:
    """Return a length-delimited field."""
    return tag + varint(len(content)) + content


@lru_cache(maxsize=4096)
def _named(name: str, kind: int) -> bytes:
    return field(b"\x2a", name.encode()) + b"\x30" + varint(kind)


@lru_cache(maxsize=1 << 16, typed=True)
def _attribute(tag: bytes, key: str, value: Value) -> bytes:
    """Return a KeyValue under the tag of the field that holds it.

    Cached by type too, because True == 1 == 1.0.
    """
    return field(tag, field(b"\x0a", key.encode()) + field(b"\x12", _any_value(value)))


def _any_value(value: Value) -> bytes:
    match value:
        case bool():
            return b"\x10" + bytes([value])
        case int():
            return b"\x18" + varint(value)
        case float():
            return b"\x21" + struct.pack("<d", value)
        case str():
            return field(b"\x0a", value.encode())


@dataclass(frozen=True, slots=True)
class EncodedRecord:
    """A request, and where each of its spans begins, in the order given."""

    content: bytes
    span_at: tuple[int, ...]


def encode_record(runs: Iterable[tuple[str, Sequence[bytes]]]) -> EncodedRecord:
    """Encode an ExportTraceServiceRequest of runs of spans, each with the service they are of."""
    parts: list[bytes] = []
    places: list[int] = []
    length = 0
    for service, spans in runs:
        framed = [field(b"\x12", span) for span in spans]
        scope = field(b"\x0a", SCOPE)
        body = b"".join(framed)
        resource = field(b"\x0a", encode_resource(service))
        scoped_head = b"\x12" + varint(len(scope) + len(body)) + scope
        inside = len(resource) + len(scoped_head) + len(body)
        head = b"\x0a" + varint(inside) + resource + scoped_head
        parts += (head, body)
        length += len(head)
        for span, frame in zip(spans, framed, strict=True):
            length += len(frame)
            places.append(length - len(span))
    return EncodedRecord(b"".join(parts), tuple(places))
