"""How a condition at trace level stands, by walking the written tree."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import dsl.nodes as n
from dsl import MISSING, Span
from dsl.values import Duration
from tests.support.naive.amounts import (
    NOTHING,
    Amount,
    Members,
    aggregated,
    anything,
    calculate,
    compare,
    exactly,
    negative,
    number_of,
)
from tests.support.naive.filters import SCOPES, TIMES, TRACE, bound_key, filtered, value_of
from tests.support.naive.relations import close, first, related
from tests.support.naive.truth import NO, Truth, every, opposite, some, unknown
from tests.support.naive.values import as_amount, as_text
from tests.support.naive.world import Bound, Lost, Unseen, World


def condition(node: Any, world: World) -> Truth:
    """Return how a condition at trace level stands."""
    if isinstance(node, n.And):
        return every(condition(item, world) for item in node.items)
    if isinstance(node, n.Or):
        return some(condition(item, world) for item in node.items)
    if isinstance(node, n.Not):
        return opposite(condition(node.item, world))
    if isinstance(node, n.SpanTerm):
        return exists(node, world)
    if isinstance(node, n.Sequence):
        return sequence(node, world)
    assert isinstance(node, n.Compare)
    return compared(node, world)


def aliases(node: Any) -> list[str]:
    """Return the bindings that a clause makes: `as` stands only in its outermost `and`."""
    if isinstance(node, n.And):
        return [alias for item in node.items for alias in aliases(item)]
    if isinstance(node, n.Sequence):
        return [step.alias for step in node.steps if step.alias is not None]
    if isinstance(node, n.SpanTerm) and node.alias is not None:
        return [node.alias]
    return []


# -- spans -----------------------------------------------------------------------------------------


def exists(term: n.SpanTerm, world: World) -> Truth:
    """Return whether some span is one that a term asks for, or the bound one."""
    pinned = _pinned(term, world)
    if pinned is not None:
        return of_span(term, pinned, world)
    return some([*(of_span(term, span, world) for span in world.spans), *world.unseen])


def _pinned(term: n.SpanTerm, world: World) -> Bound | None:
    """Return the one span that a term is about, if a binding says so."""
    if term.alias is not None:
        return world.bound[term.alias]
    return None if term.quoted else world.bound.get(term.parts[0])


def of_span(term: n.SpanTerm, span: Bound, world: World) -> Truth:
    """Return whether a span is one that a span test with its relations asks for."""
    if isinstance(span, Unseen):
        return unknown("still_open")
    name = ".".join(term.parts)
    itself = not term.quoted and name in world.bound
    if not itself and (term.quoted or name != "any") and span.name != name:
        return NO
    filters = [filtered(one, span, world) for one in term.filters]
    return every([*filters, *(related(span, one, world) for one in term.relations)])


def sequence(node: n.Sequence, world: World) -> Truth:
    """Try every choice of different spans for the steps."""
    pins = [_pinned(step, world) for step in node.steps]
    candidates = [world.spans if pin is None else (pin,) for pin in pins]
    choices = itertools.product(*candidates)
    fits = [_fits(node, choice, world) for choice in choices if _all_different(choice)]
    return some([*fits, *(world.unseen if None in pins else [])])


def _all_different(choice: tuple[Bound, ...]) -> bool:
    spans = [id(one) for one in choice if isinstance(one, Span)]
    return len(set(spans)) == len(spans)


def _fits(node: n.Sequence, choice: tuple[Bound, ...], world: World) -> Truth:
    answers = [of_span(step, one, world) for step, one in zip(node.steps, choice, strict=True)]
    for one, following in itertools.pairwise(choice):
        seen = isinstance(one, Span) and isinstance(following, Span)
        answers.append(first(one, following, world) if seen else unknown("still_open"))  # type: ignore[arg-type]
    start, end = choice[0], choice[-1]
    if node.within is not None and isinstance(start, Span) and isinstance(end, Span):
        answers.append(close(start, end, node.within.ns))
    return every(answers)


# -- comparisons -----------------------------------------------------------------------------------


def compared(node: n.Compare, world: World) -> Truth:
    """Return how a comparison at trace level stands: of numbers, or the short form of a filter."""
    if _calculates(node.left, world) or _measures(node.right, node.left, world):
        return _numbers_compared(node, world)
    left: Any = node.left
    assert isinstance(left, n.SpanTerm)
    right = _as_operand(node.right, world)
    name = ".".join(left.parts)
    if name in TRACE and not left.quoted:
        test = n.Test(n.Key("", name, False, 0, 0), node.op, right, 0, 0)
        return filtered(test, _NOBODY, world)
    bound = bound_key(_as_key(left), world) if not left.quoted else None
    if bound is not None:
        return filtered(n.Test(bound[1], node.op, right, 0, 0), bound[0], world)
    key = n.Key("", left.parts[-1], False, 0, 0)
    test = n.Test(key, node.op, right, 0, 0)
    return exists(n.SpanTerm(left.parts[:-1], left.quoted, [test], None, [], 0, 0), world)


_NOBODY = Span(b"", "")
"""Whom a question to the trace itself is put to: nothing is read from it."""


def _calculates(node: Any, world: World) -> bool:
    if isinstance(node, n.SpanTerm):
        return not node.quoted and node.parts in (["trace", "spans"], ["trace", "duration"])
    return not isinstance(node, n.SpanTerm | n.AttributeOf)


def _measures(right: Any, left: Any, world: World) -> bool:
    """Tell whether the right side is a number of the trace and not what a filter could hold."""
    if isinstance(right, n.Sum | n.Product | n.Negative):
        return not _constant(right)
    if isinstance(right, n.SpanTerm):
        return _calculates(right, world) and bound_key(_as_key(left), world) is not None
    return isinstance(right, n.Count | n.Aggregate)


def _constant(node: Any) -> bool:
    if isinstance(node, n.Sum | n.Product):
        return all(map(_constant, node.items))
    return _constant(node.item) if isinstance(node, n.Negative) else isinstance(node, n.Literal)


def _as_key(term: n.SpanTerm) -> n.Key:
    parts = term.parts
    if len(parts) > 1 and parts[0] in SCOPES:
        return n.Key(parts[0], ".".join(parts[1:]), term.quoted, 0, 0)
    return n.Key("", ".".join(parts), term.quoted, 0, 0)


def _as_operand(right: Any, world: World) -> Any:
    if isinstance(right, n.SpanTerm):
        return _as_key(right)
    if isinstance(right, n.Sum | n.Product | n.Negative):
        timed = _unit(right, world) == "duration"
        value = number(right, world, timed=timed).low
        return n.Literal(Duration(int(value)) if timed else float(value), False, 0, 0)
    return right


def _numbers_compared(node: n.Compare, world: World) -> Truth:
    timed = _answers_as_times(node, world)
    left = number(node.left, world, timed=timed)
    if isinstance(node.right, n.ListLiteral):
        items = [exactly(Fraction(str(item.value))) for item in node.right.items]
        return some(compare(left, "==", item) for item in items)
    return compare(left, node.op, number(node.right, world, timed=timed))


def _answers_as_times(node: n.Compare, world: World) -> bool:
    """Tell whether `duration` and `start` can be the spans' own in a comparison.

    A comparison that their type cannot answer means the attributes of these names.
    """
    left = _unit(node.left, world)
    right = "number" if isinstance(node.right, n.ListLiteral) else _unit(node.right, world)
    return left is not None and left == right


def _unit(node: Any, world: World) -> str | None:
    """Return the unit of a calculation in which times are durations; None if it has no sense."""
    if isinstance(node, n.Negative):
        return _unit(node.item, world)
    if isinstance(node, n.Sum):
        units = {_unit(item, world) for item in node.items}
        return units.pop() if len(units) == 1 else None
    if isinstance(node, n.Product):
        unit = _unit(node.items[0], world)
        for sign, item in zip(node.signs[1:], node.items[1:], strict=True):
            unit = _PRODUCTS.get((unit, sign, _unit(item, world)))
        return unit
    return "duration" if _is_timed(node, world) else "number"


_PRODUCTS = {
    ("number", "*", "number"): "number",
    ("number", "/", "number"): "number",
    ("duration", "*", "number"): "duration",
    ("number", "*", "duration"): "duration",
    ("duration", "/", "number"): "duration",
    ("duration", "/", "duration"): "number",
}


def _is_timed(node: Any, world: World) -> bool:
    if isinstance(node, n.Aggregate):
        return node.function != "distinct" and _is_time(node.key)
    if isinstance(node, n.SpanTerm):
        bound = bound_key(_as_key(node), world)
        return node.parts == ["trace", "duration"] or (bound is not None and _is_time(bound[1]))
    return isinstance(node, n.Literal) and isinstance(node.value, Duration)


def _is_time(key: n.Key) -> bool:
    return not key.quoted and not key.scope and key.name in TIMES


# -- numbers ---------------------------------------------------------------------------------------


def number(node: Any, world: World, *, timed: bool) -> Amount:
    """Return what a calculation comes to. timed: `q.duration` is the span's own."""
    if isinstance(node, n.Literal):
        value = node.value
        return exactly(value.ns if isinstance(value, Duration) else Fraction(str(value)))
    if isinstance(node, n.Negative):
        return negative(number(node.item, world, timed=timed))
    if isinstance(node, n.Count):
        members = _members(node.term, None, world)
        return number_of(len(members.certain), members)
    if isinstance(node, n.Aggregate):
        return _aggregate(node, world, timed=timed)
    if isinstance(node, n.SpanTerm):
        return _of_trace_or_binding(node, world, timed=timed)
    assert isinstance(node, n.Sum | n.Product)
    total = number(node.items[0], world, timed=timed)
    for sign, item in zip(node.signs[1:], node.items[1:], strict=True):
        total = calculate(sign, total, number(item, world, timed=timed))
    return total


def _of_trace_or_binding(term: n.SpanTerm, world: World, *, timed: bool) -> Amount:
    bound = bound_key(_as_key(term), world)
    if bound is not None:
        return _amount_of(_read(bound[1], bound[0], timed=timed))
    if term.parts == ["trace", "spans"]:
        everything = n.SpanTerm(["any"], False, [], None, [], 0, 0)
        members = _members(everything, None, world)
        return number_of(len(members.certain), members)
    assert term.parts == ["trace", "duration"]
    why = frozenset() if world.complete else frozenset({"still_open"})
    if not world.spans:
        return NOTHING if world.complete else anything(why)
    length = max(s.end_ns for s in world.spans) - min(s.start_ns for s in world.spans)
    return exactly(length) if world.complete else Amount(Fraction(length), float("inf"), why=why)


def _read(key: n.Key, owner: Any, *, timed: bool) -> Any:
    if isinstance(owner, Unseen):
        return Lost("still_open")
    if _is_time(key) and not timed:
        return value_of(n.Key("", key.name, True, 0, 0), owner)
    return value_of(key, owner)


def _amount_of(value: Any) -> Amount:
    if isinstance(value, Lost):
        return anything(frozenset({value.why}))
    found = as_amount(value)
    return NOTHING if value is MISSING or found is None else exactly(found)


def _aggregate(node: n.Aggregate, world: World, *, timed: bool) -> Amount:
    if node.function == "distinct":
        members = _members(node.term, node.key, world, texts=True)
        return number_of(len(set(members.certain)), members)
    return aggregated(node.function, _members(node.term, node.key, world, timed=timed))


def _members(
    term: n.SpanTerm,
    key: n.Key | None,
    world: World,
    *,
    texts: bool = False,
    timed: bool = True,
) -> Members:
    """Return who takes part in an aggregate. No key: every span that the term asks for."""
    certain: list[Any] = []
    doubts: list[frozenset[str]] = []
    for span in world.spans:
        answer = of_span(term, span, world)
        value = 1 if key is None else _read(key, span, timed=timed)
        part = as_text(value) if texts else as_amount(value)
        if answer == NO or (part is None and not isinstance(value, Lost)):
            continue
        if answer.value is None or isinstance(value, Lost):
            lost = frozenset({value.why}) if isinstance(value, Lost) else frozenset()
            doubts.append(answer.why | lost)
        else:
            certain.append(part)
    opened = frozenset() if world.complete else frozenset({"still_open"})
    why = frozenset().union(opened, *doubts)
    return Members(tuple(certain), len(doubts), not world.complete, why)
