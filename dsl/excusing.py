"""What an exception would silence: of the violations of traces at hand, and of tests.

The span that stands for a violation is named as everywhere (`dsl.showing`), and whether an
exception silences it is asked as everywhere (`dsl.exceptions`): here is only what to ask it of, and
which conditions somebody may want who looks at that span. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from dsl.drafting import OWN_KEYS, ask_of, own_keys
from dsl.exceptions import RuleException, span_of_key
from dsl.judging import AFTER_ALL, Moment, judge_spans
from dsl.life import Arrival, Before, LifeSettings, Standing, state_at, unbounded
from dsl.many.rule import CorrelateRule, ExpectRule
from dsl.many.trials import Trial, TriedRule, TriedTrace
from dsl.objects import RuleTest
from dsl.printer import filter_text
from dsl.rule import CompiledRule
from dsl.showing import shown_span
from dsl.spans import Span, SpanView
from dsl.suites import arrivals_of, life_settings, standing_after_all, tried_traces, verdict_at
from dsl.verdict import Verdict

CONDITIONS_MAX: Final = 40
"""Of one span that are proposed."""


def conditions_of(span: Span) -> tuple[str, ...]:
    """Return conditions that hold for a span, each alone a `where`: its service, then the others.

    Of attributes first the span's own, then those of its resource.
    """
    keys = ["service", *sorted(span.attributes), *OWN_KEYS, *sorted(span.resource)]
    own = own_keys(span)
    found: dict[str, None] = {}
    for key in keys:
        ask = ask_of(span, key) if _is_held(span, key) or key in own else None
        if ask is None or (key == "service.name" and span.service):
            continue
        text = filter_text(ask)
        if RuleException(text, "").holds_for(span):
            found[text] = None
    return tuple(found)[:CONDITIONS_MAX]


def _is_held(span: Span, key: str) -> bool:
    return key in span.attributes or key in span.resource


def shown_violation(
    rule: CompiledRule,
    spans: Sequence[SpanView],
    *,
    complete: bool = True,
    moment: Moment = AFTER_ALL,
    before: Before = unbounded,
) -> SpanView | None:
    """Return the span that stands for a violation of which the spans are at hand."""
    before(len(spans) * len(rule.predicates))
    judgement = judge_spans(rule, spans, complete=complete, moment=moment)
    return shown_span(rule, spans, judgement.bindings)


@dataclass(frozen=True, slots=True)
class Violation:
    """A violation that a test expects. span: that stands for it; None: nothing can silence it."""

    span: SpanView | None


def expected_violations(
    test: RuleTest, rules: Mapping[str, TriedRule], *, before: Before = unbounded
) -> Iterator[Violation]:
    """Yield the violations that a test of a rule expects and that come about.

    rules: that check, by id, among them the test's own. Raises TraceError for a trace that cannot
    be read, and what `before` raises.
    """
    tried = rules[test.rule_id]
    for expected in test.expect:
        if Verdict.VIOLATED.value not in expected.verdicts:
            continue
        if isinstance(tried.rule, CompiledRule):
            yield from _of_promise(test, tried.rule, at_ns=expected.at_ns, before=before)
        else:
            yield from _of_many(test, tried, rules, at_ns=expected.at_ns, before=before)


def violations_in(
    tried: TriedRule, trace: object, *, before: Before = unbounded
) -> Iterator[Violation]:
    """Yield the violations of a rule in spans as tests write them, those of each trace apart.

    Raises as `expected_violations`.
    """
    if not isinstance(tried.rule, CompiledRule):
        yield from _found(tried, {tried.id: tried}, tried_traces({"trace": trace}, 0, None), before)
        return
    arrivals, timed = arrivals_of(trace, None)
    by_id: dict[bytes, list[Arrival]] = {}
    for one in arrivals:
        by_id.setdefault(one.span.trace_id, []).append(one)
    for found in by_id.values():
        yield from _if_violated(
            tried.rule,
            standing_after_all(tried.rule, found, tried.life, timed=timed, before=before),
        )


def _of_promise(
    test: RuleTest, rule: CompiledRule, *, at_ns: int | None, before: Before
) -> Iterator[Violation]:
    arrivals, timed = arrivals_of(test.trace, None)
    life = life_settings(test.settle_ns, test.on_incomplete, test.external_roots)
    yield from _if_violated(
        rule, _standing(rule, arrivals, life, timed=timed, at_ns=at_ns, before=before)
    )


def _standing(
    rule: CompiledRule,
    arrivals: Sequence[Arrival],
    life: LifeSettings,
    *,
    timed: bool,
    at_ns: int | None,
    before: Before,
) -> Standing:
    if at_ns is None:
        return standing_after_all(rule, arrivals, life, timed=timed, before=before)
    return state_at(rule, arrivals, life, at_ns=at_ns, before=before)


def _if_violated(rule: CompiledRule, standing: Standing) -> Iterator[Violation]:
    if standing.verdict is Verdict.VIOLATED:
        yield Violation(shown_span(rule, standing.spans, standing.judgement.bindings))


def _of_many(
    test: RuleTest,
    tried: TriedRule,
    rules: Mapping[str, TriedRule],
    *,
    at_ns: int | None,
    before: Before,
) -> Iterator[Violation]:
    entries = ({"trace": test.trace},) if test.traces is None else test.traces
    traces = [
        one for place, entry in enumerate(entries) for one in tried_traces(entry, place, None)
    ]
    yield from _found(tried, rules, traces, before, at_ns=at_ns)


def _found(
    tried: TriedRule,
    rules: Mapping[str, TriedRule],
    traces: Sequence[TriedTrace],
    before: Before,
    *,
    at_ns: int | None = None,
) -> Iterator[Violation]:
    """Yield the violations of a rule over many traces, by their keys."""
    before(sum(len(trace.spans) for trace in traces) * len(tried.rule.predicates))
    trial = Trial(rules, traces, partial(verdict_at, before=before))
    if isinstance(tried.rule, CorrelateRule):
        signals = trial.of_correlate(tried, tried.rule, at_ns, depth=0)
    else:
        assert isinstance(tried.rule, ExpectRule)
        signals = trial.of_expect(tried, tried.rule, at_ns)
    for signal in signals:
        yield Violation(span_of_key({name: str(value) for name, value in signal.fields.items()}))
