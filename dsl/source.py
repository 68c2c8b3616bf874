"""A rule text and its places: character offsets in, lines and columns out.

Every pass speaks in offsets (cheap, exact); only a problem that is shown is turned into a line and
a column. Lines and columns count from 1, columns count characters, `end` is exclusive.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from dsl.problems import Problem, phrase

LANGUAGE = 1
"""The version of the language that this package reads."""
MAX_TEXT_BYTES = 64 * 1024
MAX_PROBLEMS = 50
"""More than a person reads; bounds the work that a hostile text can cause."""


@dataclass(slots=True)
class Source:
    """One rule text and what was found wrong with it so far."""

    text: str
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    _line_starts: list[int] = field(default_factory=list)

    def place(self, offset: int) -> tuple[int, int]:
        """Return line and column (both from 1) of a character offset."""
        if not self._line_starts:
            starts = [0]
            find = self.text.find
            position = find("\n")
            while position >= 0:
                starts.append(position + 1)
                position = find("\n", position + 1)
            self._line_starts = starts
        line = bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def refuse(
        self, code: str, at: int, end: int, *, hint: str | None = None, **words: object
    ) -> None:
        """Record a problem between two offsets; words fill the catalogue's sentence."""
        if len(self.problems) < MAX_PROBLEMS:
            _record(self.problems, self._problem(code, at, end, hint, words))

    def warn(
        self, code: str, at: int, end: int, *, hint: str | None = None, **words: object
    ) -> None:
        """Record a warning: the rule is taken, but probably means something else."""
        if len(self.warnings) < MAX_PROBLEMS:
            _record(self.warnings, self._problem(code, at, end, hint, words))

    def _problem(
        self, code: str, at: int, end: int, hint: str | None, words: dict[str, object]
    ) -> Problem:
        message, catalogue_hint = phrase(code, words)
        line, column = self.place(at)
        end_line, end_column = self.place(max(at, end))
        return Problem(
            code=code,
            message=message,
            line=line,
            column=column,
            end_line=end_line,
            end_column=end_column,
            hint=catalogue_hint if hint is None else hint,
        )


def _record(found: list[Problem], problem: Problem) -> None:
    if problem not in found:
        found.append(problem)
