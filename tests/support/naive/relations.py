"""What two spans are to each other: kinship, order, gaps.

Where the manual is silent: two roots are no siblings; with shared ids a parent's id means every
span that carries it; a climb that runs in a circle ends without having met anybody.
"""

from __future__ import annotations

from collections.abc import Callable

import dsl.nodes as n
from dsl import Span
from tests.support.naive.truth import NO, YES, Truth, every, known, unknown
from tests.support.naive.world import Unseen, World


def related(span: Span, relation: n.Relation, world: World) -> Truth:
    """Return whether a span is to a bound one what a relation says. Never true of the same span."""
    other = world.bound[relation.binding]
    if isinstance(other, Unseen):
        return unknown("still_open")
    if span is other:
        return NO
    answers = [_KINDS[relation.word](span, other, world)]
    if relation.within is not None:
        pair = (span, other) if relation.word == "before" else (other, span)
        answers.append(close(*pair, relation.within.ns))
    return every(answers)


def first(one: Span, other: Span, world: World) -> Truth:
    """Return whether a span starts before another: of two equal starts the ancestor is first."""
    if one.start_ns != other.start_ns:
        return known(one.start_ns < other.start_ns)
    above, below = climbs_to(other, one, world), climbs_to(one, other, world)
    if YES in (above, below):
        return above if above == YES else NO
    return unknown("same_time", *above.why, *below.why)


def close(earlier: Span, later: Span, within_ns: int) -> Truth:
    """Return whether the gap from the end of one to the start of the other is small enough."""
    return known(max(0, later.start_ns - earlier.end_ns) <= within_ns)


def climbs_to(lower: Span, upper: Span, world: World) -> Truth:
    """Climb from a span by its parents' ids until the other is met, or nothing is left."""
    climbed, todo, lost = [lower], [lower], False
    while todo:
        parent_id = todo.pop().parent_span_id
        if not any(parent_id):
            continue
        parents = [span for span in world.spans if span.span_id == parent_id]
        if any(span is upper for span in parents):
            return YES
        lost = lost or not (parents or world.is_outside(parent_id))
        fresh = [span for span in parents if not any(span is one for one in climbed)]
        climbed += fresh
        todo += fresh
    return unknown("missing_parent") if lost else NO


def _sibling(span: Span, other: Span, _world: World) -> Truth:
    return known(any(span.parent_span_id) and span.parent_span_id == other.parent_span_id)


def _during(span: Span, other: Span, _world: World) -> Truth:
    return known(other.start_ns <= span.start_ns and span.end_ns <= other.end_ns)


_KINDS: dict[str, Callable[[Span, Span, World], Truth]] = {
    "child": lambda span, other, _world: known(span.parent_span_id == other.span_id),
    "parent": lambda span, other, _world: known(other.parent_span_id == span.span_id),
    "sibling": _sibling,
    "ancestor": lambda span, other, world: climbs_to(other, span, world),
    "descendant": climbs_to,
    "before": first,
    "after": lambda span, other, world: first(other, span, world),
    "during": _during,
}
