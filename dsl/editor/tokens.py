"""What each word of a text is, so that an editor can colour it by its meaning.

Unlike the grammar of `dsl.editor.highlight`, which knows how words look, this knows where they
stand: `status` is the intrinsic in a filter and the name of a span elsewhere. The text may be
broken in any way; what cannot be told is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, TypeAlias

from dsl.editor.cursor import Place, bindings_of, places
from dsl.lexer import Token, tokenize
from dsl.source import Source
from dsl.words import (
    AGGREGATES,
    CLAUSES,
    KINSHIP,
    RESERVED,
    SCOPES,
    SYMBOL_OPERATORS,
    TRACE_WORDS,
    WORD_OPERATORS,
)

TokenKind: TypeAlias = Literal[
    "clause",
    "keyword",
    "operator",
    "function",
    "scope",
    "intrinsic",
    "trace",
    "span",
    "attribute",
    "binding",
    "value",
    "string",
    "number",
    "comment",
]
KINDS: Final[tuple[TokenKind, ...]] = (
    "clause",
    "keyword",
    "operator",
    "function",
    "scope",
    "intrinsic",
    "trace",
    "span",
    "attribute",
    "binding",
    "value",
    "string",
    "number",
    "comment",
)
"""Every kind, in the order in which a legend tells them."""


class EditorToken(NamedTuple):
    """A piece of a text, by offsets, and what it is. Pieces do not overlap and come in order."""

    start: int
    end: int
    kind: TokenKind


_COMMENT: Final = re.compile(r'"(?>[^"\\]|\\.)*+"?|(?P<comment>//[^\n]*+)', re.DOTALL)
_INTRINSICS: Final = frozenset(
    {"name", "service", "duration", "start", "status", "status_message", "kind", "is_root"}
)
_FUNCTIONS: Final = AGGREGATES | {"count", "attr", "violated"}
_CLAUSES: Final = frozenset({*CLAUSES, "correlate", "expect"})
_AFTER: Final = frozenset(
    {
        Place.AFTER_SPAN,
        Place.AFTER_TIME,
        Place.AFTER_COMPARISON,
        Place.AFTER_COUNTED,
        Place.AFTER_MEASURE,
        Place.AFTER_KEY,
        Place.AFTER_TEST,
        Place.OF,
        Place.TAIL,
    }
)
_SPANS: Final = frozenset({Place.SPAN, Place.COUNTED, Place.NUMBER})


def editor_tokens(text: str) -> list[EditorToken]:
    """Return the pieces of a text; none of one that has too many words."""
    tokens = tokenize(Source(text))
    if tokens is None:
        return []
    bound = frozenset(bindings_of(text))
    comments = (
        EditorToken(found.start(), found.end(), "comment")
        for found in _COMMENT.finditer(text)
        if found["comment"]
    )
    return sorted([*comments, *_of_tokens(tokens, bound)])


def _of_tokens(tokens: list[Token], bound: frozenset[str]) -> Iterator[EditorToken]:
    for i, place in places(tokens[:-1]):
        token = tokens[i]
        match token.kind:
            case "ident":
                yield from _of_name(tokens, i, place, bound)
            case "string":
                kind: TokenKind = "string"
                if place in _SPANS:
                    kind = "span"
                elif place is Place.KEY:
                    kind = "attribute"
                yield EditorToken(token.start, token.end, kind)
                yield from _behind(tokens, i)
            case "number" | "duration":
                yield EditorToken(token.start, token.end, "number")
            case symbol if symbol in SYMBOL_OPERATORS or symbol in ("+", "-", "*", "/"):
                yield EditorToken(token.start, token.end, "operator")
            case ")":
                yield from _behind(tokens, i)


def _behind(tokens: list[Token], i: int) -> Iterator[EditorToken]:
    """Yield what a dot joins to a text or a bracket: another `where`, or an attribute."""
    if tokens[i + 1].kind != "." or tokens[i + 2].kind != "ident":
        return
    word = tokens[i + 2]
    kind: TokenKind = "keyword" if word.value == "where" else "attribute"
    yield EditorToken(word.start, word.end, kind)


def _of_name(
    tokens: list[Token], i: int, place: Place, bound: frozenset[str]
) -> Iterator[EditorToken]:
    """Yield the parts of a name: all that dots join, and the `where` behind it."""
    parts = [tokens[i]]
    last = i
    filtered = False
    while tokens[last + 1].kind == "." and tokens[last + 2].kind == "ident":
        last += 2
        filtered = tokens[last].value == "where" and tokens[last + 1].kind == "("
        if filtered:
            yield EditorToken(tokens[last].start, tokens[last].end, "keyword")
            break
        parts.append(tokens[last])
    read = _read(parts, place, bound, behind=tokens[last + 1], filtered=filtered)
    at = 0
    for count, kind in read:
        named = parts[at : at + count]
        yield EditorToken(named[0].start, named[-1].end, kind)
        at += count


def _read(
    parts: list[Token], place: Place, bound: frozenset[str], *, behind: Token, filtered: bool
) -> list[tuple[int, TokenKind]]:
    """Return what the parts of a name are: how many of them are one thing, from the first on."""
    word, count = str(parts[0].value), len(parts)
    if place in _AFTER or place is Place.TOP:
        kind = _word_between(word, place)
        return [(count, kind)] if kind else []
    if place in (Place.BINDING, Place.NOTHING):
        return [(count, "binding")]
    if count == 1:
        return [(1, _read_word(word, place, behind=behind, filtered=filtered))]
    if word in bound:
        return [(1, "binding"), (count - 1, "attribute")]
    if word == "trace" and ".".join(str(part.value) for part in parts[1:]) in TRACE_WORDS:
        return [(count, "trace")]
    if place is Place.KEY:
        if word in SCOPES:
            return [(1, "scope"), (count - 1, "attribute")]
        return [(count, "attribute")]
    if place in _SPANS:
        if _compares(behind) and not filtered:
            return [(count - 1, "span"), (1, "attribute")]
        return [(count, "span")]
    return [(count, "value")]


def _read_word(word: str, place: Place, *, behind: Token, filtered: bool) -> TokenKind:
    if behind.kind == "(" and word in _FUNCTIONS and not filtered:
        return "function"
    if place is Place.MEASURE:
        return "function"
    if place is Place.VALUE:
        return "keyword" if word in RESERVED else "value"
    if word == "not" or (word == "any" and place is not Place.KEY):
        return "keyword"
    if place is not Place.KEY:
        return "span"
    if filtered:
        return "scope"
    return "intrinsic" if word in _INTRINSICS else "attribute"


def _compares(token: Token) -> bool:
    return token.kind in SYMBOL_OPERATORS or (
        token.kind == "ident" and token.value in WORD_OPERATORS | {"exists"}
    )


def _word_between(word: str, place: Place) -> TokenKind | None:
    if place is Place.TOP:
        return "clause" if word in _CLAUSES else None
    if word in WORD_OPERATORS or word == "exists":
        return "operator"
    if word in KINSHIP or word in ("before", "after", "during"):
        return "operator"
    return "keyword"
