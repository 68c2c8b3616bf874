"""The golden verdicts of the language, said by the stream: the same files, with time by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import dsl
from dsl.objects import RuleTest, parse_rules
from dsl.traces import duration_ns, span_from_fields
from tests.support.engine import Engine, Record, RulesLog, final_signals
from tests.support.scenarios import GOLDEN
from tests.support.whole_traces import record_of

NS_PER_MS = 1_000_000
END_MS = 20_000_000
_FIRST_MEMBER = (
    "Of two deliveries that differ a filter that is met by either counts (decision 0009)"
)
OTHERWISE = {
    "What the second delivery of a span says does not count": _FIRST_MEMBER,
}
"""Where the stream is known to say something else."""


def cases() -> Iterator[Any]:
    """Yield every test of a promise that can be played to the stream."""
    for path in sorted((GOLDEN / "dsl").glob("verdicts*.yaml")):
        for test in parse_rules(path.read_text(), filename=path.name).tests:
            if "rejected" in test.expect[0].verdicts or not _can_be_played(test):
                continue
            why = OTHERWISE.get(test.name)
            marks = [pytest.mark.xfail(reason=why, strict=True)] if why else []
            yield pytest.param(test, id=f"{path.stem}: {test.name}", marks=marks)


def _can_be_played(test: RuleTest) -> bool:
    """Tell whether a test says when its trace is over, and holds nothing but what OTLP can say.

    A suite takes a trace without times for whole; the stream waits for a root.
    """
    timed = any(expected.at_ns is not None for expected in test.expect)
    ends = any("arrives" in fields or not fields.get("parent") for fields in test.trace)
    return (timed or ends) and not any("redacted" in fields for fields in test.trace)


def records_of(test: RuleTest) -> list[Record]:
    """Return the spans of a test as records, one for each time of arrival."""
    by_time: dict[int, list[dsl.Span]] = {}
    for place, fields in enumerate(test.trace):
        at_ms = duration_ns(fields.get("arrives", 0), field="arrives") // NS_PER_MS
        by_time.setdefault(at_ms, []).append(span_from_fields(fields, position=place))
    return [
        record_of(spans, at_ms=at_ms, offset=offset)
        for offset, (at_ms, spans) in enumerate(sorted(by_time.items()))
    ]


def play(test: RuleTest, *, restarting: bool = False) -> None:
    """Play a test to the stream, and look at what was said whenever it expects something."""
    log = RulesLog()
    log.settings(external_roots=test.external_roots)
    settle_ms = (test.settle_ns or 0) // NS_PER_MS
    log.rule("rule", test.rule, settle_ms=settle_ms, on_incomplete=test.on_incomplete or "")
    engine = Engine(log)
    records = records_of(test)
    for expected in test.expect:
        at_ms = END_MS if expected.at_ns is None else expected.at_ns // NS_PER_MS
        while records and records[0].time_ms <= at_ms:
            engine.receive(records.pop(0))
        engine.advance(at_ms)
        if restarting:
            engine.restart()
        said = next(iter(final_signals(engine.outputs).values()), None)
        if expected.verdicts == ("violated",):
            assert said == "violated"
        else:
            # Of what was never violated nothing is said.
            assert said is None or said in expected.verdicts


@pytest.mark.parametrize("test", list(cases()))
def test_the_stream_says_at_every_moment_what_the_suite_expects(test: RuleTest) -> None:
    play(test)
