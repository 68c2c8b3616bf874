"""A verdict is a function of two logs: on real servers, in a replay, and after every crash."""

from __future__ import annotations

import os
import signal
import time

import pytest

from api.bench.rules import BenchRule
from api.bench.schedule import Emission
from deploy.embedded.stack import Stack
from tests.support.flow import CLOSED_S, Flow, Flowing
from tests.support.job import RunningJob, wait_for
from tests.support.logs import SpansWriter, create_topics, judge, read_log, write_rules
from udfs.accounts import adds_up
from udfs.wire import betrace_pb2 as wire

pytestmark = pytest.mark.integration

TENANT = "3f0c7d0e-0c1b-4c0a-9a55-1f2e3d4c5b6a"
CATCH_UP_S = 120
JOINED = BenchRule(
    number=0,
    rule_id="joined",
    text="""when { db.query.where(contains_pii == true) as q }
always { audit.log.where(audit.object == q.db.collection.name) after q within 1s }""",
    place="present",
    family=None,
    k=0,
)
"""Compares spans, and waits for a window."""


def written(stack: Stack, prefix: str) -> set[tuple[bytes, bytes]]:
    """Return the distinct signals on a topic, as bytes."""
    log = read_log(stack.settings.kafka, f"{prefix}.signals")
    return {(record.key or b"", record.value) for record in log}


def accounted(stack: Stack, prefix: str) -> dict[bytes, wire.Stats]:
    """Return the accounts on a topic, each by its highest revision."""
    latest: dict[bytes, wire.Stats] = {}
    for record in read_log(stack.settings.kafka, f"{prefix}.stats"):
        stats = wire.Stats.FromString(record.value)
        assert adds_up(stats), stats
        key = record.key or b""
        if key not in latest or latest[key].revision < stats.revision:
            latest[key] = stats
    return latest


def received(stack: Stack, prefix: str) -> tuple[int, int]:
    """Return how many spans have come by the accounts, and in how many of them some are open."""
    accounts = accounted(stack, prefix).values()
    newest: dict[int, wire.Stats] = {}
    for stats in sorted(accounts, key=lambda one: one.minute_ms):
        newest[stats.lane] = stats
    came = sum(stats.counts.get("received", 0) for stats in accounts)
    return came, sum(stats.open > 0 for stats in newest.values())


def violated(signals: set[tuple[bytes, bytes]]) -> set[tuple[str, bytes]]:
    """Return what the highest revisions say is violated."""
    latest: dict[bytes, wire.Signal] = {}
    for key, value in signals:
        signal_read = wire.Signal.FromString(value)
        if key not in latest or latest[key].revision < signal_read.revision:
            latest[key] = signal_read
    return {(s.rule_id, s.trace_id) for s in latest.values() if s.verdict == wire.VERDICT_VIOLATED}


def test_crashes_and_replays_give_byte_identical_signals(stack: Stack) -> None:
    kafka = stack.settings.kafka
    create_topics(kafka, "law", "law-again")
    flow = Flow(TENANT, rate=1_500, more=(JOINED,))
    write_rules(kafka, "law.rules", flow.rules_log())
    writer = SpansWriter(kafka, "law.spans")
    sent = 0

    def send(emission: Emission) -> None:
        nonlocal sent
        sent += emission.spans
        writer.write(emission.payload, tenant=TENANT, lane=emission.lane, spans=emission.spans)

    with writer.heartbeats():
        job = RunningJob.submit(
            stack, "--topic-prefix", "law", "--parallelism", "2", "--start", "earliest"
        )
        flowing = Flowing(flow, send)
        time.sleep(CLOSED_S)
        job.kill_python_workers()
        job.wait_until_restarted(times=1)
        os.kill(stack.pid("taskmanager"), signal.SIGKILL)
        job.wait_until_restarted(times=2)
        planted = flowing.finish()
        writer.write_raw(b"\xff\xffnot a record of ingest", partition=7)
        time.sleep(CLOSED_S)
        wait_for(
            lambda: received(stack, "law") == (sent, 0),
            "every span in the accounts, and none of them open",
            timeout_s=CATCH_UP_S,
            why=job.exceptions,
        )

    expected = judge(read_log(kafka, "law.rules"), read_log(kafka, "law.spans"))
    joined = {pair for pair in violated(expected) if pair[0] == JOINED.rule_id}
    assert joined
    assert violated(expected) - joined == planted

    wait_for(
        lambda: written(stack, "law") >= expected,
        "all signals of the live run",
        timeout_s=CATCH_UP_S,
        why=job.exceptions,
    )
    job.stop()
    assert written(stack, "law") == expected
    dead_letters = read_log(kafka, "law.dead-letters")
    assert {wire.DeadLetter.FromString(record.value).code for record in dead_letters} == {
        "record.no_address"
    }

    again = RunningJob.submit(
        stack,
        *("--input-topic-prefix", "law", "--output-topic-prefix", "law-again"),
        *("--parallelism", "1", "--start", "earliest"),
    )
    wait_for(
        lambda: written(stack, "law-again") >= expected,
        "all signals of the replay",
        timeout_s=CATCH_UP_S,
        why=again.exceptions,
    )
    wait_for(
        lambda: accounted(stack, "law-again") == accounted(stack, "law"),
        "the accounts of the live run",
        timeout_s=CATCH_UP_S,
        why=again.exceptions,
    )
    again.stop()
    assert written(stack, "law-again") == expected
