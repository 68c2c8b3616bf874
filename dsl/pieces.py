"""A rule text as the pieces a formatter moves: tokens as they were written, and comments.

What stands between two pieces is white space and means nothing, but for hyphens: `eu-west-1` is one
word because nothing stands between its parts, and `glued` keeps it so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from dsl.lexer import Token
from dsl.words import WORD_OPERATORS

COMMENT: Final = "comment"
_COMMENT = re.compile(r"//[^\n]*")
_CLOSES: Final = {"{": "}", "(": ")", "[": "]"}
_NO_BLANK_BEFORE: Final = frozenset({".", ",", ")", "]"})
_NO_BLANK_AFTER: Final = frozenset({".", "(", "["})
_BEFORE_OPERAND: Final = WORD_OPERATORS | {"and", "or", "not", "having"}
"""Words after which a `(` opens an operand, and a `-` is a sign."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One token or comment.

    kind: the token's, or "comment". space: a blank stands before it when it does not begin a line.
    own_line: a comment before which nothing stands on its line. blank_line: an empty line is above.
    """

    kind: str
    text: str
    space: bool = True
    own_line: bool = False
    blank_line: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """What stands between two brackets, and the brackets."""

    opening: Piece
    items: tuple[Item, ...]
    closing: Piece


Item: TypeAlias = Piece | Group


def pieces_of(text: str, tokens: list[Token]) -> list[Piece]:
    """Return the pieces of a text whose tokens are known (the last one is "end")."""
    found: list[Piece] = []
    spaces = _spaces(text, tokens)
    reached = 0
    for token, space in zip(tokens, spaces, strict=True):
        gap = text[reached : token.start]
        found.extend(_comments(text, reached, token.start))
        if token.kind != "end":
            blank = gap.rpartition("//")[2].count("\n") > 1 and bool(found)
            written = text[token.start : token.end]
            found.append(Piece(token.kind, written, space, blank_line=blank))
        reached = token.end
    return found


def _comments(text: str, at: int, end: int) -> Iterator[Piece]:
    reached = at
    for comment in _COMMENT.finditer(text, at, end):
        before = text[reached : comment.start()]
        # In the first line, what stands before all words has its own line too.
        own_line = "\n" in before or (reached == 0 and not before.strip())
        yield Piece(
            COMMENT,
            comment.group().rstrip(),
            own_line=own_line,
            blank_line=before.count("\n") > 1 and reached > 0,
        )
        reached = comment.end()


def _spaces(text: str, tokens: list[Token]) -> list[bool]:
    """Tell of each token whether a blank stands before it in a line."""
    spaces: list[bool] = []
    glued_to = -1  # the token that a glued hyphen joins to the word before it
    sign = -1  # the token after a sign
    for i, token in enumerate(tokens):
        if i == 0:
            spaces.append(False)
            continue
        before = tokens[i - 1]
        dotted = i > 1 and tokens[i - 2].kind == "."
        if token.kind == "-":
            if _is_glued(tokens, i, glued_to == i - 1, dotted):
                glued_to = i + 1
                spaces.append(False)
                continue
            if not _ends_operand(before, dotted):
                spaces.append(sign != i and before.kind not in _NO_BLANK_AFTER)
                sign = i + 1
                continue
        joined = i in (glued_to, sign)
        spaces.append(not joined and _has_blank(text, before, token, dotted))
    return spaces


def _has_blank(text: str, before: Token, token: Token, dotted: bool) -> bool:
    if token.kind in _NO_BLANK_BEFORE or before.kind in _NO_BLANK_AFTER:
        return False
    if token.kind == "(" and before.kind == "ident":
        return not dotted and text[before.start : before.end] in _BEFORE_OPERAND
    return True


def _is_glued(tokens: list[Token], i: int, after_glue: bool, dotted: bool) -> bool:
    """Tell whether a hyphen stands inside a word such as `eu-west-1`."""
    before, hyphen, after = tokens[i - 1 : i + 2]
    touching = before.end == hyphen.start and hyphen.end == after.start
    if not touching or after.kind not in ("ident", "number", "duration"):
        return False
    return after_glue or (before.kind == "ident" and not dotted)


def _ends_operand(token: Token, dotted: bool) -> bool:
    if token.kind == "ident":
        return dotted or token.value not in _BEFORE_OPERAND
    return token.kind in ("string", "number", "duration", ")", "]")


def grouped(pieces: list[Piece]) -> tuple[Item, ...] | None:
    """Return pieces with their brackets matched, or None if they do not match."""
    stack: list[tuple[Piece, list[Item]]] = [(Piece("", ""), [])]
    for piece in pieces:
        if piece.kind in _CLOSES:
            stack.append((piece, []))
        elif piece.kind in _CLOSES.values():
            opening, items = stack.pop()
            if not stack or _CLOSES[opening.kind] != piece.kind:
                return None
            stack[-1][1].append(Group(opening, tuple(items), piece))
        else:
            stack[-1][1].append(piece)
    return tuple(stack[0][1]) if len(stack) == 1 else None
