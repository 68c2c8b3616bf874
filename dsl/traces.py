"""Traces that people write or export: entries of a suite's `trace:` list, and OTLP/JSON.

Both become plain spans. A suite's entry is read strictly (a misspelt field is an error); OTLP/JSON
is read as its specification says: unknown fields ignored, 64-bit integers as texts or numbers, ids
in hex, enumerations as numbers (names are taken too).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Final, Literal, cast

from dsl.lexer import NS_PER_UNIT
from dsl.spans import KINDS, STATUSES, Event, Link, Span, id_of, remote_by_flags
from dsl.values import Value
from dsl.words import did_you_mean

DEFAULT_DURATION_NS: Final = 1_000_000
MAX_VALUE_NESTING: Final = 100
"""Lists and maps inside each other, of an attribute's value."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_DURATION = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?)\s*(ns|us|ms|s|m|h|d)")
_SPAN_FIELDS: Final = frozenset(
    {"name", "id", "parent", "trace", "service", "start", "duration", "kind", "status"}
    | {"status_message", "attributes", "resource", "scope", "events", "links", "arrives"}
    | {"dropped_attributes_count", "dropped_events_count", "dropped_links_count", "redacted"}
    | {"parent_is_remote"}
)


class TraceError(ValueError):
    """A trace that cannot be read; the text says what is wrong, for people."""


def duration_ns(value: object, *, field: str) -> int:
    """Return a duration (`30ms`, or a number of nanoseconds) in nanoseconds. Raises TraceError."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = _DURATION.fullmatch(value) if isinstance(value, str) and len(value) < 40 else None
    if found is None:
        raise TraceError(f"`{field}` must be a duration such as `30ms`, not {value!r}")
    ns = Fraction(found[1]) * NS_PER_UNIT[found[2]]
    if ns.denominator != 1:
        raise TraceError(f"`{field}` must be whole nanoseconds, not {value!r}")
    return int(ns)


def span_from_fields(fields: Mapping[str, Any], *, position: int) -> Span:
    """Return the span of one entry of a `trace:` list. Raises TraceError.

    position: its place in the list, from which an entry without `id` gets one.
    """
    for field in fields:
        if field not in _SPAN_FIELDS:
            hint = did_you_mean(str(field), sorted(_SPAN_FIELDS))
            raise TraceError(f"`{field}` is not a field of a span. {hint}".rstrip(". ") + ".")
    label = str(fields.get("id", f"span {position + 1}"))
    start_ns = duration_ns(fields.get("start", 0), field="start")
    resource = _attributes(fields.get("resource"), "resource")
    if "service" in fields:
        resource["service.name"] = _text(fields["service"], "service")
    parent = fields.get("parent")
    return Span(
        span_id=id_of(label),
        name=_text(fields.get("name"), "name"),
        parent_span_id=b"" if parent is None or parent == "" else id_of(str(parent)),
        trace_id=id_of(str(fields["trace"]), size=16) if "trace" in fields else b"",
        kind=_one_of(fields.get("kind", "unspecified"), KINDS, "kind"),
        status=cast(
            'Literal["unset", "ok", "error"]',
            _one_of(fields.get("status", "unset"), STATUSES, "status"),
        ),
        status_message=_text(fields.get("status_message", ""), "status_message"),
        start_ns=start_ns,
        end_ns=start_ns
        + duration_ns(fields.get("duration", DEFAULT_DURATION_NS), field="duration"),
        attributes=_attributes(fields.get("attributes"), "attributes"),
        resource=resource,
        scope=_attributes(fields.get("scope"), "scope"),
        events=tuple(_event(entry) for entry in _entries(fields.get("events"), "events")),
        links=tuple(_link(entry) for entry in _entries(fields.get("links"), "links")),
        dropped_attributes_count=_count(fields, "dropped_attributes_count"),
        dropped_events_count=_count(fields, "dropped_events_count"),
        dropped_links_count=_count(fields, "dropped_links_count"),
        redacted=frozenset(map(str, _entries_or_none(fields.get("redacted"), "redacted"))),
        parent_is_remote=_truth_or_none(fields, "parent_is_remote"),
        label=label if "id" in fields else "",
    )


def _readable(text: str) -> str:
    """Return a text as its bytes could say it: JSON can spell halves of UTF-16 pairs."""
    return text if text.isascii() else _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def _text(value: object, field: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return _readable(str(value))
    raise TraceError(f"`{field}` must be a text, not {value!r}")


def _one_of(value: object, words: Sequence[str], field: str) -> str:
    if isinstance(value, str) and value in words:
        return value
    raise TraceError(f"`{field}` must be one of {' '.join(words)}, not {value!r}")


def _truth_or_none(fields: Mapping[str, Any], field: str) -> bool | None:
    value = fields.get(field)
    if value is None or isinstance(value, bool):
        return value
    raise TraceError(f"`{field}` must be true or false, not {value!r}")


def _count(fields: Mapping[str, Any], field: str) -> int:
    value = fields.get(field, 0)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise TraceError(f"`{field}` must be a count, not {value!r}")


def _attributes(value: object, field: str) -> dict[str, Value]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TraceError(f"`{field}` must map keys to values, not {value!r}")
    return {_readable(str(key)): _value(one) for key, one in value.items() if one is not None}


def _value(value: Any, depth: int = 1) -> Any:
    """Return an attribute's value, with nothing in it that is no text. Raises TraceError."""
    if isinstance(value, str):
        return _readable(value)
    if isinstance(value, dict | list):
        _refuse_deep(depth)
        if isinstance(value, list):
            return [_value(one, depth + 1) for one in value]
        return {_readable(str(key)): _value(one, depth + 1) for key, one in value.items()}
    return value


def _refuse_deep(depth: int) -> None:
    if depth > MAX_VALUE_NESTING:
        raise TraceError(f"a value is nested deeper than {MAX_VALUE_NESTING} levels")


def _entries(value: object, field: str) -> list[Mapping[str, Any]]:
    entries = _entries_or_none(value, field)
    for entry in entries:
        if not isinstance(entry, Mapping):
            raise TraceError(f"every entry of `{field}` must be a map, not {entry!r}")
    return entries


def _entries_or_none(value: object, field: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise TraceError(f"`{field}` must be a list, not {value!r}")
    return value


def _event(fields: Mapping[str, Any]) -> Event:
    _only(fields, {"name", "time", "attributes", "dropped_attributes_count"}, "an event")
    return Event(
        name=_text(fields.get("name", ""), "name"),
        time_ns=duration_ns(fields.get("time", 0), field="time"),
        attributes=_attributes(fields.get("attributes"), "attributes"),
        dropped_attributes_count=_count(fields, "dropped_attributes_count"),
    )


def _link(fields: Mapping[str, Any]) -> Link:
    _only(fields, {"trace_id", "span_id", "attributes", "dropped_attributes_count"}, "a link")
    return Link(
        trace_id=id_of(_text(fields.get("trace_id", ""), "trace_id"), size=16),
        span_id=id_of(_text(fields.get("span_id", ""), "span_id")),
        attributes=_attributes(fields.get("attributes"), "attributes"),
        dropped_attributes_count=_count(fields, "dropped_attributes_count"),
    )


def _only(fields: Mapping[str, Any], known: set[str], what: str) -> None:
    for field in fields:
        if field not in known:
            raise TraceError(f"`{field}` is not a field of {what}")


# -- OTLP/JSON -------------------------------------------------------------------------------------


def spans_from_otlp_json(document: object) -> list[Span]:
    """Return the spans of an OTLP/JSON document, in order. Raises TraceError.

    Source: opentelemetry-proto trace/v1/trace.proto, JSON encoding of the OTLP specification.
    """
    spans: list[Span] = []
    for of_resource in _objects(_object(document, "the document"), "resourceSpans"):
        resource = of_resource.get("resource")
        resource_fields = _object(resource, "resource") if resource is not None else {}
        for of_scope in _objects(of_resource, "scopeSpans"):
            scope = of_scope.get("scope")
            scope_fields = _object(scope, "scope") if scope is not None else {}
            spans.extend(
                _otlp_span(span, resource_fields, scope_fields)
                for span in _objects(of_scope, "spans")
            )
    return spans


def _otlp_span(
    span: Mapping[str, Any], resource: Mapping[str, Any], scope: Mapping[str, Any]
) -> Span:
    status = _object(span.get("status") or {}, "status")
    named = {
        key: _readable(scope[key]) for key in ("name", "version") if isinstance(scope.get(key), str)
    }
    return Span(
        span_id=_id(span, "spanId"),
        name=_readable(str(span.get("name", ""))),
        parent_span_id=_id(span, "parentSpanId"),
        trace_id=_id(span, "traceId"),
        kind=_enumerated(span.get("kind", 0), KINDS, "SPAN_KIND_"),
        status=cast(
            'Literal["unset", "ok", "error"]',
            _enumerated(status.get("code", 0), STATUSES, "STATUS_CODE_"),
        ),
        status_message=_readable(str(status.get("message", ""))),
        start_ns=_integer(span.get("startTimeUnixNano", 0), "startTimeUnixNano"),
        end_ns=_integer(span.get("endTimeUnixNano", 0), "endTimeUnixNano"),
        attributes=_key_values(span),
        resource=_key_values(resource),
        scope={**named, **_key_values(scope)},
        events=tuple(
            Event(
                name=_readable(str(event.get("name", ""))),
                time_ns=_integer(event.get("timeUnixNano", 0), "timeUnixNano"),
                attributes=_key_values(event),
                dropped_attributes_count=_dropped(event, "Attributes"),
            )
            for event in _objects(span, "events")
        ),
        links=tuple(
            Link(
                trace_id=_id(link, "traceId"),
                span_id=_id(link, "spanId"),
                attributes=_key_values(link),
                dropped_attributes_count=_dropped(link, "Attributes"),
            )
            for link in _objects(span, "links")
        ),
        dropped_attributes_count=_dropped(span, "Attributes"),
        dropped_events_count=_dropped(span, "Events"),
        dropped_links_count=_dropped(span, "Links"),
        parent_is_remote=remote_by_flags(_integer(span.get("flags", 0), "flags")),
        resource_dropped_attributes_count=_dropped(resource, "Attributes"),
        scope_dropped_attributes_count=_dropped(scope, "Attributes"),
    )


def _dropped(owner: Mapping[str, Any], what: str) -> int:
    return _integer(owner.get(f"dropped{what}Count", 0), f"dropped{what}Count")


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TraceError(f"{what} must be an object")
    return value


def _objects(owner: Mapping[str, Any], field: str) -> list[Mapping[str, Any]]:
    entries = owner.get(field) or []
    if not isinstance(entries, list):
        raise TraceError(f"`{field}` must be a list")
    return [_object(entry, f"every entry of `{field}`") for entry in entries]


def _id(owner: Mapping[str, Any], field: str) -> bytes:
    value = owner.get(field) or ""
    try:
        return bytes.fromhex(value)
    except (TypeError, ValueError) as error:
        raise TraceError(f"`{field}` must be hex, not {value!r}") from error


def _enumerated(value: object, words: Sequence[str], prefix: str) -> str:
    if isinstance(value, str):
        word = value.removeprefix(prefix).lower()
        return word if word in words else words[0]
    number = value if isinstance(value, int) else 0
    return words[number] if 0 <= number < len(words) else words[0]


def _integer(value: object, field: str) -> int:
    try:
        return int(value)  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError, OverflowError) as error:
        raise TraceError(f"`{field}` must be a whole number, not {value!r}") from error


def _key_values(owner: Mapping[str, Any]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for entry in _objects(owner, "attributes"):
        value = _any_value(entry.get("value"))
        if value is not None:
            found.setdefault(_readable(str(entry.get("key", ""))), value)
    return found


def _any_value(value: object, depth: int = 0) -> Value | None:
    """Return what an AnyValue holds; None for an empty one. depth: how many it is inside of."""
    _refuse_deep(depth)
    fields = _object(value, "an attribute's value") if value is not None else {}
    if "stringValue" in fields:
        return _readable(str(fields["stringValue"]))
    if "boolValue" in fields:
        return bool(fields["boolValue"])
    if "intValue" in fields:
        return _integer(fields["intValue"], "intValue")
    if "doubleValue" in fields:
        return _double(fields["doubleValue"])
    if "arrayValue" in fields:
        values = _objects(_object(fields["arrayValue"], "arrayValue"), "values")
        return [_any_value(one, depth + 1) for one in values]
    if "kvlistValue" in fields:
        pairs = _objects(_object(fields["kvlistValue"], "kvlistValue"), "values")
        return {
            _readable(str(pair.get("key", ""))): _any_value(pair.get("value"), depth + 1)
            for pair in pairs
        }
    if "bytesValue" in fields:
        return _bytes(fields["bytesValue"])
    return None


def _double(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise TraceError(f"`doubleValue` must be a number, not {value!r}") from error


def _bytes(value: object) -> bytes:
    try:
        return base64.b64decode(str(value), validate=True)
    except (binascii.Error, ValueError) as error:
        raise TraceError("`bytesValue` must be base64") from error
