"""What a rule needs to know of a trace: what a stream must keep to judge it without the spans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dsl.captures import Capturing
from dsl.plan import (
    Condition,
    Either,
    Every,
    Exists,
    Found,
    Held,
    Opposite,
    Ordered,
    Plan,
    RootAsk,
    terms_of,
)


@dataclass(frozen=True, slots=True)
class PredicateNeed:
    """How much of the spans of one predicate a rule needs.

    counted: how many distinct ones there are. kept: each for itself, with its times, its parent
    and the captures of these numbers. Neither: whether there is one.
    """

    counted: bool = False
    kept: bool = False
    captures: tuple[int, ...] = ()


NOTHING_MORE: Final = PredicateNeed()


@dataclass(frozen=True, slots=True)
class Needs:
    """What a rule needs.

    predicates: by predicate of the rule. extent: the earliest start and the latest end. root: its
    name and service. climbs: links of every span, for ancestors and descendants. orders: links of
    every span, to tell which of two equal starts is first. window_ns: the longest time after a
    span that is waited for, 0 for none. early: it may be violated before the trace is closed.
    """

    predicates: tuple[PredicateNeed, ...]
    extent: bool
    root: bool
    climbs: bool
    orders: bool
    window_ns: int
    early: bool

    @property
    def links(self) -> bool:
        """Whether the links of every span are needed."""
        return self.climbs or self.orders

    @property
    def structure(self) -> bool:
        """Whether spans must be kept one by one."""
        return any(predicate.kept for predicate in self.predicates)


_CLIMBING = frozenset({"ancestor", "descendant"})
_ORDERING = frozenset({"before", "after"})


def needs_of(plan: Plan, capturing: Capturing) -> Needs:
    """Return what a rule needs."""
    leaves = plan.telling
    terms = [term for leaf in leaves for term in terms_of(leaf)]
    relations = [relation for term in terms for relation in term.relations]
    relations += [one for leaf in leaves if isinstance(leaf, Held) for one in leaf.relations]
    words = {relation.word for relation in relations}
    windows = [one.within_ns or 0 for one in relations if one.word == "after"]
    windows += [leaf.within_ns or 0 for leaf in leaves if isinstance(leaf, Ordered)]
    kept = {term.predicate for term in terms}
    looked_at = kept | plan.counted | capturing.wanted.keys()
    return Needs(
        predicates=tuple(
            PredicateNeed(number in plan.counted, number in kept, capturing.wanted.get(number, ()))
            if number in looked_at
            else NOTHING_MORE
            for number in range(len(plan.tests))
        ),
        extent=plan.needs_extent,
        root=plan.needs_root,
        climbs=bool(words & _CLIMBING),
        orders=bool(words & _ORDERING) or any(isinstance(leaf, Ordered) for leaf in leaves),
        window_ns=max(windows, default=0),
        early=_is_early(plan),
    )


# -- can it be decided early? ----------------------------------------------------------------------


def _is_early(plan: Plan) -> bool:
    """Tell whether `when` can be true, and the promise broken, whatever else may come."""
    if not _can_be(plan.when, True):
        return False
    broken = plan.always is not None and _can_be(plan.always, False)
    return broken or (plan.never is not None and _can_be(plan.never, True))


def _can_be(condition: Condition, answer: bool) -> bool:
    """Tell whether a condition can have this answer in an open trace."""
    while isinstance(condition, Opposite):
        condition, answer = condition.item, not answer
    match condition:
        case Every(items) | Either(items):
            combine: Callable[..., bool] = all if isinstance(condition, Every) is answer else any
            return combine(_can_be(item, answer) for item in items)
        case Exists() | Found() | Ordered():
            return answer
        case RootAsk():
            return False
        case _:
            return True
