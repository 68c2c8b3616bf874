"""What to put in place of a mistake, where its hint says so.

A hint is written for people; where it is the text to write, or names the word that was probably
meant, an editor can write it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from dsl.printer import name_text
from dsl.problems import Problem

_MEANT = re.compile(r"did you mean `([^`]+)`\?")
_WRITE = re.compile(r"write `([^`]+)`")
_WRITE_TEXT = re.compile(r'write ("[^"\\]*")$')
_NAMED = re.compile(r"`([^`]+)`")
_CUT: Final = "…"

_INSTEAD: Final[dict[str, re.Pattern[str]]] = {
    "rule.ampersands": _WRITE,
    "rule.bars": _WRITE,
    "rule.exclamation": _WRITE,
    "rule.single_equals": _WRITE,
    "rule.triple_equals": _WRITE,
    "rule.unlike": _WRITE,
    "rule.capital_word": _WRITE,
    "rule.literal_left": _WRITE,
    "rule.old_has": _WRITE,
    "rule.boolean_attribute": _WRITE,
    "rule.single_quotes": _WRITE_TEXT,
    "rule.reserved_word": re.compile(r'quotes: ("[^"]*")'),
    "first.word": _WRITE,
    "first.own": _WRITE,
}
"""Codes whose hint holds the text that replaces exactly what the problem marks."""
_NAMES: Final = frozenset({"rule.unseen_name", "rule.unseen_attribute"})
"""Codes whose hint names a span or attribute, which may have to stand in quotes."""
_LEFT_OUT: Final = frozenset({"rule.semicolon"})


@dataclass(frozen=True, slots=True)
class Fix:
    """A replacement of the text between two offsets, and what it is called."""

    title: str
    start: int
    end: int
    replacement: str


def fix_of(problem: Problem, text: str) -> Fix | None:
    """Return the fix of a problem of a text, if its hint holds one that changes something."""
    fix = _fix_of(problem, text)
    return None if fix is None or text[fix.start : fix.end] == fix.replacement else fix


def _fix_of(problem: Problem, text: str) -> Fix | None:
    start, end = _offsets(problem, text)
    marked = text[start:end]
    if problem.code in _LEFT_OUT:
        return Fix(f"Leave out {marked}", start, end, "")
    pattern = _INSTEAD.get(problem.code)
    found = pattern.search(problem.hint) if pattern is not None else None
    if found is not None and _CUT not in found[1]:
        return Fix(f"Write {found[1]}", start, end, _apart(found[1], text, start, end))
    return _did_you_mean(problem, text, start, end)


def _did_you_mean(problem: Problem, text: str, start: int, end: int) -> Fix | None:
    """Replace the word that the message names by the one that was probably meant."""
    meant = _MEANT.search(problem.hint)
    if meant is None or _CUT in meant[1]:
        return None
    named = _NAMED.search(problem.message)
    word = named[1].removesuffix("(…)") if named is not None else text[start:end]
    at = text.find(word, start, end)
    if at < 0 or not word:
        return None
    replacement = meant[1]
    if problem.code in _NAMES and text[at - 1 : at] != '"':
        replacement = name_text(replacement)
    return Fix(f"Write {replacement}", at, at + len(word), replacement)


def _apart(word: str, text: str, start: int, end: int) -> str:
    """Return a word with blanks where it would run into its neighbours (`a&&b`)."""
    if not word.replace("_", "").isalpha():
        return word
    before = " " if text[start - 1 : start].isalnum() else ""
    behind = " " if text[end : end + 1].isalnum() else ""
    return f"{before}{word}{behind}"


def _offsets(problem: Problem, text: str) -> tuple[int, int]:
    """Return a problem's place as offsets; lines and columns count from 1."""
    lines = text.split("\n")
    begins = [0]
    for line in lines:
        begins.append(begins[-1] + len(line) + 1)
    start = begins[min(problem.line, len(lines)) - 1] + problem.column - 1
    end = begins[min(problem.end_line, len(lines)) - 1] + problem.end_column - 1
    return min(start, len(text)), min(max(start, end), len(text))
