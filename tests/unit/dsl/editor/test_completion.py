"""What is offered while a rule is being written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dsl import KnownNames
from dsl.documents import read_document
from dsl.editor import complete
from dsl.editor.completion import MAX_COMPLETIONS
from tests.unit.dsl.editor.seen import SEEN, at_cursor

GOLDEN = Path(__file__).parents[3] / "golden" / "dsl" / "completions.yaml"
CASES = read_document(GOLDEN.read_text(encoding="utf-8"), filename=GOLDEN.name).values[0]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["text"]))
def test_what_may_come_next_is_offered(case: dict[str, Any]) -> None:
    text, offset = at_cursor(case["text"])
    offered = [one.insert for one in complete(text, offset, SEEN)]
    first = case.get("first", [])
    assert offered[: len(first)] == first
    assert set(case.get("has", ())) <= set(offered)
    assert not set(case.get("not", ())) & set(offered)
    assert (offered == []) is case.get("none", False)


@pytest.mark.parametrize(
    ("text", "replaced"),
    [
        ("when { pay|ment.ch.where(x) }", "payment.ch"),
        ("when { payment.ch|arge }", "payment.charge"),
        ('when { "GE|" }', '"GE"'),
        ('when { "GE| }', '"GE'),
        ("when { | }", ""),
        ("when { b.where(x == q.us|er) }", "q.user"),
        ("when { a.where(resource.re|) }", "resource.re"),
    ],
)
def test_the_whole_word_at_the_cursor_is_replaced(text: str, replaced: str) -> None:
    plain, offset = at_cursor(text)
    bound = plain + " always { db.query as q }"
    offers = complete(bound, offset, SEEN)
    assert {bound[one.start : one.end] for one in offers} == {replaced}


def test_the_cursor_goes_between_the_brackets() -> None:
    [offer] = [one for one in complete("wh", 2) if one.label == "when"]
    assert offer.to_dict() == {
        "label": "when",
        "kind": "clause",
        "insert": "when {  }",
        "start": 0,
        "end": 2,
        "caret": 7,
        "detail": "when { order }",
        "documentation": "The rule applies to traces in which this is true.",
    }


def test_of_many_names_the_most_frequent_are_offered() -> None:
    names = [f"span.n{i}" for i in range(5_000)]
    known = KnownNames(span_names=frozenset(names), span_counts={"span.n4999": 2, "span.n7": 1})
    offered = complete("when { span.n", 13, known)
    assert [one.label for one in offered[:3]] == ["span.n4999", "span.n7", "span.n0"]
    assert len(offered) == MAX_COMPLETIONS


def test_without_traffic_the_words_of_the_language_are_offered() -> None:
    labels = {one.label for one in complete("when { ", 7)}
    assert {"any", "not", "count", "trace.spans"} <= labels
    json.dumps([one.to_dict() for one in complete("when { ", 7)])
