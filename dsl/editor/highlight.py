"""A TextMate grammar of the language, for every editor that reads one.

Built from the language's own tables, so that a new word is coloured the day it is read. Colours are
a guess by the look of a word: whether `exists` is an operator or the name of a span is for the
parser to know.
Source: the TextMate language grammars that editors share (Oniguruma patterns, named scopes).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from dsl.editor.vocabulary import FUNCTIONS, RULE_WORDS, SOURCES, TAIL_WORDS
from dsl.lexer import NS_PER_UNIT
from dsl.printer import INTRINSICS
from dsl.words import (
    AGGREGATES,
    CLAUSES,
    KINSHIP,
    OPERATOR_WORDS,
    SCOPES,
    SYMBOL_OPERATORS,
    TRACE_WORDS,
)

SCOPE_NAME: Final = "source.betrace"
FILE_TYPES: Final = ("betrace", "rule")
_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*"
_BEHIND_TERM: Final = r'(?:^\s*|(?<=[\w")])\s+)'
"""Where a name may have ended; patterns see one line, and a line may begin there."""
_NUMBER: Final = r"[0-9]+(?:\.[0-9]+)?"


def grammar() -> dict[str, Any]:
    """Return the grammar, ready to be written as JSON (`betrace.tmLanguage.json`)."""
    return {
        "$schema": "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json",
        "name": "BeTrace",
        "scopeName": SCOPE_NAME,
        "fileTypes": list(FILE_TYPES),
        "patterns": [_text(), *(_rule(scope, pattern) for scope, pattern in _rules())],
    }


def yaml_injection() -> dict[str, Any]:
    """Return the grammar that colours `rule: |` blocks of YAML files, to be injected there."""
    return {
        "scopeName": f"{SCOPE_NAME}.injection",
        "injectionSelector": "L:source.yaml",
        "patterns": [
            {
                "begin": r"^( *)((?:- +)*)(rule)(:) +(\|[-+0-9]*) *$",
                "beginCaptures": {
                    "3": {"name": "entity.name.tag.yaml"},
                    "4": {"name": "punctuation.separator.key-value.mapping.yaml"},
                    "5": {"name": "keyword.control.flow.block-scalar.literal.yaml"},
                },
                "while": r"^(\1 +| *$)",
                "contentName": f"meta.embedded.block.{SCOPE_NAME}",
                "patterns": [{"include": SCOPE_NAME}],
            }
        ],
    }


def _rules() -> Iterable[tuple[str, str]]:
    """Yield scopes and patterns, the first that fits wins."""
    functions = _any_of([*FUNCTIONS, *AGGREGATES, *SOURCES, "attr"])
    operand = rf"(?=\s+(?:{_NAME}))"
    duration = rf"{_NUMBER}(?:{_any_of(NS_PER_UNIT)})\b"
    yield "comment.line.double-slash", r"//[^\n]*"
    yield "keyword.control.filter", r"(?<=\.)where(?=\s*\()"
    yield "keyword.control.clause", rf"\b{_any_of([*CLAUSES, *RULE_WORDS])}(?=\s*(?:\{{|//|$))"
    yield "variable.other.member", rf"(?<=\.){_NAME}"
    yield "support.variable.trace", rf"\btrace(?=\.(?:{_any_of(TRACE_WORDS)})\b)"
    yield "support.type.scope", rf"\b{_any_of(SCOPES)}(?=\.)"
    yield "entity.name.namespace", rf"\b{_NAME}(?=\.)"
    yield "support.function", rf"\b{functions}(?=\s*\()"
    yield "keyword.operator.relation", rf"\b{_any_of(KINSHIP)}(?=\s+of\b)"
    yield "keyword.operator.relation", rf"{_BEHIND_TERM}(?:before|after|during){operand}"
    yield "keyword.operator.time", rf"\b(?:within|every)(?=\s+{_NUMBER})"
    yield "keyword.operator.word", rf'{_BEHIND_TERM}(?:as|then|of)(?=\s+[A-Za-z_"])'
    yield "keyword.control.tail", rf"(?:^\s*|(?<=[}}\w\])])\s*){_any_of(TAIL_WORDS)}\b"
    yield "keyword.operator.logical", r"\b(?:and|or|not)\b"
    yield "keyword.operator.comparison", rf"\b{_any_of(OPERATOR_WORDS)}\b"
    yield "constant.language.boolean", r"\b(?:true|false)\b"
    yield "constant.numeric.duration", rf"\b{duration}"
    yield "constant.numeric", rf"\b{_NUMBER}(?:[eE][+-]?[0-9]+)?\b"
    yield "support.variable.intrinsic", rf"\b{_any_of(INTRINSICS)}\b"
    yield "entity.name.any", r"\bany\b"
    yield "variable.other", rf"\b{_NAME}"
    yield "keyword.operator.comparison", _any_of(SYMBOL_OPERATORS)
    yield "keyword.operator.arithmetic", r"[-+*/]"
    yield "punctuation.separator", r"[,.]"
    yield "punctuation.section", r"[{}()\[\]]"


def _any_of(words: Iterable[str]) -> str:
    """Return a pattern of words, the longer before what it begins with."""
    listed = sorted(set(words), key=lambda word: (-len(word), word))
    return f"(?:{'|'.join(map(re.escape, listed))})"


def _rule(scope: str, pattern: str) -> dict[str, str]:
    return {"name": f"{scope}.betrace", "match": pattern}


def _text() -> dict[str, Any]:
    # Begin and end rather than one match: a text may span lines.
    return {
        "name": "string.quoted.double.betrace",
        "begin": '"',
        "end": '"',
        "patterns": [_rule("constant.character.escape", r'\\["\\]')],
    }
