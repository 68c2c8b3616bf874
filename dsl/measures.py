"""Counts, aggregates and calculations over spans that are looked at one by one.

Numbers are exact: a double counts as the decimal that it is shown as, a text that spells a number
as that number. With doubtful spans, or while spans may still come, a number is a range; of sums,
averages and percentiles nothing is known then.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from math import inf
from typing import Any, Final, NamedTuple, TypeAlias

from dsl.joins import UNSEEN, Wiring, read_bound
from dsl.plan import (
    Among,
    BoundNumber,
    Compared,
    Counted,
    Fixed,
    Measured,
    Number,
    Scaled,
    Total,
    TraceDuration,
)
from dsl.ranges import COMPARE, PRODUCTS, SUMS, Combine, Nothing, Range, same
from dsl.scene import Scene
from dsl.terms import TermTest, compile_term
from dsl.truth import NO, REDACTED, YES, Truth, known
from dsl.values import GONE, MISSING, number_of, text_of


class Amount(NamedTuple):
    """A number of a trace.

    doubt: why it is not known exactly, 0 if it is. hollow: perhaps there is nothing to calculate
    with, and the comparison is false.
    """

    bounds: Range
    doubt: Truth = 0
    hollow: bool = False


Measure: TypeAlias = Callable[[Scene], "Amount | None"]
"""A number; None where certainly nothing took part, or for a division by zero."""


def _anything(doubt: Truth) -> Amount:
    return Amount((-inf, inf), doubt, hollow=True)


# -- comparisons -----------------------------------------------------------------------------------


def compile_compared(leaf: Compared, wiring: Wiring) -> Callable[[Scene], Truth]:
    """Return the question of a comparison of two numbers."""
    left, right = compile_measure(leaf.left, wiring), compile_measure(leaf.right, wiring)
    between = COMPARE[leaf.op]

    def compared(scene: Scene) -> Truth:
        scene.step()
        one, other = left(scene), right(scene)
        if one is None or other is None:
            return NO
        doubt = one.doubt | other.doubt
        answer = known(between(one.bounds, other.bounds), doubt)
        return doubt if answer == YES and (one.hollow or other.hollow) else answer

    return compared


def compile_among(leaf: Among, wiring: Wiring) -> Callable[[Scene], Truth]:
    """Return the question whether a number is one of a list."""
    measure = compile_measure(leaf.left, wiring)

    def among(scene: Scene) -> Truth:
        scene.step()
        found = measure(scene)
        if found is None:
            return NO
        answers = [same(found.bounds, (item, item)) for item in leaf.items]
        if True in answers and not found.hollow:
            return YES
        return NO if all(answer is False for answer in answers) else found.doubt

    return among


# -- numbers ---------------------------------------------------------------------------------------


def compile_measure(number: Number, wiring: Wiring) -> Measure:
    """Return the function that measures a number."""
    match number:
        case Fixed(value, _):
            fixed = Amount((value, value))
            return lambda _scene: fixed
        case Counted(predicate):
            return _counted(wiring.numbers[predicate])
        case Measured():
            return _measured(number, wiring)
        case BoundNumber():
            return _bound_number(number, wiring)
        case TraceDuration():
            return _trace_duration
        case Total(signs, items, _):
            return _folded(signs, items, SUMS, wiring)
        case Scaled(signs, items, _):
            return _folded(signs, items, PRODUCTS, wiring)


def _counted(number: int) -> Measure:
    def counted(scene: Scene) -> Amount:
        certain, possible = scene.view.count(number)
        doubt = REDACTED if possible > certain else 0
        if scene.complete:
            return Amount((certain, possible), doubt)
        return Amount((certain, inf), doubt | scene.absent)

    return counted


def _trace_duration(scene: Scene) -> Amount | None:
    extent = scene.view.extent_ns
    if extent is None:
        return None if scene.complete else _anything(scene.absent)
    length = extent[1] - extent[0]
    return Amount((length, length)) if scene.complete else Amount((length, inf), scene.absent)


def _bound_number(number: BoundNumber, wiring: Wiring) -> Measure:
    read = read_bound(number.reader, wiring)

    def bound_number(scene: Scene) -> Amount | None:
        value = read(scene)
        if value is UNSEEN:
            return _anything(scene.absent)
        if value is GONE:
            return _anything(REDACTED)
        exact = exact_number(value)
        return None if exact is None else Amount((exact, exact))

    return bound_number


def _folded(
    signs: tuple[str, ...],
    items: tuple[Number, ...],
    combine: dict[str, Combine],
    wiring: Wiring,
) -> Measure:
    first = compile_measure(items[0], wiring)
    negative = signs[0] == "-"
    rest = [
        (combine[sign], compile_measure(item, wiring))
        for sign, item in zip(signs[1:], items[1:], strict=True)
    ]

    def folded(scene: Scene) -> Amount | None:
        total = first(scene)
        if total is None:
            return None
        if negative:
            low, high = total.bounds
            total = total._replace(bounds=(-high, -low))
        for join, measure in rest:
            part = measure(scene)
            total = None if part is None else _joined(join, total, part)
            if total is None:
                return None
        return total

    return folded


def _joined(join: Combine, one: Amount, other: Amount) -> Amount | None:
    doubt = one.doubt | other.doubt
    found = join(one.bounds, other.bounds)
    if isinstance(found, Nothing):
        return None
    if found is None:
        return _anything(doubt)
    return Amount(found, doubt, one.hollow or other.hollow)


# -- aggregates ------------------------------------------------------------------------------------


class _Parts(NamedTuple):
    """What takes part. doubtful: how many more might; doubt: why; open: others may come."""

    certain: list[Any]
    doubtful: int
    open: bool
    doubt: Truth


def _measured(number: Measured, wiring: Wiring) -> Measure:
    test = compile_term(number.term, wiring)
    read = _span_reader(number, wiring)
    aggregate = _AGGREGATES[number.function]
    return lambda scene: aggregate(_parts(scene, test, read))


def _span_reader(number: Measured, wiring: Wiring) -> Callable[[Any], Any]:
    """Return what turns a kept span into the number (or text) that takes part, None for none."""
    if number.reader is None:
        return lambda _span: 1
    capture = wiring.capture(number.reader)
    part_of = _part_text if number.function == "distinct" else exact_number

    def read(span: Any) -> Any:
        value = span.values[capture]
        return GONE if value is GONE else part_of(value)

    return read


def _parts(scene: Scene, test: TermTest, read: Callable[[Any], Any]) -> _Parts:
    certain: list[Any] = []
    doubtful = 0
    doubt = unseen = test.unseen(scene)
    for member in test.candidates(scene):
        answer = test.answer(scene, member)
        if answer == NO:
            continue
        part = read(member.span)
        if part is GONE:
            doubtful += 1
            doubt |= REDACTED | (answer & ~YES)
        elif part is None:
            continue
        elif answer == YES:
            certain.append(part)
        else:
            doubtful += 1
            doubt |= answer
    return _Parts(certain, doubtful, unseen != NO, doubt)


def _number(certain: int, parts: _Parts) -> Amount:
    return Amount((certain, inf if parts.open else certain + parts.doubtful), parts.doubt)


def _count(parts: _Parts) -> Amount:
    return _number(len(parts.certain), parts)


def _distinct(parts: _Parts) -> Amount:
    return _number(len(set(parts.certain)), parts)


def _sum(parts: _Parts) -> Amount | None:
    if parts.doubt:
        return _anything(parts.doubt)
    return _exactly(_added(parts.certain))


def _average(parts: _Parts) -> Amount | None:
    if parts.doubt or not parts.certain:
        return _anything(parts.doubt) if parts.doubt else None
    total = _added(parts.certain)
    return _exactly(total if isinstance(total, float) else Fraction(total) / len(parts.certain))


def _added(values: list[Any]) -> Any:
    # Infinities first: opposite ones have no sum, and one of them swallows the rest.
    endless = {value for value in values if value in (inf, -inf)}
    if endless:
        return endless.pop() if len(endless) == 1 else None
    return sum(values)


def _exactly(value: Any) -> Amount | None:
    return None if value is None else Amount((value, value))


def _least(parts: _Parts) -> Amount | None:
    if not parts.certain:
        return _anything(parts.doubt) if parts.doubt else None
    least = min(parts.certain)
    return Amount((-inf if parts.doubt else least, least), parts.doubt)


def _greatest(parts: _Parts) -> Amount | None:
    if not parts.certain:
        return _anything(parts.doubt) if parts.doubt else None
    greatest = max(parts.certain)
    return Amount((greatest, inf if parts.doubt else greatest), parts.doubt)


def _percentile(percent: int) -> Callable[[_Parts], Amount | None]:
    """The nearest rank: the smallest value that at least so many per cent do not exceed."""

    def percentile(parts: _Parts) -> Amount | None:
        if parts.doubt or not parts.certain:
            return _anything(parts.doubt) if parts.doubt else None
        rank = -(-percent * len(parts.certain) // 100)
        return _exactly(sorted(parts.certain)[rank - 1])

    return percentile


_AGGREGATES: Final[dict[str, Callable[[_Parts], Amount | None]]] = {
    "count": _count,
    "distinct": _distinct,
    "sum": _sum,
    "avg": _average,
    "min": _least,
    "max": _greatest,
    "p50": _percentile(50),
    "p95": _percentile(95),
    "p99": _percentile(99),
}


# -- values ----------------------------------------------------------------------------------------


def exact_number(value: Any) -> int | float | Fraction | None:
    """Return the number that a value is or spells, exactly; None if it is none."""
    if value is MISSING:
        return None
    kind = type(value)
    if kind is str:
        value = number_of(value)
        kind = type(value)
    if kind is int:
        return value  # type: ignore[no-any-return]
    return _exact_double(value) if kind is float else None


@lru_cache(maxsize=4096)
def _exact_double(value: float) -> int | float | Fraction | None:
    if value != value:
        return None
    if value in (inf, -inf):
        return value
    return int(value) if value.is_integer() else Fraction(repr(value))


def _part_text(value: Any) -> str | None:
    return None if value is MISSING else text_of(value)
