"""What is shown of a trace without a script."""

from __future__ import annotations

from api.traces.rows import Drawn
from api.web.views.waterfall import TABLE_ROWS_MAX, waterfall
from tests.unit.api.test_trace_layout import Drawn as Span
from tests.unit.api.test_trace_layout import layout


def test_positions_are_per_cent_of_the_trace() -> None:
    drawn = Drawn(layout(Span(1, end=200), Span(2, 1, 100, 150)))
    panel = waterfall(drawn, "/api/v1/traces/ab")
    assert [(row.x, row.width, row.duration, row.indent) for row in panel.rows] == [
        ("0.000", "100.000", "200 ms", 0),
        ("50.000", "25.000", "50 ms", 14),
    ]
    assert (panel.rows_url, panel.spans_url) == (
        "/api/v1/traces/ab/rows", "/api/v1/traces/ab/spans",
    )  # fmt: skip
    assert panel.summary == "2 spans · 1 service · 200 ms"


def test_of_too_many_spans_the_first_and_the_marked_ones_are_shown() -> None:
    many = [Span(n, 1, n, n + 1) for n in range(2, TABLE_ROWS_MAX * 2)]
    trace = layout(Span(1, end=5_000), *many)
    last = len(trace) - 1
    panel = waterfall(Drawn(trace, marks={last: ("when",)}), "")
    assert len(panel.rows) == TABLE_ROWS_MAX
    assert panel.hidden_count == len(trace) - TABLE_ROWS_MAX
    assert panel.rows[-1].marks == ("when",)


def test_a_trace_without_spans_is_shown_empty() -> None:
    panel = waterfall(Drawn(layout()), "")
    assert (panel.rows, panel.hidden_count, panel.summary) == ((), 0, "0 spans · 0 services · 0 ns")
