"""Problems as text for a terminal: message, place, source line, caret, hint.

The line is shown as it looks in any terminal: tabs are blanks, wide characters count two columns,
and no character of the text can move the cursor or turn the direction of writing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from typing import Final, Literal, TypeAlias

from dsl.problems import Problem

WINDOW_CHARACTERS: Final = 100
TAB_COLUMNS: Final = 4

Role: TypeAlias = Literal["place", "error", "warning", "note", "code", "gutter", "caret", "hint"]
Paint: TypeAlias = Callable[[Role, str], str]
"""Colours a text for its role; `plain` leaves it as it is."""
Level: TypeAlias = Literal["error", "warning", "note"]


def plain(_role: Role, text: str) -> str:
    """Return the text as it is."""
    return text


def render(
    text: str,
    problems: Iterable[Problem],
    *,
    name: str = "rule",
    level: Level = "error",
    paint: Paint = plain,
) -> str:
    """Return problems as blocks of lines with an empty line between them.

    text: what they are places of. name: what is shown as the file. Warnings and notes say that they
    are.
    """
    lines = text.split("\n")
    return "\n\n".join(_block(lines, problem, name, level, paint) for problem in problems)


def _block(lines: list[str], problem: Problem, name: str, level: Level, paint: Paint) -> str:
    line = lines[problem.line - 1].rstrip("\r") if problem.line <= len(lines) else ""
    last = problem.end_column - 1 if problem.end_line == problem.line else len(line)
    shown, column, width = _excerpt(line, problem.column - 1, last)
    number = str(problem.line)
    gutter = paint("gutter", f"  {' ' * len(number)} |")
    place = paint("place", f"{printable(name)}:{problem.line}:{problem.column}:")
    what = "" if level == "error" else paint(level, f"{level}:") + " "
    code = paint("code", f"[{problem.code}]")
    message = printable(problem.message)
    said = paint("error", message) if level == "error" else message
    rows = [
        f"{place} {what}{said} {code}",
        f"{paint('gutter', f'  {number} |')} {shown}".rstrip(),
        f"{gutter} {' ' * column}{paint('caret', '^' * max(1, width))}",
    ]
    if problem.hint:
        rows.append(f"  {' ' * len(number)} {paint('hint', f'= {printable(problem.hint)}')}")
    return "\n".join(rows)


def _excerpt(line: str, first: int, last: int) -> tuple[str, int, int]:
    """Return the part of a line around a problem, its column there, and its width in columns."""
    cut = max(0, first - WINDOW_CHARACTERS // 2)
    end = cut + WINDOW_CHARACTERS
    before = "…" if cut else ""
    after = "…" if end < len(line) else ""
    until = _columns(line[cut:first], before)
    inside = _columns(line[first : min(last, end)], until)
    shown = _columns(line[first:end], until)
    return shown + after, _width(until), _width(inside) - _width(until)


def _columns(text: str, before: str) -> str:
    """Return what stands before with a text after it, its tabs spread to the next stop."""
    shown = before
    for character in text:
        if character == "\t":
            shown += " " * (TAB_COLUMNS - _width(shown) % TAB_COLUMNS)
        else:
            shown += _visible(character)
    return shown


def printable(text: str) -> str:
    """Return a text in which nothing can steer a terminal."""
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    return chr(0x2400 + ord(character)) if character < " " else "�"


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(map(_width_of, text))


def _width_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
