"""YAML and JSON as plain values with their places. YAML is read as its version 1.2 means it.

`off` and `NO` are texts, `2027-01-31` is a text, `10:30` is a text; only true, false, null and
numbers are anything else. Aliases are refused (a small text could grow without bound), and so is a
key given twice. Nothing is constructed but lists, maps, texts, numbers, booleans and None.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from dsl.problems import Problem, phrase

MAX_DOCUMENT_BYTES: Final = 16 * 1024 * 1024
MAX_NESTING: Final = 100

_INTEGER = re.compile(r"[-+]?[0-9]{1,309}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,4})?")
_WORDS: Final = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    "null": None,
    "Null": None,
    "NULL": None,
    "~": None,
    "": None,
}
_SPECIAL_FLOATS: Final = {".inf": "inf", "-.inf": "-inf", "+.inf": "inf", ".nan": "nan"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value begins: line and column from 1. block: it is a text in a `|` block.

    A block's text begins on the next line, indented by `indent` characters.
    """

    line: int = 1
    column: int = 1
    block: bool = False
    indent: int = 0


@dataclass(slots=True)
class Document:
    """The values of a file (several after `---`), where their parts stand, what is wrong.

    places: path of keys and list positions -> place; the first step is the number of the value.
    """

    values: list[Any] = field(default_factory=list)
    places: dict[tuple[str | int, ...], Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, path: tuple[str | int, ...]) -> Place:
        """Return the place of a value, or of the nearest thing around it that has one."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place())

    def refuse(
        self, code: str, path: tuple[str | int, ...], *, hint: str | None = None, **words: object
    ) -> None:
        """Record a problem at a value."""
        place = self.place(path)
        self.problems.append(problem_at(code, place.line, place.column, hint=hint, **words))


def problem_at(
    code: str, line: int, column: int, *, hint: str | None = None, **words: object
) -> Problem:
    """Return a problem at a place of a file."""
    message, catalogue_hint = phrase(code, words)
    shown = catalogue_hint if hint is None else hint
    return Problem(code, message, line, column, line, column + 1, shown)


def read_document(text: str, *, filename: str) -> Document:
    """Return the values of a YAML or JSON text. Never raises on any text."""
    document = Document()
    if len(text) > MAX_DOCUMENT_BYTES:
        document.refuse("object.too_large", (), limit=f"{MAX_DOCUMENT_BYTES:,}")
    elif filename.endswith(".json"):
        _read_json(text, document)
    else:
        _read_yaml(text, document)
    return document


# -- JSON ------------------------------------------------------------------------------------------


def _read_json(text: str, document: Document) -> None:
    try:
        value = json.loads(text, object_pairs_hook=_unique_pairs)
    except _DuplicateKey as error:
        document.refuse("object.duplicate_key", (), field=error.key)
        return
    except json.JSONDecodeError as error:
        found = problem_at(
            "object.syntax", error.lineno, error.colno, format="JSON", reason=error.msg
        )
        document.problems.append(found)
        return
    except ValueError as error:  # an integer of more digits than Python reads
        document.refuse("object.syntax", (), format="JSON", reason=str(error).partition(";")[0])
        return
    except RecursionError:
        document.refuse("object.too_deep", (), limit=MAX_NESTING)
        return
    document.values.append(value)


class _DuplicateKey(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _DuplicateKey(key)
        found[key] = value
    return found


# -- YAML ------------------------------------------------------------------------------------------

_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def _read_yaml(text: str, document: Document) -> None:
    # Events, not nodes: composing recurses, and an event stream can be bounded while it runs.
    try:
        _Builder(document).run(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = _within(text, mark.line + 1, mark.column + 1) if mark else (1, 1)
        reason = error.problem or error.context or "not readable"
        document.problems.append(
            problem_at("object.syntax", line, column, format="YAML", reason=reason)
        )
        document.values.clear()
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        reason = str(error).partition("\n")[0]
        document.refuse("object.syntax", (), format="YAML", reason=reason)
        document.values.clear()
    except _Refused:
        document.values.clear()


def _within(text: str, line: int, column: int) -> tuple[int, int]:
    """Return a place, or the end of a text that ends before it (the parser adds a line end)."""
    lines = text.split("\n")
    return (line, column) if line <= len(lines) else (len(lines), len(lines[-1]) + 1)


class _Refused(Exception):
    """Leaves a document whose problem is already recorded."""


class _Builder:
    """Builds values from parse events with a stack of its own, noting the place of each."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.stack: list[tuple[dict[str, Any] | list[Any], tuple[str | int, ...]]] = []
        self.keys: list[str | None] = []
        self.lines: list[str] = []

    def run(self, text: str) -> None:
        self.lines = text.split("\n")
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.AliasEvent):
                self.refuse("object.aliases", event)
            elif isinstance(event, yaml.ScalarEvent):
                self.scalar(event)
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                self.open(event)
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                self.stack.pop()
                self.keys.pop()

    def refuse(self, code: str, event: Any, **words: str | int) -> None:
        mark = event.start_mark
        self.document.problems.append(
            problem_at(code, mark.line + 1, mark.column + 1, hint=None, **words)
        )
        raise _Refused

    def open(self, event: Any) -> None:
        if len(self.stack) >= MAX_NESTING:
            self.refuse("object.too_deep", event, limit=MAX_NESTING)
        if self.wants_key():
            self.refuse("object.shape", event, where="a key", expected="a text", found="a value")
        value: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        path = self.add(value, event)
        self.stack.append((value, path))
        self.keys.append(None)

    def wants_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1][0], dict) and self.keys[-1] is None

    def scalar(self, event: Any) -> None:
        if self.wants_key():
            owner = self.stack[-1][0]
            assert isinstance(owner, dict)
            if event.value in owner:
                self.refuse("object.duplicate_key", event, field=event.value)
            self.keys[-1] = event.value
            return
        self.add(_scalar(event), event)

    def add(self, value: Any, event: Any) -> tuple[str | int, ...]:
        if not self.stack:
            path: tuple[str | int, ...] = (len(self.document.values),)
            self.document.values.append(value)
        else:
            owner, at = self.stack[-1]
            if isinstance(owner, dict):
                key = self.keys[-1]
                assert key is not None
                owner[key] = value
                self.keys[-1] = None
                path = (*at, key)
            else:
                path = (*at, len(owner))
                owner.append(value)
        mark = event.start_mark
        block = isinstance(event, yaml.ScalarEvent) and event.style in ("|", ">")
        indent = _indent(self.lines, mark.line + 1, event.value) if block else 0
        self.document.places[path] = Place(mark.line + 1, mark.column + 1, block, indent)
        return path


def _indent(lines: list[str], number: int, value: str) -> int:
    """Return by how much a block's text is indented; its first line has a number (from 0).

    A block with an indentation of its own (`|2`) may hold a text that itself begins with blanks.
    """
    while number < len(lines) and not lines[number].strip():
        number += 1
    if number == len(lines):
        return 0
    content, within = lines[number], value.lstrip("\n")
    own = len(within) - len(within.lstrip(" "))
    return max(0, len(content) - len(content.lstrip(" ")) - own)


def _scalar(event: Any) -> Any:
    text = event.value
    if event.tag is not None and event.tag not in ("!", "tag:yaml.org,2002:str"):
        return text
    if event.style or event.tag is not None:  # quoted; the C parser says "" for plain
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    special = _SPECIAL_FLOATS.get(text.lower())
    return float(special) if special else text
