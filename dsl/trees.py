"""A text to its tree, whichever kind of rule it holds."""

from __future__ import annotations

from typing import Any, TypeAlias

from dsl.lexer import Token
from dsl.many.nodes import Correlate, Expect
from dsl.many.parse import opens_many, parse_many
from dsl.nodes import Promise
from dsl.parser import parse
from dsl.source import Source

Tree: TypeAlias = Promise | Correlate | Expect


def tree_of(source: Source, tokens: list[Token]) -> Tree | None:
    """Return the tree of a rule text, or None if it is none. Problems go to source."""
    return parse_many(source, tokens) if opens_many(tokens) else parse(source, tokens)


def bodies_of(tree: Tree) -> list[Any]:
    """Return what stands in the braces of a tree."""
    match tree:
        case Promise(clauses=clauses):
            return [clause.body for clause in clauses.values()]
        case Correlate(sources=sources):
            return list(sources)
        case Expect(term=term):
            return [] if term is None else [term]
