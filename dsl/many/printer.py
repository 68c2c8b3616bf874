"""A plan of a rule over many traces as canonical text, which parses back to the same plan."""

from __future__ import annotations

from dsl.many.plan import (
    THE_TRACE,
    AllBounds,
    AnyBound,
    Bound,
    Condition,
    CorrelatePlan,
    ExpectPlan,
    Measure,
    MemberSource,
    NoBound,
    SignalSource,
)
from dsl.plan import Fixed, Reader, SpanTest
from dsl.printer import duration_text, fixed_text, quoted, reader_text, span_test_text


def correlate_text(plan: CorrelatePlan) -> str:
    """Return the canonical text of a `correlate`."""
    sources = " or ".join(source_text(one, plan.tests) for one in plan.sources)
    by = ", ".join(map(key_text, plan.by))
    within = duration_text(plan.within_ns)
    having = condition_text(plan.having)
    return f"correlate {{ {sources} }} by {by} within {within} having {having}"


def expect_text(plan: ExpectPlan) -> str:
    """Return the canonical text of an `expect`."""
    text = f"expect {{ {span_test_text(plan.test)} }} every {duration_text(plan.every_ns)}"
    if plan.by is not None:
        text += f" by {key_text(plan.by)}"
    if plan.listed:
        text += f" in [{', '.join(map(quoted, plan.listed))}]"
    return text


def source_text(source: MemberSource, tests: tuple[SpanTest, ...]) -> str:
    """Return the text of one source of members."""
    if isinstance(source, SignalSource):
        return f"violated({quoted(source.rule)})"
    return span_test_text(tests[source.predicate])


def key_text(reader: Reader) -> str:
    """Return the text of a key."""
    text = reader_text(reader)
    return quoted(text) if text == "trace" and reader != THE_TRACE else text


def condition_text(condition: Condition) -> str:
    """Return the text of `having` or a part of it."""
    match condition:
        case Bound():
            return bound_text(condition)
        case AllBounds(items):
            return " and ".join(_bracketed(item, AnyBound) for item in items)
        case AnyBound(items):
            return " or ".join(map(condition_text, items))
        case NoBound(item):
            return f"not {_bracketed(item, AnyBound, AllBounds)}"


def _bracketed(condition: Condition, *weaker: type) -> str:
    text = condition_text(condition)
    return f"({text})" if isinstance(condition, weaker) else text


def bound_text(bound: Bound) -> str:
    """Return the text of one comparison."""
    value = fixed_text(Fixed(bound.value, bound.measure.unit))
    return f"{measure_text(bound.measure)} {bound.op} {value}"


def measure_text(measure: Measure) -> str:
    """Return the text of what is measured."""
    if measure.key is None:
        return measure.function
    key = "trace" if measure.key == THE_TRACE else key_text(measure.key)
    return f"{measure.function}({key})"
