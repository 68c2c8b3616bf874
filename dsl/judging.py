"""Judging a trace that is at hand whole: the stream's path without the stream.

Spans → predicates → bits and counts → the linked rule. Suites, the API's trial and explanations go
this way, so that they cannot disagree with the stream about what a rule means.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from dsl.rule import CompiledRule
from dsl.spans import SpanView, distinct_spans, root_of
from dsl.verdict import Judgement, Reason


@dataclass(frozen=True, slots=True)
class TraceFacts:
    """A TraceView by local predicate numbers: predicate i of the rule is number i."""

    true: int
    maybe: int
    complete: bool
    in_doubt: frozenset[Reason] = frozenset()
    extent_ns: tuple[int, int] | None = None
    root_name: str | None = None
    root_service: str | None = None
    counts: dict[int, tuple[int, int]] = field(default_factory=dict)

    def count(self, number: int, /) -> tuple[int, int]:
        """Return (certain, possible) for a counted predicate."""
        return self.counts[number]


def facts_of(
    rule: CompiledRule,
    spans: Iterable[SpanView],
    *,
    complete: bool = True,
    in_doubt: frozenset[Reason] = frozenset(),
) -> TraceFacts:
    """Return what a rule can know about the spans of one trace. Repeated spans count once."""
    distinct = distinct_spans(spans)
    true = maybe = 0
    counts: dict[int, tuple[int, int]] = {}
    for number, predicate in enumerate(rule.predicates):
        answers = [predicate.test(span) for span in distinct]
        certain, doubtful = answers.count(True), answers.count(None)
        true |= (certain > 0) << number
        maybe |= (doubtful > 0) << number
        counts[number] = (certain, certain + doubtful)
    root = root_of(distinct)
    return TraceFacts(
        true=true,
        maybe=maybe,
        complete=complete,
        in_doubt=in_doubt,
        extent_ns=_extent(distinct),
        root_name=root.name if root is not None else None,
        root_service=root.service if root is not None else None,
        counts=counts,
    )


def judge_spans(
    rule: CompiledRule,
    spans: Iterable[SpanView],
    *,
    complete: bool = True,
    in_doubt: frozenset[Reason] = frozenset(),
) -> Judgement:
    """Return the judgement of a rule on the spans of one trace."""
    facts = facts_of(rule, spans, complete=complete, in_doubt=in_doubt)
    return rule.link(range(len(rule.predicates))).judge(facts)


def _extent(spans: list[SpanView]) -> tuple[int, int] | None:
    if not spans:
        return None
    return min(span.start_ns for span in spans), max(span.end_ns for span in spans)
