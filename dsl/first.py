"""Where a rule of the first BeTrace means something else now.

The text reads unchanged; these are the places whose answer differs. There, a missing attribute was
the empty text, numbers that were not numbers were ordered as texts, every word was a text, a
backslash was a backslash, and every key was an attribute.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeGuard

from dsl.lexer import Token, tokenize
from dsl.nodes import (
    AttributeOf,
    Compare,
    Key,
    ListLiteral,
    Literal,
    Node,
    Promise,
    SpanTerm,
    Test,
    parts_of,
)
from dsl.parser import parse
from dsl.problems import Problem
from dsl.source import Source
from dsl.values import number_of
from dsl.words import KIND_WORDS, ORDER_OPERATORS, STATUS_WORDS, TRACE_WORDS

_TRUE_OF_NOTHING: Final = frozenset({"<", "<=", "!="})
"""Operators that held for a missing attribute."""
_ALWAYS_OWN: Final = frozenset({"name", "service", "status_message"})
_OWN_WORDS: Final = {"kind": KIND_WORDS, "status": STATUS_WORDS}


@dataclass(frozen=True, slots=True)
class _Comparison:
    """One comparison of an attribute, in a filter or in the short form.

    absent: the condition that the attribute is missing, as it is written in that place.
    """

    key: Key
    op: str
    right: Node | Key | None
    absent: str
    at: int
    end: int


def differences(text: str) -> tuple[Problem, ...]:
    """Return every place of a rule text that the first BeTrace understood otherwise."""
    source = Source(text)
    tokens = tokenize(source)
    promise = parse(source, tokens) if tokens is not None else None
    if tokens is None or not isinstance(promise, Promise) or source.problems:
        return ()
    for token in tokens:
        _tell_escapes(source, token)
    for comparison in _comparisons(source, promise):
        _tell_comparison(source, comparison)
    return tuple(sorted(source.warnings, key=lambda one: (one.line, one.column)))


def _tell_escapes(source: Source, token: Token) -> None:
    written = source.text[token.start : token.end]
    if token.kind == "string" and written[1:-1] != token.value:
        source.warn("first.escape", token.start, token.end)


def _comparisons(source: Source, promise: Promise) -> Iterator[_Comparison]:
    for clause in promise.clauses.values():
        for node in parts_of(clause.body):
            if isinstance(node, Test):
                yield _of_filter(source, node)
            elif isinstance(node, Compare) and _is_short(node.left):
                yield _of_short_form(source, node, node.left)


def _of_filter(source: Source, node: Test) -> _Comparison:
    key = node.left
    if isinstance(key, AttributeOf):
        key = Key(key.key.scope, key.key.name, True, key.key.at, key.key.end)
    absent = f"not {source.text[node.left.at : node.left.end]} exists"
    return _Comparison(key, node.op, node.right, absent, node.at, node.end)


def _of_short_form(source: Source, node: Compare, term: SpanTerm) -> _Comparison:
    name = term.parts[-1]
    at = term.end - len(name)
    absent = f"{source.text[term.at : at].rstrip('. ')}.where(not {name} exists)"
    key = Key("", name, False, at, term.end)
    return _Comparison(key, node.op, node.right, absent, node.at, node.end)


def _is_short(term: Node) -> TypeGuard[SpanTerm]:
    """Tell whether the left side of a comparison is `some.span.attribute`."""
    if not isinstance(term, SpanTerm):
        return False
    trace = term.parts[0] == "trace" and ".".join(term.parts[1:]) in TRACE_WORDS
    return len(term.parts) > 1 and not term.filters and not (trace and not term.quoted)


def _tell_comparison(source: Source, one: _Comparison) -> None:
    if _reads_own(one):
        source.warn("first.own", one.key.at, one.key.end, word=one.key.name)
        return
    if one.op in _TRUE_OF_NOTHING or (one.op == "==" and _text(one.right) == ""):
        source.warn("first.missing", one.at, one.end, absent=one.absent)
    if one.op not in ORDER_OPERATORS or one.right is None:
        return
    if _is_word(one.right):
        word = source.text[one.right.at : one.right.end]
        source.warn("first.word", one.right.at, one.right.end, word=word)
    elif _is_number(one.right):
        source.warn("first.order", one.at, one.end, op=one.op)


def _reads_own(one: _Comparison) -> bool:
    """Tell whether a key is the span's own property now. Durations could not be written then."""
    key = one.key
    if key.quoted or key.scope:
        return False
    if key.name in _ALWAYS_OWN:
        return True
    if key.name == "is_root":
        asked = one.op in ("==", "!=") and isinstance(_constant(one.right), bool)
        return asked or one.op == ""
    words = _OWN_WORDS.get(key.name)
    return words is not None and _asks_only(one, words)


def _asks_only(one: _Comparison, words: frozenset[str]) -> bool:
    if one.op == "in" and isinstance(one.right, ListLiteral):
        return all(item.value in words for item in one.right.items)
    return one.op in ("==", "!=") and _text(one.right) in words


def _constant(right: Node | Key | None) -> object:
    return right.value if isinstance(right, Literal) else None


def _text(right: Node | Key | None) -> str | None:
    """Return the text that a right side stands for, if it is one."""
    match right:
        case Literal(value=str() as value):
            return value
        case Key(scope="", name=name):
            return name
        case SpanTerm(parts=[word], quoted=False, filters=[]):
            return word
        case _:
            return None


def _is_word(right: Node | Key) -> bool:
    if isinstance(right, Literal):
        return right.word
    return isinstance(right, Key | SpanTerm)


def _is_number(right: Node | Key) -> bool:
    value = _constant(right)
    if isinstance(value, bool):
        return False
    return isinstance(value, int | float) or (
        isinstance(value, str) and number_of(value) is not None
    )
