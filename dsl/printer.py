"""A plan as canonical text: one spelling for everything that means the same reading.

The text parses back to the same plan. Texts are always quoted, attributes on the right are always
`attr(…)`, several `where` are one; the order of conditions stays as written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from dsl.lexer import NS_PER_UNIT
from dsl.plan import (
    AllFilters,
    Among,
    AnyFilter,
    Ask,
    BoundNumber,
    Compared,
    Condition,
    Counted,
    Either,
    Every,
    Exists,
    Filter,
    Fixed,
    Found,
    Held,
    Measured,
    NoFilter,
    Number,
    Operand,
    Opposite,
    Ordered,
    Plan,
    Reader,
    Related,
    RootAsk,
    Scaled,
    SomeOf,
    SpanTest,
    Term,
    Total,
    TraceDuration,
    names_in,
)
from dsl.values import Constant, Duration
from dsl.words import KINSHIP, RESERVED, SCOPES, TRACE_WORDS

INTRINSICS: Final = frozenset(
    {"name", "service", "duration", "start", "status", "status_message", "kind", "is_root"}
)
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


def plan_text(plan: Plan, tests: Sequence[str]) -> str:
    """Return the canonical text of a whole rule. tests: those of its span tests, by number."""
    printer = _Printer(plan, tests)
    return "\n".join(f"{word} {{ {printer.condition(one)} }}" for word, one in plan.clauses)


def condition_text(condition: Condition, plan: Plan) -> str:
    """Return the text of a condition of a plan."""
    return _Printer(plan).condition(condition)


def number_text(number: Number, plan: Plan) -> str:
    """Return the text of a number of a plan."""
    return _Printer(plan).number(number)


def bound_names(plan: Plan) -> frozenset[str]:
    """Return every name that a rule binds: no other name may begin so without quotes."""
    return frozenset(name for leaf in plan.telling for name in names_in(leaf))


class _Printer:
    """Prints the conditions of one rule. tests: the texts of its span tests, if they are known."""

    def __init__(self, plan: Plan, tests: Sequence[str] = ()) -> None:
        self.plan = plan
        self.taken = bound_names(plan)
        # Beside bindings some names are printed in quotes that a span test alone does not need.
        self.tests = tests if not self.taken else ()

    def test(self, number: int) -> str:
        if self.tests:
            return self.tests[number]
        return span_test_text(self.plan.tests[number], taken=self.taken)

    def condition(self, condition: Condition) -> str:
        match condition:
            case Exists(predicate):
                return self.test(predicate)
            case Found(term):
                return self.term(term)
            case Ordered(steps, within_ns):
                text = " then ".join(map(self.term, steps))
                return text + _within_text(within_ns)
            case Held():
                return self.held(condition)
            case Compared(op, left, right):
                return f"{self.number(left)} {op} {self.number(right)}"
            case Among(left, items):
                listed = ", ".join(fixed_text(Fixed(item, left.unit)) for item in items)
                return f"{self.number(left)} in [{listed}]"
            case RootAsk(ask):
                return _ask_text(ask, frozenset())
            case Every(items):
                return " and ".join(self.bracketed(item, Either) for item in items)
            case Either(items):
                return " or ".join(map(self.condition, items))
            case Opposite():
                times = 0
                inner: Condition = condition
                while isinstance(inner, Opposite):
                    times, inner = times + 1, inner.item
                return "not " * times + self.bracketed(inner, Either, Every)

    def bracketed(self, condition: Condition, *weaker: type) -> str:
        text = self.condition(condition)
        return f"({text})" if isinstance(condition, weaker) else text

    def term(self, term: Term) -> str:
        name = f" as {term.name}" if term.name else ""
        if term.joined is None:
            return self.test(term.predicate) + name + _relations_text(term.relations)
        test = self.plan.tests[term.predicate]
        filters = [one for one in (test.filter, term.joined) if one is not None]
        whole = SpanTest(test.name, filters[0] if filters else None)
        if len(filters) > 1:
            parts = [part for one in filters for part in _conjuncts(one)]
            whole = SpanTest(test.name, AllFilters(tuple(parts)))
        return span_test_text(whole, taken=self.taken) + name + _relations_text(term.relations)

    def held(self, held: Held) -> str:
        where = ""
        if held.filter is not None:
            where = f".where({filter_text(held.filter, taken=self.taken)})"
        return held.binding + where + _relations_text(held.relations)

    def number(self, number: Number) -> str:
        match number:
            case Fixed():
                return fixed_text(number)
            case Counted(predicate):
                return f"count({self.test(predicate)})"
            case Measured(function, reader, term, _):
                key = "" if reader is None else f"{reader_text(reader, taken=self.taken)} of "
                return f"{function}({key}{self.term(term)})"
            case BoundNumber(reader, _):
                scope = f"{reader.source}." if reader.source in SCOPES else ""
                return f"{reader.of}.{scope}{reader.key}"
            case TraceDuration():
                return "trace.duration"
            case Total(signs, items, _):
                return self.joined(signs, items, Total)
            case Scaled(signs, items, _):
                return self.joined(signs, items, Total, Scaled)

    def joined(self, signs: tuple[str, ...], items: tuple[Number, ...], *weaker: type) -> str:
        texts = [self.number(item) for item in items]
        shown = [
            f"({text})" if isinstance(item, weaker) or (i and text.startswith("-")) else text
            for i, (item, text) in enumerate(zip(items, texts, strict=True))
        ]
        if signs[0] == "-":
            shown[0] = f"-{shown[0]}" if not shown[0].startswith("-") else f"-({shown[0]})"
        pairs = zip(signs[1:], shown[1:], strict=True)
        return shown[0] + "".join(f" {sign} {text}" for sign, text in pairs)


def _conjuncts(condition: Filter) -> tuple[Filter, ...]:
    return condition.items if isinstance(condition, AllFilters) else (condition,)


def _relations_text(relations: tuple[Related, ...]) -> str:
    return "".join(f" {relation_text(relation)}" for relation in relations)


def relation_text(relation: Related) -> str:
    """Return the text of a relation."""
    of = "of " if relation.word in KINSHIP else ""
    return f"{relation.word} {of}{relation.binding}{_within_text(relation.within_ns)}"


def _within_text(within_ns: int | None) -> str:
    return "" if within_ns is None else f" within {duration_text(within_ns)}"


def fixed_text(fixed: Fixed) -> str:
    """Return the text of a constant: a number, or a duration in its largest whole unit."""
    value = fixed.value
    if fixed.unit == "duration":
        return duration_text(int(value))
    if isinstance(value, int):
        return str(value)
    decimal = _decimal_text(value)
    return decimal if decimal is not None else f"{value.numerator} / {value.denominator}"


def _decimal_text(value: Fraction) -> str | None:
    """Return a fraction as a finite decimal, or None if it has none (1/3)."""
    denominator, places = value.denominator, 0
    for factor in (2, 5):
        power = 0
        while denominator % factor == 0:
            denominator //= factor
            power += 1
        places = max(places, power)
    if denominator != 1:
        return None
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}" if places else sign + digits


def duration_text(ns: int) -> str:
    """Return nanoseconds in the largest unit in which they are a whole number."""
    if ns == 0:
        return "0s"
    for unit in ("d", "h", "m", "s", "ms", "us"):
        if ns % NS_PER_UNIT[unit] == 0:
            return f"{ns // NS_PER_UNIT[unit]}{unit}"
    return f"{ns}ns"


_NO_NAMES: Final[frozenset[str]] = frozenset()


def span_test_text(test: SpanTest, *, taken: frozenset[str] = _NO_NAMES) -> str:
    """Return the canonical text of a span test. taken: names that mean bound spans."""
    name = "any" if test.name is None else name_text(test.name, taken=taken)
    if test.filter is None:
        return name
    return f"{name}.where({filter_text(test.filter, taken=taken)})"


def name_text(name: str, *, taken: frozenset[str] = _NO_NAMES) -> str:
    """Return a span name, quoted if it could not stand without quotes."""
    if not _PLAIN.fullmatch(name):
        return quoted(name)
    first, _, rest = name.partition(".")
    if first in RESERVED or first in taken or name == "any":
        return quoted(name)
    if rest and ("where" in rest.split(".") or (first == "trace" and rest in TRACE_WORDS)):
        return quoted(name)
    return name


def filter_text(condition: Filter, *, taken: frozenset[str] = _NO_NAMES) -> str:
    """Return the text of a filter. taken: names that mean bound spans."""
    match condition:
        case Ask():
            return _ask_text(condition, taken)
        case SomeOf(scope, item):
            return f"{scope}.where({filter_text(item, taken=taken)})"
        case AllFilters(items):
            return " and ".join(_bracketed_filter(item, taken, AnyFilter) for item in items)
        case AnyFilter(items):
            return " or ".join(filter_text(item, taken=taken) for item in items)
        case NoFilter(item):
            return f"not {_bracketed_filter(item, taken, AnyFilter, AllFilters)}"


def _bracketed_filter(condition: Filter, taken: frozenset[str], *weaker: type) -> str:
    text = filter_text(condition, taken=taken)
    return f"({text})" if isinstance(condition, weaker) else text


def _ask_text(ask: Ask, taken: frozenset[str]) -> str:
    left = reader_text(ask.reader, taken=taken)
    if ask.op == "exists":
        return f"{left} exists"
    return f"{left} {ask.op} {_operand_text(ask.operand, taken)}"


def reader_text(reader: Reader, *, taken: frozenset[str] = _NO_NAMES) -> str:
    """Return the text that reads this value on the left of an operator."""
    if reader.of:
        return f"{reader.of}.{_own_text(reader, _NO_NAMES)}"
    return _own_text(reader, taken)


def _own_text(reader: Reader, taken: frozenset[str]) -> str:
    key = reader.key
    first, _, rest = key.partition(".")
    match reader.source:
        case "any":
            plain = _PLAIN.fullmatch(key) and key not in INTRINSICS
            scoped = (first in SCOPES or first == "trace") and rest
            free = first not in RESERVED and first not in taken
            return key if plain and free and not scoped else quoted(key)
        case "event" | "link":
            own = {"event": ("name",), "link": ("trace_id", "span_id")}[reader.source]
            plain = _PLAIN.fullmatch(key) and key not in own
            free = first not in RESERVED | SCOPES and first not in taken
            return key if plain and free else quoted(key)
        case "span" | "resource" | "scope":
            tail = key if _PLAIN.fullmatch(key) else quoted(key)
            return f"{reader.source}.{tail}"
        case "trace":
            return f"trace.{key}"
        case _:
            return key


def _operand_text(operand: Operand, taken: frozenset[str]) -> str:
    if isinstance(operand, Reader):
        text = reader_text(operand, taken=taken)
        plain = operand.of or operand.source in ("trace", "intrinsic")
        return text if plain else f"attr({text})"
    if isinstance(operand, tuple):
        return f"[{', '.join(map(constant_text, operand))}]"
    if isinstance(operand, Duration):
        return duration_text(operand.ns)
    assert operand is not None
    return constant_text(operand)


def constant_text(constant: Constant) -> str:
    """Return a constant as it is written in a filter."""
    if isinstance(constant, bool):
        return "true" if constant else "false"
    if isinstance(constant, str):
        return quoted(constant)
    if isinstance(constant, float) and constant.is_integer() and abs(constant) < 1e16:
        return str(int(constant))
    return str(constant) if isinstance(constant, int) else repr(constant)


def quoted(text: str) -> str:
    """Return a text in quotes; a quote and a backslash in it are escaped."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
