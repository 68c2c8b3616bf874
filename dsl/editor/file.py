"""A file that is open in an editor: what is wrong with it, and help at a place of it.

Places are lines and columns from 1, of the file; a rule text may stand in a block of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Literal, TypeAlias, TypeVar

from dsl.editor.completion import Completion, complete
from dsl.editor.fixes import fix_of
from dsl.editor.hover import hover
from dsl.editor.tokens import EditorToken, TokenKind, editor_tokens
from dsl.lint import KnownNames
from dsl.objects import parse_rules
from dsl.problems import Problem
from dsl.rule import Checked
from dsl.rule_texts import RuleText, holds_objects, rule_text_at, rule_texts

FilePlace: TypeAlias = tuple[int, int]
Check: TypeAlias = Callable[[str], Checked]
"""Checks a rule text; the caller may remember the answers."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Placed(Generic[T]):
    """A value and the part of the file it is about."""

    value: T
    start: FilePlace
    end: FilePlace


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem or warning at its place in the file. fix: what would put it right, if known."""

    problem: Problem
    level: Literal["error", "warning"]
    fix: Placed[str] | None = None
    title: str = ""


def findings(text: str, *, filename: str, check: Check) -> list[Finding]:
    """Return what is wrong with a file. A YAML file without any rule has nothing wrong."""
    texts = rule_texts(text, filename=filename)
    if not texts and not _is_begun(text, filename):
        return []
    found: list[Finding] = []
    if holds_objects(filename):
        document = parse_rules(text, filename=filename)
        found += [Finding(problem, "error") for problem in document.problems]
    for one in texts:
        if one.of_test:
            continue  # may be wrong on purpose, which running it tells
        checked = check(one.text)
        found += [_finding(one, problem, "error") for problem in checked.problems]
        found += [_finding(one, warning, "warning") for warning in checked.warnings]
    return found


def _is_begun(text: str, filename: str) -> bool:
    """Tell whether a file that cannot be read now looks like one of rules."""
    lines = range(1, text.count("\n") + 2)
    return any(rule_text_at(text, filename=filename, line=line) is not None for line in lines)


def _finding(rule: RuleText, problem: Problem, level: Literal["error", "warning"]) -> Finding:
    placed = rule.in_file(problem)
    fix = fix_of(problem, rule.text)
    if fix is None or (rule.place is not None and not rule.place.block):
        return Finding(placed, level)
    start, end = rule.place_of(fix.start), rule.place_of(fix.end)
    return Finding(placed, level, Placed(fix.replacement, start, end), fix.title)


def completions(
    text: str, *, filename: str, line: int, column: int, known: KnownNames | None
) -> list[Placed[Completion]]:
    """Return what may be written at a place of a file."""
    found = _at(text, filename, line, column)
    if found is None:
        return []
    rule, offset = found
    return [
        Placed(one, rule.place_of(one.start), rule.place_of(one.end))
        for one in complete(rule.text, offset, known)
    ]


def hover_at(
    text: str, *, filename: str, line: int, column: int, known: KnownNames | None
) -> Placed[str] | None:
    """Return what the word at a place of a file means, as Markdown."""
    found = _at(text, filename, line, column)
    told = hover(found[0].text, found[1], known) if found is not None else None
    if found is None or told is None:
        return None
    rule = found[0]
    return Placed(told.markdown, rule.place_of(told.start), rule.place_of(told.end))


def file_tokens(text: str, *, filename: str) -> list[Placed[TokenKind]]:
    """Return what each word of the rule texts of a file is; pieces end with their lines."""
    return [
        Placed(token.kind, rule.place_of(start), rule.place_of(end))
        for rule in rule_texts(text, filename=filename)
        if rule.place is None or rule.place.block
        for token in editor_tokens(rule.text)
        for start, end in _by_line(rule.text, token)
    ]


def _by_line(text: str, token: EditorToken) -> Iterator[tuple[int, int]]:
    start = token.start
    for line in text[token.start : token.end].split("\n"):
        if line:
            yield start, start + len(line)
        start += len(line) + 1


def _at(text: str, filename: str, line: int, column: int) -> tuple[RuleText, int] | None:
    rule = rule_text_at(text, filename=filename, line=line)
    offset = rule.offset_at(line, column) if rule is not None else None
    return (rule, offset) if rule is not None and offset is not None else None
