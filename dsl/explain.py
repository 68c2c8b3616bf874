"""Why a verdict is what it is: every condition with the spans and values that made it so.

Made from the same predicates and closures as the verdict itself, one condition at a time. What is
not true gets its nearest miss: the span that came closest, and what it failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Any, Final

from dsl.compiler import compile_condition, compile_number, is_range
from dsl.judging import TraceFacts, facts_of
from dsl.plan import (
    AllFilters,
    Among,
    AnyFilter,
    Ask,
    Compared,
    Condition,
    Exists,
    Filter,
    Fixed,
    Leaf,
    NoFilter,
    Number,
    Reader,
    RootAsk,
    SomeOf,
    SpanTest,
    counted_in,
    leaves_of,
)
from dsl.predicates import compile_filter, compile_reader, conjuncts_of
from dsl.printer import filter_text, number_text, reader_text
from dsl.rule import CompiledRule
from dsl.source import Source
from dsl.spans import SpanView, distinct_spans, root_of
from dsl.values import GONE, MISSING
from dsl.verdict import ADVICE, Judgement, Reason

MAX_WITNESSES: Final = 10
_STATES: Final = {True: "true", False: "false", None: "unknown"}


@dataclass(frozen=True, slots=True)
class Witness:
    """A span that made a condition true or doubtful, and the values that were read off it."""

    span_id: str
    name: str
    values: dict[str, Any]
    label: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        shown = {"span_id": self.span_id, "name": self.name, "values": self.values}
        return {**shown, "label": self.label} if self.label else shown


@dataclass(frozen=True, slots=True)
class NearestMiss:
    """The span that came closest to a condition. failed: what it did not meet, with the values."""

    span_id: str
    name: str
    met: int
    failed: tuple[str, ...]
    label: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        shown: dict[str, Any] = {
            "span_id": self.span_id,
            "name": self.name,
            "met": self.met,
            "failed": list(self.failed),
        }
        return {**shown, "label": self.label} if self.label else shown


@dataclass(frozen=True, slots=True)
class ExplainedCondition:
    """One span test or comparison. total: how many spans there were before the list was cut.

    measured: the numbers of a comparison, as [least, greatest]; None where nothing bounds them.
    """

    text: str
    line: int
    column: int
    state: str
    spans: tuple[Witness, ...] = ()
    total: int = 0
    measured: dict[str, Any] = field(default_factory=dict)
    nearest_miss: NearestMiss | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "text": self.text,
            "line": self.line,
            "column": self.column,
            "state": self.state,
            "spans": [witness.to_dict() for witness in self.spans],
            "total": self.total,
            "measured": self.measured,
            "nearest_miss": self.nearest_miss.to_dict() if self.nearest_miss else None,
        }


@dataclass(frozen=True, slots=True)
class ExplainedClause:
    """One clause: its word, how it stands, its text, its conditions."""

    clause: str
    state: str
    text: str
    conditions: tuple[ExplainedCondition, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "clause": self.clause,
            "state": self.state,
            "text": self.text,
            "conditions": [condition.to_dict() for condition in self.conditions],
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """A verdict with its reasons and clauses."""

    judgement: Judgement
    clauses: tuple[ExplainedClause, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: only texts, numbers, booleans, lists and maps."""
        return {
            "verdict": self.judgement.verdict.value,
            "broken": self.judgement.broken,
            "reasons": [reason.value for reason in self.judgement.reasons],
            "clauses": [clause.to_dict() for clause in self.clauses],
        }

    def render_text(self) -> str:
        """Return the explanation for a terminal."""
        rows = [self.judgement.verdict.value]
        rows += [f"  {reason.value}: {ADVICE[reason]}" for reason in self.judgement.reasons]
        for clause in self.clauses:
            rows.append(f"{clause.clause} is {clause.state}")
            for condition in clause.conditions:
                rows.extend(condition_rows(condition))
        return "\n".join(rows)


def explain(
    rule: CompiledRule,
    spans: Iterable[SpanView],
    *,
    complete: bool = True,
    in_doubt: frozenset[Reason] = frozenset(),
) -> Explanation:
    """Return the verdict of a rule on the spans of one trace, and why."""
    distinct = distinct_spans(spans)
    facts = facts_of(rule, distinct, complete=complete, in_doubt=in_doubt)
    judgement = rule.link(range(len(rule.predicates))).judge(facts)
    scene = _Scene(rule, distinct, facts, Source(rule.text))
    plan = rule.plan
    clauses = [("when", plan.when), ("always", plan.always), ("never", plan.never)]
    return Explanation(
        judgement,
        tuple(
            scene.clause(word, condition) for word, condition in clauses if condition is not None
        ),
    )


@dataclass(frozen=True, slots=True)
class _Scene:
    """One rule in front of one trace."""

    rule: CompiledRule
    spans: list[SpanView]
    facts: TraceFacts
    source: Source

    def clause(self, word: str, condition: Condition) -> ExplainedClause:
        leaves = leaves_of(condition)
        at = min(leaf.at for leaf in leaves)
        end = max(leaf.end for leaf in leaves)
        return ExplainedClause(
            clause=word,
            state=_STATES[self.state(condition)],
            text=self.clause_text(at, end),
            conditions=tuple(map(self.condition, leaves)),
        )

    def clause_text(self, at: int, end: int) -> str:
        """Return the whole text between the braces around these places."""
        text = self.rule.text
        opening = text.rfind("{", 0, at)
        between = text[opening + 1 : at]
        start = opening + 1 + len(between) - len(between.lstrip()) if opening >= 0 else at
        tail = text[end:]
        closed = len(tail) - len(tail.lstrip(") \t\r\n"))
        return text[start : end + closed].strip()

    def state(self, condition: Condition) -> bool | None:
        decide = compile_condition(condition, range(len(self.rule.predicates)))
        facts = self.facts
        return decide(facts.true, facts.maybe, facts.complete, facts)

    def condition(self, leaf: Leaf) -> ExplainedCondition:
        state = self.state(leaf)
        line, column = self.source.place(leaf.at)
        witnesses, total, miss = self.evidence(leaf, state)
        return ExplainedCondition(
            text=self.rule.text[leaf.at : leaf.end],
            line=line,
            column=column,
            state=_STATES[state],
            spans=witnesses,
            total=total,
            measured=self.measured(leaf),
            nearest_miss=miss,
        )

    def evidence(
        self, leaf: Leaf, state: bool | None
    ) -> tuple[tuple[Witness, ...], int, NearestMiss | None]:
        if isinstance(leaf, RootAsk):
            root = root_of(self.spans)
            if root is None:
                return (), 0, None
            values = {"name": root.name, "service": root.service}
            return (_witness(root, values),), 1, None
        if isinstance(leaf, Exists):
            found = self.spans_with(leaf.predicate, state)
            test = self.rule.plan.tests[leaf.predicate]
            witnesses = self.witnesses(test, found)
            return witnesses, len(found), None if found else _nearest_miss(test, self.spans)
        counted = self.counted_spans(leaf)
        listed = tuple(_witness(span, {}) for span in counted[:MAX_WITNESSES])
        return listed, len(counted), None

    def spans_with(self, predicate: int, answer: bool | None) -> list[SpanView]:
        if answer is False:
            return []
        test = self.rule.predicates[predicate].test
        return [span for span in self.spans if test(span) is answer]

    def witnesses(self, test: SpanTest, spans: Sequence[SpanView]) -> tuple[Witness, ...]:
        readers = _readers_of(test.filter)
        return tuple(_witness(span, _values(readers, span)) for span in spans[:MAX_WITNESSES])

    def counted_spans(self, leaf: Compared | Among) -> list[SpanView]:
        predicates = sorted(
            {index for number in _numbers_of(leaf) for index in counted_in(number) or ()}
        )
        tests = [self.rule.predicates[index].test for index in predicates]
        return [span for span in self.spans if any(test(span) is not False for test in tests)]

    def measured(self, leaf: Leaf) -> dict[str, Any]:
        if not isinstance(leaf, Compared | Among):
            return {}
        plan, numbers = self.rule.plan, range(len(self.rule.predicates))
        found: dict[str, Any] = {}
        for number in _numbers_of(leaf):
            if isinstance(number, Fixed):
                continue
            measure = compile_number(number, numbers)(self.facts.complete, self.facts)
            text = number_text(number, plan)
            found[text] = [_bound(one) for one in measure] if is_range(measure) else None
        return found


def _numbers_of(leaf: Compared | Among) -> list[Number]:
    return [leaf.left] if isinstance(leaf, Among) else [leaf.left, leaf.right]


def _bound(value: Any) -> int | float | None:
    if value in (inf, -inf):
        return None
    return int(value) if value == int(value) else float(value)


# -- spans and values ------------------------------------------------------------------------------


def _witness(span: SpanView, values: dict[str, Any]) -> Witness:
    return Witness(span.span_id.hex(), span.name, values, getattr(span, "label", ""))


def _values(readers: Sequence[Reader], span: SpanView) -> dict[str, Any]:
    """Return what the filters read off a span; missing values are left out."""
    found: dict[str, Any] = {}
    for reader in readers:
        value = compile_reader(reader)(span)
        if value is not MISSING:
            found[reader_text(reader)] = _jsonable(value)
    return found


def _jsonable(value: Any) -> Any:
    if value is GONE:
        return "(taken away)"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    if isinstance(value, list):
        return [_jsonable(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _jsonable(one) for key, one in value.items()}
    return value


def _readers_of(condition: Filter | None) -> list[Reader]:
    """Return the readers of the span itself in a filter, in order, each once."""
    found: dict[Reader, None] = {}
    todo = [condition] if condition is not None else []
    while todo:
        part = todo.pop(0)
        match part:
            case Ask(reader=reader, operand=operand):
                found[reader] = None
                if isinstance(operand, Reader):
                    found[operand] = None
            case AllFilters(items) | AnyFilter(items):
                todo[:0] = items
            case NoFilter(item):
                todo.insert(0, item)
            case SomeOf():
                pass
    return list(found)


def _nearest_miss(test: SpanTest, spans: Sequence[SpanView]) -> NearestMiss | None:
    """Return the span of that name (any: one that meets something) that meets most filters."""
    parts = conjuncts_of(test.filter)
    if not parts:
        return None
    filters = [(part, compile_filter(part)) for part in parts]
    best: tuple[tuple[int, int, bytes], SpanView] | None = None
    for span in spans:
        if test.name is not None and span.name != test.name:
            continue
        met = sum(run(span) is True for _, run in filters)
        if test.name is None and met == 0:
            continue
        rank = (-met, span.start_ns, span.span_id)
        if best is None or rank < best[0]:
            best = (rank, span)
    if best is None:
        return None
    (missed, _, _), span = best
    failed = [_failure(part, span) for part, run in filters if run(span) is not True]
    label = getattr(span, "label", "")
    return NearestMiss(span.span_id.hex(), span.name, -missed, tuple(failed), label)


def _failure(part: Filter, span: SpanView) -> str:
    read = []
    for reader in _readers_of(part):
        value = compile_reader(reader)(span)
        text = reader_text(reader)
        if value is MISSING:
            read.append(f"{text} is missing")
        elif value is GONE:
            read.append(f"{text} was taken away")
        else:
            read.append(f"{text} is {_shown(value)}")
    text = filter_text(part)
    return f"{text} ({', '.join(read)})" if read else text


def _shown(value: Any) -> str:
    text = repr(_jsonable(value)) if not isinstance(value, bool) else str(value).lower()
    text = f'"{value}"' if isinstance(value, str) else text
    return text if len(text) <= 80 else text[:79] + "…"


def condition_rows(condition: ExplainedCondition) -> list[str]:
    """Return the lines of one condition for a terminal."""
    place = f"{condition.line}:{condition.column}"
    text = " ".join(condition.text.split())
    rows = [f"  {condition.state:7} {place:>5}  {text}"]
    for number, measured in condition.measured.items():
        rows.append(f"           {number} = {_range_text(measured)}")
    for witness in condition.spans:
        values = ", ".join(f"{key} = {_shown(value)}" for key, value in witness.values.items())
        rows.append(f"           {witness.name} ({witness.label or witness.span_id}) {values}")
    if condition.total > len(condition.spans):
        rows.append(f"           and {condition.total - len(condition.spans)} more")
    miss = condition.nearest_miss
    if miss is not None:
        rows.append(f"           nearest: {miss.name} ({miss.label or miss.span_id}) fails")
        rows.extend(f"             {failed}" for failed in miss.failed)
    return [row.rstrip() for row in rows]


def _range_text(measured: Any) -> str:
    if measured is None:
        return "nothing to measure"
    least, greatest = measured
    if least == greatest:
        return str(least)
    return f"{least} or more" if greatest is None else f"{least} to {greatest}"
