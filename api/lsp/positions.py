"""Places of a text in the protocol's units, and back.

The protocol counts lines from 0 and columns in units that client and server agree on: UTF-16 code
units unless something else was negotiated. A line ends in \\n or \\r\\n.
Source: Language Server Protocol 3.17, "Position" and "PositionEncodingKind".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lsprotocol.types import Position, PositionEncodingKind, Range

from dsl.editor.file import FilePlace

_UNITS: Final[dict[str, Callable[[str], int]]] = {
    PositionEncodingKind.Utf8: lambda text: len(text.encode("utf-8", "surrogatepass")),
    PositionEncodingKind.Utf16: lambda text: len(text.encode("utf-16-le", "surrogatepass")) // 2,
    PositionEncodingKind.Utf32: len,
}


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a text, and the units in which a client counts columns."""

    lines: tuple[str, ...]
    units: Callable[[str], int]

    @classmethod
    def of(cls, text: str, encoding: str) -> Lines:
        """Return the lines of a text for one of the protocol's encodings."""
        return cls(tuple(text.split("\n")), _UNITS[encoding])

    def position(self, place: FilePlace) -> Position:
        """Return a line and column (characters, from 1) in the protocol's way."""
        line = min(place[0], len(self.lines))
        before = self.lines[line - 1][: place[1] - 1].rstrip("\r")
        return Position(line - 1, self.units(before))

    def range(self, start: FilePlace, end: FilePlace) -> Range:
        """Return the range between two places."""
        return Range(self.position(start), self.position(end))

    def place(self, position: Position) -> FilePlace:
        """Return the line and column (characters, from 1) of a position of the protocol."""
        number = min(position.line, len(self.lines) - 1)
        line = self.lines[number].rstrip("\r")
        if position.line > number:
            return number + 1, len(line) + 1
        column = 0
        while column < len(line) and self.units(line[: column + 1]) <= position.character:
            column += 1
        return number + 1, column + 1

    def whole(self) -> Range:
        """Return the range of the whole text."""
        return Range(Position(0, 0), self.position((len(self.lines), len(self.lines[-1]) + 1)))
