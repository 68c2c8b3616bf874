"""An index over the predicates on spans of one name: the cost of asking all hardly grows with them.

Each predicate is filed under one attribute condition that it needs. For a value read from a span
the index gives at once the predicates whose condition it fulfils: by equality through a
dictionary, by order through a bisection over the thresholds, by prefix through a dictionary for
each length of a prefix. A predicate that is nothing but that
condition is then decided; any other is asked itself.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import dsl
from dsl.values import index_key, number_of, text_of

Test = Callable[[dsl.SpanView], bool | None]


COUNT = 1
"""Spans of the predicate are counted."""
KEEP = 2
"""Spans of the predicate are kept one by one."""


class Asked(NamedTuple):
    """A predicate as the index knows it.

    each: COUNT, KEEP, both or 0: what is done with every span that fulfils it, or might.
    decided: its condition is all there is to it.
    """

    bit: int
    number: int
    each: int
    test: Test
    decided: bool

    @property
    def settles(self) -> bool:
        """Whether a fulfilled condition needs nothing but its bit."""
        return self.decided and not self.each


class Filed(NamedTuple):
    """A predicate under one of its conditions. rest: its test where that condition is met."""

    condition: dsl.AttributeTest
    asked: Asked
    rest: Test


class Found(NamedTuple):
    """What an index says of a value: bits that hold, and predicates that must be asked."""

    mask: int
    ask: Sequence[Asked]


NOTHING = Found(0, ())


class KeyIndex:
    """The predicates filed under conditions on one attribute."""

    def __init__(self, filed: Iterable[Filed]) -> None:
        filed = list(filed)
        self.all = tuple(asked for _, asked, _ in filed)
        equals: dict[Any, list[Asked]] = {}
        above: list[tuple[tuple[Any, int], Asked]] = []
        below: list[tuple[tuple[Any, int], Asked]] = []
        prefixes: dict[int, dict[str, list[Asked]]] = {}
        self._others: list[tuple[Callable[[Any], bool], Asked, Asked]] = []
        for condition, whole, rest in filed:
            constant = condition.operand
            asked = whole._replace(test=rest)
            # Texts with one key need not be equal: such a condition is tested on its own.
            unsure = whole._replace(decided=False)
            if condition.op == "==" and constant is not None:
                exact = asked if _is_exact(constant) else unsure
                equals.setdefault(index_key(constant), []).append(exact)
            elif condition.op == "in" and isinstance(constant, tuple):
                exact = asked if all(map(_is_exact, constant)) else unsure
                for key in {index_key(item) for item in constant}:
                    equals.setdefault(key, []).append(exact)
            elif condition.op == "starts_with" and isinstance(constant, str):
                prefixes.setdefault(len(constant), {}).setdefault(constant, []).append(asked)
            elif condition.op in (">", ">=") and _is_number(constant):
                above.append(((constant, condition.op == ">"), asked))
            elif condition.op in ("<", "<=") and _is_number(constant):
                below.append(((constant, condition.op == "<="), asked))
            else:
                self._others.append((condition.test, asked, unsure))
        self._equals = {key: _found(found) for key, found in equals.items()}
        self._prefixes = [
            (length, {prefix: _found(found) for prefix, found in by_prefix.items()})
            for length, by_prefix in prefixes.items()
        ]
        above.sort(key=lambda item: item[0])
        below.sort(key=lambda item: item[0])
        self._above = [threshold for threshold, _ in above]
        self._below = [threshold for threshold, _ in below]
        self._above_found = _prefixes([asked for _, asked in above])
        self._below_found = _prefixes([asked for _, asked in reversed(below)])

    def find(self, value: Any) -> Found:
        """Return what a value, present on the span, says of the predicates."""
        mask = 0
        ask: list[Asked] = []
        if self._equals:
            found = self._equals.get(index_key(value), NOTHING)
            mask |= found.mask
            ask += found.ask
        if self._above or self._below:
            number = _number(value)
            if number is not None:
                found = self._above_found[bisect_right(self._above, (number, 0))]
                mask |= found.mask
                ask += found.ask
                exceeded = bisect_left(self._below, (number, 1))
                found = self._below_found[len(self._below) - exceeded]
                mask |= found.mask
                ask += found.ask
        if self._prefixes:
            text = text_of(value)
            if text is not None:
                for length, by_prefix in self._prefixes:
                    found = by_prefix.get(text[:length], NOTHING)
                    mask |= found.mask
                    ask += found.ask
        for test, asked, unsure in self._others:
            try:
                holds = test(value)
            except Exception:  # noqa: BLE001
                # The predicate is asked itself, and will tell what is wrong with it.
                ask.append(unsure)
                continue
            if holds:
                if asked.settles:
                    mask |= asked.bit
                else:
                    ask.append(asked)
        return Found(mask, ask)


def condition_to_file_under(predicate: dsl.SpanPredicate) -> dsl.AttributeTest | None:
    """Return the condition that tells most spans apart, None if the predicate needs none."""
    usable = [needed for needed in predicate.necessary if needed.scope in ("span", "")]
    rank = {"==": 0, "in": 1}
    return min(usable, key=lambda needed: rank.get(needed.op, 2), default=None)


def _found(asked: Sequence[Asked]) -> Found:
    mask = 0
    for one in asked:
        if one.settles:
            mask |= one.bit
    return Found(mask, tuple(one for one in asked if not one.settles))


def _prefixes(asked: Sequence[Asked]) -> list[Found]:
    """Return what the first so many say, for every number of them from 0 on."""
    found = [NOTHING]
    for one in asked:
        mask, ask = found[-1]
        found.append(Found(mask | one.bit, ask) if one.settles else Found(mask, (*ask, one)))
    return found


def _is_exact(constant: Any) -> bool:
    """Whether all values with the constant's key equal it: a text that spells no number."""
    return isinstance(constant, str) and isinstance(index_key(constant), str)


def _is_number(constant: Any) -> bool:
    return type(constant) in (int, float)


def _number(value: Any) -> int | float | None:
    kind = type(value)
    if kind is int or kind is float:
        return value if value == value else None
    return number_of(value) if kind is str else None
