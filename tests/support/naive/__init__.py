"""A slow evaluator of promises that shares no code with the fast one: it walks the written tree.

It takes the parser's tree and full spans, decides readings for itself, and judges by trying: every
combination of spans for the bindings, every choice of spans for a sequence, every parent of a
parent. In an open trace a binding may also mean a span that has not come.

Where the manual is silent it is read so: a binding made in `always` or `never` holds in that
clause; a calculation takes a double for the decimal it shows, and a text that spells a number for
that number.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import dsl.nodes as n
from dsl import Span
from dsl.lexer import tokenize
from dsl.parser import parse
from dsl.source import Source
from tests.support.naive.conditions import aliases, condition
from tests.support.naive.truth import NO, YES, Truth, every, opposite, some
from tests.support.naive.world import UNSEEN, Bound, World, distinct


@dataclass(frozen=True, slots=True)
class Found:
    """A verdict; which clauses some combination broke; and all that an inconclusive one may say."""

    verdict: str
    broken: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()


def judge(
    text: str, spans: Sequence[Span], *, complete: bool = True, external_roots: bool = False
) -> Found:
    """Judge a trace by a rule that is known to check."""
    source = Source(text)
    tokens = tokenize(source)
    assert tokens is not None
    promise = parse(source, tokens)
    assert isinstance(promise, n.Promise)
    return _judged(promise, World(distinct(spans), complete, external_roots))


@dataclass(frozen=True, slots=True)
class _Combination:
    """How the clauses stand for one choice of spans for the bindings of `when`."""

    when: Truth
    always: Truth
    never: Truth

    @property
    def broken(self) -> Truth:
        return every([self.when, some([opposite(self.always), self.never])])

    @property
    def clause(self) -> str:
        return "always" if self.always == NO else "never"


def _judged(promise: n.Promise, world: World) -> Found:
    bodies = {word: clause.body for word, clause in promise.clauses.items()}
    found = [
        _Combination(
            condition(bodies["when"], bound),
            _some_way(bodies["always"], bound) if "always" in bodies else YES,
            _some_way(bodies["never"], bound) if "never" in bodies else NO,
        )
        for bound in _bindings(bodies["when"], world)
    ]
    when, broken = some(one.when for one in found), some(one.broken for one in found)
    if when == NO:
        return Found("not_applicable")
    if when == YES and broken == YES:
        return Found("violated", frozenset(one.clause for one in found if one.broken == YES))
    if when == YES and broken == NO:
        return Found("satisfied")
    return Found("inconclusive", frozenset(), when.why | broken.why)


def _some_way(body: n.Node, world: World) -> Truth:
    """Return whether a clause is true for some choice of spans for its own bindings."""
    return some(condition(body, bound) for bound in _bindings(body, world))


def _bindings(body: n.Node, world: World) -> Iterator[World]:
    """Yield the world with every choice of spans for the bindings that a clause makes."""
    names = aliases(body)
    candidates: list[Bound] = [*world.spans, *([] if world.complete else [UNSEEN])]
    for choice in itertools.product(candidates, repeat=len(names)):
        yield world.binding(dict(zip(names, choice, strict=True)))
