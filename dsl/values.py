"""What two values have to say about each other: the comparison table of the language.

Attribute values are str, bool, int, float, bytes, list and dict. Two more things can be read where
a value was asked for: MISSING (it was never there: every comparison is false) and GONE (it was
there and was taken away: every comparison is unknown). This module decides about present values
only; it never sees GONE and answers false to MISSING.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal, TypeAlias

import re2


class Absent(Enum):
    """Why there is no value."""

    MISSING = "missing"
    GONE = "gone"

    def __repr__(self) -> str:
        return self.name


MISSING: Final = Absent.MISSING
GONE: Final = Absent.GONE

Value: TypeAlias = str | bool | int | float | bytes | list[Any] | dict[str, Any]
Read: TypeAlias = Value | Literal[Absent.MISSING, Absent.GONE]
Check: TypeAlias = Callable[[Any], bool]
"""A question to one value that was read. Answers False to MISSING."""


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A length of time in whole nanoseconds."""

    ns: int


Constant: TypeAlias = str | bool | int | float
"""What can be written in a filter next to an operator (durations apart)."""

_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
MAX_DECIMAL_CHARACTERS = 400
"""A longer text is never taken for a number: the largest double has 309 digits."""

MAX_PATTERN_CHARACTERS = 1_000
PATTERN_MEMORY_BYTES = 128 * 1024
"""Memory RE2 may use for one compiled pattern; bounds the time to compile it too."""

_BOOLEAN_TEXT = {"true": True, "false": False}


def number_of(text: str) -> int | float | None:
    """Return the number that a text spells (`-12`, `7.0`, `1e3`), or None if it spells none.

    Integers stay exact. No blanks, plus sign, `inf`, `nan` or hex.
    """
    if len(text) > MAX_DECIMAL_CHARACTERS:
        return None
    found = _DECIMAL.fullmatch(text)
    if found is None:
        return None
    return int(text) if found[1] is None and found[2] is None else float(text)


def shortest_text(value: bool | int | float) -> str:
    """Return the shortest decimal text of a number or boolean: `5`, `7`, `0.1`, `true`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e16:
        return str(int(value))
    return str(value) if isinstance(value, int) else repr(value)


def text_of(value: object) -> str | None:
    """Return what the text operators read off a value, or None if they cannot read it."""
    kind = type(value)
    if kind is str:
        return value  # type: ignore[return-value]
    if kind is bool or kind is int:
        return shortest_text(value)  # type: ignore[arg-type]
    if kind is float and value == value:
        return shortest_text(value)  # type: ignore[arg-type]
    return None


def equal(left: object, right: object) -> bool:
    """Tell whether two present values are equal by the language's table."""
    a, b = type(left), type(right)
    if a is str and b is str:
        return left == right
    if a is bool or b is bool:
        return _as_boolean(left) is not None and _as_boolean(left) is _as_boolean(right)
    one, other = _as_number(left), _as_number(right)
    return one is not None and one == other


def _as_boolean(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    return _BOOLEAN_TEXT.get(value) if isinstance(value, str) else None


def _as_number(value: object) -> int | float | None:
    kind = type(value)
    if kind is int or kind is float:
        return value  # type: ignore[return-value]
    return number_of(value) if kind is str else None  # type: ignore[arg-type]


def comparable(value: object) -> bool:
    """Tell whether a value takes part in comparisons: a scalar that is not NaN."""
    kind = type(value)
    return kind is str or kind is int or kind is bool or (kind is float and value == value)


def different(left: object, right: object) -> bool:
    """Tell whether `!=` holds: both sides can be compared, and they are not equal."""
    return comparable(left) and comparable(right) and not equal(left, right)


def before(left: object, right: object) -> bool:
    """Tell whether left < right: as numbers if both spell numbers, else byte-wise as texts."""
    one, other = _as_number(left), _as_number(right)
    if one is not None and other is not None:
        return one < other
    if type(left) is str and type(right) is str:
        return left < right
    return False


def at_most(left: object, right: object) -> bool:
    """Tell whether left <= right, by the same reading as `before`."""
    one, other = _as_number(left), _as_number(right)
    if one is not None and other is not None:
        return one <= other
    if type(left) is str and type(right) is str:
        return left <= right
    return False


def contains(value: object, part: object) -> bool:
    """Tell whether a text contains a text, or an array has a member equal to the part."""
    if type(value) is list:
        return any(equal(member, part) for member in value)
    whole, piece = text_of(value), text_of(part)
    return whole is not None and piece is not None and piece in whole


def starts_with(value: object, part: object) -> bool:
    """Tell whether the value's text starts with the part's text."""
    whole, piece = text_of(value), text_of(part)
    return whole is not None and piece is not None and whole.startswith(piece)


def ends_with(value: object, part: object) -> bool:
    """Tell whether the value's text ends with the part's text."""
    whole, piece = text_of(value), text_of(part)
    return whole is not None and piece is not None and whole.endswith(piece)


BETWEEN: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": equal,
    "!=": different,
    "<": before,
    "<=": at_most,
    ">": lambda left, right: before(right, left),
    ">=": lambda left, right: at_most(right, left),
    "contains": contains,
    "starts_with": starts_with,
    "ends_with": ends_with,
}
"""Every operator between two values that are both read from a span."""


def index_key(value: object) -> str | int | float | None:
    """Return the key under which an index finds every value equal to this one.

    Two values that are equal by the table have the same key; two values with the same key need not
    be equal (`7.0` and `7` as texts), so a test must follow. None: equal to nothing.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        number = number_of(value)
        return value if number is None else number
    if isinstance(value, int | float):
        return value if value == value else None
    return None


class PatternError(ValueError):
    """A pattern that RE2 does not take; the text says why."""


def compile_pattern(pattern: str) -> Callable[[str], object]:
    """Return the search function of an RE2 pattern (unanchored). Raises PatternError."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = PATTERN_MEMORY_BYTES
    try:
        search: Callable[[str], object] = re2.compile(pattern, options).search
    except re2.error as error:
        reason = error.args[0] if error.args else "not valid"
        shown = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise PatternError(shown) from error
    return search


def unicode_classes_in(pattern: str) -> int:
    """Return how many Unicode classes (`\\pL`) a pattern holds, at most: they cost most."""
    return pattern.count("\\p") + pattern.count("\\P")


def check_against(op: str, constant: Constant) -> Check:
    """Return the fastest function that answers `value op constant` for values that were read."""
    if op == "==":
        return _equals(constant)
    if op == "!=":
        return lambda value: different(value, constant)
    if op in _ORDER_OPERATORS:
        return _ordered(op, constant)
    if op == "matches":
        return _matches(str(constant))
    if op == "contains" and type(constant) is str:
        return _contains_text(constant)
    between = BETWEEN[op]
    return lambda value: between(value, constant)


def check_in(constants: Sequence[Constant]) -> Check:
    """Return a function that answers `value in [constants]`."""
    texts = frozenset(one for one in constants if type(one) is str)
    if len(texts) == len(constants) and not any(_is_ambiguous(one) for one in texts):
        return lambda value: type(value) is str and value in texts
    checks = tuple(_equals(one) for one in constants)
    return lambda value: any(check(value) for check in checks)


def _is_ambiguous(text: str) -> bool:
    return text in _BOOLEAN_TEXT or number_of(text) is not None


def _equals(constant: Constant) -> Check:
    if isinstance(constant, bool):
        word = shortest_text(constant)
        return lambda value: value is constant or (type(value) is str and value == word)
    if isinstance(constant, str):
        if not _is_ambiguous(constant):
            return lambda value: type(value) is str and value == constant
        return lambda value: equal(value, constant)

    def equals_number(value: Any) -> bool:
        kind = type(value)
        if kind is int or kind is float:
            return bool(value == constant)
        return kind is str and number_of(value) == constant

    return equals_number


_ORDER_OPERATORS: Final = frozenset({"<", "<=", ">", ">="})


def _ordered(op: str, constant: Constant) -> Check:
    if isinstance(constant, bool):
        return lambda _value: False
    if isinstance(constant, str):
        between = BETWEEN[op]
        return lambda value: between(value, constant)
    return _ORDERED_BY_NUMBER[op](constant)


def _greater(constant: int | float) -> Check:
    def greater(value: Any) -> bool:
        kind = type(value)
        if kind is int or kind is float:
            return bool(value > constant)
        number = number_of(value) if kind is str else None
        return number is not None and number > constant

    return greater


def _at_least(constant: int | float) -> Check:
    def at_least(value: Any) -> bool:
        kind = type(value)
        if kind is int or kind is float:
            return bool(value >= constant)
        number = number_of(value) if kind is str else None
        return number is not None and number >= constant

    return at_least


def _less(constant: int | float) -> Check:
    def less(value: Any) -> bool:
        kind = type(value)
        if kind is int or kind is float:
            return bool(value < constant)
        number = number_of(value) if kind is str else None
        return number is not None and number < constant

    return less


def _not_above(constant: int | float) -> Check:
    def not_above(value: Any) -> bool:
        kind = type(value)
        if kind is int or kind is float:
            return bool(value <= constant)
        number = number_of(value) if kind is str else None
        return number is not None and number <= constant

    return not_above


_ORDERED_BY_NUMBER: Final[dict[str, Callable[[int | float], Check]]] = {
    ">": _greater,
    ">=": _at_least,
    "<": _less,
    "<=": _not_above,
}


def _matches(pattern: str) -> Check:
    search = compile_pattern(pattern)

    def matches(value: Any) -> bool:
        text = value if type(value) is str else text_of(value)
        return text is not None and search(text) is not None

    return matches


def _contains_text(part: str) -> Check:
    def contains_text(value: Any) -> bool:
        if type(value) is str:
            return part in value
        return contains(value, part)

    return contains_text
