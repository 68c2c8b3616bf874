"""Numbers of a trace as ranges: counts, aggregates, calculations, and how they compare.

An amount reaches from the least to the greatest it can be. It is hollow if perhaps nothing is
there to calculate with: then the comparison would be false.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from typing import TypeAlias

from tests.support.naive.truth import NO, YES, Truth

Number: TypeAlias = Fraction | float
"""Exact, or an infinity."""


@dataclass(frozen=True, slots=True)
class Amount:
    """A range of numbers. nothing: certainly nothing is there, whatever the range says."""

    low: Number
    high: Number
    hollow: bool = False
    nothing: bool = False
    vague: bool = False
    why: frozenset[str] = frozenset()


NOTHING = Amount(Fraction(0), Fraction(0), nothing=True)


def exactly(value: Fraction | int) -> Amount:
    """Return an amount in no doubt."""
    return Amount(Fraction(value), Fraction(value))


def anything(why: frozenset[str]) -> Amount:
    """Return an amount of which nothing is known."""
    return Amount(-inf, inf, hollow=True, vague=True, why=why)


def calculate(sign: str, one: Amount, other: Amount) -> Amount:
    """Return what a sign makes of two amounts."""
    if one.nothing or other.nothing:
        return NOTHING
    why = one.why | other.why
    if sign == "/" and other.low == 0 == other.high:
        return NOTHING
    if one.vague or other.vague or (sign == "/" and other.low <= 0 <= other.high):
        return anything(why)
    corners = [_joined(sign, x, y) for x in (one.low, one.high) for y in (other.low, other.high)]
    return Amount(min(corners), max(corners), one.hollow or other.hollow, why=why)


def _joined(sign: str, x: Number, y: Number) -> Number:
    if sign == "+":
        return _plus(x, y)
    if sign == "-":
        return _plus(x, -y)
    if sign == "/":
        y = Fraction(0) if y in (inf, -inf) else 1 / Fraction(y)
    return Fraction(0) if 0 in (x, y) else x * y


def _plus(x: Number, y: Number) -> Number:
    # Of two opposite infinities neither corner is an end of the range; the other corners are.
    return Fraction(0) if {x, y} == {inf, -inf} else x + y


def negative(amount: Amount) -> Amount:
    """Return the opposite amount."""
    return calculate("-", exactly(0), amount)


def compare(one: Amount, op: str, other: Amount) -> Truth:
    """Return a comparison that is true or false only if it is so over both whole ranges."""
    if one.nothing or other.nothing:
        return NO
    why = one.why | other.why
    if one.vague or other.vague:
        return Truth(None, why)
    outcomes = set(_ORDERS[op](one, other))
    if one.hollow or other.hollow:
        outcomes.add(False)
    if len(outcomes) == 2:
        return Truth(None, why)
    return YES if outcomes == {True} else NO


def _less(a: Amount, b: Amount) -> Iterable[bool]:
    return {a.low < b.high, a.high < b.low}


def _at_most(a: Amount, b: Amount) -> Iterable[bool]:
    return {a.low <= b.high, a.high <= b.low}


def _same(a: Amount, b: Amount) -> Iterable[bool]:
    if a.low == a.high == b.low == b.high:
        return {True}
    apart = a.high < b.low or b.high < a.low
    return {False} if apart else {True, False}


_ORDERS: dict[str, Callable[[Amount, Amount], Iterable[bool]]] = {
    "<": _less,
    "<=": _at_most,
    ">": lambda a, b: _less(b, a),
    ">=": lambda a, b: _at_most(b, a),
    "==": _same,
    "!=": lambda a, b: {not one for one in _same(a, b)},
}


# -- aggregates ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Members:
    """What takes part in an aggregate.

    certain: the amounts (or texts) that do; doubtful: how many more might; open: others may come.
    """

    certain: tuple[Fraction, ...]
    doubtful: int
    open: bool
    why: frozenset[str]

    @property
    def settled(self) -> bool:
        """Whether nobody else can take part."""
        return not self.doubtful and not self.open


def number_of(certain: int, members: Members) -> Amount:
    """Return a count of spans or of different texts, of which `certain` are there."""
    low = Fraction(certain)
    return Amount(low, inf if members.open else low + members.doubtful, why=members.why)


def aggregated(function: str, members: Members) -> Amount:
    """Return what `sum`, `avg`, `min`, `max` or a percentile makes of its members."""
    values = sorted(members.certain)
    if function in ("min", "max") and not members.settled:
        return _bounded(function, values, members.why)
    if not members.settled:
        return anything(members.why)
    if function == "sum":
        return exactly(sum(values, Fraction(0)))
    if not values:
        return NOTHING
    if function == "avg":
        return exactly(sum(values, Fraction(0)) / len(values))
    rank = {"min": 1, "max": len(values)}.get(function) or _nearest_rank(function, len(values))
    return exactly(values[rank - 1])


def _nearest_rank(function: str, count: int) -> int:
    return -(-int(function[1:]) * count // 100)


def _bounded(function: str, values: list[Fraction], why: frozenset[str]) -> Amount:
    """More members can only lower a minimum, and raise a maximum."""
    if not values:
        return anything(why)
    if function == "min":
        return Amount(-inf, values[0], why=why)
    return Amount(values[-1], inf, why=why)
