"""The rule language: text in, verdicts and explanations out. Pure: no clock, no I/O.

    checked = check('when { payment.charge } always { fraud.check }')
    judge_spans(checked.rule, spans).verdict

Rules as YAML objects are in `dsl.objects`, suites of tests in `dsl.suites`.
"""

from dsl.captures import Capture
from dsl.compiler import LinkedRule
from dsl.explain import Explanation, explain
from dsl.judging import Moment, SpansAtHand, TraceFacts, facts_of, judge_spans
from dsl.lint import KnownNames
from dsl.many.rule import CorrelateRule, ExpectRule
from dsl.needs import Needs, PredicateNeed
from dsl.predicates import AttributeTest, SpanPredicate
from dsl.problems import Problem
from dsl.rendering import render
from dsl.rule import (
    AnyRule,
    Checked,
    CheckedFilter,
    CompiledRule,
    check,
    check_filter,
)
from dsl.showing import shown_span
from dsl.source import LANGUAGE
from dsl.spans import Event, Link, Span, SpanView, spans_from_otlp_json
from dsl.structure import KeptSpan, Member, TraceStructure
from dsl.values import GONE, MISSING, Value
from dsl.verdict import BoundSpan, Judgement, Reason, TraceView, Verdict

__all__ = [
    "GONE",
    "LANGUAGE",
    "MISSING",
    "AnyRule",
    "AttributeTest",
    "BoundSpan",
    "Capture",
    "Checked",
    "CheckedFilter",
    "CompiledRule",
    "CorrelateRule",
    "Event",
    "ExpectRule",
    "Explanation",
    "Judgement",
    "KeptSpan",
    "KnownNames",
    "Link",
    "LinkedRule",
    "Member",
    "Moment",
    "Needs",
    "PredicateNeed",
    "Problem",
    "Reason",
    "Span",
    "SpanPredicate",
    "SpanView",
    "SpansAtHand",
    "TraceFacts",
    "TraceStructure",
    "TraceView",
    "Value",
    "Verdict",
    "check",
    "check_filter",
    "explain",
    "facts_of",
    "judge_spans",
    "render",
    "shown_span",
    "spans_from_otlp_json",
]
