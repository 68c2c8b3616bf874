"""A plan as canonical text: one spelling for everything that means the same reading.

The text parses back to the same plan. Texts are always quoted, attributes on the right are always
`attr(…)`, several `where` are one; the order of conditions stays as written.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

from dsl.lexer import NS_PER_UNIT
from dsl.plan import (
    AllFilters,
    Among,
    AnyFilter,
    Ask,
    Compared,
    Condition,
    Counted,
    Either,
    Every,
    Exists,
    Filter,
    Fixed,
    NoFilter,
    Number,
    Operand,
    Opposite,
    Plan,
    Reader,
    RootAsk,
    Scaled,
    SomeOf,
    SpanTest,
    Total,
    TraceDuration,
)
from dsl.values import Constant, Duration
from dsl.words import RESERVED, SCOPES, TRACE_WORDS

INTRINSICS: Final = frozenset(
    {"name", "service", "duration", "start", "status", "status_message", "kind", "is_root"}
)
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


def plan_text(plan: Plan) -> str:
    """Return the canonical text of a whole rule."""
    lines = [f"when {{ {condition_text(plan.when, plan)} }}"]
    if plan.always is not None:
        lines.append(f"always {{ {condition_text(plan.always, plan)} }}")
    if plan.never is not None:
        lines.append(f"never {{ {condition_text(plan.never, plan)} }}")
    return "\n".join(lines)


def condition_text(condition: Condition, plan: Plan) -> str:
    """Return the text of a condition of a plan."""
    match condition:
        case Exists(predicate):
            return span_test_text(plan.tests[predicate])
        case Compared(op, left, right):
            return f"{number_text(left, plan)} {op} {number_text(right, plan)}"
        case Among(left, items):
            listed = ", ".join(fixed_text(Fixed(item, left.unit)) for item in items)
            return f"{number_text(left, plan)} in [{listed}]"
        case RootAsk(ask):
            return _ask_text(ask)
        case Every(items):
            return " and ".join(_bracketed(item, plan, Either) for item in items)
        case Either(items):
            return " or ".join(condition_text(item, plan) for item in items)
        case Opposite(item):
            return f"not {_bracketed(item, plan, Either, Every)}"


def _bracketed(condition: Condition, plan: Plan, *weaker: type) -> str:
    text = condition_text(condition, plan)
    return f"({text})" if isinstance(condition, weaker) else text


def number_text(number: Number, plan: Plan) -> str:
    """Return the text of a number of a plan."""
    match number:
        case Fixed():
            return fixed_text(number)
        case Counted(predicate):
            return f"count({span_test_text(plan.tests[predicate])})"
        case TraceDuration():
            return "trace.duration"
        case Total(signs, items, _):
            return _joined(signs, items, plan, Total)
        case Scaled(signs, items, _):
            return _joined(signs, items, plan, Total, Scaled)


def _joined(signs: tuple[str, ...], items: tuple[Number, ...], plan: Plan, *weaker: type) -> str:
    texts = [number_text(item, plan) for item in items]
    shown = [
        f"({text})" if isinstance(item, weaker) or (i and text.startswith("-")) else text
        for i, (item, text) in enumerate(zip(items, texts, strict=True))
    ]
    if signs[0] == "-":
        shown[0] = f"-{shown[0]}" if not shown[0].startswith("-") else f"-({shown[0]})"
    pairs = zip(signs[1:], shown[1:], strict=True)
    return shown[0] + "".join(f" {sign} {text}" for sign, text in pairs)


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


def span_test_text(test: SpanTest) -> str:
    """Return the canonical text of a span test."""
    name = "any" if test.name is None else name_text(test.name)
    return name if test.filter is None else f"{name}.where({filter_text(test.filter)})"


def name_text(name: str) -> str:
    """Return a span name, quoted if it could not stand without quotes."""
    if not _PLAIN.fullmatch(name):
        return quoted(name)
    first, _, rest = name.partition(".")
    if first in RESERVED or name == "any" or "where" in rest.split("."):
        return quoted(name)
    if first == "trace" and rest in TRACE_WORDS:
        return quoted(name)
    return name


def filter_text(condition: Filter) -> str:
    """Return the text of a filter."""
    match condition:
        case Ask():
            return _ask_text(condition)
        case SomeOf(scope, item):
            return f"{scope}.where({filter_text(item)})"
        case AllFilters(items):
            return " and ".join(_bracketed_filter(item, AnyFilter) for item in items)
        case AnyFilter(items):
            return " or ".join(filter_text(item) for item in items)
        case NoFilter(item):
            return f"not {_bracketed_filter(item, AnyFilter, AllFilters)}"


def _bracketed_filter(condition: Filter, *weaker: type) -> str:
    text = filter_text(condition)
    return f"({text})" if isinstance(condition, weaker) else text


def _ask_text(ask: Ask) -> str:
    left = reader_text(ask.reader)
    if ask.op == "exists":
        return f"{left} exists"
    return f"{left} {ask.op} {_operand_text(ask.operand)}"


def reader_text(reader: Reader) -> str:
    """Return the text that reads this value on the left of an operator."""
    key = reader.key
    match reader.source:
        case "any":
            first, _, rest = key.partition(".")
            plain = _PLAIN.fullmatch(key) and key not in INTRINSICS and first not in RESERVED
            scoped = (first in SCOPES or first == "trace") and rest
            return key if plain and not scoped else quoted(key)
        case "event" | "link":
            own = {"event": ("name",), "link": ("trace_id", "span_id")}[reader.source]
            first = key.partition(".")[0]
            plain = _PLAIN.fullmatch(key) and key not in own and first not in RESERVED | SCOPES
            return key if plain else quoted(key)
        case "span" | "resource" | "scope":
            tail = key if _PLAIN.fullmatch(key) else quoted(key)
            return f"{reader.source}.{tail}"
        case "trace":
            return f"trace.{key}"
        case _:
            return key


def _operand_text(operand: Operand) -> str:
    if isinstance(operand, Reader):
        text = reader_text(operand)
        return text if operand.source in ("trace", "intrinsic") else f"attr({text})"
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
