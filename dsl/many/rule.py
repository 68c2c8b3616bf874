"""A checked rule over many traces, and how it is made from tokens.

`CorrelateRule` and `ExpectRule` share with the rule of a promise what everybody asks of a rule:
text, canonical, predicates, kind. What judges them stands in `correlation` and `expectation`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import ClassVar, Literal

from dsl.lexer import Token
from dsl.lint import KnownNames, lint_span_test
from dsl.many.check import FieldsOf, check_correlate, check_expect
from dsl.many.having import compile_having, of_any_window
from dsl.many.nodes import Correlate
from dsl.many.parse import parse_many
from dsl.many.plan import CorrelatePlan, ExpectPlan, SignalSource, SpanSource, bounds_of
from dsl.many.printer import correlate_text, expect_text
from dsl.predicates import SpanPredicate, build_predicate
from dsl.source import LANGUAGE, Source


@dataclass(frozen=True, slots=True)
class CorrelateRule:
    """A checked `correlate`. predicates: the span tests of its sources, by number."""

    kind: ClassVar[Literal["correlate"]] = "correlate"

    text: str
    canonical: str
    predicates: tuple[SpanPredicate, ...]
    plan: CorrelatePlan = field(repr=False)
    language: int = LANGUAGE

    @property
    def correlated(self) -> tuple[str, ...]:
        """The rules whose signals it looks at, each once."""
        sources = self.plan.sources
        return tuple(dict.fromkeys(one.rule for one in sources if isinstance(one, SignalSource)))


@dataclass(frozen=True, slots=True)
class ExpectRule:
    """A checked `expect`. predicates: its one span test."""

    kind: ClassVar[Literal["expect"]] = "expect"

    text: str
    canonical: str
    predicates: tuple[SpanPredicate, ...]
    plan: ExpectPlan = field(repr=False)
    language: int = LANGUAGE


def compile_many(
    source: Source,
    tokens: list[Token],
    *,
    known: KnownNames | None = None,
    fields_of: FieldsOf | None = None,
) -> CorrelateRule | ExpectRule | None:
    """Return the rule of a text that opens with `correlate` or `expect`. Problems go to source."""
    node = parse_many(source, tokens)
    if isinstance(node, Correlate):
        plan = check_correlate(source, node, known=known, fields_of=fields_of)
        return None if plan is None else _correlate_rule(source, plan, known)
    expected = None if node is None else check_expect(source, node, known=known)
    return None if expected is None else _expect_rule(source, expected, known)


def _correlate_rule(source: Source, plan: CorrelatePlan, known: KnownNames | None) -> CorrelateRule:
    predicates = tuple(map(build_predicate, plan.tests))
    for one in plan.sources:
        if isinstance(one, SpanSource):
            test, predicate = plan.tests[one.predicate], predicates[one.predicate]
            lint_span_test(source, test, predicate, known, at=one.at, end=one.end)
    _warn_about_having(source, plan)
    return CorrelateRule(source.text, correlate_text(plan), predicates, plan)


def _expect_rule(source: Source, plan: ExpectPlan, known: KnownNames | None) -> ExpectRule:
    predicate = build_predicate(plan.test)
    lint_span_test(source, plan.test, predicate, known, at=plan.at, end=plan.end)
    return ExpectRule(source.text, expect_text(plan), (predicate,), plan)


def _warn_about_having(source: Source, plan: CorrelatePlan) -> None:
    """Say if no window, or every single member, fulfils `having`."""
    bounds = bounds_of(plan.having)
    at, end = min(bound.at for bound in bounds), max(bound.end for bound in bounds)
    holds = compile_having(plan.having)
    if holds(of_any_window(plan.having, count=(1, inf))) is False:
        source.warn("rule.having_never", at, end)
    elif holds(of_any_window(plan.having, count=(1, inf))) is True:
        source.warn("rule.having_always", at, end)
