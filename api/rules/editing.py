"""What an editor in a browser asks about a rule text: the answers of the language server, as data.

Places are offsets in characters (Unicode code points) of the text. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import dsl
from dsl.editor.fixes import fix_of
from dsl.editor.tokens import EditorToken, editor_tokens
from dsl.problems import Problem

_GUESSES: Final = frozenset({"rule.unseen_name", "rule.unseen_attribute"})
"""Warnings that rest on what was seen: only some traces are stored, so that a name nobody ever saw
is worth a word only where another one is near."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A problem or warning, the part of the text it is about, and what would put it right."""

    problem: Problem
    level: str
    start: int
    end: int
    fix: dict[str, Any] | None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            **self.problem.to_dict(),
            "level": self.level,
            "start": self.start,
            "end": self.end,
            "fix": self.fix,
        }


@dataclass(frozen=True, slots=True)
class Marks:
    """What there is to be seen in a text: what is wrong, and what each word is."""

    problems: tuple[Marked, ...]
    tokens: tuple[EditorToken, ...]


def marks_of(
    text: str,
    checked: dsl.Checked,
    *,
    problems: Sequence[Problem] = (),
    warnings: Sequence[Problem] = (),
) -> Marks:
    """Return the marks of a checked text. problems, warnings: what else is to be said of it."""
    told = [one for one in checked.warnings if one.code not in _GUESSES or "did you" in one.hint]
    return Marks(
        (
            *_marked(text, (*checked.problems, *problems), "error"),
            *_marked(text, (*told, *warnings), "warning"),
        ),
        tuple(editor_tokens(text)),
    )


def _marked(text: str, problems: Iterable[Problem], level: str) -> Iterable[Marked]:
    begins = [0]
    for line in text.split("\n"):
        begins.append(begins[-1] + len(line) + 1)
    for problem in problems:
        start = _offset(begins, problem.line, problem.column, len(text))
        end = max(start, _offset(begins, problem.end_line, problem.end_column, len(text)))
        fix = fix_of(problem, text)
        instead = None
        if fix is not None:
            instead = {
                "title": fix.title,
                "start": fix.start,
                "end": fix.end,
                "insert": fix.replacement,
            }
        yield Marked(problem, level, start, end, instead)


def _offset(begins: Sequence[int], line: int, column: int, size: int) -> int:
    return min(begins[min(max(line, 1), len(begins) - 1) - 1] + column - 1, size)
