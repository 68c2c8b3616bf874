"""Rule text cut into pieces that a template colours.

Only for the eye: this accepts any text and decides nothing about its meaning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["", "k", "s", "n", "c"]
"""Plain, keyword, string, number or truth, comment: the classes of the style sheet."""

_PIECES = re.compile(
    r"""(?P<c>//[^\n]*)
      | (?P<s>"(?:[^"\\]|\\.)*"?)
      | (?P<k>(?<![\w.])(?:when|always|never|where|and|or|not|in|matches|contains|starts_with
              |ends_with|exists|as|then|within|before|after|during|count|any)(?![\w.]|\s*==)
            | (?<=\.)where(?=\())
      | (?P<n>(?<![\w.])(?:-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?:ns|us|ms|s|m|h|d)?
              |true|false)(?![\w.]))""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text of one kind."""

    kind: Kind
    text: str


def pieces(text: str) -> tuple[Piece, ...]:
    """Cut a rule text into coloured pieces; joined, they are the text."""
    found: list[Piece] = []
    end = 0
    for match in _PIECES.finditer(text):
        if match.start() > end:
            found.append(Piece("", text[end : match.start()]))
        kind: Kind = match.lastgroup  # type: ignore[assignment]
        found.append(Piece(kind, match.group()))
        end = match.end()
    if end < len(text):
        found.append(Piece("", text[end:]))
    return tuple(found)
