"""A trace on a page: where its script gets the rows, and what is shown without a script.

The script draws any number of rows and fetches them as they are needed. Without it there is a
table of the first rows and of those that a rule looked at, with bars whose places are per cent of
the axis (SVG takes them as attributes, so no inline style is needed).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from api.traces.layout import ERROR
from api.traces.rows import GHOST, Drawn
from api.web.views.moments import duration_text

TABLE_ROWS_MAX: Final = 100
AT_ONCE_MAX: Final = 5_000
"""Spans of a trace that is laid out before its page is sent, and not only when the script asks."""
HUES: Final = 8
"""Service colours of the style sheet; the ninth service repeats the first."""
INDENT: Final = 14
"""Pixels a level is moved to the right; levels below the twelfth are not moved further."""
INDENT_LEVELS: Final = 12
VALUE_CHARACTERS_MAX: Final = 2_000
_BAR_MIN: Final = 0.35
"""Per cent: a bar of no length is still seen."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One key and its value as text."""

    key: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One row without a script. x, width: per cent. missing: no span, but where one is missing."""

    name: str
    service: str
    hue: int
    error: bool
    missing: bool
    marks: tuple[str, ...]
    indent: int
    x: str
    width: str
    duration: str
    offset: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waterfall:
    """The panel. rows_url: of the API, which the script asks; spans_url: of single spans.

    hidden_count: how many rows are not in the table.
    """

    rows_url: str
    spans_url: str
    summary: str
    rows: tuple[TableRow, ...]
    hidden_count: int


def waterfall(drawn: Drawn, url: str) -> Waterfall:
    """Return the panel of a trace. url: of the signal or trace in the API."""
    told = drawn.summary()
    marks: dict[int, list[str]] = dict(told["marks"])
    shown = _shown(len(drawn), {*marks, *(ghost["row"] for ghost in told["ghosts"])})
    return Waterfall(
        rows_url=f"{url}/rows",
        spans_url=f"{url}/spans",
        summary=_summary(drawn),
        rows=tuple(_row(drawn, number, tuple(marks.get(number, ()))) for number in shown),
        hidden_count=len(drawn) - len(shown),
    )


def large_waterfall(span_count: int, url: str) -> Waterfall:
    """Return the panel of a trace that takes too long to lay out for a page to wait for it."""
    return Waterfall(
        rows_url=f"{url}/rows",
        spans_url=f"{url}/spans",
        summary=counted(span_count, "span"),
        rows=(),
        hidden_count=span_count,
    )


def _shown(row_count: int, special: set[int]) -> list[int]:
    """Return the first rows, and those of the rule wherever they are."""
    told = sorted(special)[:TABLE_ROWS_MAX]
    first = range(min(row_count, TABLE_ROWS_MAX - len(told)))
    return sorted({*first, *told})


def _row(drawn: Drawn, number: int, marks: tuple[str, ...]) -> TableRow:
    told = drawn.stretch(number, 1)
    row: Mapping[str, Any] = {name: column[0] for name, column in told["rows"].items()}
    missing = bool(row["flags"] & GHOST)
    service = "" if missing else drawn.layout.service_counts[row["service"]].name
    extent_ns = max(drawn.layout.duration_ns, 1)
    x = min(row["start_ns"] / extent_ns * 100, 100 - _BAR_MIN)
    width = max(row["duration_ns"] / extent_ns * 100, _BAR_MIN)
    return TableRow(
        name=told["names"][0],
        service=service if missing else service or "unknown service",
        hue=max(row["service"], 0) % HUES,
        error=bool(row["flags"] & ERROR),
        missing=missing,
        marks=marks,
        indent=min(row["depth"], INDENT_LEVELS) * INDENT,
        x=f"{x:.3f}",
        width=f"{min(width, 100 - x):.3f}",
        duration="missing" if missing else duration_text(row["duration_ns"]),
        offset=duration_text(row["start_ns"]),
    )


def _summary(drawn: Drawn) -> str:
    """Return one line about a trace: spans, services, duration, errors."""
    layout = drawn.layout
    parts = [
        counted(len(layout), "span"),
        counted(len(layout.service_counts), "service"),
        duration_text(layout.duration_ns),
    ]
    if layout.error_count:
        parts.append(counted(layout.error_count, "error"))
    return " · ".join(parts)


def counted(count: int, noun: str) -> str:
    """Return how many of something: 1 span, 100,000 spans."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


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
