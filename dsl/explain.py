"""Why a verdict is what it is: every condition with the spans and values that made it so.

Made from the same predicates and closures as the verdict itself, one condition at a time. A rule
with bindings is explained for one combination: the first violated one, else the first in doubt,
else the first for which `when` is true. What is not true gets its nearest miss: the span that came
closest, and what it failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from typing import Any, Final

from dsl.clauses import Clause, compile_ask
from dsl.evidence import MAX_WITNESSES, Evidence, filters_of, label_of, witness
from dsl.explanation import (
    ExplainedBinding,
    ExplainedClause,
    ExplainedCondition,
    Explanation,
    NearestMiss,
    Witness,
)
from dsl.joins import Wiring
from dsl.judging import AFTER_ALL, Moment, SpansAtHand, TraceFacts, facts_of, kept_span
from dsl.linking import wiring_of
from dsl.measures import compile_measure
from dsl.plan import (
    Among,
    BoundNumber,
    Compared,
    Condition,
    Counted,
    Exists,
    Fixed,
    Found,
    Held,
    Leaf,
    Measured,
    Number,
    Ordered,
    RootAsk,
    Term,
    leaves_of,
    numbers_of,
)
from dsl.printer import number_text
from dsl.promise import compile_promise
from dsl.rule import CompiledRule
from dsl.scene import OutOfSteps, Scene
from dsl.sequences import SequenceTest
from dsl.source import Source
from dsl.spans import SpanView
from dsl.structure import KeptSpan
from dsl.terms import compile_term
from dsl.truth import NO, STEPS, YES, Truth
from dsl.verdict import Reason

__all__ = ["Explanation", "explain"]

_STATES: Final = {NO: "false", YES: "true"}


def explain(
    rule: CompiledRule,
    spans: Iterable[SpanView],
    *,
    complete: bool = True,
    in_doubt: frozenset[Reason] = frozenset(),
    moment: Moment = AFTER_ALL,
) -> Explanation:
    """Return the verdict of a rule on the spans of one trace, and why."""
    at_hand = SpansAtHand(spans)
    facts = facts_of(rule, at_hand, complete=complete, in_doubt=in_doubt, moment=moment)
    judgement = rule.link(range(len(rule.predicates))).judge(facts)
    stage = _Stage(rule, at_hand, facts, moment)
    clauses = tuple(stage.clause(word, condition) for word, condition in rule.plan.clauses)
    return Explanation(judgement, clauses, stage.bindings())


class _Stage:
    """One rule in front of one trace, with the bindings of one combination."""

    def __init__(
        self, rule: CompiledRule, at_hand: SpansAtHand, facts: TraceFacts, moment: Moment
    ) -> None:
        self.rule = rule
        self.spans = at_hand.distinct
        self.root = at_hand.root_at(moment)
        self.facts = facts
        self.moment = moment
        self.source = Source(rule.text)
        self.captures = {capture.hash: capture for capture in rule.captures}
        numbers, captures = range(len(rule.predicates)), list(self.captures)
        self.wiring: Wiring = wiring_of(rule.plan, rule.capturing, numbers, captures)
        self.scene = self.new_scene()
        exemplar = compile_promise(rule.plan, self.wiring).exemplar(self.new_scene())
        self.when = exemplar.when
        self.scene.bound[:] = exemplar.bound
        self.evidence_of = Evidence(self.spans, self.scene, self.wiring, self.kept, self.owner)

    def new_scene(self) -> Scene:
        facts = self.facts
        return Scene(facts, len(self.wiring.slots), complete=facts.complete)

    def kept(self, span: SpanView) -> KeptSpan:
        return kept_span(span, self.captures, self.moment)

    def owner(self, binding: str) -> SpanView | None:
        """Return the whole span of a binding, or None if it has none here."""
        bound = self.scene.bound[self.wiring.slots[binding]]
        return None if bound is None else self.whole(bound)

    def whole(self, kept: KeptSpan) -> SpanView:
        alike = [
            span
            for span in self.spans
            if span.span_id == kept.span_id and span.start_ns == kept.start_ns
        ]
        return next(span for span in alike if self.kept(span).identity == kept.identity)

    def bindings(self) -> tuple[ExplainedBinding, ...]:
        found = []
        for name in self.rule.plan.bindings:
            span = self.owner(name)
            if span is not None:
                found.append(ExplainedBinding(name, span.span_id.hex(), span.name, label_of(span)))
        return tuple(found)

    # -- clauses ---------------------------------------------------------------------------------

    def clause(self, word: str, condition: Condition) -> ExplainedClause:
        leaves = leaves_of(condition)
        at = min(leaf.at for leaf in leaves)
        end = max(leaf.end for leaf in leaves)
        state = self.when
        if word != "when":
            state = self.bind_some(Clause(condition, self.wiring))
        return ExplainedClause(
            clause=word,
            state=_STATES.get(state, "unknown"),
            text=self.clause_text(at, end),
            conditions=tuple(map(self.condition, leaves)),
        )

    def bind_some(self, clause: Clause) -> Truth:
        """Bind what a clause binds by the choice that decides it; return how it stands."""
        scene = self.scene
        found = clause.best(scene)
        scene.bound[:] = found.bound
        return found.answer

    def clause_text(self, at: int, end: int) -> str:
        """Return the whole text between the braces around these places."""
        text = self.rule.text
        opening = text.rfind("{", 0, at)
        between = text[opening + 1 : at]
        start = opening + 1 + len(between) - len(between.lstrip()) if opening >= 0 else at
        tail = text[end:]
        closed = len(tail) - len(tail.lstrip(") \t\r\n"))
        return text[start : end + closed].strip()

    # -- conditions ------------------------------------------------------------------------------

    def condition(self, leaf: Leaf) -> ExplainedCondition:
        state = self.state(leaf)
        line, column = self.source.place(leaf.at)
        witnesses, total, miss = self.evidence(leaf, state)
        return ExplainedCondition(
            text=self.rule.text[leaf.at : leaf.end],
            line=line,
            column=column,
            state=_STATES.get(state, "unknown"),
            spans=witnesses,
            total=total,
            measured=self.measured(leaf),
            nearest_miss=miss,
        )

    def state(self, leaf: Leaf) -> Truth:
        try:
            return compile_ask(leaf, self.wiring)(self.scene)
        except OutOfSteps:
            return STEPS

    def evidence(
        self, leaf: Leaf, state: Truth
    ) -> tuple[tuple[Witness, ...], int, NearestMiss | None]:
        match leaf:
            case RootAsk():
                return self.root_evidence()
            case Exists(predicate):
                found = self.spans_with(predicate, state)
                return self.term_evidence(Term(predicate), found)
            case Found(term):
                return self.term_evidence(term, self.spans_of(term, state))
            case Ordered():
                return self.sequence_evidence(leaf, state)
            case Held():
                return self.held_evidence(leaf, state)
            case _:
                return self.number_evidence(leaf)

    def root_evidence(self) -> tuple[tuple[Witness, ...], int, NearestMiss | None]:
        root = self.root
        if root is None:
            return (), 0, None
        values = {"name": root.name, "service": root.service}
        return (witness(root, values),), 1, None

    def term_evidence(
        self, term: Term, found: Sequence[SpanView]
    ) -> tuple[tuple[Witness, ...], int, NearestMiss | None]:
        test = self.rule.plan.tests[term.predicate]
        filters = filters_of(test, term)
        shown = self.evidence_of.witnesses(filters, found)
        miss = None
        if not found:
            miss = self.evidence_of.nearest_miss(test, term.joined, term.relations)
        return shown, len(found), miss

    def spans_with(self, predicate: int, state: Truth) -> list[SpanView]:
        """Return the spans of a predicate that answer so."""
        if state == NO:
            return []
        wanted = True if state == YES else None
        test = self.rule.predicates[predicate].test
        return [span for span in self.spans if test(span) is wanted]

    def spans_of(self, term: Term, state: Truth) -> list[SpanView]:
        """Return the spans of a term that answer so; of a binding its span alone."""
        bound = self.scene.bound[self.wiring.slots[term.name]] if term.name else None
        if bound is not None:
            return [self.whole(bound)]
        if state == NO:
            return []
        test = compile_term(term, self.wiring)
        return [
            self.whole(member.span)
            for member in test.candidates(self.scene)
            if (answer := test.answer(self.scene, member)) == YES or (answer and state != YES)
        ]

    def sequence_evidence(
        self, leaf: Ordered, state: Truth
    ) -> tuple[tuple[Witness, ...], int, NearestMiss | None]:
        chain = SequenceTest(leaf, self.wiring).choice(self.scene) if state != NO else []
        if chain:
            shown = tuple(witness(self.whole(span), {}) for span in chain[:MAX_WITNESSES])
            return shown, len(chain), None
        for step in leaf.steps:
            if not self.spans_of(step, YES):
                return self.term_evidence(step, [])
        return (), 0, None

    def held_evidence(
        self, leaf: Held, state: Truth
    ) -> tuple[tuple[Witness, ...], int, NearestMiss | None]:
        span = self.owner(leaf.binding)
        if span is None:
            return (), 0, None
        if state == NO:
            return (), 0, self.evidence_of.miss_of(span, leaf.filter, leaf.relations)
        return self.evidence_of.witnesses((leaf.filter,), [span]), 1, None

    # -- numbers ---------------------------------------------------------------------------------

    def number_evidence(self, leaf: Leaf) -> tuple[tuple[Witness, ...], int, NearestMiss | None]:
        """The spans that take part in a comparison of numbers, with what was read off them."""
        found: dict[int, tuple[SpanView, dict[str, Any]]] = {}
        for part in numbers_of(leaf):
            for span, values in self.takes_part(part):
                found.setdefault(id(span), (span, {}))[1].update(values)
        listed = [witness(span, values) for span, values in found.values()]
        return tuple(listed[:MAX_WITNESSES]), len(listed), None

    def takes_part(self, part: Number) -> list[tuple[SpanView, dict[str, Any]]]:
        match part:
            case Counted(predicate):
                test = self.rule.predicates[predicate].test
                return [(span, {}) for span in self.spans if test(span) is not False]
            case Measured(reader=reader, term=term):
                spans = self.spans_of(term, STEPS)
                readers = [] if reader is None else [reader]
                return [(span, self.evidence_of.values(readers, span)) for span in spans]
            case BoundNumber(reader=reader):
                owner = self.owner(reader.of)
                values = {} if owner is None else self.evidence_of.values([reader], owner)
                return [] if owner is None else [(owner, values)]
            case _:
                return []

    def measured(self, leaf: Leaf) -> dict[str, Any]:
        if not isinstance(leaf, Compared | Among):
            return {}
        found: dict[str, Any] = {}
        for number in [leaf.left] if isinstance(leaf, Among) else [leaf.left, leaf.right]:
            if not isinstance(number, Fixed):
                found[number_text(number, self.rule.plan)] = self.bounds(number)
        return found

    def bounds(self, number: Number) -> list[int | float | None] | None:
        try:
            amount = compile_measure(number, self.wiring)(self.scene)
        except OutOfSteps:
            return None
        if amount is None or (amount.hollow and amount.bounds == (-inf, inf)):
            return None
        return [_bound(one) for one in amount.bounds]


def _bound(value: Any) -> int | float | None:
    if value in (inf, -inf):
        return None
    return int(value) if value == int(value) else float(value)
