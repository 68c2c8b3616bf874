"""How rule texts are laid out, alone and in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dsl.documents import read_document
from dsl.formatter import format_rule
from dsl.rule_texts import format_file

GOLDEN = Path(__file__).parents[2] / "golden" / "dsl" / "layout.yaml"
CASES = read_document(GOLDEN.read_text(encoding="utf-8"), filename=GOLDEN.name).values[0]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["about"]))
def test_a_text_is_laid_out_so_and_stays_so(case: dict[str, Any]) -> None:
    expected = case["text"] if case.get("same") else case["laid_out"]
    assert format_rule(case["text"]) == expected
    assert format_rule(expected) == expected


@pytest.mark.parametrize(
    "text", ["when { a", "when { a = b } never { c }", "", "\ud800", "x" * 70_000]
)
def test_a_text_that_does_not_parse_is_left_alone(text: str) -> None:
    assert format_rule(text) is None
    assert format_file(text, filename="one.rule") == text


def test_a_rule_with_a_meaning_that_is_refused_is_laid_out_all_the_same() -> None:
    # What a name means is not a question of layout.
    assert format_rule("when{a.where(x>5s)}never{b}") == "when  { a.where(x > 5s) }\nnever { b }\n"


FILE = """\
# A file of rules.   \n\
rules:
- id:   one      # its id
  rule: |
      when{a}
      // why
      never{b}

  tests:
    - {name: t,   trace: [{name: a, attributes: {rule: "when{x}"}}], expect: satisfied}
    - name: own
      rule: |-
        when{a}never{b.where(x=="p

        q")}
      trace: []
      expect: not_applicable
- rule: "when{a}never{b}"
  id: two
- id: three
  rule: |2
      when{c}never{d}
"""

LAID_OUT = """\
# A file of rules.   \n\
rules:
- id:   one      # its id
  rule: |
      when  { a }
      // why
      never { b }

  tests:
    - {name: t,   trace: [{name: a, attributes: {rule: "when{x}"}}], expect: satisfied}
    - name: own
      rule: |-
        when  { a }
        never { b.where(x == "p

        q") }
      trace: []
      expect: not_applicable
- rule: "when{a}never{b}"
  id: two
- id: three
  rule: |2
    when  { c }
    never { d }
"""


def test_rule_texts_in_blocks_of_a_file_are_laid_out_and_nothing_else() -> None:
    assert format_file(FILE, filename="rules.yaml") == LAID_OUT
    assert format_file(LAID_OUT, filename="rules.yaml") == LAID_OUT


def test_line_ends_of_a_file_are_kept() -> None:
    for name, text, expected in (
        ("r.yaml", FILE, LAID_OUT),
        ("r.rule", "when{a}\n//x\nnever{b}\n", "when  { a }\n//x\nnever { b }\n"),
    ):
        windows = text.replace("\n", "\r\n")
        assert format_file(windows, filename=name) == expected.replace("\n", "\r\n")


@pytest.mark.parametrize(
    "text",
    [
        "id: a\nrule: >\n  when{a}\n\n  never{b}\n",
        "id: a\nrule: |\n  when{a}\n",
        "id: a\nrule: |\n  when{a}never{b}\n  bad: [\nx: [",
        "just: a\nmap: |\n  when{a}never{b}\n",
        "id: a\nrule: !!str |\n  when{a}never{b}\n",
        "",
    ],
)
def test_what_cannot_be_laid_out_in_place_is_left_alone(text: str) -> None:
    assert format_file(text, filename="a.yaml") == text


def test_json_is_left_alone() -> None:
    text = '{"id": "a", "rule": "when{a}never{b}"}'
    assert format_file(text, filename="a.json") == text
