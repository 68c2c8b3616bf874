"""The page for people who come from another language: every BeTrace text in it is run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import dsl
from dsl.first import differences
from dsl.problems import CATALOGUE

PAGE = (Path(__file__).parents[3] / "dsl" / "FROM.md").read_text()
WHOLE = ("when ", "correlate ", "expect ")


def _pairs(title: str) -> list[list[str]]:
    """Return the cells of the rows of a section's tables that begin with code."""
    section = PAGE.partition(f"\n## From {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def _code(cell: str) -> list[str]:
    return [text.replace("\\|", "|") for text in re.findall(r"`([^`]+)`", cell)]


def _rule(text: str) -> str:
    return text if text.startswith(WHOLE) else f"when {{ {text} }} never {{ nothing }}"


@pytest.mark.parametrize("language", ["TraceQL", "Sigma", "EQL"])
def test_there_are_ten_to_twenty_pairs_for_a_language(language: str) -> None:
    assert 10 <= len(_pairs(language)) <= 20


@pytest.mark.parametrize(
    "text",
    [_code(row[1])[0] for name in ("TraceQL", "Sigma", "EQL") for row in _pairs(name)],
)
def test_what_one_writes_here_checks(text: str) -> None:
    assert dsl.check(_rule(text)).problems == ()


FIRST = [row for row in _pairs("the first BeTrace") if len(row) == 4]
OLDER = [row for row in _pairs("the first BeTrace") if len(row) == 2]


@pytest.mark.parametrize("row", FIRST, ids=lambda row: row[0])
def test_what_means_something_else_now_is_shown_with_these_notes(row: list[str]) -> None:
    text = f"when {{ a.where({_code(row[0])[0]}) }} never {{ b }}"
    assert dsl.check(text).problems == ()
    assert [one.code for one in differences(text)] == _code(row[3])


def test_every_note_of_the_first_language_is_on_the_page() -> None:
    codes = {code for code in CATALOGUE if code.startswith("first.")}
    assert {code for row in FIRST for code in _code(row[3])} == codes


@pytest.mark.parametrize("row", OLDER, ids=lambda row: row[0])
def test_older_dialects_are_told_what_to_write(row: list[str]) -> None:
    [written], [code, instead] = _code(row[0]), _code(row[1])
    [problem] = dsl.check(_rule(written)).problems
    assert (problem.code, problem.hint) == (code, f"write `{instead}`")
