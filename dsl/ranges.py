"""Numbers that are not known exactly: ranges, what can be calculated and said about them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import inf
from typing import Final, TypeAlias, TypeGuard

Answer: TypeAlias = bool | None
Amount: TypeAlias = int | float | Fraction
Range: TypeAlias = tuple[Amount, Amount]
"""The least and the greatest a number can be, both possible; `inf` where nothing bounds it."""


class Nothing:
    """Nothing took part, or a division by zero: the comparison is false."""


NOTHING: Final = Nothing()


def is_range(measured: Range | Nothing | None) -> TypeGuard[Range]:
    """Tell whether a measure found bounds, and not nothing or a doubt."""
    return isinstance(measured, tuple)


# -- comparisons -----------------------------------------------------------------------------------


def _less(a: Range, b: Range) -> Answer:
    if a[1] < b[0]:
        return True
    return False if a[0] >= b[1] else None


def _not_above(a: Range, b: Range) -> Answer:
    if a[1] <= b[0]:
        return True
    return False if a[0] > b[1] else None


def same(a: Range, b: Range) -> Answer:
    """Tell whether two numbers are equal."""
    if a[1] < b[0] or b[1] < a[0]:
        return False
    return True if a[0] == a[1] == b[0] == b[1] else None


def _other(a: Range, b: Range) -> Answer:
    equal = same(a, b)
    return None if equal is None else not equal


COMPARE: Final[dict[str, Callable[[Range, Range], Answer]]] = {
    "<": _less,
    "<=": _not_above,
    ">": lambda a, b: _less(b, a),
    ">=": lambda a, b: _not_above(b, a),
    "==": same,
    "!=": _other,
}
"""True or false only if it is so for every two numbers of the ranges."""

# -- calculations ----------------------------------------------------------------------------------

Combine: TypeAlias = Callable[[Range, Range], "Range | Nothing | None"]


def plus(a: Range, b: Range) -> Range:
    """Add."""
    return _bounds(a[0] + b[0], a[1] + b[1])


def minus(a: Range, b: Range) -> Range:
    """Subtract."""
    return _bounds(a[0] - b[1], a[1] - b[0])


def _bounds(low: Amount, high: Amount) -> Range:
    # Opposite infinities leave a side without a bound (they sum to NaN, which equals nothing).
    return (low if low == low else -inf), (high if high == high else inf)


def times(a: Range, b: Range) -> Range:
    """Multiply."""
    corners = [_product(x, y) for x in a for y in b]
    return min(corners), max(corners)


def _product(x: Amount, y: Amount) -> Amount:
    return 0 if x == 0 or y == 0 else x * y


def over(a: Range, b: Range) -> Range | Nothing | None:
    """Divide; by nothing but zero is a false comparison, by perhaps zero an unknown one."""
    if b[0] == 0 == b[1]:
        return NOTHING
    if b[0] <= 0 <= b[1]:
        return None
    return times(a, (_inverse(b[1]), _inverse(b[0])))


def _inverse(x: Amount) -> Amount:
    return 0 if x in (inf, -inf) else 1 / Fraction(x)


SUMS: Final[dict[str, Combine]] = {"+": plus, "-": minus}
PRODUCTS: Final[dict[str, Combine]] = {"*": times, "/": over}
