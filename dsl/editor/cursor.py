"""Where a cursor stands in a text that is being written: what may come next, and about what.

Looks only at the words before the cursor, so that anything may stand behind it; brackets say which
part of the grammar we are in, the words since the last `and` or `or` what has been said there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dsl.lexer import Token, tokenize
from dsl.source import Source
from dsl.words import (
    AGGREGATES,
    CLAUSES,
    KINSHIP,
    SYMBOL_OPERATORS,
    WORD_OPERATORS,
)


class Place(StrEnum):
    """What a cursor stands at."""

    TOP = "top"
    TAIL = "tail"
    MEASURE = "measure"
    AFTER_MEASURE = "after measure"
    SPAN = "span"
    AFTER_SPAN = "after span"
    AFTER_TIME = "after time"
    AFTER_COMPARISON = "after comparison"
    NUMBER = "number"
    COUNTED = "counted"
    AFTER_COUNTED = "after counted"
    KEY = "key"
    AFTER_KEY = "after key"
    VALUE = "value"
    AFTER_TEST = "after test"
    OF = "of"
    BINDING = "binding"
    DURATION = "duration"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a text.

    written: the word before the cursor, dots and all; without its quote if quoted. start, end: what
    a completion replaces, the rest of the word behind the cursor included. span: the name that the
    filters are about, or nothing. key, op: what a value is compared with. item: "event" or "link"
    inside their `where`. clauses: words of clauses that stand somewhere in the text. parts: words
    outside of braces before the cursor. bindings: names with their spans, of all that hold here.
    """

    place: Place
    written: str
    quoted: bool
    start: int
    end: int
    span: str = ""
    item: str = ""
    key: str = ""
    op: str = ""
    clauses: frozenset[str] = frozenset()
    parts: tuple[str, ...] = ()
    bindings: tuple[tuple[str, str], ...] = ()


_WORD_BEFORE = re.compile(
    r"(?<![A-Za-z0-9_])[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*\.?\Z"
)
_WORD_BEHIND = re.compile(r"[A-Za-z0-9_]*(?:\.(?!where\b)[A-Za-z_][A-Za-z0-9_]*)*")
_MAX_WORD_CHARACTERS: Final = 500
_OPERATORS: Final = SYMBOL_OPERATORS | WORD_OPERATORS
_JOINERS: Final = frozenset({"and", "or", "not"})
_SIGNS: Final = frozenset({"+", "-", "*", "/"})
_TAILS: Final = frozenset({"correlate", "expect"})


@dataclass(slots=True)
class _Frame:
    """An open bracket. kind: "top", "trace", "where", "count", "aggregate", "attr" or "list".

    said: the tokens in it since the last word that joins. subject: the span of a `where`. timed:
    what is said may end in `within`.
    """

    kind: str
    said: list[Token]
    subject: str = ""
    item: str = ""
    timed: bool = False


def cursor_at(text: str, offset: int) -> Cursor | None:
    """Return what stands at an offset, or None inside a comment."""
    before = text[:offset]
    start, written, quoted = _word_before(before)
    if start is None:
        return None
    tokens = tokenize(Source(before[:start]))
    if tokens is None:
        return None
    frames = _frames(tokens[:-1])
    behind = _WORD_BEHIND.match(text, offset)
    end = behind.end() if behind and not quoted else offset
    if quoted and text[offset : offset + 1] == '"':
        end += 1
    inner = frames[-1]
    place, key, op = _place(inner)
    return Cursor(
        place=place,
        written=written,
        quoted=quoted,
        start=start,
        end=end,
        span=inner.subject,
        item=inner.item,
        key=key,
        op=op,
        clauses=frozenset(re.findall(rf"\b({'|'.join(CLAUSES)})\s*\{{", text)),
        parts=_idents(frames[0].said),
        bindings=tuple(bindings_of(text).items()),
    )


def _word_before(before: str) -> tuple[int | None, str, bool]:
    """Return where the word before the cursor begins, the word, and whether a quote opens it."""
    quote = -1
    position = 0
    for found in _SKIPPED.finditer(before):
        if found.end() == len(before) and not found["closed"]:
            if found["comment"]:
                return None, "", False
            quote = found.start()
        position = found.end()
    if quote >= 0:
        return quote, before[quote + 1 :], True
    word = _WORD_BEFORE.search(before, max(position, len(before) - _MAX_WORD_CHARACTERS))
    return (word.start(), word[0], False) if word else (len(before), "", False)


_SKIPPED = re.compile(
    r"""(?P<closed>"(?>[^"\\]|\\.)*+")|(?P<open>"(?>[^"\\]|\\.)*+\\?\Z)|(?P<comment>//[^\n]*+)""",
    re.DOTALL | re.VERBOSE,
)


# -- brackets --------------------------------------------------------------------------------------


def _frames(tokens: list[Token]) -> list[_Frame]:
    """Return the brackets that are open after these tokens, the outermost first."""
    frames = [_Frame("top", [])]
    for _ in _walk(tokens, frames):
        pass
    return frames


def _walk(tokens: list[Token], frames: list[_Frame]) -> Iterator[int]:
    """Yield the number of every token while `frames` are as they stand in front of it."""
    closed = _Frame("top", [])  # the bracket that was closed last
    for i, token in enumerate(tokens):
        yield i
        inner = frames[-1]
        if token.kind in ("{", "(", "["):
            frames.append(_opened(tokens, i, inner, closed))
        elif token.kind in ("}", ")", "]"):
            if len(frames) > 1:
                closed = frames.pop()
            frames[-1].said.append(token)
        elif _joins(tokens, i) and inner.kind != "top":
            inner.said.clear()
            inner.timed = False
        elif token.kind == "ident" and token.value == "then" and inner.kind == "trace":
            inner.said.clear()
            inner.timed = True
        else:
            inner.timed |= token.value in ("before", "after") and not _after_dot(tokens, i)
            inner.said.append(token)


def places(tokens: list[Token]) -> Iterator[tuple[int, Place]]:
    """Yield the number of every token with what may stand there, as far as what is in front says.

    tokens: without the last one, which is the end.
    """
    frames = [_Frame("top", [])]
    for i in _walk(tokens, frames):
        if _after_dot(tokens, i):
            continue  # the rest of a name
        # In lists nothing else can stand, and looking back would take the square of their length.
        yield i, Place.VALUE if frames[-1].kind == "list" else _place(frames[-1])[0]


def _joins(tokens: list[Token], i: int) -> bool:
    token = tokens[i]
    return token.kind == "ident" and token.value in _JOINERS and not _after_dot(tokens, i)


def _after_dot(tokens: list[Token], i: int) -> bool:
    return i > 0 and tokens[i - 1].kind == "."


def _opened(tokens: list[Token], i: int, outer: _Frame, closed: _Frame) -> _Frame:
    """Return the frame of an opening bracket: what stands in front of it decides."""
    kind = tokens[i].kind
    before = str(tokens[i - 1].value) if i and tokens[i - 1].kind == "ident" else ""
    if kind == "{":
        return _Frame("trace", [])
    if kind == "[":
        key, _ = _compared(outer.said)
        return _Frame("list", [], subject=key)
    if before == "where" and _after_dot(tokens, i - 1):
        return _where(tokens, i, outer, closed)
    if before == "count":
        return _Frame("count", [])
    if before in AGGREGATES:
        return _Frame("aggregate", [])
    if before == "attr":
        return _Frame("attr", [], outer.subject, outer.item)
    inherits = outer.kind in ("where", "list")
    return _Frame("where" if inherits else "trace", [], outer.subject, outer.item)


def _where(tokens: list[Token], i: int, outer: _Frame, closed: _Frame) -> _Frame:
    last = tokens[i - 3] if i > 2 else None
    if last is not None and last.kind == ")":
        return _Frame("where", [], closed.subject, closed.item)
    name = _path_before(tokens, i - 2)
    if outer.kind == "where" and name in ("event", "link"):
        return _Frame("where", [], outer.subject, name)
    return _Frame("where", [], name)


def _path_before(tokens: list[Token], end: int) -> str:
    """Return the name that ends in front of a token: `a.b`, or the text of a quoted one."""
    if end and tokens[end - 1].kind == "string":
        return str(tokens[end - 1].value)
    parts: list[str] = []
    i = end - 1
    while i >= 0 and tokens[i].kind == "ident":
        parts.insert(0, str(tokens[i].value))
        if i == 0 or tokens[i - 1].kind != ".":
            break
        i -= 2
    return ".".join(parts)


def _compared(said: list[Token]) -> tuple[str, str]:
    """Return the key and the operator of a comparison that has been begun."""
    for i, token in enumerate(said):
        if _is_operator(said, i):
            return _path_before(said, i), str(token.value)
    return "", ""


def _is_operator(said: list[Token], i: int) -> bool:
    token = said[i]
    if token.kind in SYMBOL_OPERATORS:
        return True
    # Keys may be any word: `contains == 1`.
    return (
        token.kind == "ident"
        and token.value in WORD_OPERATORS
        and i > 0
        and said[i - 1].kind != "."
    )


# -- what may come next ----------------------------------------------------------------------------


def _place(inner: _Frame) -> tuple[Place, str, str]:
    said = inner.said
    key, op = _compared(said)
    last = said[-1] if said else None
    word = str(last.value) if last is not None and last.kind == "ident" else ""
    match inner.kind:
        case "top":
            return _at_top(said), "", ""
        case "list":
            return Place.VALUE, inner.subject, "in"
        case "attr":
            return (Place.NOTHING if said else Place.KEY), "", ""
        case "where":
            return _in_where(said, op), key, op
        case "aggregate":
            return _in_aggregate(said, word), "", ""
        case "count":
            return (
                (_in_term(said, word) or (Place.AFTER_COUNTED if said else Place.COUNTED)),
                "",
                "",
            )
    special = _in_term(said, word)
    if special is not None:
        return special, key, op
    if last is None:
        return Place.SPAN, "", ""
    if last.kind in _OPERATORS or (word in WORD_OPERATORS and op == word):
        return Place.VALUE, key, op
    if last.kind in _SIGNS:
        return Place.NUMBER, key, op
    if inner.timed:
        return Place.AFTER_TIME, key, op
    return (Place.AFTER_COMPARISON if op else Place.AFTER_SPAN), key, op


def _at_top(said: list[Token]) -> Place:
    """Return what may come outside of braces: a clause, or a part of a rule over many traces."""
    words = _idents(said)
    if not _TAILS.intersection(words) or (said[-1].kind == "ident" and said[-1].value in _TAILS):
        return Place.TOP
    last = said[-1]
    word = str(last.value) if last.kind == "ident" else last.kind
    if word in ("every", "within"):
        return Place.DURATION
    if "having" in words:
        return _in_having(word)
    return Place.KEY if word in ("by", ",") else Place.TAIL


def _in_having(word: str) -> Place:
    if word in ("having", *_JOINERS):
        return Place.MEASURE
    if word in SYMBOL_OPERATORS:
        return Place.NOTHING
    return Place.AFTER_MEASURE if word in ("count", ")") else Place.AFTER_TEST


def _idents(said: list[Token]) -> tuple[str, ...]:
    return tuple(str(token.value) for token in said if token.kind == "ident")


def _in_where(said: list[Token], op: str) -> Place:
    if not said:
        return Place.KEY
    last = said[-1]
    if op and (last.kind in SYMBOL_OPERATORS or last.value == op):
        return Place.VALUE
    done = op or last.kind == ")" or last.value == "exists"
    return Place.AFTER_TEST if done else Place.AFTER_KEY


def _in_aggregate(said: list[Token], word: str) -> Place:
    if not said:
        return Place.KEY
    if word == "of" and len(said) > 1 and str(said[-2].value) not in KINSHIP:
        return Place.COUNTED
    if not any(token.value == "of" and token.kind == "ident" for token in said):
        return Place.OF
    return _in_term(said, word) or Place.AFTER_COUNTED


def _in_term(said: list[Token], word: str) -> Place | None:
    """Return what a word within a span test asks for, if it does."""
    before = str(said[-2].value) if len(said) > 1 and said[-2].kind == "ident" else ""
    if not word or len(said) < 2 or said[-2].kind == ".":
        return None
    if word == "of" and before in KINSHIP:
        return Place.BINDING
    if word in KINSHIP:
        return Place.OF
    if word in ("before", "after", "during"):
        return Place.BINDING
    if word == "within":
        return Place.DURATION
    return Place.NOTHING if word == "as" else None


# -- bindings --------------------------------------------------------------------------------------


def bindings_of(text: str) -> dict[str, str]:
    """Return the bindings of a text with the names of their spans."""
    tokens = tokenize(Source(text))
    if tokens is None:
        return {}
    found: dict[str, str] = {}
    name = ""
    filters = [False]  # of each open bracket, whether filters stand in it
    for i, token in enumerate(tokens[:-1]):
        if token.kind in ("{", "(", "["):
            filters.append(filters[-1] or (i > 0 and tokens[i - 1].value == "where"))
        elif token.kind in ("}", ")", "]"):
            if len(filters) > 1:
                filters.pop()
        elif not filters[-1] and token.value == "as" and tokens[i + 1].kind == "ident":
            found.setdefault(str(tokens[i + 1].value), name)
        elif not filters[-1] and _begins_term(tokens, i):
            name = _path_from(tokens, i)
    return found


def _begins_term(tokens: list[Token], i: int) -> bool:
    """Tell whether the name of a span test begins here."""
    if i == 0 or tokens[i].kind not in ("ident", "string"):
        return False
    before = tokens[i - 1]
    return before.kind in ("{", "(") or before.value in (*_JOINERS, "then")


def _path_from(tokens: list[Token], i: int) -> str:
    if tokens[i].kind == "string":
        return str(tokens[i].value)
    parts = [str(tokens[i].value)]
    while tokens[i + 1].kind == "." and tokens[i + 2].kind == "ident":
        if tokens[i + 2].value == "where":
            break
        parts.append(str(tokens[i + 2].value))
        i += 2
    return ".".join(parts)
