"""Why a verdict is what it is: clause by clause, with the spans and values that made it so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dsl.compiler import compile_condition, leaf_state
from dsl.judging import TraceFacts, facts_of
from dsl.plan import (
    AllFilters,
    Among,
    AnyFilter,
    Ask,
    Compared,
    Condition,
    Counted,
    Exists,
    Filter,
    Leaf,
    NoFilter,
    Number,
    Plan,
    Scaled,
    SomeOf,
    SpanTest,
    Total,
    leaves_of,
)
from dsl.predicates import compile_filter, compile_reader
from dsl.printer import condition_text, filter_text, reader_text
from dsl.rule import CompiledRule
from dsl.source import Source
from dsl.spans import SpanView, distinct_spans
from dsl.values import GONE, MISSING
from dsl.verdict import ADVICE, Judgement, Reason

MAX_SPANS: Final = 20
"""Spans shown per condition; the total is given beside them."""

_STATES: Final = {True: "true", False: "false", None: "unknown"}


@dataclass(frozen=True, slots=True)
class SeenSpan:
    """A span that a condition rests on, with the values that were read from it."""

    span_id: str
    name: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NearMiss:
    """The span that meets most of a test's filters, and what it fails: texts for people."""

    span_id: str
    name: str
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExplainedCondition:
    """One span test or comparison: where it stands in the text, how it came out, and why."""

    text: str
    line: int
    column: int
    state: str
    spans: tuple[SeenSpan, ...] = ()
    total: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    nearest_miss: NearMiss | None = None


@dataclass(frozen=True, slots=True)
class ExplainedClause:
    """`when`, `always` or `never`, and whether it is true, false or unknown."""

    clause: str
    state: str
    text: str
    conditions: tuple[ExplainedCondition, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A verdict with everything it rests on."""

    judgement: Judgement
    clauses: tuple[ExplainedClause, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form that API, web UI and command line share."""
        judgement = self.judgement
        return {
            "verdict": str(judgement.verdict),
            "broken": judgement.broken,
            "rests_on_absence": judgement.rests_on_absence,
            "reasons": [
                {"reason": str(reason), "advice": ADVICE[reason]} for reason in judgement.reasons
            ],
            "clauses": [_clause_dict(clause) for clause in self.clauses],
        }

    def render_text(self) -> str:
        """Return the explanation for a terminal."""
        lines = [str(self.judgement.verdict).replace("_", " ")]
        lines += (f"  {reason}: {ADVICE[reason]}" for reason in self.judgement.reasons)
        for clause in self.clauses:
            lines.append(f"{clause.clause} is {clause.state}")
            for condition in clause.conditions:
                lines += _condition_lines(condition)
        return "\n".join(lines)


def explain(
    rule: CompiledRule,
    spans: Iterable[SpanView],
    *,
    complete: bool = True,
    in_doubt: frozenset[Reason] = frozenset(),
) -> Explanation:
    """Explain a rule's verdict on the spans of one trace, by the evaluator that gave it.

    complete: spans that are not among them count as absent.
    """
    distinct = sorted(distinct_spans(spans), key=lambda span: (span.start_ns, span.span_id))
    facts = facts_of(rule, distinct, complete=complete, in_doubt=in_doubt)
    judgement = rule.link(range(len(rule.predicates))).judge(facts)
    plan = rule.plan
    clauses = [
        _clause(word, condition, rule, facts, distinct)
        for word, condition in (("when", plan.when), ("always", plan.always), ("never", plan.never))
        if condition is not None
    ]
    return Explanation(judgement, tuple(clauses))


def _clause(
    word: str,
    condition: Condition,
    rule: CompiledRule,
    facts: TraceFacts,
    spans: Sequence[SpanView],
) -> ExplainedClause:
    plan = rule.plan
    decide = compile_condition(condition, range(len(plan.tests)))
    state = decide(facts.true, facts.maybe, facts.complete, facts)
    return ExplainedClause(
        clause=word,
        state=_STATES[state],
        text=condition_text(condition, plan),
        conditions=tuple(_leaf(leaf, rule, facts, spans) for leaf in leaves_of(condition)),
    )


def _leaf(
    leaf: Leaf, rule: CompiledRule, facts: TraceFacts, spans: Sequence[SpanView]
) -> ExplainedCondition:
    plan = rule.plan
    line, column = Source(rule.text).place(leaf.at)
    state = leaf_state(leaf, plan, facts)
    numbers = _predicates_of(leaf)
    found = [
        _seen(span, plan.tests[number])
        for number in numbers
        for span in spans
        if rule.predicates[number].test(span)
    ]
    miss = None
    if isinstance(leaf, Exists) and state is not True:
        miss = _nearest_miss(plan.tests[leaf.predicate], spans)
    return ExplainedCondition(
        text=condition_text(leaf, plan),
        line=line,
        column=column,
        state=_STATES[state],
        spans=tuple(found[:MAX_SPANS]),
        total=len(found),
        counts=_counts(leaf, plan, facts),
        nearest_miss=miss,
    )


def _predicates_of(leaf: Leaf) -> list[int]:
    """Return the predicates a leaf looks at, each once, in the order written."""
    match leaf:
        case Exists(predicate):
            return [predicate]
        case Compared(_, left, right):
            return list(dict.fromkeys(_counted(left) + _counted(right)))
        case Among(left, _):
            return list(dict.fromkeys(_counted(left)))
        case _:
            return []


def _counted(number: Number) -> list[int]:
    match number:
        case Counted(predicate):
            return [predicate]
        case Total(_, items, _) | Scaled(_, items, _):
            return [predicate for item in items for predicate in _counted(item)]
        case _:
            return []


def _counts(leaf: Leaf, plan: Plan, facts: TraceFacts) -> dict[str, int]:
    if isinstance(leaf, Exists):
        return {}
    return {
        condition_text(Exists(number), plan): facts.count(number)[0]
        for number in _predicates_of(leaf)
    }


def _seen(span: SpanView, test: SpanTest) -> SeenSpan:
    return SeenSpan(_label(span), span.name, _values(span, test))


def _label(span: SpanView) -> str:
    """Return how people call a span: its name in a suite, else its id in hex."""
    return getattr(span, "label", "") or span.span_id.hex()


def _values(span: SpanView, test: SpanTest) -> dict[str, Any]:
    """Return the values that a test's filters read from a span, by the text that reads them."""
    values: dict[str, Any] = {}
    for ask in _asks(test.filter):
        value = compile_reader(ask.reader)(span)
        if value is MISSING:
            continue
        values[reader_text(ask.reader)] = "(gone)" if value is GONE else _plain(value)
    return values


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


def _asks(condition: Filter | None) -> list[Ask]:
    """Return the comparisons of a filter that are about the span itself."""
    match condition:
        case Ask():
            return [condition]
        case AllFilters(items) | AnyFilter(items):
            return [ask for item in items for ask in _asks(item)]
        case NoFilter(item):
            return _asks(item)
        case _:
            return []


def _nearest_miss(test: SpanTest, spans: Sequence[SpanView]) -> NearMiss | None:
    """Return the span of that name that meets most filters, then the earliest.

    For a test on spans of any name at least one filter must be met.
    """
    parts = _parts(test.filter)
    if not parts:
        return None
    best: tuple[int, SpanView, list[Filter]] | None = None
    for span in spans:
        if test.name is not None and span.name != test.name:
            continue
        failed = [part for part in parts if compile_filter(part)(span) is not True]
        met = len(parts) - len(failed)
        if test.name is None and not met:
            continue
        if best is None or met > best[0]:
            best = (met, span, failed)
    if best is None:
        return None
    _, span, failed = best
    return NearMiss(_label(span), span.name, tuple(_failure(part, span) for part in failed))


def _parts(condition: Filter | None) -> list[Filter]:
    if condition is None:
        return []
    return list(condition.items) if isinstance(condition, AllFilters) else [condition]


def _failure(part: Filter, span: SpanView) -> str:
    """Return what a span fails, with the value read."""
    text = filter_text(part)
    if isinstance(part, SomeOf) or not isinstance(part, Ask):
        return text
    value = compile_reader(part.reader)(span)
    if value is MISSING:
        return f"{text}: there is no {reader_text(part.reader)}"
    if value is GONE:
        return f"{text}: {reader_text(part.reader)} was dropped or redacted"
    return f"{text}: it is {_plain(value)!r}"


def _clause_dict(clause: ExplainedClause) -> dict[str, Any]:
    return {
        "clause": clause.clause,
        "state": clause.state,
        "text": clause.text,
        "conditions": [_condition_dict(condition) for condition in clause.conditions],
    }


def _condition_dict(condition: ExplainedCondition) -> dict[str, Any]:
    miss = condition.nearest_miss
    return {
        "text": condition.text,
        "line": condition.line,
        "column": condition.column,
        "state": condition.state,
        "spans": [
            {"span_id": span.span_id, "name": span.name, "values": span.values}
            for span in condition.spans
        ],
        "total": condition.total,
        "counts": condition.counts,
        "nearest_miss": None
        if miss is None
        else {"span_id": miss.span_id, "name": miss.name, "failed": list(miss.failed)},
    }


def _condition_lines(condition: ExplainedCondition) -> list[str]:
    lines = [f"  {condition.state:7}  {condition.text}"]
    lines += (f"             {count} of {text}" for text, count in condition.counts.items())
    for span in condition.spans:
        values = ", ".join(f"{key} = {value!r}" for key, value in span.values.items())
        lines.append(
            f"             {span.span_id} {span.name}" + (f" ({values})" if values else "")
        )
    if condition.total > len(condition.spans):
        lines.append(f"             … {condition.total} in all")
    if condition.nearest_miss is not None:
        miss = condition.nearest_miss
        lines.append(f"             nearest: {miss.span_id} {miss.name}")
        lines += (f"               {failure}" for failure in miss.failed)
    return lines
