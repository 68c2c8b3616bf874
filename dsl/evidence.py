"""Which spans and values a condition rests on, and which span came closest to one not met."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from dsl.explanation import NearestMiss, Witness, jsonable, shown_value
from dsl.joins import Wiring, compile_join, trace_value
from dsl.plan import (
    AllFilters,
    AnyFilter,
    Ask,
    Filter,
    NoFilter,
    Reader,
    Related,
    SomeOf,
    SpanTest,
    Term,
    looks_elsewhere,
)
from dsl.predicates import compile_filter, compile_reader, conjuncts_of
from dsl.printer import duration_text, filter_text, reader_text, relation_text
from dsl.relations import compile_relation
from dsl.scene import Scene
from dsl.spans import SpanView
from dsl.structure import KeptSpan
from dsl.truth import YES, Truth
from dsl.values import GONE, MISSING

MAX_WITNESSES: Final = 10


class Evidence:
    """The spans of a trace, as a rule looks at them.

    scene: with the bindings of the combination that is explained. kept_of: what a rule would keep
    of any span. owners: the whole spans of the bindings.
    """

    def __init__(
        self,
        spans: Sequence[SpanView],
        scene: Scene,
        wiring: Wiring,
        kept_of: Callable[[SpanView], KeptSpan],
        owners: Callable[[str], SpanView | None],
    ) -> None:
        self.spans = spans
        self.scene = scene
        self.wiring = wiring
        self.kept_of = kept_of
        self.owners = owners

    # -- spans that made it so -------------------------------------------------------------------

    def witnesses(
        self, filters: Iterable[Filter | None], spans: Sequence[SpanView]
    ) -> tuple[Witness, ...]:
        """Return spans with what the filters read off them and off the bindings."""
        readers = [reader for one in filters for reader in own_readers(one)]
        return tuple(witness(span, self.values(readers, span)) for span in spans[:MAX_WITNESSES])

    def values(self, readers: Iterable[Reader], span: SpanView) -> dict[str, Any]:
        """Return what readers read, by their text; missing values are left out."""
        found: dict[str, Any] = {}
        for reader in readers:
            value = self.read(reader, span)
            if value is not MISSING:
                found[reader_text(reader)] = jsonable(value)
        return found

    def read(self, reader: Reader, span: SpanView) -> Any:
        if reader.source == "trace":
            return trace_value(reader.key, self.scene.view, self.wiring.trace_spans)
        owner = self.owners(reader.of) if reader.of else span
        if owner is None:
            return MISSING
        return compile_reader(Reader(reader.source, reader.key))(owner)

    # -- the nearest miss ------------------------------------------------------------------------

    def nearest_miss(
        self, test: SpanTest, joined: Filter | None, relations: Sequence[Related]
    ) -> NearestMiss | None:
        """Return the span of that name that meets most filters and relations, then the earliest.

        Of a test of any name: one that meets at least one filter.
        """
        own, other = conjuncts_of(test.filter), conjuncts_of(joined)
        if not own and not other and not relations:
            return None
        asks = self.questions(own, other, relations)
        best: tuple[tuple[int, int, bytes], SpanView, list[Truth]] | None = None
        filters = len(own) + len(other)
        related = [self.owners(relation.binding) for relation in relations]
        for span in self.spans:
            if test.name is not None and span.name != test.name:
                continue
            if any(span is one for one in related):  # a relation is about another span
                continue
            answers = [ask(span) for ask in asks]
            if test.name is None and YES not in answers[:filters]:
                continue
            rank = (-answers.count(YES), span.start_ns, span.span_id)
            if best is None or rank < best[0]:
                best = (rank, span, answers)
        if best is None:
            return None
        (missed, _, _), span, answers = best
        texts = [*own, *other, *relations]
        failed = tuple(
            self.failure(text, span)
            for text, answer in zip(texts, answers, strict=True)
            if answer != YES
        )
        return NearestMiss(span.span_id.hex(), span.name, -missed, failed, label_of(span))

    def miss_of(
        self, span: SpanView, condition: Filter | None, relations: Sequence[Related]
    ) -> NearestMiss:
        """Return what the span of a binding does not fulfil."""
        conjuncts = conjuncts_of(condition)
        own = [one for one in conjuncts if not looks_elsewhere(one)]
        other = [one for one in conjuncts if looks_elsewhere(one)]
        texts = [*own, *other, *relations]
        asks = self.questions(own, other, relations)
        answers = [ask(span) for ask in asks]
        failed = tuple(
            self.failure(text, span)
            for text, answer in zip(texts, answers, strict=True)
            if answer != YES
        )
        met = answers.count(YES)
        return NearestMiss(span.span_id.hex(), span.name, met, failed, label_of(span))

    def questions(
        self, own: Sequence[Filter], other: Sequence[Filter], relations: Sequence[Related]
    ) -> list[Callable[[SpanView], Truth]]:
        """Return one question for each filter and relation of a term, in this order."""
        scene = self.scene
        kept_of = self.kept_of
        checks = [
            *(compile_join(one, self.wiring) for one in other),
            *(compile_relation(one, self.wiring.slots) for one in relations),
        ]
        plain = [compile_filter(one) for one in own]
        return [
            *((lambda span, run=run: int(run(span) is True)) for run in plain),
            *((lambda span, check=check: check(scene, kept_of(span))) for check in checks),
        ]

    def failure(self, part: Filter | Related, span: SpanView) -> str:
        """Return a filter or relation that was not met, with what was read."""
        if isinstance(part, Related):
            return f"{relation_text(part)} ({self.seen_of(part, span)})"
        read = []
        for reader in own_readers(part):
            value, text = self.read(reader, span), reader_text(reader)
            if value is MISSING:
                read.append(f"{text} is missing")
            elif value is GONE:
                read.append(f"{text} was taken away")
            else:
                read.append(f"{text} is {shown_value(value)}")
        text = filter_text(part)
        return f"{text} ({', '.join(read)})" if read else text

    def seen_of(self, relation: Related, span: SpanView) -> str:
        """Say how a span stands to a bound one, in the terms of a relation that is not met."""
        other = self.owners(relation.binding)
        if other is None:
            return f"no span is {relation.binding}"
        if other is span:
            return f"it is {relation.binding} itself"
        if relation.word in ("ancestor", "descendant"):
            side = "above" if relation.word == "ancestor" else "below"
            return f"it is not seen {side} {relation.binding}"
        if relation.word not in ("before", "after", "during"):
            return self.parent_of(span)
        ahead_ns = span.start_ns - other.start_ns
        side = "after" if ahead_ns > 0 else "before"
        starts = f"it starts {duration_text(abs(ahead_ns))} {side} {relation.binding}"
        if ahead_ns == 0:
            starts = f"both start at the same time as {relation.binding}"
        first, last = (other, span) if relation.word == "after" else (span, other)
        gap_ns = max(0, last.start_ns - first.end_ns)
        if relation.within_ns is not None and gap_ns > relation.within_ns:
            return f"{starts}, a gap of {duration_text(gap_ns)}"
        if relation.word == "during":
            late_ns = span.end_ns - other.end_ns
            side = "after" if late_ns > 0 else "before"
            return f"{starts} and ends {duration_text(abs(late_ns))} {side} it"
        return starts

    def parent_of(self, span: SpanView) -> str:
        parent = next((one for one in self.spans if one.span_id == span.parent_span_id), None)
        if parent is not None:
            return f"its parent is {parent.name} ({label_of(parent) or parent.span_id.hex()})"
        if not any(span.parent_span_id):
            return "it has no parent"
        return f"its parent {span.parent_span_id.hex()} did not come"


def witness(span: SpanView, values: dict[str, Any]) -> Witness:
    """Return a span as evidence."""
    return Witness(span.span_id.hex(), span.name, values, label_of(span))


def label_of(span: SpanView) -> str:
    """Return how people call a span in a suite, or nothing."""
    return str(getattr(span, "label", ""))


def own_readers(condition: Filter | None) -> list[Reader]:
    """Return what a filter reads, in order, each once; not what it reads of events and links."""
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


def filters_of(test: SpanTest, term: Term | None) -> tuple[Filter | None, ...]:
    """Return the filters of a term: its predicate's and those that look at other spans."""
    return (test.filter, term.joined if term is not None else None)
