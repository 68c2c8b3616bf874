"""The rule texts of a file and where they stand in it: for tools that work on whole files.

A YAML or JSON file holds rule objects; any other file is the text of one rule. Objects need not be
whole: an editor asks while they are being written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from dsl.documents import Document, Place, read_document
from dsl.formatter import format_rule
from dsl.objects import in_file
from dsl.problems import Problem

OBJECT_SUFFIXES: Final = (".yaml", ".yml", ".json")

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class RuleText:
    """One rule text of a file. place: None if the text is the whole file.

    of_test: it is a test's own text, which may be wrong on purpose.
    """

    text: str
    place: Place | None = None
    of_test: bool = False

    def in_file(self, problem: Problem) -> Problem:
        """Return a problem of the text at its place in the file."""
        return problem if self.place is None else in_file(problem, self.place)

    def lines(self) -> int:
        """Return how many lines the text has, without the empty ones at its end."""
        return self.text.rstrip("\n").count("\n") + 1

    def offset_at(self, line: int, column: int) -> int | None:
        """Return the offset in the text of a place in the file (from 1), or None outside of it."""
        place = self.place
        if place is not None:
            if not place.block:
                return None
            line, column = line - place.line, column - place.indent
        lines = self.text.split("\n")
        if not 1 <= line <= len(lines) or column < 1:
            return None
        before = sum(len(one) + 1 for one in lines[: line - 1])
        return before + min(column - 1, len(lines[line - 1]))


def holds_objects(filename: str) -> bool:
    """Tell whether a file holds rule objects rather than the text of one rule."""
    return filename.endswith(OBJECT_SUFFIXES)


def rule_texts(text: str, *, filename: str) -> list[RuleText]:
    """Return the rule texts of a file, of rules and of their tests, in order."""
    if not holds_objects(filename):
        return [RuleText(text)]
    document = read_document(text, filename=filename)
    found = [
        RuleText(value, document.place(path), of_test="tests" in path)
        for path, value in _texts(document)
        if isinstance(value, str)
    ]
    return sorted(
        found, key=lambda one: (one.place.line, one.place.column) if one.place else (0, 0)
    )


def _texts(document: Document) -> Iterator[tuple[Path, Any]]:
    for number, value in enumerate(document.values):
        for path, entry in _entries(value, (number,)):
            yield (*path, "rule"), entry.get("rule")
            for test_path, test in _items(entry, "tests", path):
                yield (*test_path, "rule"), test.get("rule")


def _entries(value: Any, path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield every map of a file that may hold a rule."""
    if isinstance(value, list):
        yield from (((*path, n), one) for n, one in enumerate(value) if isinstance(one, dict))
    elif isinstance(value, dict):
        yield path, value
        yield from _items(value, "rules", path)


def _items(value: dict[str, Any], field: str, path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    listed = value.get(field)
    if isinstance(listed, list):
        yield from (
            ((*path, field, n), one) for n, one in enumerate(listed) if isinstance(one, dict)
        )


# -- laying out ------------------------------------------------------------------------------------


def format_file(text: str, *, filename: str) -> str:
    """Return a file with its rule texts laid out, all else byte for byte as it was.

    Rule texts in objects are laid out where they stand in a `|` block; what does not parse, or
    stands in quotes, stays as it is. Line ends stay those of the file.
    """
    if not holds_objects(filename):
        return _with_line_ends(format_rule(text) or text, text)
    if filename.endswith(".json"):
        return text
    lines = text.split("\n")
    for rule in reversed(rule_texts(text, filename=filename)):
        _format_block(lines, rule)
    formatted = "\n".join(lines)
    return formatted if _holds_the_same(text, formatted, filename) else text


def _format_block(lines: list[str], rule: RuleText) -> None:
    place = rule.place
    if place is None or not place.block or lines[place.line - 1][place.column - 1] != "|":
        return
    laid_out = format_rule(rule.text)
    if laid_out is None or "\r" in rule.text:
        return
    end = "\r" if lines[place.line - 1].endswith("\r") else ""
    first, last = place.line, place.line + rule.lines()
    margin = " " * place.indent
    lines[first:last] = [
        (margin + line if line else "") + end for line in laid_out.rstrip("\n").split("\n")
    ]


def _with_line_ends(laid_out: str, text: str) -> str:
    if "\r\n" not in text:
        return laid_out
    return laid_out.replace("\r\n", "\n").replace("\n", "\r\n")


def _holds_the_same(text: str, formatted: str, filename: str) -> bool:
    """Tell whether two files hold the same values but for the layout of their rule texts."""
    before, after = _comparable(text, filename), _comparable(formatted, filename)
    return bool(before == after)


def _comparable(text: str, filename: str) -> Any:
    document = read_document(text, filename=filename)
    for path, value in _texts(document):
        owner: Any = document.values
        for step in path[:-1]:
            owner = owner[step]
        if isinstance(value, str):
            owner[path[-1]] = format_rule(value) or value
    return document.values
