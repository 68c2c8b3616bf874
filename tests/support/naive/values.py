"""What two values have to say about each other, from the language's table."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

_DECIMAL = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


def as_number(value: Any) -> Fraction | None:
    """Return the number that a value is or spells, a double as the binary fraction it holds."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Fraction(value)
    if isinstance(value, float):
        return Fraction(value) if value == value and abs(value) != float("inf") else None
    if isinstance(value, str) and (whole := _DECIMAL.fullmatch(value)):
        return Fraction(int(value)) if whole[1] is whole[2] is None else Fraction(float(value))
    return None


def as_amount(value: Any) -> Fraction | None:
    """Return the number that takes part in a calculation, a double as the decimal it shows."""
    if isinstance(value, float) and as_number(value) is not None:
        return Fraction(repr(value))
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return Fraction(value)
    return as_number(value)


def as_text(value: Any) -> str | None:
    """Return the shortest text of a value; arrays, maps, bytes and NaN have none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and value == value:
        return str(int(value)) if value.is_integer() and abs(value) < 1e16 else repr(value)
    return None


def equal(left: Any, right: Any) -> bool:
    """Tell whether two values are equal."""
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    if isinstance(left, bool) or isinstance(right, bool):
        words = {True: True, False: False, "true": True, "false": False}
        pair = [words.get(one) if isinstance(one, bool | str) else None for one in (left, right)]
        return pair[0] is not None and pair[0] is pair[1]
    numbers = as_number(left), as_number(right)
    return numbers[0] is not None and numbers[0] == numbers[1]


def holds(left: Any, op: str, right: Any) -> bool:
    """Tell whether a comparison of two present values holds."""
    if op == "==":
        return equal(left, right)
    if op == "!=":
        return _scalar(left) and _scalar(right) and not equal(left, right)
    if op in ("<", "<=", ">", ">="):
        return _ordered(left, op, right)
    if op == "contains" and isinstance(left, list):
        return any(equal(member, right) for member in left)
    whole, part = as_text(left), as_text(right)
    if whole is None or part is None:
        return False
    if op == "matches":
        return re.search(part, whole) is not None
    if op == "contains":
        return part in whole
    return whole.startswith(part) if op == "starts_with" else whole.endswith(part)


def _ordered(left: Any, op: str, right: Any) -> bool:
    pair: Any = (as_number(left), as_number(right))
    if None in pair:
        if not (isinstance(left, str) and isinstance(right, str)):
            return False
        pair = (left.encode(), right.encode())
    a, b = pair
    return bool({"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[op])


def _scalar(value: Any) -> bool:
    return isinstance(value, str | bool | int) or (isinstance(value, float) and value == value)
