"""A trace as it was read from the log: made whole, explained, put into rows. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

import dsl
from api.worker.folding import storable
from dsl.exceptions import RuleException, silencing
from dsl.judging import Moment
from dsl.spans import external_root_of
from udfs.otlp import LazySpan, decode_spans

MAX_SPANS = 20_000
"""Of one trace. What is over is left out, and the copy says so."""
SPAN_ID_BYTES = 8
_NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class FoundSpan:
    """A span and the offset of the record it came in."""

    offset: int
    span: LazySpan


@dataclass(frozen=True, slots=True)
class Explained:
    """What the evaluator says of a signal's spans."""

    json: str
    agrees: bool
    """With the verdict that the stream reached."""
    group_values: dict[str, Any]
    fingerprint: bytes
    """16 bytes: BLAKE2b-128 of the rule's id and the values it groups by."""
    exception: RuleException | None
    """Which exception silences it."""


def spans_of(payload: bytes, trace_id: bytes, *, offset: int) -> list[FoundSpan]:
    """Return the usable spans of one trace in an OTLP request, in wire order.

    Raises ValueError if the bytes are no OTLP request.
    """
    return [
        FoundSpan(offset, span)
        for span in decode_spans(payload)
        if span.trace_id == trace_id and len(span.span_id) == SPAN_ID_BYTES
    ]


def distinct(found: Iterable[FoundSpan]) -> list[FoundSpan]:
    """Return each span once, as it was first taken in (language, section 7)."""
    first: dict[tuple[bytes, str, str, int], FoundSpan] = {}
    for each in sorted(found, key=lambda f: f.offset):
        first.setdefault(each.span.identity, each)
    return list(first.values())


def lacks_parent(found: Sequence[FoundSpan]) -> bool:
    """Say whether some span names a parent that is not among them."""
    present = {each.span.span_id for each in found}
    return any(
        each.span.parent_span_id and each.span.parent_span_id not in present for each in found
    )


def root_of(found: Sequence[FoundSpan], *, external_roots: bool = False) -> LazySpan | None:
    """Return the root: of the spans without a parent the one that started first.

    external_roots: where there is none, the span that stands for it (language, section 7).
    """
    roots = [each.span for each in found if not each.span.parent_span_id]
    if external_roots and not roots:
        called = external_root_of([each.span for each in found])
        return called if isinstance(called, LazySpan) else None
    return min(roots, key=lambda span: (span.start_ns, span.span_id), default=None)


def services_of(found: Sequence[FoundSpan]) -> list[str]:
    """Return the names of the services in a trace, sorted."""
    return sorted({storable(each.span.service) for each in found if each.span.service})


def names_of(found: Sequence[FoundSpan], *, external_roots: bool = False) -> dict[str, object]:
    """Return what a trace is called by: root_name, root_service (empty without one), services."""
    root = root_of(found, external_roots=external_roots)
    return {
        "root_name": storable(root.name) if root else "",
        "root_service": storable(root.service) if root else "",
        "services": services_of(found),
    }


def span_rows(found: Sequence[FoundSpan]) -> list[tuple[object, ...]]:
    """Return rows for trace_spans, from ordinal on, by start and then span id."""
    ordered = sorted((each.span for each in found), key=lambda s: (s.start_ns, s.span_id, s.name))
    return [_span_row(ordinal, span) for ordinal, span in enumerate(ordered)]


def _span_row(ordinal: int, span: LazySpan) -> tuple[object, ...]:
    whole = span.to_dict()
    parent = span.parent_span_id
    return (
        ordinal,
        span.span_id,
        parent if len(parent) == SPAN_ID_BYTES else None,
        storable(span.name),
        storable(span.service),
        span.kind,
        span.status,
        storable(span.status_message),
        span.start_ns,
        span.end_ns,
        to_json(whole["attributes"]),
        to_json(whole["resource"]),
        to_json(whole["scope"]),
        to_json(whole["events"]),
        to_json(whole["links"]),
        span.attributes.dropped,
    )


def explained(
    rule: dsl.CompiledRule,
    found: Sequence[FoundSpan],
    *,
    rule_id: str,
    verdict: str,
    closed: bool,
    group_by: Sequence[str],
    clock_skew_ms: int = 0,
    external_roots: bool = False,
    exceptions: Sequence[RuleException] = (),
    judged_at: datetime,
) -> Explained:
    """Explain a verdict on exactly the spans it rests on.

    verdict: what the stream said. closed: it was reached with the trace closed, so that what is
    not among the spans was absent; a doubtful verdict is explained with absence in doubt.
    clock_skew_ms, external_roots: the tenant's, as they are now.
    exceptions: those of the rule at the time of the judgement, judged_at.
    """
    spans = [each.span for each in found]
    complete = closed and verdict != "inconclusive"
    moment = Moment(
        clock_skew_ns=clock_skew_ms * _NS_PER_MS, external_roots=external_roots and closed
    )
    explanation = dsl.explain(rule, spans, complete=complete, moment=moment)
    told = explanation.to_dict()
    asked = group_by or exceptions
    witness = dsl.shown_span(rule, spans, explanation.judgement.bindings) if asked else None
    values = {} if witness is None else {name: _field_of(witness, name) for name in group_by}
    return Explained(
        json=to_json(told),
        agrees=told["verdict"] == verdict,
        group_values=values,
        fingerprint=fingerprint(rule_id, values),
        exception=silencing(exceptions, witness, at=judged_at),
    )


def fingerprint(rule_id: str, values: dict[str, Any]) -> bytes:
    """Return what signals of one group have in common, as 16 bytes."""
    text = json.dumps([rule_id, sorted(values.items())], separators=(",", ":"), default=str)
    return blake2b(text.encode(), digest_size=16, person=b"betrace.group").digest()


def _field_of(span: dsl.SpanView, field: str) -> Any:
    if field in ("service", "name"):
        return storable(str(getattr(span, field)))
    for read in (span.span_attribute(field), span.resource_attribute(field)):
        if isinstance(read, (str, bool, int, float)):
            return _jsonable(read)
    return None


def to_json(value: Any) -> str:
    """Return a value as JSON text that Postgres takes as jsonb.

    What jsonb cannot hold becomes text: NUL in a string U+FFFD, NaN and infinities their names.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return to_json(_jsonable(value))
    return to_json(_jsonable(value)) if "\\u0000" in text and _holds_nul(value) else text


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(key) or _holds_nul(item) for key, item in value.items())
    return isinstance(value, list) and any(_holds_nul(item) for item in value)


def _jsonable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float) and not math.isfinite(value):
        return {True: "NaN"}.get(math.isnan(value), "Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {storable(str(key)): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    return value
