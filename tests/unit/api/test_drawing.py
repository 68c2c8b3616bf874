"""What a signal says of the rows of its trace: marks, and ghosts where spans are missing."""

from __future__ import annotations

from typing import Any

import pytest

import dsl
from api.signals.drawing import MISS, draw
from api.traces.layout import NOWHERE, Layout
from api.traces.rows import GHOST, Drawn
from tests.unit.api.test_trace_layout import MS, layout
from tests.unit.api.test_trace_layout import Drawn as Span

SPANS = (
    Span(1, 0, 0, 100, name="checkout"),
    Span(2, 1, 10, 60, name="charge"),
    Span(3, 2, 20, 30, name="bank"),
    Span(4, 1, 70, 90, name="mail"),
)


def explained(rule: str, *spans: Span) -> tuple[Layout, dict[str, Any], str]:
    """Lay spans out and explain a rule on them."""
    promise = dsl.check(rule).promise
    assert promise is not None
    views = [
        dsl.Span(
            span_id=span.id.to_bytes(8, "big"),
            parent_span_id=span.parent.to_bytes(8, "big") if span.parent else b"",
            name=span.name,
            start_ns=span.start * MS,
            end_ns=span.end * MS,
        )
        for span in spans
    ]
    return layout(*spans), dsl.explain(promise, views).to_dict(), rule


def shape(drawn: Drawn) -> list[tuple[str, int, int]]:
    """Rows as (name, depth, parent)."""
    told = drawn.stretch(0, len(drawn))
    rows = told["rows"]
    return [
        (told["names"][name], depth, parent)
        for name, depth, parent in zip(rows["name"], rows["depth"], rows["parent"], strict=True)
    ]


def test_spans_that_clauses_rest_on_are_marked_by_row() -> None:
    drawn = draw(*explained("when { charge } always { bank } never { mail }", *SPANS))
    assert drawn.marks == {1: ("when",), 2: ("always",), 3: ("never",)}
    assert drawn.ghosts == ()


def test_a_missing_span_stands_beside_what_made_the_promise_apply() -> None:
    drawn = draw(*explained("when { charge } always { fraud.check }", *SPANS))
    assert shape(drawn) == [
        ("checkout", 0, NOWHERE),
        ("charge", 1, 0),
        ("bank", 2, 1),
        ("fraud.check", 1, 0),
        ("mail", 1, 0),
    ]
    (ghost,) = drawn.ghosts
    assert (ghost.clause, ghost.from_ns, ghost.to_ns) == ("always", 10 * MS, 100 * MS)


@pytest.mark.parametrize(
    ("relation", "parent", "times"),
    [
        ("child of c", "charge", (10, 60)),
        ("after c", "checkout", (60, 100)),
        ("after c within 20ms", "checkout", (60, 80)),
        ("before c", "checkout", (0, 10)),
        ("during c", "checkout", (10, 60)),
    ],
)
def test_a_missing_span_stands_where_its_relation_wants_it(
    relation: str, parent: str, times: tuple[int, int]
) -> None:
    rule = f"when {{ charge as c }} always {{ fraud.check {relation} }}"
    if dsl.check(rule).promise is None:
        pytest.fail("; ".join(problem.message for problem in dsl.check(rule).problems))
    drawn = draw(*explained(rule, *SPANS))
    (ghost,) = drawn.ghosts
    row = next(one for one in shape(drawn) if one[0].startswith("fraud.check"))
    assert shape(drawn)[row[2]][0] == parent
    assert (ghost.from_ns, ghost.to_ns) == (times[0] * MS, times[1] * MS)


def test_what_came_nearest_is_marked_and_the_missing_span_stands_beside_it() -> None:
    rule = 'when { charge } always { mail.where(to == "ops") }'
    drawn = draw(*explained(rule, *SPANS))
    assert drawn.marks[3] == (MISS,)
    assert [name for name, _, _ in shape(drawn)][-1] == 'mail.where(to == "ops")'


def test_what_must_not_be_there_leaves_no_ghost() -> None:
    drawn = draw(*explained("when { charge } always { not refund and fraud.check }", *SPANS))
    assert [ghost.text for ghost in drawn.ghosts] == ["fraud.check"]


def test_a_rule_that_counts_leaves_no_ghost() -> None:
    drawn = draw(*explained("when { charge } always { count(mail) >= 2 }", *SPANS))
    assert drawn.ghosts == ()


def test_rows_after_ghosts_are_numbered_on_and_stretches_fit_together() -> None:
    layout_, explanation, rule = explained(
        "when { charge } always { fraud.check and receipt }", *SPANS
    )
    drawn = draw(layout_, explanation, rule)
    whole = drawn.stretch(0, len(drawn))
    pieces = [drawn.stretch(first, 2) for first in range(0, len(drawn), 2)]
    for name in ("ordinal", "parent", "depth", "below", "flags"):
        assert [value for one in pieces for value in one["rows"][name]] == whole["rows"][name]
    assert whole["rows"]["below"][0] == len(drawn) - 1
    assert [bool(flags & GHOST) for flags in whole["rows"]["flags"]] == [
        False, False, False, True, True, False,
    ]  # fmt: skip
    assert drawn.drawn_row(3) == 5
    critical = [row for row, _, _ in whole["critical"]]
    assert set(critical) <= {0, 1, 2, 5}


def test_spans_of_another_copy_are_left_out() -> None:
    explanation = {
        "clauses": [
            {
                "clause": "when",
                "state": "true",
                "conditions": [{"state": "true", "spans": [{"span_id": "ff" * 8}]}],
            }
        ]
    }
    assert draw(layout(*SPANS), explanation, "when { a } never { b }").marks == {}


def test_a_signal_without_explanation_is_drawn_plain() -> None:
    drawn = draw(layout(*SPANS), None, "when { a } never { b }")
    assert (drawn.marks, drawn.ghosts, len(drawn)) == ({}, (), 4)
