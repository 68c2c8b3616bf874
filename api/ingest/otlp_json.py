"""OTLP/JSON to OTLP/protobuf.

Source: OTLP specification, "JSON Protobuf Encoding": ids are hex, enums are numbers (names are
taken too), 64-bit integers are strings (numbers are taken too), bytes are base64, names are
lowerCamelCase (those of the .proto are taken too), unknown names are ignored.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from api.ingest.json_span import usual_span
from api.ingest.rejects import Reject
from api.ingest.request_wire import Group, Origin, resource_head, scope_head
from api.ingest.split import Malformed

_MAX_DEPTH = 32
"""Of arrays and maps in attributes; protobuf readers stop at 100 messages, two for each."""

Convert = Callable[[Any], Any]
Fields = Mapping[str, tuple[str, Convert]]


def read_json(body: bytes) -> tuple[list[Group], list[Reject]]:
    """Return the spans of a request, serialized, those of one origin together, and a Reject for
    each span left out.

    All that is returned decodes by the official schema, as it was written by it.
    Raises Malformed where the body is not JSON, or not shaped like an export request down to
    its lists of spans.
    """
    rejects: list[Reject] = []
    groups: dict[Origin, list[bytes]] = {}
    try:
        request = json.loads(body, parse_constant=_not_json)
        for of_resource in _objects(_object(request), "resourceSpans", "resource_spans"):
            resource = Resource(**_resource(of_resource.get("resource") or {}))
            resource_url = _text(_either(of_resource, "schemaUrl", "schema_url") or "")
            for of_scope in _objects(of_resource, "scopeSpans", "scope_spans"):
                scope = InstrumentationScope(**_scope(of_scope.get("scope") or {}))
                scope_url = _text(_either(of_scope, "schemaUrl", "schema_url") or "")
                origin = Origin(
                    resource_head(resource.SerializeToString(), resource_url.encode()),
                    scope_head(scope.SerializeToString(), scope_url.encode()),
                )
                spans = _spans(_list(of_scope, "spans"), rejects)
                groups.setdefault(origin, []).extend(spans)
    except (ValueError, TypeError, RecursionError) as error:
        raise Malformed(f"the body is not OTLP/JSON: {error}") from error
    return list(groups.items()), rejects


def _spans(spans: list[Any], rejects: list[Reject]) -> list[bytes]:
    serialized: list[bytes] = []
    for span in spans:
        usual = usual_span(span)
        if usual is not None:
            serialized.append(usual)
            continue
        try:
            serialized.append(Span(**_span(span)).SerializeToString())
        except (ValueError, TypeError) as error:
            content = json.dumps(span).encode()
            rejects.append(
                Reject("otlp.span_malformed", f"the span is not valid: {error}", content)
            )
    return serialized


def _not_json(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _either(value: Mapping[str, Any], *names: str) -> Any:
    return next((value[name] for name in names if value.get(name) is not None), None)


def _list(value: Mapping[str, Any], *names: str) -> list[Any]:
    found = _either(value, *names)
    if found is None:
        return []
    if not isinstance(found, list):
        raise ValueError(f"{names[0]} is not a list")
    return found


def _objects(value: Mapping[str, Any], *names: str) -> list[dict[str, Any]]:
    return [_object(item) for item in _list(value, *names)]


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("an object was expected")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a string was expected")
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false was expected")
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str | float):
        raise ValueError("a number was expected")
    if isinstance(value, float) and not value.is_integer():
        raise ValueError("a whole number was expected")
    return int(value)


def _double(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("a number was expected")
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError("a number is too large") from error


def _enum(value: Any) -> int | str:
    return value if isinstance(value, str) and not value.isdigit() else _integer(value)


def _hex(value: Any) -> bytes:
    try:
        return bytes.fromhex(_text(value))
    except ValueError as error:
        raise ValueError("an id is not hex") from error


def _base64(value: Any) -> bytes:
    text = _text(value).replace("-", "+").replace("_", "/")
    return b64decode(text + "=" * (-len(text) % 4), validate=True)


def _any_value(value: Any, depth: int = 0) -> dict[str, Any]:
    if depth > _MAX_DEPTH:
        raise ValueError(f"values are nested more than {_MAX_DEPTH} deep")
    for name, inner in _object(value).items():
        if inner is None:
            continue
        match name:
            case "stringValue" | "string_value":
                return {"string_value": _text(inner)}
            case "boolValue" | "bool_value":
                return {"bool_value": _boolean(inner)}
            case "intValue" | "int_value":
                return {"int_value": _integer(inner)}
            case "doubleValue" | "double_value":
                return {"double_value": _double(inner)}
            case "arrayValue" | "array_value":
                items = _list(_object(inner), "values")
                return {"array_value": {"values": [_any_value(item, depth + 1) for item in items]}}
            case "kvlistValue" | "kvlist_value":
                pairs = _list(_object(inner), "values")
                return {"kvlist_value": {"values": _attributes(pairs, depth + 1)}}
            case "bytesValue" | "bytes_value":
                return {"bytes_value": _base64(inner)}
    return {}


def _attributes(value: Any, depth: int = 0) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise ValueError("attributes are not a list")
    return [
        {
            "key": _text(pair.get("key") or ""),
            "value": _any_value(pair.get("value") or {}, depth),
        }
        for pair in map(_object, value)
    ]


def _message(fields: Fields) -> Convert:
    """Return a converter of JSON objects to keyword arguments of a message."""

    def convert(value: Any) -> dict[str, Any]:
        converted: dict[str, Any] = {}
        for name, inner in _object(value).items():
            known = fields.get(name)
            if known is not None and inner is not None:
                converted[known[0]] = known[1](inner)
        return converted

    return convert


def _each(convert: Convert) -> Convert:
    def convert_all(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise ValueError("a list was expected")
        return [convert(item) for item in value]

    return convert_all


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


def _fields(**converters: Convert) -> Fields:
    by_name = {name: (name, convert) for name, convert in converters.items()}
    return by_name | {_camel(name): field for name, field in by_name.items()}


_resource = _message(_fields(attributes=_attributes, dropped_attributes_count=_integer))
_scope = _message(
    _fields(name=_text, version=_text, attributes=_attributes, dropped_attributes_count=_integer)
)
_status = _message(_fields(message=_text, code=_enum))
_event = _message(
    _fields(
        time_unix_nano=_integer,
        name=_text,
        attributes=_attributes,
        dropped_attributes_count=_integer,
    )
)
_link = _message(
    _fields(
        trace_id=_hex,
        span_id=_hex,
        trace_state=_text,
        attributes=_attributes,
        dropped_attributes_count=_integer,
        flags=_integer,
    )
)
_span = _message(
    _fields(
        trace_id=_hex,
        span_id=_hex,
        trace_state=_text,
        parent_span_id=_hex,
        flags=_integer,
        name=_text,
        kind=_enum,
        start_time_unix_nano=_integer,
        end_time_unix_nano=_integer,
        attributes=_attributes,
        dropped_attributes_count=_integer,
        events=_each(_event),
        dropped_events_count=_integer,
        links=_each(_link),
        dropped_links_count=_integer,
        status=_status,
    )
)
