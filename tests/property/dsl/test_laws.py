"""Laws of the language, on generated rules and traces."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dsl import (
    GONE,
    MISSING,
    CompiledRule,
    Judgement,
    Moment,
    Span,
    Verdict,
    check,
    explain,
    facts_of,
    judge_spans,
)
from dsl.values import index_key
from tests.property.dsl.generate import filters, restored, rules, span_tests, spans, traces
from tests.support import naive

PAIRS = 10 * settings().max_examples
"""Pairs of a rule and a trace: 1,000 in `make test`, 10,000 in the nightly profile."""


def _rule(text: str) -> CompiledRule:
    checked = check(text)
    assert checked.rule is not None, (text, checked.problems)
    return checked.rule


def _agree(judgement: Judgement, expected: naive.Found) -> None:
    assert judgement.verdict.value == expected.verdict
    assert judgement.broken in (expected.broken or {""})
    assert bool(judgement.reasons) is (judgement.verdict is Verdict.INCONCLUSIVE)
    if "still_open" not in expected.reasons:  # an open trace may name what would be doubtful too
        assert {reason.value for reason in judgement.reasons} <= expected.reasons


@settings(max_examples=PAIRS)
@given(rules(), traces())
def test_a_closed_trace_is_judged_as_the_naive_evaluator_does(text: str, trace: list[Span]) -> None:
    _agree(judge_spans(_rule(text), trace), naive.judge(text, trace))


@settings(max_examples=PAIRS)
@given(rules(), traces())
def test_a_trace_that_may_begin_outside_is_judged_as_the_naive_evaluator_does(
    text: str, trace: list[Span]
) -> None:
    called = [replace(span, parent_span_id=span.parent_span_id or b"9") for span in trace]
    outside = Moment(external_roots=True)
    for spans_of_trace in (trace, called):
        judgement = judge_spans(_rule(text), spans_of_trace, moment=outside)
        _agree(judgement, naive.judge(text, spans_of_trace, external_roots=True))


@settings(max_examples=PAIRS)
@given(rules(), traces())
def test_every_prefix_of_an_arrival_is_judged_as_the_naive_evaluator_does_and_never_taken_back(
    text: str, trace: list[Span]
) -> None:
    rule = _rule(text)
    stands = Verdict.INCONCLUSIVE
    for size in range(len(trace) + 1):
        judgement = judge_spans(rule, trace[:size], complete=False)
        _agree(judgement, naive.judge(text, trace[:size], complete=False))
        assert stands in (Verdict.INCONCLUSIVE, judgement.verdict)
        stands = judgement.verdict
    assert stands in (Verdict.INCONCLUSIVE, judge_spans(rule, trace).verdict)


@settings(max_examples=PAIRS // 2)
@given(rules(), traces(), st.data())
def test_what_was_taken_away_from_spans_could_not_have_changed_a_verdict(
    text: str, trace: list[Span], data: st.DataObject
) -> None:
    rule = _rule(text)
    judgement = judge_spans(rule, trace)
    assume(judgement.verdict is not Verdict.INCONCLUSIVE)
    whole = [data.draw(restored(span)) for span in trace]
    assert judge_spans(rule, whole).verdict is judgement.verdict


@settings(max_examples=200, deadline=None)
@given(rules())
def test_printing_and_parsing_are_inverse(text: str) -> None:
    rule = _rule(text)
    again = _rule(rule.canonical)
    assert again.canonical == rule.canonical
    assert _rule(again.canonical).plan == again.plan
    # Clauses in another order number their tests in another order.
    assert {one.hash for one in again.predicates} == {one.hash for one in rule.predicates}
    if text.startswith("when") and (
        "always" not in text or text.find("never") > text.find("always")
    ):
        assert again.plan == rule.plan


@settings(max_examples=300, deadline=None)
@given(rules(), traces())
def test_without_a_trigger_a_closed_trace_is_not_applicable(text: str, trace: list[Span]) -> None:
    rule = _rule(text)
    assume(rule.triggers is not None)
    assert rule.triggers is not None
    facts = facts_of(rule, trace)
    hit = any((facts.true | facts.maybe) >> index & 1 for index in rule.triggers)
    if not hit:
        assert judge_spans(rule, trace).verdict is Verdict.NOT_APPLICABLE


@settings(max_examples=300, deadline=None)
@given(rules(), traces(), spans())
def test_no_further_span_withdraws_what_an_open_trace_violates(
    text: str, trace: list[Span], late: Span
) -> None:
    rule = _rule(text)
    judgement = judge_spans(rule, trace, complete=False)
    if judgement.verdict is not Verdict.INCONCLUSIVE:
        assert judge_spans(rule, [*trace, late], complete=True).verdict is judgement.verdict


@settings(max_examples=300, deadline=None)
@given(rules(), traces())
def test_a_violation_rests_on_absence_exactly_if_an_open_trace_would_not_show_it(
    text: str, trace: list[Span]
) -> None:
    rule = _rule(text)
    judgement = judge_spans(rule, trace)
    if judgement.verdict is Verdict.VIOLATED:
        opened = judge_spans(rule, trace, complete=False).verdict
        if rule.needs.root:
            # An open trace may show less for another reason: an earlier root may still come.
            assert opened is not Verdict.VIOLATED or not judgement.rests_on_absence
        else:
            assert judgement.rests_on_absence is (opened is not Verdict.VIOLATED)


@settings(max_examples=300, deadline=None)
@given(span_tests(), spans())
def test_necessary_conditions_hold_wherever_a_predicate_is_true_or_unknown(
    test: str, span: Span
) -> None:
    predicate = _rule(f"when {{ {test} }} never {{ zzz }}").predicates[0]
    if predicate.test(span) is False:
        return
    assert predicate.name in (None, span.name)
    for needed in predicate.necessary:
        value = _read(span, needed.scope, needed.key)
        assert needed.test(value)
        if needed.equals is not None and value is not GONE:
            assert index_key(value) == needed.equals


@settings(max_examples=300, deadline=None)
@given(span_tests(), spans())
def test_the_necessary_conditions_of_an_exact_predicate_are_all_there_is_to_it(
    test: str, span: Span
) -> None:
    predicate = _rule(f"when {{ {test} }} never {{ zzz }}").predicates[0]
    if not predicate.exact:
        return
    read = [_read(span, needed.scope, needed.key) for needed in predicate.necessary]
    if GONE in [value if isinstance(value, type(GONE)) else None for value in read]:
        return
    holds = predicate.name in (None, span.name) and all(
        needed.test(value) for needed, value in zip(predicate.necessary, read, strict=True)
    )
    assert predicate.test(span) is holds


def _read(span: Span, scope: str, key: str) -> object:
    if scope == "resource":
        return span.resource_attribute(key)
    if scope == "scope":
        return span.scope_attribute(key)
    value = span.span_attribute(key)
    return span.resource_attribute(key) if value is MISSING and scope == "" else value


@settings(max_examples=150, deadline=None)
@given(rules(), traces(), st.booleans())
def test_the_explanation_has_the_verdict_of_the_judgement(
    text: str, trace: list[Span], complete: bool
) -> None:
    rule = _rule(text)
    explanation = explain(rule, trace, complete=complete)
    assert explanation.judgement == judge_spans(rule, trace, complete=complete)
    states = {clause.clause: clause.state for clause in explanation.clauses}
    if explanation.judgement.verdict is Verdict.VIOLATED:
        broken = explanation.judgement.broken
        assert (states["when"], states[broken]) == (
            "true",
            "false" if broken == "always" else "true",
        )
    explanation.render_text()


@settings(max_examples=150, deadline=None)
@given(rules(), traces(), st.randoms())
def test_order_and_repetition_of_spans_change_nothing(
    text: str, trace: list[Span], random: object
) -> None:
    rule = _rule(text)
    distinct = list({(s.span_id, s.kind, s.name, s.start_ns): s for s in trace}.values())
    shuffled = [*distinct, *distinct]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert judge_spans(rule, shuffled) == judge_spans(rule, distinct)


@settings(max_examples=150, deadline=None)
@given(filters())
def test_generated_filters_check(text: str) -> None:
    assert check(f"when {{ a.where({text}) }} never {{ b }}").problems == ()
