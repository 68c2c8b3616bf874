"""Rules over many traces in Flink: the scenarios that suites pass, byte for byte, after crashes."""

from __future__ import annotations

import time

import pytest

from deploy.embedded.stack import Stack
from tests.support.job import RunningJob, wait_for
from tests.support.logs import SpansWriter, create_topics, judge, read_log, write_rules
from tests.support.scenarios import (
    NS_PER_MS,
    PATIENCE_MS,
    SETTLE_MS,
    Scenario,
    scenarios,
)
from udfs.rulebook import ACTIVATION_MS
from udfs.wire import betrace_pb2 as wire

pytestmark = pytest.mark.integration

CATCH_UP_S = 180
GRACE_MS = 2_000
"""Records come later than they would in a suite; nothing of the scenarios hangs on less."""


def send(writer: SpansWriter, played: list[Scenario], *, begin_ns: int) -> None:
    """Send the spans of all scenarios, each at its time."""
    due = sorted(
        (one.at_ms, scenario.tenant, one)
        for scenario in played
        for one in scenario.sendings(begin_ns=begin_ns)
    )
    for at_ms, tenant, one in due:
        time.sleep(max(0.0, begin_ns / 1e9 + at_ms / 1e3 - time.time()))
        writer.write(one.payload, tenant=tenant, lane=one.lane, spans=one.spans)


def signals_of(
    found: set[tuple[bytes, bytes]], scenario: Scenario, *, begin_ns: int
) -> list[wire.Signal]:
    """Return the signals of a scenario's tenant, as of its end if its verdict hangs on time."""
    signals = [wire.Signal.FromString(value) for _, value in found]
    end_ms = begin_ns // NS_PER_MS + scenario.end_ms + GRACE_MS
    return [
        signal
        for signal in signals
        if signal.tenant == scenario.tenant
        and (not scenario.waits_for_time or signal.judged_ms <= end_ms)
    ]


def written(stack: Stack, prefix: str) -> set[tuple[bytes, bytes]]:
    """Return the distinct signals on a topic, as bytes."""
    log = read_log(stack.settings.kafka, f"{prefix}.signals")
    assert {record.headers["tenant"].decode() for record in log} == {
        wire.Signal.FromString(record.value).tenant for record in log
    }
    return {(record.key or b"", record.value) for record in log}


def test_scenarios_pass_in_flink_as_they_do_as_suites(stack: Stack) -> None:
    kafka, played = stack.settings.kafka, list(scenarios("many", "scenarios.yaml"))
    create_topics(kafka, "many", "many-again")
    write_rules(kafka, "many.rules", [one for each in played for one in each.rules_log()])
    writer = SpansWriter(kafka, "many.spans")
    with writer.heartbeats():
        job = RunningJob.submit(
            stack, "--topic-prefix", "many", "--parallelism", "2", "--start", "earliest"
        )
        time.sleep(ACTIVATION_MS / 1e3)
        begin_ns = time.time_ns()
        send(writer, [one for one in played if one.end_ms <= 4_000], begin_ns=begin_ns)
        job.kill_python_workers()
        send(writer, [one for one in played if one.end_ms > 4_000], begin_ns=begin_ns)
        time.sleep((PATIENCE_MS + 2 * SETTLE_MS) / 1e3)
        job.wait_until_restarted(times=1)

    expected = judge(read_log(kafka, "many.rules"), read_log(kafka, "many.spans"))
    for scenario in played:
        found = signals_of(expected, scenario, begin_ns=begin_ns)
        assert (scenario.name, scenario.verdict(found)) == (scenario.name, scenario.expected[0])
        assert traces_in(found) <= {trace.trace_id for trace in scenario.traces}
    wait_for(
        lambda: written(stack, "many") >= expected,
        "all signals of the live run",
        timeout_s=CATCH_UP_S,
        why=job.exceptions,
    )
    job.stop()
    assert written(stack, "many") == expected
    assert read_log(kafka, "many.dead-letters") == []

    again = RunningJob.submit(
        stack,
        *("--input-topic-prefix", "many", "--output-topic-prefix", "many-again"),
        *("--parallelism", "1", "--start", "earliest"),
    )
    wait_for(
        lambda: written(stack, "many-again") >= expected,
        "all signals of the replay",
        timeout_s=CATCH_UP_S,
        why=again.exceptions,
    )
    again.stop()
    assert written(stack, "many-again") == expected


def traces_in(signals: list[wire.Signal]) -> set[str]:
    """Return the traces that signals speak of."""
    own = {signal.trace_id for signal in signals}
    members = {member.trace_id for one in signals for member in one.correlated.members}
    seen = {one.overdue.last_trace_id for one in signals}
    seen |= {one.overdue.seen_trace_id for one in signals}
    return {trace_id.hex() for trace_id in own | members | seen} - {""}
