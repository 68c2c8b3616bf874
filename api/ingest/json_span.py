"""The usual span of OTLP/JSON, straight to protobuf bytes.

A span in the spelling of the specification, with the fields that exporters send and attributes
that are texts, numbers and truth values, is written here at a sixth of what building a message of
it costs. Anything else is no mistake, only unusual: `otlp_json` reads it with all that is allowed.

    Span     = 0A 10 trace id · 12 08 span id · [22 08 parent] · 2A name · 30 kind · 39 start ·
               41 end · 4A KeyValue … · 5A Event … · 7A Status · 85 01 flags
    KeyValue = 0A key · 12 AnyValue
    Event    = 09 time · 12 name · 1A KeyValue …

Source: opentelemetry-proto trace/v1/trace.proto, common/v1/common.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import lru_cache
from struct import Struct
from typing import Any

_SPAN_FIELDS = frozenset(
    (
        "traceId",
        "spanId",
        "parentSpanId",
        "flags",
        "name",
        "kind",
        "startTimeUnixNano",
        "endTimeUnixNano",
        "attributes",
        "events",
        "status",
        "links",
        "traceState",
        "droppedAttributesCount",
        "droppedEventsCount",
        "droppedLinksCount",
    )
)
_EVENT_FIELDS = frozenset(("timeUnixNano", "name", "attributes", "droppedAttributesCount"))
_STATUS_FIELDS = frozenset(("code", "message"))
_EMPTY = (
    ("links", list),
    ("traceState", str),
    ("droppedAttributesCount", int),
    ("droppedEventsCount", int),
    ("droppedLinksCount", int),
)
"""Of a usual span these are absent, empty or 0."""
_KINDS = {kind: b"\x30%c" % kind for kind in range(6)}
_CODES = {0: b"", 1: b"\x18\x01", 2: b"\x18\x02"}
_REMEMBERED = 16_384
_REMEMBERED_CHARACTERS = 64
_IDS = Struct("<2s16s2s8s").pack
_U32 = Struct("<I").pack
_U64 = Struct("<Q").pack
_F64 = Struct("<d").pack
_MAX_INT = 2**63


class _Unusual(Exception):
    """What is to be read in the other way."""


def usual_span(span: Any) -> bytes | None:
    """Return a usual span's protobuf bytes, ids first; None where it is not a usual one.

    span: as `json.loads` gives it. What is returned decodes to what `otlp_json` would make of it.
    """
    try:
        if not span.keys() <= _SPAN_FIELDS:
            return None
        return b"".join(_span_fields(span))
    except (
        _Unusual,
        struct.error,
        AttributeError,
        KeyError,
        OverflowError,
        TypeError,
        ValueError,
    ):
        return None


def _span_fields(span: Mapping[str, Any]) -> list[bytes]:
    get = span.get
    for name, kind in _EMPTY:
        value = get(name)
        if value is not None and (value or type(value) is not kind):
            raise _Unusual
    ids = _IDS(b"\x0a\x10", _id(span["traceId"], 16), b"\x12\x08", _id(span["spanId"], 8))
    fields = [ids]
    parent = get("parentSpanId")
    if parent is not None and parent != "":
        fields += (b"\x22\x08", _id(parent, 8))
    fields += (b"\x2a", _text(get("name", "")), _KINDS[_integer(get("kind", 0))])
    fields += (b"\x39", _U64(_integer(get("startTimeUnixNano", 0))))
    fields += (b"\x41", _U64(_integer(get("endTimeUnixNano", 0))))
    _add_attributes(fields, b"\x4a", get("attributes"))
    for event in _list(get("events")):
        content = b"".join(_event_fields(event))
        fields += (b"\x5a", _length(len(content)), content)
    status = get("status")
    if status is not None:
        content = _status(status)
        fields += (b"\x7a", _length(len(content)), content)
    flags = get("flags")
    if flags is not None:
        fields += (b"\x85\x01", _U32(_integer(flags)))
    return fields


def _event_fields(event: Mapping[str, Any]) -> list[bytes]:
    if not event.keys() <= _EVENT_FIELDS or _integer(event.get("droppedAttributesCount", 0)):
        raise _Unusual
    fields = [b"\x09", _U64(_integer(event.get("timeUnixNano", 0)))]
    fields += (b"\x12", _text(event.get("name", "")))
    _add_attributes(fields, b"\x1a", event.get("attributes"))
    return fields


def _status(status: Mapping[str, Any]) -> bytes:
    if not status.keys() <= _STATUS_FIELDS:
        raise _Unusual
    message = status.get("message", "")
    return b"\x12" + _text(message) + _CODES[_integer(status.get("code", 0))]


def _add_attributes(fields: list[bytes], tag: bytes, attributes: Any) -> None:
    append = fields.append
    for pair in _list(attributes):
        if len(pair) != 2:
            raise _Unusual
        ((kind, value),) = pair["value"].items()
        append(tag)
        if type(value) is str and len(value) > _REMEMBERED_CHARACTERS:
            append(_attribute(pair["key"], kind, value))
        else:
            append(_remembered_attribute(pair["key"], kind, value))


def _attribute(key: str, kind: str, value: Any) -> bytes:
    """Return length ‖ KeyValue."""
    any_value = _any_value(kind, value)
    content = b"\x0a" + _text(key) + b"\x12" + _length(len(any_value)) + any_value
    return _length(len(content)) + content


# By type too, because True == 1 == 1.0.
_remembered_attribute = lru_cache(maxsize=_REMEMBERED, typed=True)(_attribute)


def _any_value(kind: str, value: Any) -> bytes:
    match kind:
        case "stringValue":
            return b"\x0a" + _text(value)
        case "intValue":
            return b"\x18" + _int64(_integer(value))
        case "boolValue" if type(value) is bool:
            return b"\x10\x01" if value else b"\x10\x00"
        case "doubleValue" if type(value) is float or type(value) is int:
            return b"\x21" + _F64(float(value))
    raise _Unusual


def _id(text: Any, size: int) -> bytes:
    found = bytes.fromhex(text)
    if len(found) != size:
        raise _Unusual
    return found


def _text(value: Any) -> bytes:
    """Return length ‖ UTF-8 of a text."""
    if type(value) is not str:
        raise _Unusual
    content = value.encode()
    return _length(len(content)) + content


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    if type(value) is not list:
        raise _Unusual
    return value


def _integer(value: Any) -> int:
    if type(value) is not int and type(value) is not str:
        raise _Unusual
    return int(value)


def _int64(number: int) -> bytes:
    if not -_MAX_INT <= number < _MAX_INT:
        raise _Unusual
    return varint(number % (2 * _MAX_INT))


def _length(size: int) -> bytes:
    return _SHORT[size] if size < 128 else varint(size)


def varint(number: int) -> bytes:
    """Return a non-negative number as a base-128 varint."""
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


_SHORT = tuple(bytes((size,)) for size in range(128))
