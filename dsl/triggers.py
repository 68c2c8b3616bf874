"""Which span tests can make `when` true at all: what decides that a trace is worth judging.

A set is sound if `when` is false on every closed trace on which none of its tests is true or
doubtful. Traces outside it need no judgement: they are not_applicable.
"""

from __future__ import annotations

from typing import TypeAlias

from dsl.compiler import compile_condition
from dsl.plan import (
    Among,
    Compared,
    Condition,
    Either,
    Every,
    Exists,
    Opposite,
    Plan,
    counted_in,
)
from dsl.verdict import Reason

Tests: TypeAlias = frozenset[int] | None
"""A set of tests without which a condition is decided; None: nothing decides it."""


def triggers_of(plan: Plan) -> Tests:
    """Return a small sound set of triggers of a plan, or None if every trace is a candidate."""
    return _without(plan.when, answer=False, plan=plan)


def _without(condition: Condition, *, answer: bool, plan: Plan) -> Tests:
    """Return tests such that, while none of them is true or doubtful, condition is `answer`."""
    match condition:
        case Exists(predicate):
            return None if answer else frozenset({predicate})
        case Opposite(item):
            return _without(item, answer=not answer, plan=plan)
        case Every(items) | Either(items):
            parts = [_without(item, answer=answer, plan=plan) for item in items]
            all_needed = isinstance(condition, Every) is answer
            return _union(parts) if all_needed else _smallest(parts, plan)
        case Compared() | Among():
            return _without_counted(condition, answer=answer, plan=plan)
        case _:
            return None


def _union(parts: list[Tests]) -> Tests:
    known = [part for part in parts if part is not None]
    return frozenset().union(*known) if len(known) == len(parts) else None


def _smallest(parts: list[Tests], plan: Plan) -> Tests:
    known = [part for part in parts if part is not None]
    return min(known, key=lambda part: _breadth(part, plan)) if known else None


def _breadth(tests: frozenset[int], plan: Plan) -> tuple[int, int, int]:
    """Order sets by how many traces they let in: tests of any span first, then bare names."""
    nameless = sum(plan.tests[i].name is None for i in tests)
    bare = sum(plan.tests[i].filter is None for i in tests)
    return nameless, bare, len(tests)


def _without_counted(condition: Compared | Among, *, answer: bool, plan: Plan) -> Tests:
    numbers = (
        [condition.left] if isinstance(condition, Among) else [condition.left, condition.right]
    )
    counted = _union([counted_in(number) for number in numbers])
    if counted is None:
        return None
    decide = compile_condition(condition, range(len(plan.tests)))
    return counted if decide(0, 0, True, _EmptyTrace()) is answer else None


class _EmptyTrace:
    """A closed trace on which nothing was found."""

    true = 0
    maybe = 0
    complete = True
    in_doubt: frozenset[Reason] = frozenset()
    extent_ns: tuple[int, int] | None = None
    root_name: str | None = None
    root_service: str | None = None

    def count(self, _number: int, /) -> tuple[int, int]:
        return 0, 0
