"""How problems look in a terminal."""

from __future__ import annotations

import pytest

from dsl import Problem, render
from dsl.rendering import WINDOW_CHARACTERS


def shown(line: str, column: int, end_column: int) -> list[str]:
    problem = Problem("rule.x", "it is wrong", 1, column, 1, end_column)
    head, *rows = render(line, [problem], name="r").split("\n")
    assert head == f"r:1:{column}: it is wrong [rule.x]"
    return rows


@pytest.mark.parametrize(
    ("line", "column", "end_column", "rows"),
    [
        ("a = 1", 3, 4, ["  1 | a = 1", "    |   ^"]),
        ("a\t= 1", 3, 4, ["  1 | a   = 1", "    |     ^"]),
        ("\ta\tb = 1", 2, 6, ["  1 |     a   b = 1", "    |     ^^^^^^"]),
        ('"日本" = 1', 6, 7, ['  1 | "日本" = 1', "    |        ^"]),
        ('x == "日本"', 6, 10, ['  1 | x == "日本"', "    |      ^^^^^^"]),
        ("e\u0301 = 1", 4, 5, ["  1 | e\u0301 = 1", "    |   ^"]),
        ("a \x1b[2J\u202e = 1", 9, 10, ["  1 | a ␛[2J� = 1", "    |         ^"]),
        ("a", 2, 2, ["  1 | a", "    |  ^"]),
        ("", 1, 1, ["  1 |", "    | ^"]),
    ],
)
def test_the_caret_stands_under_its_characters(
    line: str, column: int, end_column: int, rows: list[str]
) -> None:
    assert shown(line, column, end_column) == rows


def test_of_a_long_line_the_part_around_the_problem_is_shown() -> None:
    line = "x" * 300 + "=" + "y" * 300
    text, carets = shown(line, 301, 302)
    assert text.startswith("  1 | …xxx")
    assert text.endswith("yyy…")
    assert len(text) == len("  1 | …") + WINDOW_CHARACTERS + 1
    assert text[carets.index("^")] == "="


def test_a_message_cannot_steer_the_terminal() -> None:
    problem = Problem("rule.x", "no \x1b[31m", 1, 1, 1, 2, "write \x07")
    assert render("a", [problem], name="\x1b]0;x").split("\n") == [
        "␛]0;x:1:1: no ␛[31m [rule.x]",
        "  1 | a",
        "    | ^",
        "    = write ␇",
    ]


def test_warnings_and_notes_say_what_they_are() -> None:
    problem = Problem("rule.x", "odd", 1, 1, 1, 2)
    assert render("a", [problem], level="warning").startswith("rule:1:1: warning: odd [rule.x]\n")
    assert render("a", [problem], level="note").startswith("rule:1:1: note: odd [rule.x]\n")


def test_colours_are_put_in_by_the_caller() -> None:
    problem = Problem("rule.x", "odd", 1, 1, 1, 2, "change it")
    painted = render("a", [problem], paint=lambda role, text: f"<{role} {text}>")
    assert painted.split("\n") == [
        "<place rule:1:1:> <error odd> <code [rule.x]>",
        "<gutter   1 |> a",
        "<gutter     |> <caret ^>",
        "    <hint = change it>",
    ]
