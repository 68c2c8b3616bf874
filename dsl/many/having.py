"""`having` as a function of what was measured in a window: true, false or unknown.

Every measure is a range, because members may be missing; a comparison is true or false only if it
is so over the whole range.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from dsl.many.plan import (
    THE_TRACE,
    AllBounds,
    AnyBound,
    Bound,
    Condition,
    Measure,
    NoBound,
    bounds_of,
)
from dsl.predicates import all_of, any_of
from dsl.ranges import COMPARE, Answer, Nothing, Range, is_range

Found: TypeAlias = Range | Nothing | None
"""A range; NOTHING where nothing takes part (its comparisons are false); None: unknown."""
Holds: TypeAlias = Callable[[Sequence[Found]], Answer]
"""What was found for each measure of the condition, in the order of `measures_of` -> an answer."""


def measures_of(condition: Condition) -> tuple[Measure, ...]:
    """Return what a condition measures, each once, in the order written."""
    return tuple(dict.fromkeys(bound.measure for bound in bounds_of(condition)))


def compile_having(condition: Condition) -> Holds:
    """Return the function of a condition."""
    return _compile(condition, measures_of(condition))


def of_any_window(condition: Condition, *, count: Range) -> list[Found]:
    """Return what is known of every window with so many members, whatever they are."""
    return [_of_any_window(measure, count) for measure in measures_of(condition)]


def _of_any_window(measure: Measure, count: Range) -> Found:
    if measure.function == "count":
        return count
    if measure.function == "distinct":
        return min(count[0], 1) if measure.key == THE_TRACE else 0, count[1]
    return None


def _compile(condition: Condition, measures: tuple[Measure, ...]) -> Holds:
    match condition:
        case Bound():
            return compile_bound(condition, measures.index(condition.measure))
        case AllBounds(items):
            return all_of(tuple(_compile(item, measures) for item in items))
        case AnyBound(items):
            return any_of(tuple(_compile(item, measures) for item in items))
        case NoBound(item):
            return _opposite(_compile(item, measures))


def compile_bound(bound: Bound, index: int) -> Holds:
    """Return the function of one comparison. index: of its measure."""
    compare = COMPARE[bound.op]
    limit = (bound.value, bound.value)

    def holds(found: Sequence[Found]) -> Answer:
        one = found[index]
        if is_range(one):
            return compare(one, limit)
        return None if one is None else False

    return holds


def _opposite(inner: Holds) -> Holds:
    def holds(found: Sequence[Found]) -> Answer:
        answer = inner(found)
        return None if answer is None else not answer

    return holds
