"""What the load says must come of it is what the language says of the spans it sends."""

from __future__ import annotations

from dataclasses import replace

import pytest

import dsl
from api.bench.drafts import Kind, SpanDraft
from api.bench.engine import EngineSettings, run_engine
from api.bench.plan import LaidTrace, LoadSettings, Plan, plan
from api.bench.rules import rule_mix
from api.bench.score import score
from api.bench.traffic import final_verdicts, unplanted_verdict
from dsl.spans import Span


def as_span(trace: LaidTrace, index: int, draft: SpanDraft) -> Span:
    return Span(
        span_id=trace.span_ids[index],
        parent_span_id=b"" if draft.parent is None else trace.span_ids[draft.parent],
        name=draft.operation.name,
        kind=Kind(draft.operation.kind).name.lower(),
        status="error" if draft.error else "unset",
        start_ns=draft.start_ns,
        end_ns=draft.end_ns,
        attributes=dict(draft.attributes),
        resource={"service.name": draft.operation.service},
    )


STRUCTURAL = 8


@pytest.fixture(scope="module", params=[0, STRUCTURAL], ids=["promises", "and structure"])
def settings(request: pytest.FixtureRequest, settings: LoadSettings) -> LoadSettings:
    return replace(settings, structural=request.param)


@pytest.fixture(scope="module")
def planned(settings: LoadSettings) -> Plan:
    return plan(settings)


def test_planted_verdicts_are_those_of_the_language(planned: Plan, settings: LoadSettings) -> None:
    compiled = [(rule, dsl.check(rule.text).rule) for rule in settings.mix]
    disagreements = []
    for trace in planned.traces:
        draft = trace.draft
        spans = [as_span(trace, i, s) for i, s in enumerate(draft.spans) if not s.lost]
        planted, otherwise = final_verdicts(draft), unplanted_verdict(draft)
        doubts = frozenset() if draft.has_root else frozenset({dsl.Reason.NO_ROOT})
        for rule, checked in compiled:
            assert checked is not None
            judged = dsl.judge_spans(checked, spans, complete=draft.has_root, in_doubt=doubts)
            expected = planted.get(rule.number, otherwise)
            if judged.verdict.value != expected:
                disagreements.append((trace.trace_id.hex(), rule.text, expected, judged.verdict))
    assert disagreements == []


def test_every_rule_of_a_large_mix_checks_without_problems() -> None:
    assert [p for rule in rule_mix(1_000) for p in dsl.check(rule.text).problems] == []


def test_the_engine_finds_what_was_planted_and_nothing_else(settings: LoadSettings) -> None:
    run = run_engine(EngineSettings(load=settings, cycles=3, spans_per_s=20_000.0))
    assert run.score.planted > 50
    assert (run.score.missing, run.score.false) == (frozenset(), frozenset())
    assert run.score.withdrawn > 0


def test_rules_on_structure_are_kept_and_broken(planned: Plan, settings: LoadSettings) -> None:
    asked = range(settings.structural)
    verdicts = [
        final_verdicts(trace.draft).get(number) for trace in planned.traces for number in asked
    ]
    assert {"satisfied", "violated"} <= set(verdicts) or not settings.structural


def test_a_score_tells_what_is_missing_and_what_is_false() -> None:
    one, two, three, four = (("r", bytes([n])) for n in range(4))
    found = score({one, two}, {one: "violated", three: "violated", four: "satisfied"})
    assert (found.precision, found.recall) == (0.5, 0.5)
    assert (found.missing, found.false) == ({two}, {three})
    assert (found.raised, found.withdrawn) == (3, 1)
