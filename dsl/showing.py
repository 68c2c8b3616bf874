"""Which span of a trace stands for a signal: the one that its fields are read off.

The span of the first violated binding; of a rule without bindings the earliest of the spans that
fulfil the first span test of `when` that any span fulfils. A function of the set of spans: the
stream, trials and the copy of the trace name the same one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dsl.plan import Counted, Exists, Leaf, Plan, leaves_of, numbers_of, terms_of
from dsl.rule import CompiledRule
from dsl.spans import SpanView
from dsl.verdict import Combination


def shown_predicates(plan: Plan) -> tuple[int, ...]:
    """Return the span tests of `when` in the order written, each once."""
    found: dict[int, None] = {}
    for leaf in leaves_of(plan.when):
        found.update(dict.fromkeys(_predicates_of(leaf)))
    return tuple(found)


def shown_span(
    rule: CompiledRule, spans: Sequence[SpanView], bindings: Sequence[Combination]
) -> SpanView | None:
    """Return the span that stands for a signal. bindings: the violated ones, as judged."""
    bound = first_bound(bindings)
    if bound is not None:
        return _earliest(span for span in spans if span.span_id == bound)
    for number in shown_predicates(rule.plan):
        test = rule.predicates[number].test
        found = _earliest(span for span in spans if test(span) is True)
        if found is not None:
            return found
    return None


def first_bound(bindings: Sequence[Combination]) -> bytes | None:
    """Return the span id of the first binding of the first combination, if there is one."""
    return next((bound.span_id for combination in bindings for bound in combination), None)


def _earliest(spans: Iterable[SpanView]) -> SpanView | None:
    return min(spans, key=lambda span: (span.start_ns, span.span_id), default=None)


def _predicates_of(leaf: Leaf) -> list[int]:
    if isinstance(leaf, Exists):
        return [leaf.predicate]
    counted = [part.predicate for part in numbers_of(leaf) if isinstance(part, Counted)]
    return [*counted, *(term.predicate for term in terms_of(leaf))]
