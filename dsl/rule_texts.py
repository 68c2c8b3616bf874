"""The rule texts of a file and where they stand in it: for tools that work on whole files.

A YAML or JSON file holds rule objects; any other file is the text of one rule. Objects need not be
whole: an editor asks while they are being written.
"""

from __future__ import annotations

import re
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

    def place_of(self, offset: int) -> tuple[int, int]:
        """Return the line and column in the file (from 1) of an offset of the text."""
        before = self.text[:offset]
        line, column = before.count("\n") + 1, offset - before.rfind("\n")
        if self.place is None:
            return line, column
        return line + self.place.line, column + self.place.indent


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


def rule_text_at(text: str, *, filename: str, line: int) -> RuleText | None:
    """Return the rule text that a line of a file (from 1) belongs to, or None.

    Looks only at indents, so that the rest of the file may be broken, and the text empty.
    """
    if not holds_objects(filename):
        return RuleText(text)
    lines = text.split("\n")
    header = _header_above(lines, line - 1)
    if header is None:
        return None
    first, margin = header
    last = first
    while last < len(lines) and _is_inside(lines[last], margin):
        last += 1
    block = lines[first:last]
    indents = [_indent_of(one) for one in block if one.strip()]
    # Of a block without a word the cursor's line says where it will begin.
    indent = indents[0] if indents else len(lines[line - 1].rstrip("\r"))
    place = Place(first, margin + 1, block=True, indent=indent)
    return RuleText("\n".join(one[indent:].rstrip("\r") for one in block), place)


_HEADER = re.compile(r"( *(?:- +)*)rule: +\|[-+0-9]*\s*")


def _header_above(lines: list[str], number: int) -> tuple[int, int] | None:
    """Return the first line (from 0) of the block around a line, and its key's indent."""
    if number >= len(lines):
        return None
    lowest = None
    for i in range(number, -1, -1):
        header = _HEADER.fullmatch(lines[i])
        if header is not None:
            margin = len(header[1])
            inside = i < number and (lowest is None or lowest > margin)
            return (i + 1, margin) if inside else None
        if lines[i].strip():
            indent = _indent_of(lines[i])
            lowest = indent if lowest is None else min(lowest, indent)
            if indent == 0:
                return None
    return None


def _is_inside(line: str, margin: int) -> bool:
    return not line.strip() or _indent_of(line) > margin


def _indent_of(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


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
