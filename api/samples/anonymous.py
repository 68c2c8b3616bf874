"""Spans as a sample keeps them: without the ids and the clock of where they come from. Pure.

    trace 5b8a…, span 00f0…, 12:00:03.120  ─►  id: s1, start: 0ms
    span 00f1… of 00f0…,     12:00:03.132  ─►  id: s2, parent: s1, start: 12ms

The same spans give the same sample, in whatever order they come. What redaction removed becomes
`redacted`, so that a rule does not know it, as in the stream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from api.samples.model import Entry
from udfs.otlp import REMOVED_TEXT, LazySpan

_NS_PER_MS: Final = 1_000_000
_Named = dict[tuple[bytes, bytes], str]


def anonymous(spans: Sequence[LazySpan]) -> list[Entry]:
    """Return spans as entries of a `trace:`, by trace and start; times from the first start on."""
    first_ns = min((span.start_ns for span in spans), default=0)
    begins: dict[bytes, int] = {}
    for span in spans:
        begins[span.trace_id] = min(begins.get(span.trace_id, span.start_ns), span.start_ns)
    ordered = sorted(
        spans,
        key=lambda s: (begins[s.trace_id], s.trace_id, s.start_ns, s.end_ns, s.name, s.span_id),
    )
    names: _Named = {}
    for span in ordered:
        names.setdefault((span.trace_id, span.span_id), f"s{len(names) + 1}")
    traces = {trace_id: f"t{n}" for n, trace_id in enumerate(dict.fromkeys(_traces(ordered)), 1)}
    missing: _Named = {}
    told = len(traces) > 1 or any(span.links for span in ordered)
    return [
        _entry(span, names, missing, traces if told else {}, first_ns=first_ns) for span in ordered
    ]


def _traces(spans: Sequence[LazySpan]) -> list[bytes]:
    return [span.trace_id for span in spans]


def _entry(
    span: LazySpan, names: _Named, missing: _Named, traces: Mapping[bytes, str], *, first_ns: int
) -> Entry:
    whole = span.to_dict()
    attributes, removed = _kept(whole["attributes"])
    resource, removed_of_resource = _kept(whole["resource"])
    service = resource.pop("service.name", "")
    scope = {**whole["scope"]["attributes"]}
    scope |= {key: whole["scope"][key] for key in ("name", "version") if whole["scope"][key]}
    fields: dict[str, Any] = {
        "name": whole["name"],
        "id": names[span.trace_id, span.span_id],
        "parent": _parent(span, names, missing),
        "trace": traces.get(span.trace_id, ""),
        "service": service,
        "kind": "" if span.kind == "unspecified" else span.kind,
        "start": _duration(span.start_ns - first_ns),
        "duration": _duration(span.end_ns - span.start_ns),
        "status": "" if span.status == "unset" else span.status,
        "status_message": whole["status_message"],
        "attributes": attributes,
        "resource": resource,
        "scope": scope,
        "events": [
            _filled(
                name=event["name"],
                time=_duration(event["time_ns"] - first_ns),
                attributes=event["attributes"],
            )
            for event in whole["events"]
        ],
        "links": [_link(link, names, missing, traces) for link in whole["links"]],
        "dropped_attributes_count": span.attributes.dropped,
        "redacted": sorted({*removed, *removed_of_resource}),
    }
    kept = _filled(**fields)
    if span.parent_is_remote is not None:
        kept["parent_is_remote"] = span.parent_is_remote
    return kept | {"name": fields["name"]}


def _parent(span: LazySpan, names: _Named, missing: _Named) -> str:
    if not any(span.parent_span_id):
        return ""
    key = (span.trace_id, span.parent_span_id)
    return names.get(key) or missing.setdefault(key, f"gone{len(missing) + 1}")


def _link(
    link: Mapping[str, Any], names: _Named, missing: _Named, traces: Mapping[bytes, str]
) -> Entry:
    trace_id, span_id = bytes.fromhex(link["trace_id"]), bytes.fromhex(link["span_id"])
    key = (trace_id, span_id)
    return _filled(
        trace_id=traces.get(trace_id, "elsewhere"),
        span_id=names.get(key) or missing.setdefault(key, f"gone{len(missing) + 1}"),
        attributes=link["attributes"],
    )


def _kept(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return attributes without those that redaction removed, and the keys of these."""
    removed = [key for key, value in values.items() if value == REMOVED_TEXT]
    return {key: value for key, value in values.items() if key not in removed}, removed


def _duration(ns: int) -> str | int:
    """Return nanoseconds as the tests of rules write durations."""
    return ns if ns % _NS_PER_MS else f"{ns // _NS_PER_MS}ms"


def _filled(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in ("", None, [], {}, 0)}
