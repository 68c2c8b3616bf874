"""The stream says of rules over many traces what suites say: the same files, as logs."""

from __future__ import annotations

import pytest

from dsl.objects import parse_rules
from dsl.suites import run
from tests.support.engine import Engine, Record, RulesLog, signals
from tests.support.scenarios import GOLDEN, NS_PER_MS, Scenario, scenarios
from udfs.rulebook import ACTIVATION_MS

HOUR_MS = 3_600_000
BEGIN_MS = 1_000 * HOUR_MS
FILES = [("many", "scenarios.yaml"), ("dsl", "correlate.yaml"), ("dsl", "expect.yaml")]
CASES = [
    pytest.param(scenario, id=f"{path[-1]}: {scenario.name}")
    for path in FILES
    for scenario in scenarios(*path)
]


def played(scenario: Scenario) -> Engine:
    """Return an engine that has seen everything, and time go on long enough for all of it."""
    log = RulesLog()
    records = scenario.rules_log(lateness_ms=1_000 * HOUR_MS, max_life_ms=HOUR_MS)
    log.records = [(BEGIN_MS - ACTIVATION_MS, record) for record in records]
    engine = Engine(log)
    engine.many.wake(time_ms=BEGIN_MS)
    for offset, one in enumerate(scenario.sendings(begin_ns=BEGIN_MS * NS_PER_MS)):
        at_ms = BEGIN_MS + one.at_ms
        engine.receive(Record(at_ms, one.lane, offset, one.payload, scenario.tenant))
    # A moment of the language is the end of the step that it falls into.
    engine.advance(BEGIN_MS + scenario.end_ms + 500)
    if not scenario.waits_for_time:
        engine.advance(BEGIN_MS + scenario.end_ms + 2 * HOUR_MS)
    return engine


@pytest.mark.parametrize("scenario", CASES)
def test_the_stream_agrees_with_the_suite(scenario: Scenario) -> None:
    assert scenario.verdict(signals(played(scenario).outputs)) in (
        *scenario.expected,
        # Of what is not violated, nothing is signalled.
        *(["satisfied"] if "violated" not in scenario.expected else []),
    )


def test_the_scenarios_of_real_time_pass_as_a_suite() -> None:
    text = GOLDEN.joinpath("many", "scenarios.yaml").read_text()
    result = run(parse_rules(text, filename="scenarios.yaml"))
    assert [test.name for test in result.tests if not test.passed] == []
    assert result.passed == 13
