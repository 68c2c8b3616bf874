"""A trace as rows on a time axis.

Positions are per cent of the axis (SVG takes them as attributes, so no inline style is needed).
Which spans are worth showing when there are too many is decided here; drawing is the template's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from api.traces.service import Span
from api.web.views.moments import Moment, duration_text, exact_moment

ROWS_MAX = 500
"""Rows of one page: what a browser lays out at once without a pause."""
HUES = 10
"""Service colours of the style sheet; the eleventh service repeats the first."""
INDENT = 14
"""Pixels a level is moved to the right; levels below the twelfth are not moved further."""
INDENT_LEVELS = 12
VALUE_CHARACTERS_MAX = 2_000
_BAR_MIN = 0.35
"""Per cent: a bar of no length is still seen."""


@dataclass(frozen=True, slots=True)
class TraceSpan:
    """A span as the page needs it. Ids are lower-case hex, parent "" for a root."""

    span_id: str
    parent_span_id: str
    name: str
    service: str
    kind: str
    status: str
    status_message: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, object] = field(default_factory=dict)
    resource: Mapping[str, object] = field(default_factory=dict)
    events: Sequence[tuple[str, int, Mapping[str, object]]] = ()
    """Name, time in ns, attributes."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One key and its value as text."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that happened within a span, with its offset from the trace's start."""

    name: str
    offset: str
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One span on the axis. x, width, label positions: per cent."""

    span_id: str
    name: str
    service: str
    hue: int
    kind: str
    status: str
    status_message: str
    error: bool
    orphan: bool
    marks: tuple[str, ...]
    indent: int
    guides: tuple[float, ...]
    x: str
    width: str
    duration: str
    offset: str
    start: Moment
    attributes: tuple[Attribute, ...]
    resource: tuple[Attribute, ...]
    events: tuple[SpanEvent, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the legend."""

    name: str
    hue: int
    span_count: int


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of the axis: x in per cent, anchor as SVG's text-anchor."""

    x: int
    label: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The whole drawing."""

    rows: tuple[Row, ...]
    services: tuple[Service, ...]
    ticks: tuple[Tick, ...]
    span_count: int
    hidden_count: int
    error_count: int
    duration: str


def trace_span(span: Span) -> TraceSpan:
    """Return a stored span as the drawing needs it."""
    return TraceSpan(
        span_id=span.span_id,
        parent_span_id=span.parent_span_id or "",
        name=span.name,
        service=span.service,
        kind=span.kind,
        status=span.status,
        status_message=span.status_message,
        start_ns=span.start_ns,
        end_ns=span.end_ns,
        attributes=span.attributes,
        resource=span.resource,
        events=tuple(
            (event["name"], int(event["time_ns"]), event["attributes"]) for event in span.events
        ),
    )


def draw_waterfall(
    spans: Sequence[TraceSpan], *, marks: Mapping[str, tuple[str, ...]] | None = None
) -> Waterfall:
    """Lay out the spans of one trace, children below their parents, earlier ones first.

    marks: span id to the clauses that rest on it. Marked spans and their ancestors are shown even
    if the trace has more than ROWS_MAX spans; the rest is counted as hidden.
    """
    marked = marks or {}
    start_ns = min((span.start_ns for span in spans), default=0)
    end_ns = max((span.end_ns for span in spans), default=0)
    extent_ns = max(end_ns - start_ns, 1)
    hues = _hues(spans)
    ids = {span.span_id for span in spans}
    ordered = _in_tree_order(spans)
    shown = _shown(ordered, marked)
    rows = tuple(
        _row(
            span,
            depth=depth,
            start_ns=start_ns,
            extent_ns=extent_ns,
            hue=hues[span.service],
            marks=marked.get(span.span_id, ()),
            orphan=bool(span.parent_span_id) and span.parent_span_id not in ids,
        )
        for index, (span, depth) in enumerate(ordered)
        if index in shown
    )
    return Waterfall(
        rows=rows,
        services=_services(spans, hues),
        ticks=_ticks(extent_ns if spans else 0),
        span_count=len(spans),
        hidden_count=len(spans) - len(rows),
        error_count=sum(span.status == "error" for span in spans),
        duration=duration_text(end_ns - start_ns),
    )


def _hues(spans: Sequence[TraceSpan]) -> dict[str, int]:
    hues: dict[str, int] = {}
    for span in sorted(spans, key=_by_start):
        hues.setdefault(span.service, len(hues) % HUES)
    return hues


def _by_start(span: TraceSpan) -> tuple[int, str]:
    return span.start_ns, span.span_id


def _in_tree_order(spans: Sequence[TraceSpan]) -> list[tuple[TraceSpan, int]]:
    """Return every entry once with its depth; spans in a ring of parents stand at the top level.

    Entries are told apart by position, since two spans may share an id.
    """
    first_with_id: dict[str, int] = {}
    for index, span in enumerate(spans):
        first_with_id.setdefault(span.span_id, index)
    children: dict[int, list[int]] = {}
    tops: list[int] = []
    for index, span in enumerate(spans):
        parent = first_with_id.get(span.parent_span_id) if span.parent_span_id else None
        if parent is None or parent == index:
            tops.append(index)
        else:
            children.setdefault(parent, []).append(index)
    order = sorted(range(len(spans)), key=lambda index: _by_start(spans[index]))
    result: list[tuple[TraceSpan, int]] = []
    seen: set[int] = set()
    for top in [*sorted(tops, key=lambda index: _by_start(spans[index])), *order]:
        stack = [(top, 0)]
        while stack:
            index, depth = stack.pop()
            if index in seen:
                continue
            seen.add(index)
            result.append((spans[index], depth))
            below = sorted(children.get(index, ()), key=lambda child: _by_start(spans[child]))
            stack.extend((child, depth + 1) for child in reversed(below))
    return result


def _shown(
    ordered: Sequence[tuple[TraceSpan, int]], marked: Mapping[str, tuple[str, ...]]
) -> set[int]:
    if len(ordered) <= ROWS_MAX:
        return set(range(len(ordered)))
    shown: set[int] = set()
    path: list[int] = []
    for index, (span, depth) in enumerate(ordered):
        del path[depth:]
        path.append(index)
        if span.span_id in marked and len(shown) + len(path) <= ROWS_MAX:
            shown.update(path)
    for index in range(len(ordered)):
        if len(shown) >= ROWS_MAX:
            break
        shown.add(index)
    return shown


def _row(
    span: TraceSpan,
    *,
    depth: int,
    start_ns: int,
    extent_ns: int,
    hue: int,
    marks: tuple[str, ...],
    orphan: bool,
) -> Row:
    level = min(depth, INDENT_LEVELS)
    width = max((span.end_ns - span.start_ns) / extent_ns * 100, _BAR_MIN)
    x = min((span.start_ns - start_ns) / extent_ns * 100, 100 - _BAR_MIN)
    return Row(
        span_id=span.span_id,
        name=span.name,
        service=span.service or "unknown service",
        hue=hue,
        kind=span.kind,
        status=span.status,
        status_message=span.status_message,
        error=span.status == "error",
        orphan=orphan,
        marks=marks,
        indent=level * INDENT,
        guides=tuple(i * INDENT + INDENT / 2 for i in range(level)),
        x=f"{x:.3f}",
        width=f"{min(width, 100 - x):.3f}",
        duration=duration_text(span.end_ns - span.start_ns),
        offset=duration_text(span.start_ns - start_ns),
        start=exact_moment(span.start_ns),
        attributes=_attributes(span.attributes),
        resource=_attributes(span.resource),
        events=tuple(
            SpanEvent(name, duration_text(at_ns - start_ns), _attributes(attributes))
            for name, at_ns, attributes in span.events
        ),
    )


def _attributes(values: Mapping[str, object]) -> tuple[Attribute, ...]:
    return tuple(Attribute(key, value_text(values[key])) for key in sorted(values))


def value_text(value: object) -> str:
    """Return an attribute's value as text, cut at VALUE_CHARACTERS_MAX."""
    match value:
        case bool():
            text = "true" if value else "false"
        case bytes():
            text = f"0x{value.hex()}"
        case _:
            text = str(value)
    if len(text) > VALUE_CHARACTERS_MAX:
        return f"{text[:VALUE_CHARACTERS_MAX]}… ({len(text)} characters)"
    return text


def _services(spans: Sequence[TraceSpan], hues: Mapping[str, int]) -> tuple[Service, ...]:
    counts: dict[str, int] = {}
    for span in spans:
        counts[span.service] = counts.get(span.service, 0) + 1
    return tuple(Service(name or "unknown service", hues[name], counts[name]) for name in hues)


def _ticks(extent_ns: int) -> tuple[Tick, ...]:
    if not extent_ns:
        return ()
    anchors = {0: "start", 100: "end"}
    return tuple(
        Tick(x, duration_text(extent_ns * x // 100) if x else "0", anchors.get(x, "middle"))
        for x in (0, 25, 50, 75, 100)
    )
