"""Reads the ids out of a serialized OTLP span without decoding the rest, and checks them.

Source: opentelemetry-proto trace/v1/trace.proto, message Span: trace_id = 1, span_id = 2,
parent_span_id = 4; protobuf encoding: of a repeated scalar field the last one counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct

from api.ingest.rejects import Reject

TRACE_ID_BYTES = 16
SPAN_ID_BYTES = 8
NO_TRACE = bytes(TRACE_ID_BYTES)
NO_SPAN = bytes(SPAN_ID_BYTES)

USUAL_HEAD_BYTES = 30
usual_head = Struct("<H16sHQH").unpack_from
"""frame ‖ trace id ‖ frame ‖ span id (as a number) ‖ first two bytes of the next field."""
TRACE_ID_FRAME = 0x100A  # tag 1 and length 16, little-endian
SPAN_ID_FRAME = 0x0812
PARENT_FRAME = 0x0822
NAME_TAG = 0x2A

_LEN = 2
_FIELDS = {1: "trace_id", 2: "span_id", 4: "parent_span_id"}


@dataclass(frozen=True, slots=True)
class SpanIds:
    """The ids as they stand in the span; empty where absent."""

    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes


def read_ids(span: bytes) -> SpanIds:
    """Scan a span's fields for its ids, in whatever order they stand.

    span: a well-formed serialized Span. Raises ValueError where it is not.
    """
    found = dict.fromkeys(_FIELDS.values(), b"")
    position, end = 0, len(span)
    try:
        while position < end:
            tag, position = _varint(span, position)
            wire_type = tag & 7
            if wire_type == _LEN:
                length, position = _varint(span, position)
                name = _FIELDS.get(tag >> 3)
                if name is not None:
                    found[name] = span[position : position + length]
                position += length
            else:
                position = _skip(span, position, wire_type)
    except IndexError as error:
        raise ValueError("the span ends within a field") from error
    if position != end:
        raise ValueError("the span ends within a field")
    return SpanIds(**found)


def check_ids(ids: SpanIds, span: bytes) -> Reject | None:
    """Return why a span with these ids is refused; None when they are valid."""
    if not ids.trace_id:
        return Reject("otlp.trace_id_missing", "the span has no trace id", span)
    if len(ids.trace_id) != TRACE_ID_BYTES:
        return Reject("otlp.trace_id_length", "a trace id must be 16 bytes long", span)
    if ids.trace_id == NO_TRACE:
        return Reject("otlp.trace_id_zero", "a trace id must not be all zeros", span)
    if not ids.span_id:
        return Reject("otlp.span_id_missing", "the span has no span id", span)
    if len(ids.span_id) != SPAN_ID_BYTES:
        return Reject("otlp.span_id_length", "a span id must be 8 bytes long", span)
    if ids.span_id == NO_SPAN:
        return Reject("otlp.span_id_zero", "a span id must not be all zeros", span)
    if ids.parent_span_id and len(ids.parent_span_id) != SPAN_ID_BYTES:
        return Reject(
            "otlp.parent_span_id_length", "a parent span id must be 8 bytes long or empty", span
        )
    return None


def _varint(span: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = span[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _skip(span: bytes, position: int, wire_type: int) -> int:
    match wire_type:
        case 0:
            return _varint(span, position)[1]
        case 1:
            return position + 8
        case 5:
            return position + 4
        case 3:
            return _skip_group(span, position)
    raise ValueError(f"wire type {wire_type} does not exist")


def _skip_group(span: bytes, position: int) -> int:
    """Skip a group (deprecated, but legal in unknown fields); position is behind its start tag."""
    depth = 1
    while depth:
        tag, position = _varint(span, position)
        match tag & 7:
            case 2:
                length, position = _varint(span, position)
                position += length
            case 3:
                depth += 1
            case 4:
                depth -= 1
            case wire_type:
                position = _skip(span, position, wire_type)
    return position
