"""Judging a trace that is at hand whole: the stream's path without the stream.

Spans → predicates → bits and counts → the linked rule. Suites, the API's trial and explanations go
this way, so that they cannot disagree with the stream about what a rule means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from zlib import crc32

from dsl.rule import CompiledRule
from dsl.spans import SpanView, distinct_spans, root_of
from dsl.structure import FOR_EVER, NO_STRUCTURE, KeptSpan, Links, Member, TraceStructure
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
    structure: TraceStructure | None = None
    counts: dict[int, tuple[int, int]] = field(default_factory=dict)

    def count(self, number: int, /) -> tuple[int, int]:
        """Return (certain, possible) for a counted predicate."""
        return self.counts[number]


@dataclass(frozen=True, slots=True)
class Moment:
    """When a trace is judged, for rules with windows and clocks. Times are ns since 1970.

    now_ns: event time. settle_ns: how long after its end a window is waited for. arrived_ns: when
    a span was taken in, by span id; its start where nothing is said. clock_skew_ns: smaller
    differences between two services say nothing.
    """

    now_ns: int = FOR_EVER
    settle_ns: int = 0
    clock_skew_ns: int = 0
    arrived_ns: Mapping[bytes, int] = field(default_factory=dict)


AFTER_ALL = Moment()
"""Judged when every window is over, by clocks that agree."""


def facts_of(
    rule: CompiledRule,
    spans: Iterable[SpanView],
    *,
    complete: bool = True,
    in_doubt: frozenset[Reason] = frozenset(),
    moment: Moment = AFTER_ALL,
) -> TraceFacts:
    """Return what a rule can know about the spans of one trace. Repeated spans count once."""
    distinct = distinct_spans(spans)
    true = maybe = 0
    counts: dict[int, tuple[int, int]] = {}
    answered: dict[int, list[bool | None]] = {}
    for number, predicate in enumerate(rule.predicates):
        answers = [predicate.test(span) for span in distinct]
        certain, doubtful = answers.count(True), answers.count(None)
        true |= (certain > 0) << number
        maybe |= (doubtful > 0) << number
        counts[number] = (certain, certain + doubtful)
        if rule.needs.predicates[number].kept:
            answered[number] = answers
    root = root_of(distinct)
    return TraceFacts(
        true=true,
        maybe=maybe,
        complete=complete,
        in_doubt=in_doubt,
        extent_ns=_extent(distinct),
        root_name=root.name if root is not None else None,
        root_service=root.service if root is not None else None,
        structure=_structure(rule, distinct, answered, moment)
        if rule.needs.structure
        else NO_STRUCTURE,
        counts=counts,
    )


def _structure(
    rule: CompiledRule,
    spans: list[SpanView],
    answered: Mapping[int, list[bool | None]],
    moment: Moment,
) -> TraceStructure:
    """Keep the spans of predicates that need it. answered: what every span answers to those."""
    kept: dict[int, KeptSpan] = {}
    wanted: dict[int, set[int]] = {}
    for number, answers in answered.items():
        for at, answer in enumerate(answers):
            if answer is not False:
                wanted.setdefault(at, set()).update(rule.needs.predicates[number].captures)
    for at, captures in wanted.items():
        kept[at] = kept_span(rule, spans[at], captures, moment)
    members = {
        number: tuple(
            Member(kept[at], answer is True)
            for at, answer in enumerate(answers)
            if answer is not False
        )
        for number, answers in answered.items()
    }
    return TraceStructure(
        members=members,
        links=_links(spans) if rule.needs.links else {},
        now_ns=moment.now_ns,
        settle_ns=moment.settle_ns,
        clock_skew_ns=moment.clock_skew_ns,
    )


def kept_span(
    rule: CompiledRule, span: SpanView, captures: Iterable[int], moment: Moment
) -> KeptSpan:
    """Return what is kept of a span, with the values of these captures."""
    return KeptSpan(
        span_id=span.span_id,
        identity=crc32(f"{span.kind} {span.name}".encode(errors="replace")),
        parent_id=span.parent_span_id,
        start_ns=span.start_ns,
        end_ns=span.end_ns,
        service=span.service,
        arrived_ns=moment.arrived_ns.get(span.span_id, span.start_ns),
        values={number: rule.captures[number].read(span) for number in captures},
    )


def _links(spans: Iterable[SpanView]) -> Links:
    found: dict[bytes, tuple[bytes, ...]] = {}
    for span in spans:
        known = found.get(span.span_id, ())
        if span.parent_span_id not in known:
            found[span.span_id] = (*known, span.parent_span_id)
    return found


def judge_spans(
    rule: CompiledRule,
    spans: Iterable[SpanView],
    *,
    complete: bool = True,
    in_doubt: frozenset[Reason] = frozenset(),
    moment: Moment = AFTER_ALL,
) -> Judgement:
    """Return the judgement of a rule on the spans of one trace."""
    facts = facts_of(rule, spans, complete=complete, in_doubt=in_doubt, moment=moment)
    return rule.link(range(len(rule.predicates))).judge(facts)


def _extent(spans: list[SpanView]) -> tuple[int, int] | None:
    if not spans:
        return None
    return min(span.start_ns for span in spans), max(span.end_ns for span in spans)
