"""Judging a trace that is at hand whole: the stream's path without the stream.

Spans → predicates → bits and counts → the linked rule. Suites, the API's trial and explanations go
this way, so that they cannot disagree with the stream about what a rule means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from zlib import crc32

from dsl.ancestry import Ancestry
from dsl.captures import Capture
from dsl.predicates import SpanPredicate
from dsl.rule import CompiledRule
from dsl.spans import SpanView, distinct_spans, external_root_of, root_of
from dsl.structure import (
    FOR_EVER,
    NO_STRUCTURE,
    Kept,
    KeptSpan,
    Links,
    Member,
    TraceStructure,
    beginning_outside,
)
from dsl.tables import Table
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
    differences between two services say nothing. external_roots: `patience` has passed for a trace
    that may begin outside of what its tenant exports.
    """

    now_ns: int = FOR_EVER
    settle_ns: int = 0
    clock_skew_ns: int = 0
    external_roots: bool = False
    arrived_ns: Mapping[bytes, int] = field(default_factory=dict)


AFTER_ALL = Moment()
"""Judged when every window is over, by clocks that agree."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The spans that fulfil a predicate: their places in the trace, and whether certainly."""

    found: list[tuple[int, bool]]
    certain: int


class Lineage:
    """The parents of every span of a trace, and who is above whom, found when first asked for."""

    def __init__(self, links: Links) -> None:
        self.links = links

    @cached_property
    def _ancestry(self) -> Ancestry:
        return Ancestry(self.links)

    def ancestry(self) -> Ancestry:
        """Return who is above whom."""
        return self._ancestry


class SpansAtHand:
    """The spans of one trace, made ready once for however many rules.

    What several rules ask for is found when first asked for, and kept.
    """

    def __init__(self, spans: Iterable[SpanView]) -> None:
        self.distinct = distinct_spans(spans)
        self.root = root_of(self.distinct)
        self.extent_ns = _extent(self.distinct)
        self._by_name: dict[str, list[int]] = {}
        for at, span in enumerate(self.distinct):
            self._by_name.setdefault(span.name, []).append(at)
        self._answers: dict[str, Answers] = {}
        self._kept: _KeptSpans | None = None

    def answers(self, predicate: SpanPredicate) -> Answers:
        """Return which spans fulfil a predicate; only those of its name are asked."""
        known = self._answers.get(predicate.canonical)
        if known is None:
            found = self._ask(predicate)
            known = Answers(found, sum(certain for _, certain in found))
            self._answers[predicate.canonical] = known
        return known

    def _ask(self, predicate: SpanPredicate) -> list[tuple[int, bool]]:
        spans, name = self.distinct, predicate.name
        asked = range(len(spans)) if name is None else self._by_name.get(name, ())
        if predicate.unfiltered:
            return [(at, True) for at in asked]
        test = predicate.named
        return [(at, answer is True) for at in asked if (answer := test(spans[at])) is not False]

    def kept(self, moment: Moment) -> _KeptSpans:
        """Return the spans as rules keep them that are judged at a moment."""
        if self._kept is None or self._kept.moment is not moment:
            self._kept = _KeptSpans(self, moment)
        return self._kept

    def root_at(self, moment: Moment) -> SpanView | None:
        """Return the root, or at a moment that allows it the span that stands for one."""
        return self._external_root if moment.external_roots and self.root is None else self.root

    def lineage_at(self, moment: Moment) -> Lineage:
        """Return who is above whom, as it counts at a moment."""
        outside = self._external_root if moment.external_roots else None
        return self._lineage if outside is None else self._lineage_from_outside

    @cached_property
    def _external_root(self) -> SpanView | None:
        return external_root_of(self.distinct)

    @cached_property
    def _lineage(self) -> Lineage:
        return Lineage(_links(self.distinct))

    @cached_property
    def _lineage_from_outside(self) -> Lineage:
        assert self._external_root is not None
        return Lineage(beginning_outside(self._lineage.links, self._external_root.parent_span_id))


class _KeptSpans:
    """The spans of a trace as rules keep them, each made once however many rules keep it."""

    def __init__(self, at_hand: SpansAtHand, moment: Moment) -> None:
        self.moment = moment
        self._at_hand = at_hand
        self._captures: dict[int, Capture] = {}
        self._spans: dict[int, KeptSpan] = {}
        self._members: dict[str, tuple[Member, ...]] = {}
        self._tables: dict[str, Table] = {}

    def capture(self, captures: Iterable[Capture]) -> None:
        """Let these captures be asked for."""
        self._captures.update((capture.hash, capture) for capture in captures)

    def members(self, predicate: SpanPredicate) -> tuple[Member, ...]:
        """Return the spans that fulfil a predicate."""
        known = self._members.get(predicate.canonical)
        if known is None:
            answers = self._at_hand.answers(predicate)
            known = tuple(Member(self._span(at), certain) for at, certain in answers.found)
            self._members[predicate.canonical] = known
        return known

    def table(self, predicate: SpanPredicate) -> Table:
        """Return the same, ready to look up."""
        known = self._tables.get(predicate.canonical)
        if known is None:
            known = self._tables[predicate.canonical] = Table(self.members(predicate))
        return known

    def _span(self, at: int) -> KeptSpan:
        known = self._spans.get(at)
        if known is None:
            span = self._at_hand.distinct[at]
            known = self._spans[at] = kept_span(span, self._captures, self.moment)
        return known


class _Values(dict[int, Kept]):
    """The captured values of a span by the hashes of captures, each read when first asked for."""

    __slots__ = ("_captures", "_span")

    def __init__(self, span: SpanView, captures: Mapping[int, Capture]) -> None:
        self._span = span
        self._captures = captures

    def __missing__(self, number: int) -> Kept:
        value = self[number] = self._captures[number].read(self._span)
        return value


def kept_span(span: SpanView, captures: Mapping[int, Capture], moment: Moment) -> KeptSpan:
    """Return what is kept of a span. captures: what may be asked of it, by their hashes."""
    return KeptSpan(
        span_id=span.span_id,
        identity=crc32(f"{span.kind} {span.name}".encode(errors="replace")),
        parent_id=span.parent_span_id,
        start_ns=span.start_ns,
        end_ns=span.end_ns,
        service=span.service,
        arrived_ns=moment.arrived_ns.get(span.span_id, span.start_ns),
        values=_Values(span, captures),
    )


def facts_of(
    rule: CompiledRule,
    spans: Iterable[SpanView] | SpansAtHand,
    *,
    complete: bool = True,
    in_doubt: frozenset[Reason] = frozenset(),
    moment: Moment = AFTER_ALL,
) -> TraceFacts:
    """Return what a rule can know about the spans of one trace. Repeated spans count once.

    Captured values are found under the hashes of captures, as in the stream.
    """
    at_hand = spans if isinstance(spans, SpansAtHand) else SpansAtHand(spans)
    true = maybe = 0
    counts: dict[int, tuple[int, int]] = {}
    for number, predicate in enumerate(rule.predicates):
        answers = at_hand.answers(predicate)
        certain, possible = answers.certain, len(answers.found)
        true |= (certain > 0) << number
        maybe |= (possible > certain) << number
        counts[number] = (certain, possible)
    root = at_hand.root_at(moment)
    return TraceFacts(
        true=true,
        maybe=maybe,
        complete=complete,
        in_doubt=in_doubt,
        extent_ns=at_hand.extent_ns,
        root_name=root.name if root is not None else None,
        root_service=root.service if root is not None else None,
        structure=_structure(rule, at_hand, moment) if rule.needs.structure else NO_STRUCTURE,
        counts=counts,
    )


def _structure(rule: CompiledRule, at_hand: SpansAtHand, moment: Moment) -> TraceStructure:
    """Keep the spans of predicates that need it."""
    kept = at_hand.kept(moment)
    kept.capture(rule.captures)
    predicates = rule.predicates
    lineage = at_hand.lineage_at(moment) if rule.needs.links else None
    return TraceStructure(
        members={
            number: kept.members(predicates[number])
            for number, need in enumerate(rule.needs.predicates)
            if need.kept
        },
        links={} if lineage is None else lineage.links,
        now_ns=moment.now_ns,
        settle_ns=moment.settle_ns,
        clock_skew_ns=moment.clock_skew_ns,
        table=lambda number: kept.table(predicates[number]),
        ancestry=None if lineage is None else lineage.ancestry,
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
    spans: Iterable[SpanView] | SpansAtHand,
    *,
    complete: bool = True,
    in_doubt: frozenset[Reason] = frozenset(),
    moment: Moment = AFTER_ALL,
) -> Judgement:
    """Return the judgement of a rule on the spans of one trace.

    Whoever judges one trace by many rules makes its spans ready once (`SpansAtHand`).
    """
    facts = facts_of(rule, spans, complete=complete, in_doubt=in_doubt, moment=moment)
    return rule.link(range(len(rule.predicates))).judge(facts)


def _extent(spans: list[SpanView]) -> tuple[int, int] | None:
    if not spans:
        return None
    return min(span.start_ns for span in spans), max(span.end_ns for span in spans)
