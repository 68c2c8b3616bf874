"""The list of a trace's spans from which a rule is made."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import dsl
from api.rules.playground import PlayedTrace
from api.traces.layout import Layout
from api.web.views.moments import duration_text
from api.web.views.rule_form import RuleDraft
from api.web.views.waterfall import (
    HUES,
    INDENT,
    INDENT_LEVELS,
    Attribute,
    counted,
    value_text,
)
from api.web.views.words import Choice, Message, choices
from dsl.drafting import Draft, Shape, own_keys
from dsl.writing import written_tests

ROWS_MAX: Final = 100
"""Spans listed at once; the field above them finds others."""
KEYS_SHOWN: Final = 20
VALUE_SHOWN: Final = 80
SHAPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        Shape.IN_ORDER: "When the first one happens, the others follow in this order",
        Shape.TOGETHER: "When the first one happens, the others happen too",
        Shape.NEVER: "When the first one happens, none of the others does",
    }
)


@dataclass(frozen=True, slots=True)
class Key:
    """Something that the rule can ask of a span. value: of the field."""

    field: str
    attribute: Attribute
    checked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanChoice:
    """One span to pick."""

    id: str
    name: str
    service: str
    hue: int
    indent: int
    duration: str
    offset: str
    error: bool
    checked: bool
    keys: tuple[Key, ...]
    keys_label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FromTrace:
    """The page."""

    action: str
    back_href: str
    root_name: str
    signal_id: str
    query: str
    shapes: tuple[Choice, ...]
    rows: tuple[SpanChoice, ...]
    summary: str
    message: Message | None


def from_trace(
    trace: PlayedTrace,
    layout: Layout,
    *,
    picks: Mapping[str, Sequence[str]],
    shape: str = Shape.IN_ORDER,
    query: str = "",
    signal_id: str = "",
    message: Message | None = None,
) -> FromTrace:
    """Return the page. picks: chosen so far, which stay in the list whatever is looked for."""
    rows = _shown(trace, layout, picks=picks, query=query)
    shown = tuple(_row(trace, layout, row, picks) for row in rows)
    return FromTrace(
        action=f"/traces/{trace.trace_id}/rule",
        back_href=f"/signals/{signal_id}" if signal_id else f"/traces/{trace.trace_id}",
        root_name=trace.root_name or "A trace without a root span",
        signal_id=signal_id,
        query=query,
        shapes=choices(SHAPES, shape if shape in SHAPES else Shape.IN_ORDER),
        rows=shown,
        summary=_summary(len(shown), len(layout)),
        message=message,
    )


def draft_from(draft: Draft) -> RuleDraft:
    """Return the fields of the form for a draft; it begins in shadow, where it alerts nobody."""
    first, last = draft.tests[0].trace[0]["name"], draft.tests[1].trace[-1]["name"]
    if draft.shape is not Shape.NEVER:
        last = draft.tests[0].trace[-1]["name"]
    joined = {
        Shape.IN_ORDER: f"{first} is followed by {last}",
        Shape.TOGETHER: f"{first} comes with {last}",
        Shape.NEVER: f"{first} never comes with {last}",
    }[draft.shape]
    return RuleDraft(
        id=re.sub(r"[^a-z0-9]+", "-", joined.lower()).strip("-")[:100],
        name=joined[:255],
        text=draft.text,
        tests=written_tests([test.to_dict() for test in draft.tests]),
        state="shadow",
    )


def _shown(
    trace: PlayedTrace, layout: Layout, *, picks: Mapping[str, Sequence[str]], query: str
) -> list[int]:
    """Return the rows of the list: those that were picked, and the first that hold the query."""
    wanted = query.strip().lower()
    rows: list[int] = []
    for row in range(len(layout)):
        span = trace.spans[layout.ordinals[row]]
        picked = span.span_id.hex() in picks
        holds = wanted in span.name.lower() or wanted in span.service.lower()
        if picked or (holds and len(rows) < ROWS_MAX):
            rows.append(row)
    return rows


def _row(
    trace: PlayedTrace, layout: Layout, row: int, picks: Mapping[str, Sequence[str]]
) -> SpanChoice:
    span = trace.spans[layout.ordinals[row]]
    span_id = span.span_id.hex()
    chosen = picks.get(span_id, ())
    keys = tuple(
        Key(f"{span_id} {key}", Attribute(key, _short(value)), key in chosen)
        for key, value in _values(span)
    )
    return SpanChoice(
        id=span_id,
        name=span.name,
        service=span.service or "unknown service",
        hue=layout.services[row] % HUES,
        indent=min(layout.depths[row], INDENT_LEVELS) * INDENT,
        duration=duration_text(max(span.end_ns - span.start_ns, 0)),
        offset=duration_text(layout.starts_ns[row]),
        error=span.status == "error",
        checked=span_id in picks,
        keys=keys,
        keys_label=counted(len(keys), "value"),
    )


def _values(span: dsl.Span) -> list[tuple[str, object]]:
    """Return what the rule can ask of a span: its own attributes, then what every span has."""
    found: dict[str, object] = dict(sorted(span.attributes.items())[:KEYS_SHOWN])
    found |= {key: getattr(span, key) for key in own_keys(span)}
    return list(found.items())


def _short(value: object) -> str:
    text = value_text(value)
    return text if len(text) <= VALUE_SHOWN else f"{text[:VALUE_SHOWN]}…"


def _summary(shown: int, count: int) -> str:
    return counted(count, "span") if shown == count else f"{shown:,} of {counted(count, 'span')}"
