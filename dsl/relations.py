"""What a span is to another: kinship, order, gaps; and where to look for spans that are it.

Kinship of parent, child and sibling is read off the two spans. Ancestors are climbed to; a climb
that ends at a parent that did not come is in doubt, and while the trace is open so is one that met
nobody: a span that shares an id may still lead elsewhere. Order is that of the starts, by the
spans' own clocks; of two equal starts the ancestor is first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from dsl.plan import Related
from dsl.scene import Scene
from dsl.structure import FOR_EVER, KeptSpan, Member
from dsl.tables import Table
from dsl.truth import MISSING_PARENT, NO, SAME_TIME, YES, Truth, both

Check: TypeAlias = Callable[[Scene, KeptSpan], Truth]
"""A question to a span in view of the bound ones."""
Candidates: TypeAlias = Callable[[Scene, Table], "Iterable[Member] | None"]
"""The spans of a table worth asking, in order; None: all of them."""


def compile_relation(relation: Related, slots: Mapping[str, int]) -> Check:
    """Return the question whether a span is to a bound one what a relation says."""
    slot, holds = slots[relation.binding], _HOLDS[relation.word]
    within_ns = relation.within_ns
    forward = relation.word == "after"

    def related(scene: Scene, span: KeptSpan) -> Truth:
        other = scene.bound[slot]
        if other is None:
            return scene.absent
        if is_same(span, other):
            return NO
        answer = holds(scene, span, other)
        if within_ns is None or answer == NO:
            return answer
        first, last = (other, span) if forward else (span, other)
        return both(answer, is_close(scene, first, last, within_ns))

    return related


def is_same(one: KeptSpan, other: KeptSpan) -> bool:
    """Tell whether two records are of one span."""
    return one is other or one.place == other.place


# -- kinship ---------------------------------------------------------------------------------------


def _is_child(_scene: Scene, span: KeptSpan, other: KeptSpan) -> Truth:
    return YES if span.parent_id == other.span_id else NO


def _is_parent(_scene: Scene, span: KeptSpan, other: KeptSpan) -> Truth:
    return YES if other.parent_id == span.span_id else NO


def _is_sibling(_scene: Scene, span: KeptSpan, other: KeptSpan) -> Truth:
    return YES if any(span.parent_id) and span.parent_id == other.parent_id else NO


def climbs_to(scene: Scene, lower: KeptSpan, upper: KeptSpan) -> Truth:
    """Tell whether a climb from a span by its parents meets another."""
    ancestry = scene.ancestry
    if ancestry.meets(lower.parent_id, upper.span_id):
        return YES
    if ancestry.is_broken(lower.parent_id):
        return MISSING_PARENT
    return NO if scene.complete else scene.absent


def _is_ancestor(scene: Scene, span: KeptSpan, other: KeptSpan) -> Truth:
    return climbs_to(scene, other, span)


# -- order -----------------------------------------------------------------------------------------


def is_first(scene: Scene, one: KeptSpan, other: KeptSpan) -> Truth:
    """Tell whether a span starts before another, different one."""
    ahead_ns = other.start_ns - one.start_ns
    if ahead_ns == 0:
        return _is_first_of_equals(scene, one, other)
    if _in_skew(scene, ahead_ns, one, other):
        return SAME_TIME
    return YES if ahead_ns > 0 else NO


def _is_first_of_equals(scene: Scene, one: KeptSpan, other: KeptSpan) -> Truth:
    below = climbs_to(scene, other, one)
    if below == YES:
        return YES
    above = climbs_to(scene, one, other)
    if above == YES:
        return NO if scene.complete else scene.absent
    return SAME_TIME | below | above


def _in_skew(scene: Scene, difference_ns: int, one: KeptSpan, other: KeptSpan) -> bool:
    """Tell whether the clocks of two services may differ by more than this."""
    skew_ns = scene.clock_skew_ns
    return bool(skew_ns) and abs(difference_ns) < skew_ns and one.service != other.service


def is_close(scene: Scene, first: KeptSpan, last: KeptSpan, within_ns: int) -> Truth:
    """Tell whether the gap from the end of a span to the start of a later one is small enough."""
    over_ns = last.start_ns - first.end_ns - within_ns
    if _in_skew(scene, over_ns, first, last):
        return SAME_TIME
    return YES if over_ns <= 0 else NO


def _is_after(scene: Scene, span: KeptSpan, other: KeptSpan) -> Truth:
    return is_first(scene, other, span)


def _is_during(scene: Scene, span: KeptSpan, other: KeptSpan) -> Truth:
    answer = YES
    for late_ns in (other.start_ns - span.start_ns, span.end_ns - other.end_ns):
        if _in_skew(scene, late_ns, span, other):
            answer = both(answer, SAME_TIME)
        elif late_ns > 0:
            return NO
    return answer


_HOLDS: Final[Mapping[str, Callable[[Scene, KeptSpan, KeptSpan], Truth]]] = {
    "child": _is_child,
    "parent": _is_parent,
    "sibling": _is_sibling,
    "ancestor": _is_ancestor,
    "descendant": climbs_to,
    "before": is_first,
    "after": _is_after,
    "during": _is_during,
}

# -- where to look ---------------------------------------------------------------------------------


def compile_candidates(relation: Related, slots: Mapping[str, int]) -> Candidates:
    """Return where spans that fulfil a relation are found; ancestors are the nearest first.

    No other seen span fulfils it, or might while the trace is closed.
    """
    slot, look = slots[relation.binding], _LOOK[relation.word]
    within_ns = relation.within_ns

    def candidates(scene: Scene, table: Table) -> Iterable[Member] | None:
        other = scene.bound[slot]
        return None if other is None else look(scene, table, other, within_ns)

    return candidates


_HOPS_OF_A_STEP: Final = 8
Look: TypeAlias = Callable[[Scene, Table, KeptSpan, "int | None"], "Iterable[Member] | None"]


def _among_ancestors(
    scene: Scene, table: Table, other: KeptSpan, _within: int | None
) -> Iterable[Member] | None:
    if scene.ancestry.is_broken(other.parent_id):
        return None
    return _above(scene, table, other.parent_id)


def _above(scene: Scene, table: Table, parent_id: bytes) -> Iterable[Member]:
    """Yield the spans of a table that the climb meets, the nearest first."""
    for hop, span_id in enumerate(scene.ancestry.climb(parent_id)):
        if hop % _HOPS_OF_A_STEP == 0:
            scene.step()
        yield from table.with_id(span_id)


def _among_descendants(
    scene: Scene, table: Table, other: KeptSpan, _within: int | None
) -> Iterable[Member] | None:
    ancestry = scene.ancestry
    return table.below(other.span_id, ancestry) if ancestry.is_forest else None


def _among_later(
    scene: Scene, table: Table, other: KeptSpan, within_ns: int | None
) -> Iterable[Member]:
    last_ns = FOR_EVER if within_ns is None else other.end_ns + within_ns + scene.clock_skew_ns
    return table.between(other.start_ns - scene.clock_skew_ns, last_ns)


def _among_earlier(
    scene: Scene, table: Table, other: KeptSpan, _within: int | None
) -> Iterable[Member]:
    return table.between(-FOR_EVER, other.start_ns + scene.clock_skew_ns)


def _among_inner(
    scene: Scene, table: Table, other: KeptSpan, _within: int | None
) -> Iterable[Member]:
    skew_ns = scene.clock_skew_ns
    return table.between(other.start_ns - skew_ns, other.end_ns + skew_ns)


_LOOK: Final[Mapping[str, Look]] = {
    "child": lambda _scene, table, other, _within: table.with_parent(other.span_id),
    "parent": lambda _scene, table, other, _within: table.with_id(other.parent_id),
    "sibling": lambda _scene, table, other, _within: table.with_parent(other.parent_id),
    "ancestor": _among_ancestors,
    "descendant": _among_descendants,
    "before": _among_earlier,
    "after": _among_later,
    "during": _among_inner,
}
