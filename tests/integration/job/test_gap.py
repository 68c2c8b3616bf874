"""A savepoint older than the log: refused, and with an accepted gap nothing false is said."""

from __future__ import annotations

import time
from itertools import count

import pytest

from deploy.embedded.stack import Stack
from tests.support.charges import TENANT, charge_rules, rule_records, send, violations
from tests.support.engine import trace_id
from tests.support.job import RunningJob, wait_for
from tests.support.logs import SpansWriter, create_topics, expire_everything, write_rules
from udfs.lanes import lane_of
from udfs.losses import SHADOW_MS

pytestmark = pytest.mark.integration

PATIENCE_S = 300
SETTLE_MS = 20_000


def neighbour(trace: str) -> str:
    """Return the name of another trace that travels by the same partition."""
    lane = lane_of(TENANT, trace_id(trace))
    names = (f"{trace} {number}" for number in count())
    return next(name for name in names if lane_of(TENANT, trace_id(name)) == lane)


def test_what_expired_is_refused_and_an_accepted_gap_says_nothing_false(stack: Stack) -> None:
    kafka = stack.settings.kafka
    create_topics(kafka, "gap")
    write_rules(kafka, "gap.rules", charge_rules(settle_ms=SETTLE_MS))
    writer = SpansWriter(kafka, "gap.spans")
    arguments = ("--topic-prefix", "gap", "--parallelism", "2")

    def wait_for_signal(job: RunningJob, rule: str, trace: str) -> None:
        wait_for(
            lambda: (rule, trace_id(trace)) in violations(kafka, "gap"),
            f"{rule} of {trace}",
            timeout_s=PATIENCE_S,
            why=job.exceptions,
        )

    def open_trace(job: RunningJob) -> str:
        """Return a trace that the job has taken in and not judged yet."""
        numbers = count()
        while True:
            trace = f"open {next(numbers)}"
            began = time.monotonic()
            send(writer, trace, "charge")
            # What comes behind it on its partition is signalled at once.
            marker = neighbour(trace)
            send(writer, marker, "charge", "bypass")
            wait_for_signal(job, "watched", marker)
            if time.monotonic() - began < SETTLE_MS / 2_000:
                return trace

    with writer.heartbeats():
        job = RunningJob.submit(stack, *arguments, "--start", "earliest")
        opened = open_trace(job)
        savepoint = job.stop()
        send(writer, opened, "check")
        expire_everything(kafka, "gap.spans")

        with pytest.raises(AssertionError, match=r"spans were lost.*--accept-gap"):
            RunningJob.submit(stack, *arguments, "--from-savepoint", savepoint)

        again = RunningJob.submit(stack, *arguments, "--from-savepoint", savepoint, "--accept-gap")
        send(writer, opened, "bypass")
        wait_for_signal(again, "watched", opened)
        (gap,) = (record.gap for record in rule_records(kafka, "gap", "gap"))
        assert gap.reader == "gap"
        wait_for(
            lambda: time.time_ns() // 1_000_000 > gap.until_ms + SHADOW_MS,
            "the shadow of the gap is over",
            timeout_s=PATIENCE_S,
        )
        send(writer, "later", "charge")
        wait_for_signal(again, "checked", "later")
        again.stop()
    assert ("checked", trace_id(opened)) not in violations(kafka, "gap")
