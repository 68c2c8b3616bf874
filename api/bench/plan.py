"""The load as a whole: which traces there are, when their spans arrive, and what must come of it.

A plan is a function of its settings alone. The generating process lays it out as bytes; the
measuring process keeps only the truth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from api.bench.chunk import Chunk, PlacedSpan
from api.bench.drafts import TraceDraft
from api.bench.encode import encode_span
from api.bench.ids import STEM_BYTES, cycle_of, renewed
from api.bench.rules import BenchRule, rule_mix
from api.bench.traffic import Planter, TrafficSettings, draft_trace, draft_traces, violated
from udfs.lanes import lane_of

CHUNK_SPANS = 131_072
"""What is sent in about a second at the rates that are looked for."""

SPREAD = 0.8
"""Longest time, in cycles, from a trace's first batch to its last."""

LATE_DUPLICATE_SHARE = 0.2
"""Of the duplicates, how many come after the closing."""


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """Everything that the load depends on."""

    tenant: str
    rules: int = 100
    structural: int = 0
    chunk_spans: int = CHUNK_SPANS
    record_spans: int = 512
    late_share: float = 0.01
    duplicate_share: float = 0.01
    giant_spans: int = 0
    traffic: TrafficSettings = field(default_factory=TrafficSettings)

    @property
    def mix(self) -> tuple[BenchRule, ...]:
        """The rules that the load plants for."""
        return rule_mix(self.rules, structural=self.structural)


@dataclass(frozen=True, slots=True)
class TraceTruth:
    """What is known of one trace of the chunk.

    trace_id: as before the first stamping. violated: rule ids. last_arrival: of the last span
    that is not late, in cycles. late: whether any span of it is late.
    """

    trace_id: bytes
    spans: int
    violated: tuple[str, ...]
    last_arrival: float
    late: bool


@dataclass(frozen=True, slots=True)
class Load:
    """The chunks to send. head: the first cycle, without spans of a cycle before it; whole: every
    further one; tail: what remains of the last; late: what follows each cycle late; giant: one
    large trace, sent once under cycle 0.
    """

    head: Chunk
    whole: Chunk
    tail: Chunk
    late: Chunk
    giant: Chunk | None


@dataclass(slots=True)
class Truth:
    """The truth about a whole load: which (rule, trace) must be violated in the end."""

    traces: Sequence[TraceTruth]
    giant: TraceTruth | None
    cycle_spans: int
    giving_share: float
    _by_stem: dict[bytes, int] = field(init=False)

    def __post_init__(self) -> None:
        self._by_stem = {t.trace_id[:STEM_BYTES]: i for i, t in enumerate(self.traces)}

    def violations(self, *, cycles: int, giants: int) -> set[tuple[str, bytes]]:
        """Return every (rule id, trace id) violated by so many cycles and giants sent."""
        guilty = [trace for trace in self.traces if trace.violated]
        found = {
            (rule_id, trace_id)
            for cycle in range(cycles)
            for trace in guilty
            for trace_id in (renewed(trace.trace_id, cycle=cycle),)
            for rule_id in trace.violated
        }
        if giants and self.giant is not None:
            trace_id = renewed(self.giant.trace_id, cycle=0)
            found |= {(rule_id, trace_id) for rule_id in self.giant.violated}
        return found

    def locate(self, trace_id: bytes) -> tuple[TraceTruth, int] | None:
        """Return the trace of the chunk and the cycle that an id is of, None for other ids."""
        index = self._by_stem.get(trace_id[:STEM_BYTES])
        if index is None:
            return None
        trace = self.traces[index]
        return trace, cycle_of(trace_id, original=trace.trace_id)


@dataclass(frozen=True, slots=True)
class LaidTrace:
    """A drafted trace with its ids, and which span is sent when.

    punctual: (index of the draft's span, arrival in cycles), duplicates included; late: indexes
    of the spans that follow once the trace has been closed.
    """

    draft: TraceDraft
    trace_id: bytes
    span_ids: Sequence[bytes]
    punctual: Sequence[tuple[int, float]]
    late: Sequence[int]

    def truth(self, mix: Sequence[BenchRule]) -> TraceTruth:
        """Return what is known of it."""
        return TraceTruth(
            self.trace_id,
            sum(1 for _ in self.draft.sent()),
            tuple(mix[number].rule_id for number in violated(self.draft)),
            max((arrival for _, arrival in self.punctual), default=0.0),
            bool(self.late),
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """A load before it is bytes."""

    settings: LoadSettings
    traces: Sequence[LaidTrace]
    giant: LaidTrace | None
    giving_share: float

    def truth(self) -> Truth:
        """Return what must come of the load."""
        mix = self.settings.mix
        return Truth(
            traces=[trace.truth(mix) for trace in self.traces],
            giant=self.giant.truth(mix) if self.giant else None,
            cycle_spans=sum(len(t.punctual) + len(t.late) for t in self.traces),
            giving_share=self.giving_share,
        )

    def load(self) -> Load:
        """Encode the load; takes some 20 µs a span."""
        punctual = list(self.placed())
        late = [p for trace in self.traces for p in self._placed_late(trace)]
        giant = self._placed(self.giant) if self.giant else ()
        return Load(
            head=self._chunk(p for p in punctual if not p.wrapped),
            whole=self._chunk(punctual),
            tail=self._chunk(p for p in punctual if p.wrapped),
            late=self._chunk(late),
            giant=self._chunk(giant) if self.giant else None,
        )

    def placed(self) -> Iterator[PlacedSpan]:
        """Encode what is sent punctually, trace by trace."""
        return (placed for trace in self.traces for placed in self._placed(trace))

    def _chunk(self, placed: Iterable[PlacedSpan]) -> Chunk:
        return Chunk(placed, record_spans=self.settings.record_spans)

    def _placed(self, trace: LaidTrace) -> Iterator[PlacedSpan]:
        lane = lane_of(self.settings.tenant, trace.trace_id)
        encoded: dict[int, PlacedSpan] = {}
        for index, arrival in trace.punctual:
            first = encoded.get(index)
            if first is None:
                first = encoded[index] = _encoded(trace, index, lane=lane, arrival=arrival)
                yield first
            else:
                yield PlacedSpan(lane, arrival, first.service, first.span)

    def _placed_late(self, trace: LaidTrace) -> Iterator[PlacedSpan]:
        lane = lane_of(self.settings.tenant, trace.trace_id)
        return (_encoded(trace, index, lane=lane, arrival=0.5) for index in trace.late)


def _encoded(trace: LaidTrace, index: int, *, lane: int, arrival: float) -> PlacedSpan:
    draft = trace.draft.spans[index]
    parent = b"" if draft.parent is None else trace.span_ids[draft.parent]
    span = encode_span(
        draft, trace_id=trace.trace_id, span_id=trace.span_ids[index], parent_span_id=parent
    )
    return PlacedSpan(lane, arrival, draft.operation.service, span)


def plan(settings: LoadSettings) -> Plan:
    """Invent a load; equal settings give equal bytes and an equal truth."""
    planter = Planter(settings.mix, settings.traffic)
    drafts = draft_traces(planter, span_count=settings.chunk_spans)
    rng = Random(settings.traffic.seed + 1)
    traces = [_lay(draft, rng, settings) for draft in drafts]
    share = planter.giving_share
    giant = None
    if settings.giant_spans:
        # One that breaks nothing would show nothing of how a giant is judged.
        breaking = replace(settings.traffic, breach_share=1.0, rootless_share=0, orphan_share=0)
        draft = draft_trace(rng, Planter(settings.mix, breaking), size=settings.giant_spans)
        giant = _lay(draft, rng, replace(settings, late_share=0.0))
    return Plan(settings, traces, giant, share)


def _lay(draft: TraceDraft, rng: Random, settings: LoadSettings) -> LaidTrace:
    """Give a trace its ids, and its spans their arrivals: each service sends its spans in batches
    of its own, at any time within the spread.
    """
    begin = rng.random()
    arrivals: dict[str, float] = {}
    punctual: list[tuple[int, float]] = []
    late: list[int] = []
    for index, span in enumerate(draft.spans):
        if span.lost:
            continue
        if rng.random() < settings.late_share:
            late.append(index)
            continue
        service = span.operation.service
        arrival = arrivals.setdefault(service, begin + rng.random() * SPREAD)
        punctual.append((index, arrival))
        if rng.random() < settings.duplicate_share:
            if settings.late_share and rng.random() < LATE_DUPLICATE_SHARE:
                late.append(index)
            else:
                punctual.append((index, min(arrival + rng.random() * SPREAD / 2, 1.999)))
    if not punctual:  # a trace comes late in part, never as a whole
        punctual, late = [(index, begin) for index in late], []
    span_ids = [rng.randbytes(8) for _ in draft.spans]
    return LaidTrace(draft, rng.randbytes(16), span_ids, punctual, late)
