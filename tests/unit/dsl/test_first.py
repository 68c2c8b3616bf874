"""What the first BeTrace understood otherwise: every place, and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dsl import check
from dsl.documents import read_document
from dsl.first import differences

GOLDEN = Path(__file__).parents[2] / "golden" / "dsl" / "first.yaml"
CASES = read_document(GOLDEN.read_text(encoding="utf-8"), filename=GOLDEN.name).values[0]


def told(text: str) -> list[str]:
    return [f"{one.code} {text[one.column - 1 : one.end_column - 1]}" for one in differences(text)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["filter"]))
def test_a_filter_differs_so(case: dict[str, Any]) -> None:
    text = f"when {{ a.where({case['filter']}) }} never {{ b }}"
    assert check(text).problems == ()
    assert told(text) == case["differences"]


def test_every_place_is_told_even_of_tests_that_are_the_same() -> None:
    text = "when { a.where(x != 1) } never { a.where(x != 1) and b.x < 1 and count(a) < 3 }"
    assert told(text) == [
        "first.missing x != 1",
        "first.missing x != 1",
        "first.missing b.x < 1",
        "first.order b.x < 1",
    ]


def test_the_values_of_a_trace_are_no_attributes() -> None:
    assert differences("when { trace.duration < 5s } never { trace.root.name != x }") == ()


def test_a_text_that_does_not_parse_is_told_nothing_of() -> None:
    assert differences("when { a.where(x != 1)") == ()
