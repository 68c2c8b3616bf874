"""What the figures of the evaluator are taken from, and how they are shown; no speeds."""

from __future__ import annotations

import json
from io import StringIO
from random import Random

import pytest
from rich.console import Console
from typer.testing import CliRunner

import dsl
from api.bench.evaluator import EvaluatorFigures, RuleCountFigures, few_apply
from api.bench.large_trace import JudgedTrace, judge_structured, spans_of, structured_rules
from api.bench.long_texts import SHAPES, CheckedText, Shape
from api.bench.report import evaluator_table
from api.bench.rules import LargeCharge, rule_mix
from api.bench.traffic import MAX_BREACH_RANK, Planter, TrafficSettings, draft_trace
from api.command.app import app
from dsl.source import MAX_TEXT_BYTES
from udfs.native import is_compiled

FIGURES = EvaluatorFigures(
    compiled=False,
    by_rules=(
        RuleCountFigures(10, 1.2, 40_000.0, 20.0, 5.0),
        RuleCountFigures(1_000, 1.3, 30_000.0, 25.0, 8.3),
    ),
    large=(JudgedTrace("plain rules", 10_000, 100, 12.0),),
    text=CheckedText("deep `not`", 65_536, 50.0),
)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_every_long_text_is_a_valid_rule_near_the_limit(shape: Shape) -> None:
    text = shape.text()
    assert dsl.check(text).problems == ()
    assert 0.95 * MAX_TEXT_BYTES < len(text.encode()) <= MAX_TEXT_BYTES


def test_structured_rules_look_at_spans_one_by_one_and_some_apply_to_a_large_trace() -> None:
    rng = Random(1)
    planter = Planter(rule_mix(10), TrafficSettings())
    trace = dsl.SpansAtHand(spans_of(draft_trace(rng, planter, size=3_000), rng))
    rules = structured_rules(20)
    assert len({rule.canonical for rule in rules}) == 20
    judged = [dsl.judge_spans(rule, trace).verdict for rule in rules]
    assert set(judged) >= {dsl.Verdict.SATISFIED, dsl.Verdict.NOT_APPLICABLE}
    assert dsl.Verdict.INCONCLUSIVE not in judged


def test_a_judged_trace_says_what_was_judged() -> None:
    figures = judge_structured(2, spans=20, repeats=1)
    assert (figures.spans, figures.rules) == (20, 2)
    assert figures.ms > 0


def test_traces_are_planted_for_rules_that_concern_few_others() -> None:
    mix = rule_mix(200)
    planted = few_apply(mix)
    ranks = {rule.k for rule in planted if isinstance(rule.family, LargeCharge)}
    assert ranks == set(range(MAX_BREACH_RANK + 1))
    others = [rule for rule in mix if not isinstance(rule.family, LargeCharge)]
    assert [rule for rule in planted if not isinstance(rule.family, LargeCharge)] == others


def test_the_loss_is_what_many_rules_take_from_the_rate() -> None:
    assert FIGURES.loss(10, 1_000) == 0.25
    assert FIGURES.loss(10, 100) is None


def test_the_table_holds_every_figure_and_says_how_the_engine_ran() -> None:
    console = Console(file=StringIO(), width=120)
    console.print(evaluator_table(FIGURES, hardware="a machine"))
    assert isinstance(console.file, StringIO)
    shown = console.file.getvalue()
    for part in ("40,000", "30,000", "25.0%", "interpreted", "12 ms", "50 ms (deep", "a machine"):
        assert part in shown


def test_the_command_measures_all_and_prints_json() -> None:
    arguments = ["bench", "evaluator", "--rules", "10", "--traces", "20", "--repeats", "1"]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.output)["evaluator"]
    assert figures["compiled"] is is_compiled()
    assert [row["rules"] for row in figures["by_rules"]] == [10]
    assert figures["by_rules"][0]["traces_per_s"] > 0
    assert figures["loss_10_to_1000"] is None
    assert [(one["spans"], one["rules"]) for one in figures["large_trace"]] == [(10_000, 100)] * 2
    assert figures["check"]["text_bytes"] <= MAX_TEXT_BYTES
