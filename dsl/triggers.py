"""Which span tests can make `when` true at all: what decides that a trace is worth judging.

A set is sound if `when` is false on every closed trace on which none of its tests is true or
doubtful. Traces outside it need no judgement: they are not_applicable.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TypeAlias

from dsl.captures import Capturing
from dsl.clauses import compile_ask
from dsl.joins import Wiring
from dsl.linking import wiring_of
from dsl.plan import (
    Among,
    Compared,
    Condition,
    Either,
    Every,
    Exists,
    Found,
    Opposite,
    Ordered,
    Plan,
    counted_in,
    numbers_of,
)
from dsl.scene import Scene
from dsl.structure import NO_STRUCTURE, TraceStructure
from dsl.truth import NO, YES
from dsl.verdict import Reason

Tests: TypeAlias = frozenset[int] | None
"""A set of tests without which a condition is decided; None: nothing decides it."""


def triggers_of(plan: Plan, capturing: Capturing) -> Tests:
    """Return a small sound set of triggers of a plan, or None if every trace is a candidate."""
    return _Search(plan, capturing).without(plan.when, answer=False)


class _Search:
    def __init__(self, plan: Plan, capturing: Capturing) -> None:
        self.plan = plan
        self.capturing = capturing

    @cached_property
    def wiring(self) -> Wiring:
        """Where things are found in an empty trace: few rules compare numbers in `when`."""
        tests, captures = range(len(self.plan.tests)), range(len(self.capturing.keys))
        return wiring_of(self.plan, self.capturing, tests, captures)

    def without(self, condition: Condition, *, answer: bool) -> Tests:
        """Return tests such that, while none of them is true or doubtful, it is `answer`."""
        match condition:
            case Exists(predicate):
                return None if answer else frozenset({predicate})
            case Found(term):
                return None if answer else frozenset({term.predicate})
            case Ordered(steps):
                alone = [frozenset({step.predicate}) for step in steps]
                return None if answer else self.smallest(alone)
            case Opposite(item):
                return self.without(item, answer=not answer)
            case Every(items) | Either(items):
                parts = [self.without(item, answer=answer) for item in items]
                all_needed = isinstance(condition, Every) is answer
                return _union(parts) if all_needed else self.smallest(parts)
            case Compared() | Among():
                return self.without_counted(condition, answer=answer)
            case _:
                return None

    def smallest(self, parts: Sequence[Tests]) -> Tests:
        known = [part for part in parts if part is not None]
        return min(known, key=self.breadth) if known else None

    def breadth(self, tests: frozenset[int]) -> tuple[int, int, int]:
        """Order sets by how many traces they let in: tests of any span first, then bare names."""
        nameless = sum(self.plan.tests[i].name is None for i in tests)
        bare = sum(self.plan.tests[i].filter is None for i in tests)
        return nameless, bare, len(tests)

    def without_counted(self, condition: Compared | Among, *, answer: bool) -> Tests:
        counted = _union([counted_in(part) for part in numbers_of(condition)])
        if counted is None:
            return None
        scene = Scene(_EmptyTrace(), len(self.wiring.slots), complete=True)
        decided = compile_ask(condition, self.wiring)(scene) == (YES if answer else NO)
        return counted if decided else None


def _union(parts: Sequence[Tests]) -> Tests:
    known = [part for part in parts if part is not None]
    return frozenset().union(*known) if len(known) == len(parts) else None


class _EmptyTrace:
    """A closed trace on which nothing was found."""

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
