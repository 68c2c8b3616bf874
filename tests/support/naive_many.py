"""Rules over many traces judged by brute force: every window anew, from the whole set of members.

Nothing is shared with the state machines but the plan and the values it works on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from math import ceil
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from dsl.many.members import Member
from dsl.many.plan import (
    THE_TRACE,
    AllBounds,
    AnyBound,
    Bound,
    Condition,
    CorrelatePlan,
    Measure,
    NoBound,
)

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": eq,
    "!=": ne,
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
}


def holds(plan: CorrelatePlan, condition: Condition, window: Sequence[Member]) -> bool:
    """Tell whether a condition is true of a window in which nothing is in doubt."""
    match condition:
        case AllBounds(items):
            return all(holds(plan, item, window) for item in items)
        case AnyBound(items):
            return any(holds(plan, item, window) for item in items)
        case NoBound(item):
            return not holds(plan, item, window)
        case Bound(measure, op, value):
            measured = _measured(plan, measure, window)
            return measured is not None and _COMPARE[op](measured, value)


def _measured(plan: CorrelatePlan, measure: Measure, window: Sequence[Member]) -> Any:
    if measure.key is None:
        return len(window)
    if measure.key == THE_TRACE:
        return len({member.trace_id for member in window})
    values = [member.values[plan.fields.index(measure.key)] for member in window]
    if measure.function == "distinct":
        return len({str(value) for value in values if value is not None})
    numbers = sorted(Fraction(str(value)) for value in values if value not in (None, "text"))
    if measure.function == "sum":
        return sum(numbers)
    if not numbers:
        return None
    match measure.function:
        case "avg":
            return sum(numbers) / len(numbers)
        case "min":
            return numbers[0]
        case "max":
            return numbers[-1]
        case percentile:
            return numbers[ceil(Fraction(int(percentile[1:]), 100) * len(numbers)) - 1]


def signals(
    plan: CorrelatePlan, members: Iterable[Member]
) -> set[tuple[tuple[str, ...], str, int, int, int, int]]:
    """Return (key, trace, occurrence, since, last, count) of every signal that should stand."""
    newest: dict[str, Member] = {}
    for member in members:
        if member.id not in newest or newest[member.id].revision < member.revision:
            newest[member.id] = member
    by_key: dict[tuple[str, ...], list[Member]] = {}
    for member in newest.values():
        if not member.withdrawn and None not in member.keys:
            key = tuple(str(part) for part in member.keys)
            by_key.setdefault(key, []).append(member)
    return {found for key, of_key in by_key.items() for found in _of_key(plan, key, of_key)}


def _of_key(
    plan: CorrelatePlan, key: tuple[str, ...], members: list[Member]
) -> list[tuple[tuple[str, ...], str, int, int, int, int]]:
    def between(first: int, last: int) -> list[Member]:
        found = [one for one in members if first <= one.time_ns <= last]
        return sorted(found, key=lambda one: (one.time_ns, one.id))

    span = plan.within_ns
    times = sorted({one.time_ns for one in members})
    held = [time for time in times if holds(plan, plan.having, between(time - span, time))]
    starts = held[:1] + [b for a, b in pairwise(held) if b - a > span]
    found = []
    traces: list[str] = []
    for start in starts:
        last = max(
            time
            for time in held
            if time >= start and not any(start < other <= time for other in starts)
        )
        trace = between(start - span, start)[0].trace_id
        count = len(between(start - span, last))
        found.append((key, trace, traces.count(trace), start, last, count))
        traces.append(trace)
    return found


def gaps(
    times: Iterable[int], *, every_ns: int, watermark_ns: int, forget_ns: int | None
) -> set[tuple[int, int | None, str]]:
    """Return (since, until, why) of every gap longer than `every` that is due by the watermark.

    forget_ns: None if a key is not forgotten by itself.
    """
    seen = sorted(set(times))
    found: set[tuple[int, int | None, str]] = set()
    for since, until in [*pairwise(seen), *((last, None) for last in seen[-1:])]:
        if until is not None and until - since <= every_ns:
            continue
        if since + every_ns >= watermark_ns:
            continue
        ends = watermark_ns if until is None else min(until, watermark_ns)
        if forget_ns is not None and since + forget_ns < ends:
            found.add((since, since + forget_ns, "forgotten"))
        else:
            found.add((since, until, "sighted" if until is not None else ""))
    return found
