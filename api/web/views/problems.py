"""What is wrong with a rule text, with the line it points into."""

from __future__ import annotations

from dataclasses import dataclass

from dsl.problems import Problem


@dataclass(frozen=True, slots=True)
class ProblemView:
    """A problem with its line of source and a caret below it; indent is blank text."""

    code: str
    message: str
    hint: str
    line: int
    gutter: str
    source: str
    indent: str
    caret: str
    warning: bool


def problem_view(problem: Problem, text: str, *, warning: bool = False) -> ProblemView:
    """Return a problem with the line it points into; tabs count as one column."""
    lines = text.split("\n")
    source = lines[problem.line - 1].rstrip("\r") if 0 < problem.line <= len(lines) else ""
    start = min(max(problem.column, 1), len(source) + 1)
    end = problem.end_column if problem.end_line == problem.line else len(source) + 1
    gutter = f"{problem.line} | "
    blank = "".join("\t" if char == "\t" else " " for char in source[: start - 1])
    return ProblemView(
        code=problem.code,
        message=problem.message,
        hint=problem.hint,
        line=problem.line,
        gutter=gutter,
        source=source,
        indent=" " * len(gutter) + blank,
        caret="^" * max(min(end, len(source) + 1) - start, 1),
        warning=warning,
    )
