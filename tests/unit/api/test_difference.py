"""How two traces of one kind differ."""

from __future__ import annotations

from api.traces.difference import Kind, difference
from tests.unit.api.test_trace_layout import Drawn as Span
from tests.unit.api.test_trace_layout import layout

ROOT = Span(1, 0, 0, 100, name="checkout")
CHARGE = Span(2, 1, 10, 60, name="charge")
CHECK = Span(3, 2, 20, 30, name="fraud.check")
RULES = Span(4, 3, 21, 22, name="rules.load")


def told(*pair: tuple[Span, ...]) -> list[tuple[Kind, str]]:
    found = difference(layout(*pair[0]), layout(*pair[1]))
    return [(one.kind, one.path[-1][1]) for one in found.items]


def test_what_only_the_other_trace_has_is_told_once_from_its_top() -> None:
    assert told((ROOT, CHARGE), (ROOT, CHARGE, CHECK, RULES)) == [(Kind.MISSING, "fraud.check")]


def test_what_only_this_trace_has_leads_to_its_row() -> None:
    found = difference(layout(ROOT, CHARGE, CHECK), layout(ROOT, CHARGE))
    assert [(one.kind, one.row) for one in found.items] == [(Kind.ADDED, 2)]
    assert found.alike_count == 2


def test_failures_numbers_and_slowness_are_told_with_what_is_missing_first() -> None:
    this = (
        Span(1, 0, 0, 100, name="checkout"),
        Span(2, 1, 10, 90, name="charge"),
        Span(5, 1, 92, 93, name="mail"),
        Span(6, 1, 94, 95, name="mail"),
        Span(7, 1, 96, 97, name="stock", error=True),
    )
    other = (
        Span(1, 0, 0, 60, name="checkout"),
        Span(2, 1, 10, 20, name="charge"),
        Span(3, 1, 21, 22, name="fraud.check"),
        Span(5, 1, 25, 26, name="mail"),
        Span(7, 1, 27, 28, name="stock"),
    )
    assert told(this, other) == [
        (Kind.MISSING, "fraud.check"),
        (Kind.COUNT, "mail"),
        (Kind.FAILED, "stock"),
        (Kind.SLOWER, "checkout"),
        (Kind.SLOWER, "charge"),
    ]


def test_two_alike_traces_do_not_differ() -> None:
    assert told((ROOT, CHARGE, CHECK), (ROOT, CHARGE, CHECK)) == []


def test_a_span_of_another_service_is_another_path() -> None:
    moved = Span(2, 1, 10, 60, name="charge", service="b")
    assert told((ROOT, CHARGE), (ROOT, moved)) == [(Kind.MISSING, "charge"), (Kind.ADDED, "charge")]
