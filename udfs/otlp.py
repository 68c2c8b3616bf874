"""OTLP spans as the rule language sees them, read no further than a rule looks.

`LazySpan` reads attributes out of their bytes when asked. `decode_spans` gives all spans of a
request, for those who want everything: explanations, trace copies, backtests.
Source: opentelemetry-proto trace/v1/trace.proto, common/v1/common.proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.trace.v1 import trace_pb2

from dsl.spans import remote_by_flags
from dsl.values import GONE, MISSING, Read, Value
from udfs.wire import otlp_lazy_pb2 as lazy

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUSES = ("unset", "ok", "error")
_DOUBLE = Struct("<d").unpack_from
_ABSENT: Any = object()
REMOVED_TEXT = "[REDACTED]"
"""What redaction leaves of a value that it removes: the value was there and is gone."""
_MIN_INT, _MAX_INT = -(2**63), 2**63 - 1
MAX_PLAIN_KEY_BYTES = 127
"""Keys whose length takes one byte on the wire."""


class Attributes:
    """A list of serialized KeyValue messages, asked by key. The first of equal keys counts.

    dropped: how many attributes the SDK dropped; a key that is absent may then be gone.
    """

    __slots__ = ("_known", "_raws", "dropped")

    def __init__(self, raws: Sequence[bytes], dropped: int) -> None:
        self._raws = raws
        self.dropped = dropped
        self._known: dict[str, Read] = {}

    def get(self, key: str) -> Read:
        """Return the value of a key, MISSING, or GONE if it was removed or may have been dropped.

        A dotted key that is not there as a whole is looked for inside of maps.
        """
        value = self._known.get(key, _ABSENT)
        if value is _ABSENT:
            value = self._known[key] = self._find(key)
        return value  # type: ignore[no-any-return]

    def _find(self, key: str) -> Read:
        wanted = key.encode()
        raw = find_raw(self._raws, wanted)
        if raw is not None:
            return read_value(raw, len(wanted))
        if b"." in wanted:
            nested = self._find_nested(wanted)
            if nested is not None:
                return nested
        return GONE if self.dropped else MISSING

    def _find_nested(self, wanted: bytes) -> Read | None:
        """Look for a dotted key inside of attributes that are maps."""
        for raw in self._raws:
            size = raw[1] if len(raw) > 1 else len(wanted)
            if size >= len(wanted) or wanted[size] != 0x2E or raw[2 : 2 + size] != wanted[:size]:
                continue
            value: Any = read_value(raw, size)
            for part in wanted[size + 1 :].decode().split("."):
                value = value.get(part, _ABSENT) if isinstance(value, dict) else _ABSENT
            if value is not _ABSENT:
                return _unless_removed(value)
        return None

    def items(self) -> Iterator[tuple[str, Value]]:
        """Yield all attributes in wire order."""
        for raw in self._raws:
            message = KeyValue.FromString(raw)
            yield message.key, any_value(message.value)


class LazyEvent:
    """An event of a span."""

    __slots__ = ("_attributes", "name", "time_ns")

    def __init__(self, raw: bytes) -> None:
        event = trace_pb2.Span.Event.FromString(raw)
        self.name = event.name
        self.time_ns = event.time_unix_nano
        self._attributes = {kv.key: any_value(kv.value) for kv in reversed(event.attributes)}

    def attribute(self, key: str) -> Read:
        """Return the value of a key, MISSING, or GONE if it was removed."""
        return _unless_removed(self._attributes.get(key, MISSING))

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "time_ns": self.time_ns, "attributes": self._attributes}


class LazyLink:
    """A link of a span to another one."""

    __slots__ = ("_attributes", "span_id", "trace_id")

    def __init__(self, raw: bytes) -> None:
        link = trace_pb2.Span.Link.FromString(raw)
        self.trace_id = link.trace_id
        self.span_id = link.span_id
        self._attributes = {kv.key: any_value(kv.value) for kv in reversed(link.attributes)}

    def attribute(self, key: str) -> Read:
        """Return the value of a key, MISSING, or GONE if it was removed."""
        return _unless_removed(self._attributes.get(key, MISSING))

    def to_dict(self) -> dict[str, Any]:
        return {
            "trace_id": self.trace_id.hex(),
            "span_id": self.span_id.hex(),
            "attributes": self._attributes,
        }


class Origin:
    """What the spans of one resource and scope share."""

    __slots__ = ("resource", "scope", "scope_name", "scope_version", "service")

    def __init__(
        self,
        resource: Attributes,
        scope: Attributes,
        *,
        scope_name: str = "",
        scope_version: str = "",
    ) -> None:
        self.resource = resource
        self.scope = scope
        self.scope_name = scope_name
        self.scope_version = scope_version
        service = resource.get("service.name")
        self.service = service if isinstance(service, str) else ""


class LazySpan:
    """One span over its lazily read message (fulfils dsl.SpanView)."""

    __slots__ = ("_attributes", "_origin", "_span")

    def __init__(self, span: lazy.Span, origin: Origin) -> None:
        self._span = span
        self._origin = origin
        self._attributes: Attributes | None = None

    @property
    def trace_id(self) -> bytes:
        return self._span.trace_id

    @property
    def span_id(self) -> bytes:
        return self._span.span_id

    @property
    def parent_span_id(self) -> bytes:
        return self._span.parent_span_id

    @property
    def parent_is_remote(self) -> bool | None:
        return remote_by_flags(self._span.flags)

    @property
    def name(self) -> str:
        return self._span.name.decode(errors="replace")

    @property
    def kind(self) -> str:
        return _word(KINDS, self._span.kind)

    @property
    def status(self) -> str:
        return _word(STATUSES, self._span.status.code)

    @property
    def status_message(self) -> str:
        return self._span.status.message.decode(errors="replace")

    @property
    def start_ns(self) -> int:
        return self._span.start_time_unix_nano

    @property
    def end_ns(self) -> int:
        return self._span.end_time_unix_nano

    @property
    def service(self) -> str:
        return self._origin.service

    @property
    def attributes(self) -> Attributes:
        """The span's own attributes."""
        if self._attributes is None:
            span = self._span
            self._attributes = Attributes(span.attributes, span.dropped_attributes_count)
        return self._attributes

    def span_attribute(self, key: str) -> Read:
        return self.attributes.get(key)

    def resource_attribute(self, key: str) -> Read:
        return self._origin.resource.get(key)

    def scope_attribute(self, key: str) -> Read:
        if key == "name":
            return self._origin.scope_name or MISSING
        if key == "version":
            return self._origin.scope_version or MISSING
        return self._origin.scope.get(key)

    @property
    def events(self) -> Sequence[LazyEvent]:
        return [LazyEvent(raw) for raw in self._span.events]

    @property
    def links(self) -> Sequence[LazyLink]:
        return [LazyLink(raw) for raw in self._span.links]

    @property
    def identity(self) -> tuple[bytes, str, str, int]:
        """What makes a span the same span: id, kind, name and start (language, section 7)."""
        return self.span_id, self.kind, self.name, self.start_ns

    def to_dict(self) -> dict[str, Any]:
        """Return everything the span holds, ids as lower-case hex, times in ns, bytes as hex."""
        origin = self._origin
        return {
            "trace_id": self.trace_id.hex(),
            "span_id": self.span_id.hex(),
            "parent_span_id": self.parent_span_id.hex(),
            "name": self.name,
            "kind": self.kind,
            "service": self.service,
            "start_ns": self.start_ns,
            "end_ns": self.end_ns,
            "status": self.status,
            "status_message": self.status_message,
            "attributes": {k: _plain(v) for k, v in self.attributes.items()},
            "resource": {k: _plain(v) for k, v in origin.resource.items()},
            "scope": {
                "name": origin.scope_name,
                "version": origin.scope_version,
                "attributes": {k: _plain(v) for k, v in origin.scope.items()},
            },
            "events": [_plain(event.to_dict()) for event in self.events],
            "links": [_plain(link.to_dict()) for link in self.links],
        }


def decode_spans(payload: bytes) -> list[LazySpan]:
    """Return all spans of an ExportTraceServiceRequest in wire order.

    Raises ValueError if the bytes are no such message.
    """
    try:
        request = lazy.Request.FromString(payload)
    except DecodeError as error:
        raise ValueError(f"not an OTLP export request: {error}") from error
    spans = []
    for resource_spans in request.resource_spans:
        resource = _resource(resource_spans.resource)
        for scope_spans in resource_spans.scope_spans:
            origin = _origin(resource, scope_spans.scope)
            spans += [LazySpan(span, origin) for span in scope_spans.spans]
    return spans


def lazy_span(raw: bytes, origin: Origin) -> LazySpan:
    """Return the span in a serialized Span message. Raises DecodeError."""
    return LazySpan(lazy.Span.FromString(raw), origin)


def read_origin(resource: bytes, scope: bytes) -> Origin:
    """Return what serialized Resource and InstrumentationScope messages say. Raises DecodeError."""
    return _origin(_resource(lazy.Resource.FromString(resource)), lazy.Scope.FromString(scope))


def _resource(resource: lazy.Resource) -> Attributes:
    return Attributes(resource.attributes, resource.dropped_attributes_count)


def _origin(resource: Attributes, scope: lazy.Scope) -> Origin:
    return Origin(
        resource,
        Attributes(scope.attributes, scope.dropped_attributes_count),
        scope_name=scope.name.decode(errors="replace"),
        scope_version=scope.version.decode(errors="replace"),
    )


@lru_cache(maxsize=4096)
def attribute_head(key: bytes) -> bytes:
    """Return how a KeyValue message with that key starts: field 1, length, key.

    For a key over MAX_PLAIN_KEY_BYTES only what all messages start with.
    """
    return b"\n" + bytes((len(key),)) + key if len(key) <= MAX_PLAIN_KEY_BYTES else b"\n"


def find_raw(raws: Sequence[bytes], key: bytes) -> bytes | None:
    """Return the KeyValue message with that key, or None.

    Reads the usual encoding (key first, shorter than 128 bytes) without parsing; any other one
    is parsed.
    """
    if len(key) <= MAX_PLAIN_KEY_BYTES:
        head = attribute_head(key)
        for raw in raws:
            if raw.startswith(head):
                return raw
    for raw in raws:
        if len(raw) < 2 or raw[0] != 0x0A or raw[1] > MAX_PLAIN_KEY_BYTES:
            message = _parsed(raw)
            if message is not None and message.key.encode() == key:
                return raw
    return None


def read_value(raw: bytes, key_bytes: int) -> Read:
    """Return the value of a KeyValue message whose key has that many bytes; GONE if removed."""
    at = 2 + key_bytes
    # A value of less than 128 bytes follows a key of so many as 0x12, length, AnyValue.
    if (
        key_bytes < 0x80
        and len(raw) > at + 2
        and raw[0] == 0x0A
        and raw[1] == key_bytes
        and raw[at] == 0x12
    ):
        size = raw[at + 1]
        if at + 2 + size == len(raw) and size > 1:
            tag = raw[at + 2]
            if tag == 0x0A and raw[at + 3] == size - 2:
                return _unless_removed(raw[at + 4 :].decode(errors="replace"))
            if tag == 0x21 and size == 9:
                return _DOUBLE(raw, at + 3)[0]  # type: ignore[no-any-return]
            if tag == 0x18:
                return _varint(raw, at + 3)
            if tag == 0x10 and size == 2:
                return bool(raw[at + 3])
    message = _parsed(raw)
    return "" if message is None else _unless_removed(any_value(message.value))


def _unless_removed(value: Read) -> Read:
    return GONE if value == REMOVED_TEXT else value


def _varint(raw: bytes, at: int) -> int:
    """Return the signed 64-bit integer encoded from `at` to the end."""
    value = 0
    shift = 0
    for byte in raw[at:]:
        value |= (byte & 0x7F) << shift
        shift += 7
    return value - (1 << 64) if value >> 63 else value


def any_value(value: AnyValue) -> Value:
    """Return an OTLP AnyValue as a Python value; an unset one is an empty text."""
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value":
            return value.double_value
        case "bytes_value":
            return value.bytes_value
        case "array_value":
            return [any_value(item) for item in value.array_value.values]
        case "kvlist_value":
            return {kv.key: any_value(kv.value) for kv in value.kvlist_value.values}
        case _:
            return ""


def key_values(values: Mapping[str, Any]) -> list[KeyValue]:
    """Return attributes of plain values. Raises TypeError for what OTLP has no value for."""
    return [KeyValue(key=key, value=as_any_value(value)) for key, value in values.items()]


def as_any_value(value: Any) -> AnyValue:
    """Return a plain value as an AnyValue, None as an unset one; the way back of `any_value`.

    An integer that 64 bits do not hold becomes a double. Raises TypeError.
    """
    match value:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int() if _MIN_INT <= value <= _MAX_INT:
            return AnyValue(int_value=value)
        case int() | float():
            return AnyValue(double_value=float(value))
        case str():
            return AnyValue(string_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case Mapping():
            return AnyValue(kvlist_value=KeyValueList(values=key_values(value)))
        case Sequence():
            return AnyValue(array_value=ArrayValue(values=map(as_any_value, value)))
        case _:
            raise TypeError(f"no OTLP value: {value!r}")


def _parsed(raw: bytes) -> KeyValue | None:
    try:
        return KeyValue.FromString(raw)
    except DecodeError:
        return None


def _word(words: Sequence[str], code: int) -> str:
    return words[code] if 0 <= code < len(words) else words[0]


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold: bytes become hex, and 64-bit integers stay integers."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
