"""The layout of a trace."""

from __future__ import annotations

from api.web.views.waterfall import ROWS_MAX, TraceSpan, draw_waterfall

MS = 1_000_000


def span(
    span_id: str,
    parent: str = "",
    *,
    name: str = "",
    start: int = 0,
    end: int = 1,
    service: str = "a",
) -> TraceSpan:
    return TraceSpan(
        span_id, parent, name or span_id, service, "internal", "unset", "", start * MS, end * MS
    )


def test_children_stand_below_their_parents_earlier_ones_first() -> None:
    drawn = draw_waterfall(
        [
            span("late", "root", start=50, end=60),
            span("early", "root", start=10, end=20),
            span("below", "early", start=12, end=14),
            span("root", start=0, end=100),
        ]
    )
    assert [(row.span_id, row.indent) for row in drawn.rows] == [
        ("root", 0),
        ("early", 14),
        ("below", 28),
        ("late", 14),
    ]


def test_positions_are_per_cent_of_the_trace() -> None:
    drawn = draw_waterfall([span("root", end=200), span("half", "root", start=100, end=150)])
    assert [(row.x, row.width, row.duration) for row in drawn.rows] == [
        ("0.000", "100.000", "200 ms"),
        ("50.000", "25.000", "50 ms"),
    ]
    assert [tick.label for tick in drawn.ticks] == ["0", "50 ms", "100 ms", "150 ms", "200 ms"]


def test_a_span_whose_parent_did_not_come_stands_at_the_top_and_says_so() -> None:
    drawn = draw_waterfall([span("orphan", "gone")])
    assert [(row.span_id, row.orphan, row.indent) for row in drawn.rows] == [("orphan", True, 0)]


def test_spans_that_are_each_others_parents_are_all_drawn() -> None:
    drawn = draw_waterfall([span("a", "b"), span("b", "a"), span("self", "self")])
    assert sorted(row.span_id for row in drawn.rows) == ["a", "b", "self"]


def test_two_spans_with_one_id_are_both_drawn() -> None:
    drawn = draw_waterfall([span("x", name="client"), span("x", name="server", start=1, end=2)])
    assert [row.name for row in drawn.rows] == ["client", "server"]


def test_services_have_colours_in_order_of_appearance() -> None:
    drawn = draw_waterfall(
        [span("2", "1", service="db", start=5, end=6), span("1", service="shop", end=9)]
    )
    assert [(service.name, service.hue, service.span_count) for service in drawn.services] == [
        ("shop", 0, 1),
        ("db", 1, 1),
    ]


def test_of_too_many_spans_the_marked_ones_are_drawn_with_their_ancestors() -> None:
    many = [span(f"{i:04}", "root", start=i, end=i + 1) for i in range(ROWS_MAX * 2)]
    last = many[-1].span_id
    drawn = draw_waterfall([span("root", end=5_000), *many], marks={last: ("when",)})
    assert len(drawn.rows) == ROWS_MAX
    assert drawn.hidden_count == ROWS_MAX + 1
    assert (drawn.rows[0].span_id, drawn.rows[-1].span_id) == ("root", last)


def test_a_trace_without_spans_is_drawn_empty() -> None:
    drawn = draw_waterfall([])
    assert (drawn.rows, drawn.ticks, drawn.span_count) == ((), (), 0)
