"""Warnings about rules that are valid and probably not what was meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from dsl.compiler import compile_condition
from dsl.plan import (
    Among,
    Ask,
    Compared,
    Condition,
    Every,
    Exists,
    Found,
    Held,
    Leaf,
    Measured,
    Plan,
    Reader,
    SpanTest,
    asks_of,
    leaves_of,
    numbers_of,
    terms_of,
)
from dsl.predicates import SpanPredicate
from dsl.printer import condition_text
from dsl.source import Source
from dsl.structure import NO_STRUCTURE, TraceStructure
from dsl.verdict import Reason
from dsl.words import nearest

MAX_WORLDS_TESTS: Final = 8
"""Tests of a rule up to which every combination of them is tried (2**8 traces)."""
MAX_LOOKS: Final = 4_096
"""Conditions looked at in all of these traces together: about a millisecond."""


@dataclass(frozen=True, slots=True)
class KnownNames:
    """What was seen in a tenant's traffic.

    attributes: key -> names of the types seen ("text", "number", "boolean", "array", "map",
    "bytes"). An empty set of names means that nothing is known, and nothing is warned about.
    The others help an editor, as far as they are known: span_counts: name -> how many were seen.
    attributes_of: span name -> keys seen on it. values: key -> frequent values as texts, the most
    frequent first ("name" and "service" too).
    """

    span_names: frozenset[str] = frozenset()
    attributes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    span_counts: Mapping[str, int] = field(default_factory=dict)
    attributes_of: Mapping[str, frozenset[str]] = field(default_factory=dict)
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def lint(
    source: Source,
    plan: Plan,
    predicates: Sequence[SpanPredicate],
    known: KnownNames | None,
) -> None:
    """Add the warnings about a checked rule to source."""
    _warn_about_firing(source, plan)
    _warn_about_cost(source, plan, predicates)
    _warn_about_nothing(source, plan)
    if known is not None:
        _warn_about_unseen(source, plan, known)


def lint_span_test(
    source: Source,
    test: SpanTest,
    predicate: SpanPredicate,
    known: KnownNames | None,
    *,
    at: int,
    end: int,
) -> None:
    """Add the warnings about a span test that stands alone, outside of any condition."""
    if predicate.name is None and _is_broad(predicate):
        source.warn("rule.costly", at, end)
    if known is not None:
        _warn_about_name(source, test, known, at, end)
        for ask in asks_of(test.filter):
            _warn_about_attribute(source, ask, known, at, end)


def lint_key(source: Source, reader: Reader, known: KnownNames, *, at: int, end: int) -> None:
    """Warn about a key that is read off spans by itself, and that no span was seen to have."""
    _warn_about_attribute(source, Ask(reader, "exists", None, at, end), known, at, end)


# -- never fires, always fires ---------------------------------------------------------------------


def _warn_about_firing(source: Source, plan: Plan) -> None:
    """Try the rule on every trace that its span tests can tell apart."""
    if len(plan.tests) > MAX_WORLDS_TESTS:
        return
    clauses = {word: _unbound(clause) for word, clause in plan.clauses}
    leaves = [leaf for clause in clauses.values() for leaf in leaves_of(clause)]
    if not all(isinstance(leaf, Exists) for leaf in leaves):
        return
    if len(leaves) << len(plan.tests) > MAX_LOOKS:
        return
    decides = {
        word: compile_condition(clause, range(len(plan.tests))) for word, clause in clauses.items()
    }
    when, always, never = decides["when"], decides.get("always"), decides.get("never")
    applies = broken = 0
    for world in range(1 << len(plan.tests)):
        if not _possible(world, plan.tests) or not when(world, 0, True, _NO_VIEW):
            continue
        applies += 1
        kept = (always is None or always(world, 0, True, _NO_VIEW) is True) and (
            never is None or never(world, 0, True, _NO_VIEW) is False
        )
        broken += not kept
    if applies == 0:
        source.warn("rule.never_fires", 0, 4, next="`when` can never be true")
    elif broken == 0:
        source.warn("rule.never_fires", 0, 4, next="`when` already says all that is promised")
    elif broken == applies:
        source.warn("rule.always_fires", 0, 4, next="the promise contradicts `when`")


def _unbound(condition: Condition) -> Condition:
    """Return a condition in which a span that is only given a name is asked for without it."""
    match condition:
        case Every(items):
            return Every(tuple(map(_unbound, items)))
        case Found(term, at, end) if term.joined is None and not term.relations:
            return Exists(term.predicate, at, end)
        case _:
            return condition


def _possible(world: int, tests: Sequence[SpanTest]) -> bool:
    """Tell whether a trace can meet exactly these tests: a filtered test implies the bare one."""
    for i, test in enumerate(tests):
        if not world >> i & 1:
            continue
        for j, wider in enumerate(tests):
            implied = wider.filter is None and (wider.name is None or wider.name == test.name)
            if implied and not world >> j & 1:
                return False
    return True


class _NoView:
    true = 0
    maybe = 0
    complete = True
    in_doubt: frozenset[Reason] = frozenset()
    extent_ns: tuple[int, int] | None = None
    root_name: str | None = None
    root_service: str | None = None
    structure: TraceStructure | None = NO_STRUCTURE

    def count(self, _number: int, /) -> tuple[int, int]:
        return 0, 0


_NO_VIEW: Final = _NoView()


# -- cost ------------------------------------------------------------------------------------------


def _warn_about_cost(source: Source, plan: Plan, predicates: Sequence[SpanPredicate]) -> None:
    broad = {
        number
        for number, predicate in enumerate(predicates)
        if predicate.name is None and _is_broad(predicate)
    }
    for leaf in plan.leaves if broad else ():
        for number in broad.intersection(_tests_of(leaf)):
            if not (predicates[number].unfiltered and isinstance(leaf, Exists)):
                source.warn("rule.costly", leaf.at, leaf.end)


def _is_broad(predicate: SpanPredicate) -> bool:
    """Tell whether no value of an attribute leads to the spans that a test is about."""
    return not any(needed.equals is not None for needed in predicate.necessary)


def _tests_of(leaf: Leaf) -> list[int]:
    """Return the span tests of a leaf whose spans are looked at."""
    if isinstance(leaf, Exists):
        return [leaf.predicate]
    return [term.predicate for term in terms_of(leaf)]


# -- aggregates of nothing -------------------------------------------------------------------------

_OPPOSITE: Final = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}


def _warn_about_nothing(source: Source, plan: Plan) -> None:
    """Where nothing takes part a comparison is false: in `always` that breaks the promise."""
    for leaf in plan.leaves_by_clause.get("always", ()):
        if not isinstance(leaf, Compared | Among):
            continue
        functions = {part.function for part in numbers_of(leaf) if isinstance(part, Measured)}
        if not functions - {"count", "sum", "distinct"}:
            continue
        following = "ask for the opposite in `never`"
        if isinstance(leaf, Compared) and isinstance(plan.always, Compared):
            turned = replace(leaf, op=_OPPOSITE[leaf.op])
            following = f"write `never {{ {condition_text(turned, plan)} }}`"
        source.warn("rule.nothing_to_measure", leaf.at, leaf.end, next=following)


# -- names never seen ------------------------------------------------------------------------------


def _warn_about_unseen(source: Source, plan: Plan, known: KnownNames) -> None:
    leaves = plan.leaves
    places = {
        number: (leaf.at, leaf.end) for leaf in reversed(leaves) for number in _tests_of(leaf)
    }
    for i, test in enumerate(plan.tests):
        at, end = places.get(i, (0, 0))
        _warn_about_name(source, test, known, at, end)
        for ask in asks_of(test.filter):
            _warn_about_attribute(source, ask, known, at, end)
    for leaf in leaves:
        joined = [term.joined for term in terms_of(leaf)]
        for condition in [*joined, leaf.filter] if isinstance(leaf, Held) else joined:
            for ask in asks_of(condition):
                _warn_about_attribute(source, ask, known, leaf.at, leaf.end)


def _warn_about_name(source: Source, test: SpanTest, known: KnownNames, at: int, end: int) -> None:
    name = test.name
    if name is None or not known.span_names or name in known.span_names:
        return
    before, _, last = name.rpartition(".")
    if before in known.span_names and "boolean" in known.attributes.get(last, ()):
        source.warn("rule.boolean_attribute", at, end, word=name, key=last, name=before)
        return
    meant = nearest(name, known.span_names)
    following = f"did you mean `{meant}`?" if meant else "check its spelling"
    source.warn("rule.unseen_name", at, end, word=name, next=following)


def _warn_about_attribute(source: Source, ask: Ask, known: KnownNames, at: int, end: int) -> None:
    key = ask.reader.key
    if ask.reader.source not in ("any", "span", "resource") or not known.attributes:
        return
    if key in known.attributes:
        return
    meant = nearest(key, known.attributes)
    following = f"did you mean `{meant}`?" if meant else "check its spelling"
    source.warn("rule.unseen_attribute", ask.at or at, ask.end or end, word=key, next=following)
