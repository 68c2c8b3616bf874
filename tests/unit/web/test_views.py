"""Small decisions of the views."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.web.views.explanation import explanation_view, marks_of
from api.web.views.links import local_path, rule_href, web_href
from api.web.views.moments import duration_text, exact_moment
from api.web.views.problems import problem_view
from api.web.views.rule_text import pieces
from api.web.views.signal_query import SignalQuery
from api.web.views.waterfall import Attribute
from dsl import Span, check
from dsl.explain import explain
from dsl.problems import Problem


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [
        (0, "0 ns"),
        (950, "950 ns"),
        (1_500, "1.5 µs"),
        (12_340_000, "12.3 ms"),
        (4_050_000_000, "4.05 s"),
        (125_000_000_000, "2 min 5 s"),
        (7_260_000_000_000, "2 h 1 min"),
        (-2_000_000, "-2 ms"),
    ],
)
def test_durations_have_three_digits(duration_ns: int, text: str) -> None:
    assert duration_text(duration_ns) == text


def test_a_moment_of_a_span_has_milliseconds() -> None:
    assert exact_moment(1_800_000_000_123_000_000).iso == "2027-01-15T08:00:00.123Z"


@given(st.text())
def test_coloured_pieces_joined_are_the_text(text: str) -> None:
    assert "".join(piece.text for piece in pieces(text)) == text


def test_words_of_the_language_and_values_are_coloured() -> None:
    coloured = pieces('when { a.where(b > 1 and c == "x") } // why')
    assert [(piece.kind, piece.text) for piece in coloured if piece.kind] == [
        ("k", "when"),
        ("k", "where"),
        ("n", "1"),
        ("k", "and"),
        ("s", '"x"'),
        ("c", "// why"),
    ]


def test_a_caret_stands_under_what_is_wrong() -> None:
    problem = Problem("rule.x", "wrong", 2, 3, 2, 5, "do this")
    view = problem_view(problem, "when {}\n\tab cd\r\n")
    assert (view.gutter, view.source, view.indent, view.caret) == (
        "2 | ",
        "\tab cd",
        "    \t ",
        "^^",
    )


@pytest.mark.parametrize("path", ["//evil.example", "/\\evil.example", "https://evil.example", ""])
def test_signing_in_leads_to_this_site_only(path: str) -> None:
    assert local_path(path, otherwise="/signals") == "/signals"


def test_addresses_hold_what_people_typed_safely() -> None:
    assert rule_href("a/b c") == "/rules/a%2Fb%20c"
    assert web_href("javascript:alert(1)") == ""
    assert (
        SignalQuery(status=("open",), service="a&b").href() == "/signals?status=open&service=a%26b"
    )


def test_the_broken_clause_is_marked_and_its_spans_found() -> None:
    explanation: dict[str, Any] = {
        "clauses": [
            {"clause": "when", "state": "true", "text": "a", "conditions": [_condition("a", "1")]},
            {"clause": "never", "state": "true", "text": "b", "conditions": [_condition("b", "2")]},
            {
                "clause": "always",
                "state": "true",
                "text": "a",
                "conditions": [_condition("a", "1")],
            },
        ]
    }
    view = explanation_view(
        explanation,
        verdict="violated",
        broken_clause="never",
        reasons=("still_open",),
        incomplete=False,
        mismatch=False,
        outdated=False,
        rule_text="",
        rule_version=1,
    )
    assert [(clause.word, clause.broke, clause.tone) for clause in view.clauses] == [
        ("when", False, "plain"),
        ("never", True, "bad"),
        ("always", False, "good"),
    ]
    assert marks_of(explanation) == {"1": ("when", "always"), "2": ("never",)}


def test_what_the_language_explains_is_shown_as_it_is() -> None:
    checked = check("when { charge.where(amount > 10) } always { audit.where(ok == true) }")
    assert checked.rule is not None
    spans = [
        Span.from_dict({"name": "charge", "id": "c", "attributes": {"amount": 20}}),
        Span.from_dict({"name": "audit", "id": "a", "attributes": {"ok": False}}),
    ]
    explanation = explain(checked.rule, spans).to_dict()
    view = explanation_view(
        explanation,
        verdict="violated",
        broken_clause="always",
        reasons=(),
        incomplete=False,
        mismatch=False,
        outdated=False,
        rule_text=checked.rule.text,
        rule_version=1,
    )
    when, always = (clause.conditions[0] for clause in view.clauses)
    assert [(item.name, item.values) for item in when.evidence] == [
        ("charge", (Attribute("amount", "20"),))
    ]
    assert always.miss is not None
    assert (always.miss.name, len(always.miss.failed)) == ("audit", 1)
    assert "ok" in always.miss.failed[0]
    assert [clause.broke for clause in view.clauses] == [False, True]


def _condition(text: str, span_id: str) -> dict[str, Any]:
    spans = [{"span_id": span_id, "name": text, "values": {}}]
    return {"text": text, "state": "true", "spans": spans, "nearest_miss": None}
