"""Judging rules over many traces on traces that are at hand: what suites, and later trials, run.

The state machines of the stream, fed with everything at once: a rule is judged as of a moment, or
when all is over. Signals of other rules come from the same rules, judged on the same traces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from dsl.judging import Moment, SpansAtHand, judge_spans
from dsl.life import LifeSettings
from dsl.many.correlation import Correlation, Limits
from dsl.many.expectation import THE_ONE_KEY, Expectation, ExpectLimits
from dsl.many.explain import ManyExplanation, explain_correlation, explain_expectation
from dsl.many.keys import Plain, field_name, group_reader, key_of, read_span
from dsl.many.members import Signal, member_of_signal, members_of_spans
from dsl.many.plan import SignalSource
from dsl.many.rule import CorrelateRule, ExpectRule
from dsl.rule import AnyRule, CompiledRule
from dsl.showing import shown_span
from dsl.spans import Span, SpanView
from dsl.traces import TraceError
from dsl.values import Absent
from dsl.verdict import Verdict

_FOREVER_NS: Final = 2**63
_MAX_DEPTH: Final = 16
"""Rules on rules on rules: sets that check stand three deep, but suites run unchecked ones too."""

VerdictAt: TypeAlias = Callable[["TriedRule", "TriedTrace", int | None], str]
"""The verdict of a promise on a trace at a moment of the test (None: when all is over)."""


@dataclass(frozen=True, slots=True)
class TriedSpan:
    """A span and when it arrives."""

    arrives_ns: int
    span: Span


@dataclass(frozen=True, slots=True)
class TriedTrace:
    """One trace. at_ns: when it begins to arrive. spans: times as of the whole test."""

    trace_id: str
    at_ns: int
    spans: tuple[TriedSpan, ...]

    def arrived_by(self, moment_ns: int | None) -> list[Span]:
        """Return the spans that have arrived by a moment (None: all)."""
        return [one.span for one in self.spans if moment_ns is None or one.arrives_ns <= moment_ns]

    def spans_by(self, moment_ns: int | None) -> list[Span]:
        """Return the spans that have arrived and begun by a moment (None: all)."""
        return [
            one.span
            for one in self.spans
            if moment_ns is None or max(one.arrives_ns, one.span.start_ns) <= moment_ns
        ]


@dataclass(frozen=True, slots=True)
class TriedRule:
    """A rule that checks, what it groups by, and how its traces live."""

    id: str
    rule: AnyRule
    group_by: tuple[str, ...] = ()
    life: LifeSettings = field(default_factory=LifeSettings)


@dataclass(frozen=True, slots=True)
class Trial:
    """Rules by id and traces. An `expect` is active from activated_ns on."""

    rules: Mapping[str, TriedRule]
    traces: Sequence[TriedTrace]
    verdict_at: VerdictAt
    activated_ns: int = 0
    sampled: bool = False
    _known: dict[tuple[str, int | None], list[Signal]] = field(default_factory=dict, repr=False)
    """Signals of a rule at a moment, so that a rule which many look at is judged once."""

    def judge(
        self, rule: CorrelateRule | ExpectRule, moment_ns: int | None = None
    ) -> ManyExplanation:
        """Return the verdict of a rule and why.

        moment_ns: violated is what is so at that moment. None: violated is what was so at any time.
        Raises TraceError if a rule that it names is not among the rules.
        """
        now = moment_ns is not None
        if isinstance(rule, CorrelateRule):
            correlation = self.correlation(rule, moment_ns)
            return explain_correlation(rule, correlation, now=now)
        return explain_expectation(rule, self.expectation(rule, moment_ns), now=now)

    # -- states ----------------------------------------------------------------------------------

    def correlation(
        self, rule: CorrelateRule, moment_ns: int | None, *, depth: int = 0
    ) -> Correlation:
        """Return the state of a `correlate` that has seen all there is by a moment."""
        limits = Limits(lateness_ns=_FOREVER_NS, sampled=self.sampled)
        state = Correlation(rule.plan, limits)
        for trace in self.traces:
            spans = trace.spans_by(moment_ns)
            for member in members_of_spans(rule, spans, trace_id=trace.trace_id):
                state.add(member)
        for one in rule.plan.sources:
            if isinstance(one, SignalSource):
                for signal in self.signals(one.rule, moment_ns, depth=depth + 1):
                    found = member_of_signal(rule, signal)
                    if found is not None:
                        state.add(found)
        state.advance(self.end_ns if moment_ns is None else moment_ns)
        state.collect()
        return state

    def expectation(self, rule: ExpectRule, moment_ns: int | None) -> Expectation:
        """Return the state of an `expect` that has seen all there is by a moment."""
        limits = ExpectLimits(lateness_ns=_FOREVER_NS, sampled=self.sampled)
        state = Expectation(rule.plan, self.activated_ns, limits)
        test, by = rule.predicates[0].test, rule.plan.by
        for trace in self.traces:
            for span in trace.spans_by(moment_ns):
                answer = test(span)
                if answer is not False:
                    key = THE_ONE_KEY if by is None else key_of(read_span(by, span))
                    state.sight(
                        key, span.start_ns, trace_id=trace.trace_id, doubtful=answer is None
                    )
        state.advance(self.end_ns if moment_ns is None else moment_ns)
        state.collect()
        return state

    @property
    def end_ns(self) -> int:
        """The last moment at which anything arrives or begins."""
        times = [max(one.arrives_ns, one.span.start_ns) for t in self.traces for one in t.spans]
        return max([*times, *(trace.at_ns for trace in self.traces), self.activated_ns])

    # -- signals of other rules ------------------------------------------------------------------

    def signals(self, rule_id: str, moment_ns: int | None, *, depth: int = 1) -> list[Signal]:
        """Return the signals of a rule that stand at a moment. Raises TraceError."""
        tried = self.rules.get(rule_id)
        if tried is None:
            raise TraceError(f"there is no rule `{rule_id}` among these that checks")
        if depth > _MAX_DEPTH:
            raise TraceError(f"`{rule_id}` waits for its own signals")
        known = self._known.get((rule_id, moment_ns))
        if known is None:
            known = self._known[rule_id, moment_ns] = self._judged(tried, moment_ns, depth=depth)
        return known

    def _judged(self, tried: TriedRule, moment_ns: int | None, *, depth: int) -> list[Signal]:
        if isinstance(tried.rule, CompiledRule):
            return self.of_promise(tried, tried.rule, moment_ns)
        if isinstance(tried.rule, CorrelateRule):
            return self.of_correlate(tried, tried.rule, moment_ns, depth=depth)
        return self.of_expect(tried, tried.rule, moment_ns)

    def of_promise(
        self, tried: TriedRule, rule: CompiledRule, moment_ns: int | None
    ) -> list[Signal]:
        found = []
        for trace in self.traces:
            if moment_ns is not None and moment_ns < trace.at_ns:
                continue
            if self.verdict_at(tried, trace, moment_ns) != Verdict.VIOLATED:
                continue
            spans = trace.arrived_by(moment_ns)
            at_hand = SpansAtHand(spans)
            judged_at = Moment(external_roots=tried.life.external_roots)
            root = at_hand.root_at(judged_at)
            judgement = judge_spans(rule, at_hand, moment=judged_at)
            witness = shown_span(rule, spans, judgement.bindings)
            found.append(
                Signal(
                    id=f"{tried.id}/{trace.trace_id}",
                    rule=tried.id,
                    time_ns=trace.at_ns if root is None else root.start_ns,
                    trace_id=trace.trace_id,
                    fields=_group_fields(witness, tried.group_by),
                    service=witness.service if witness is not None else "",
                )
            )
        return found

    def of_correlate(
        self, tried: TriedRule, rule: CorrelateRule, moment_ns: int | None, *, depth: int
    ) -> list[Signal]:
        state = self.correlation(rule, moment_ns, depth=depth)
        names = list(map(field_name, rule.plan.by))
        return [
            Signal(
                id=f"{tried.id}/{'/'.join(key)}/{episode.trace_id}/{episode.occurrence}",
                rule=tried.id,
                time_ns=episode.since_ns,
                trace_id=episode.trace_id,
                fields=dict(zip(names, key, strict=True)),
            )
            for key, episode in state.standing()
            if episode.certain
        ]

    def of_expect(self, tried: TriedRule, rule: ExpectRule, moment_ns: int | None) -> list[Signal]:
        by = rule.plan.by
        return [
            Signal(
                id=f"{tried.id}/{key}/{overdue.since.time_ns}",
                rule=tried.id,
                time_ns=overdue.due_ns,
                trace_id=overdue.since.trace_id,
                fields={} if by is None else {field_name(by): key},
            )
            for key, overdue in self.expectation(rule, moment_ns).standing()
            if overdue.certain
        ]


def _group_fields(witness: SpanView | None, group_by: Sequence[str]) -> dict[str, Plain]:
    if witness is None:
        return {}
    read = {name: read_span(group_reader(name), witness) for name in group_by}
    return {
        name: value
        for name, value in read.items()
        if value is not None and not isinstance(value, Absent)
    }
