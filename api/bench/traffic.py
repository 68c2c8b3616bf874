"""Inventing traces: trees of spans, and what is planted in them.

The verdicts are known by construction. A trace grows from neutral spans only, for which no rule
of the mix is applicable; then single promises are kept or broken in it, each noted as an
`Outcome`. Kept promises are planted until the wanted share of spans gives facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from api.bench.drafts import ENTRANCES, OPERATIONS, TraceDraft
from api.bench.rules import BenchRule, LargeCharge, lower_ranks

MAX_PLANTS = 12
"""Promises kept or broken in one ordinary trace: with 8 not more than 58 % of spans gave facts."""

MAX_BREACH_RANK = 2
"""Highest threshold that is broken: a breach of rank k is k + 1 violations at once."""


@dataclass(frozen=True, slots=True)
class TrafficSettings:
    """What the traffic is like; shares are of spans or of traces, from 0 to 1."""

    seed: int = 1
    facts_share: float = 0.2
    breach_share: float = 0.002
    rootless_share: float = 0.0005
    orphan_share: float = 0.005
    large_trace_share: float = 0.0002
    large_trace_spans: int = 1_000
    min_spans: int = 5
    max_spans: int = 20


@dataclass(slots=True)
class Planter:
    """Plants promises of a mix in traces, and keeps account of the spans that give facts."""

    rules: Sequence[BenchRule]
    settings: TrafficSettings
    spans: int = 0
    giving: int = 0
    _placed: tuple[BenchRule, ...] = field(init=False)
    _unfiltered: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self._placed = tuple(rule for rule in self.rules if rule.family)
        self._unfiltered = frozenset(
            name for rule in self._placed if rule.family for name in rule.family.unfiltered
        )

    def plant(self, trace: TraceDraft) -> None:
        """Break a promise in few traces, and keep promises while too few spans give facts."""
        rng = trace.rng
        if self._placed:
            if rng.random() < self.settings.breach_share:
                self._plant(trace, self._choose(rng, breach=True), breach=True)
            plants = 0
            while plants < MAX_PLANTS and self._wanting(trace):
                self._plant(trace, self._choose(rng, breach=False), breach=False)
                plants += 1
        self.spans += len(trace.spans)
        self.giving += self._giving(trace)

    @property
    def giving_share(self) -> float:
        """The share of spans that fulfil some predicate of the mix."""
        return self.giving / max(self.spans, 1)

    def _wanting(self, trace: TraceDraft) -> bool:
        wanted = self.settings.facts_share * (self.spans + len(trace.spans))
        return self.giving + self._giving(trace) < wanted

    def _giving(self, trace: TraceDraft) -> int:
        return sum(span.planted or span.operation.name in self._unfiltered for span in trace.spans)

    def _choose(self, rng: Random, *, breach: bool) -> BenchRule:
        while True:
            rule = self._placed[int(rng.random() * len(self._placed))]
            if not breach or not isinstance(rule.family, LargeCharge) or rule.k <= MAX_BREACH_RANK:
                return rule

    def _plant(self, trace: TraceDraft, rule: BenchRule, *, breach: bool) -> None:
        concerned = lower_ranks(rule, self.rules)
        taken = trace.planted.keys()
        if rule.family is None or any(number in taken for number in concerned):
            return
        plant = rule.family.breach if breach else rule.family.keep
        outcome = plant(trace, rule.k)
        trace.planted.update(dict.fromkeys(concerned, outcome))


def draft_traces(planter: Planter, *, span_count: int) -> list[TraceDraft]:
    """Invent traces of at least span_count sent spans in all; equal arguments, equal traces."""
    rng = Random(planter.settings.seed)
    share = planter.settings.large_trace_share
    every = round(1 / share) if share else 0
    traces: list[TraceDraft] = []
    spans = 0
    while spans < span_count:
        large = every and len(traces) % every == every // 2
        size = planter.settings.large_trace_spans if large else 0
        traces.append(draft_trace(rng, planter, size=size))
        spans += sum(1 for _ in traces[-1].sent())
    return traces


def draft_trace(rng: Random, planter: Planter, *, size: int = 0) -> TraceDraft:
    """Invent one trace; size: its number of spans before planting, 0 for a usual one."""
    settings = planter.settings
    trace = TraceDraft(rng)
    _grow(trace, size or rng.randint(settings.min_spans, settings.max_spans))
    planter.plant(trace)
    chance = rng.random()
    if chance < settings.rootless_share:
        trace.spans[0].lost = True
    elif chance < settings.rootless_share + settings.orphan_share:
        _orphan(trace)
    _stretch(trace)
    return trace


_NAMES = tuple(OPERATIONS.values())
_WEIGHTS = tuple(operation.weight for operation in _NAMES)


def _grow(trace: TraceDraft, size: int) -> None:
    rng = trace.rng
    trace.add(ENTRANCES[int(rng.random() * len(ENTRANCES))])
    for operation in rng.choices(_NAMES, _WEIGHTS, k=size - 1):
        trace.add(operation)


def _orphan(trace: TraceDraft) -> None:
    parents = {span.parent for span in trace.spans}
    for index, span in enumerate(trace.spans):
        if index and index in parents and not span.planted:
            span.lost = True
            return


def _stretch(trace: TraceDraft) -> None:
    trace.spans[0].end_ns = max(span.end_ns for span in trace.spans)


def final_verdicts(trace: TraceDraft) -> Mapping[int, str]:
    """Return the final verdict of every planted rule by number, once the trace has been closed.

    Rules that were not planted are not applicable, or inconclusive where the root never came:
    then no absence is ever certain.
    """
    return {n: o.verdict(complete=trace.has_root) for n, o in trace.planted.items()}


def unplanted_verdict(trace: TraceDraft) -> str:
    """Return the final verdict of the rules that were not planted in the trace."""
    return "not_applicable" if trace.has_root else "inconclusive"


def violated(trace: TraceDraft) -> tuple[int, ...]:
    """Return the numbers of the rules that the trace violates in the end."""
    return tuple(n for n, verdict in final_verdicts(trace).items() if verdict == "violated")
