"""The rulebook links promises and rules over many traces; what it cannot read it says."""

from __future__ import annotations

import pytest

import dsl
from udfs.contributions import MANY_SIGNALS, MANY_SPANS
from udfs.many_rules import ManyRule
from udfs.rulebook import link_rule
from udfs.wire import betrace_pb2 as wire


def record(text: str) -> wire.RuleVersion:
    checked = dsl.check(text)
    predicates = checked.rule.predicates if checked.rule else ()
    return wire.RuleVersion(
        tenant="t",
        rule_id="r",
        version=1,
        text=text,
        language=1,
        predicates=[wire.PredicateEntry(number=i, hash=p.hash) for i, p in enumerate(predicates)],
    )


@pytest.mark.parametrize(
    ("text", "stage"),
    [
        ("expect { nightly.backup } every 24h", MANY_SPANS),
        ("correlate { a } by k within 1m having count > 1", MANY_SPANS),
        ('correlate { violated("p") or a } by k within 1m having count > 1', MANY_SIGNALS),
    ],
)
def test_a_rule_over_many_traces_is_linked_for_its_stage(text: str, stage: str) -> None:
    linked = link_rule(record(text))
    assert isinstance(linked, ManyRule)
    assert (linked.stage, linked.numbers) == (stage, (0,))


@pytest.mark.parametrize(
    ("text", "language", "reason"),
    [
        ("when { a", 1, "its text does not check with this build"),
        ("when { a } always { b }", 2, "written for language 2; this build reads up to 1"),
    ],
)
def test_what_cannot_be_read_is_told(text: str, language: int, reason: str) -> None:
    message = record(text)
    message.language = language
    assert link_rule(message) == reason


def test_another_meaning_of_predicates_is_told() -> None:
    message = record("expect { nightly.backup } every 24h")
    message.predicates[0].hash = 1
    assert link_rule(message) == "its predicates differ from those that it was saved with"
