"""A savepoint older than the log: refused, and with an accepted gap nothing false is said."""

from __future__ import annotations

import time

import pytest
from kafka import KafkaAdminClient, TopicPartition

from deploy.embedded.stack import Stack
from tests.support.charges import charge_rules, rule_records, send, violations
from tests.support.engine import trace_id
from tests.support.job import RunningJob, wait_for
from tests.support.logs import SpansWriter, create_topics, write_rules
from udfs.lanes import LANES
from udfs.losses import SHADOW_MS

pytestmark = pytest.mark.integration

PATIENCE_S = 300


def expire_everything(kafka: str, topic: str) -> None:
    """Let all records of a topic go, as retention does."""
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.delete_records({TopicPartition(topic, number): -1 for number in range(LANES)})
    admin.close()


def test_what_expired_is_refused_and_an_accepted_gap_says_nothing_false(stack: Stack) -> None:
    kafka = stack.settings.kafka
    create_topics(kafka, "gap")
    write_rules(kafka, "gap.rules", charge_rules())
    writer = SpansWriter(kafka, "gap.spans")
    arguments = ("--topic-prefix", "gap", "--parallelism", "2")

    def wait_for_signal(job: RunningJob, rule: str, trace: str) -> None:
        wait_for(
            lambda: (rule, trace_id(trace)) in violations(kafka, "gap"),
            f"{rule} of {trace}",
            timeout_s=PATIENCE_S,
            why=job.exceptions,
        )

    with writer.heartbeats():
        job = RunningJob.submit(stack, *arguments, "--start", "earliest")
        send(writer, "first", "charge")
        wait_for_signal(job, "checked", "first")
        send(writer, "open", "charge")
        savepoint = job.stop()
        send(writer, "open", "check")
        expire_everything(kafka, "gap.spans")

        with pytest.raises(AssertionError, match=r"spans were lost.*--accept-gap"):
            RunningJob.submit(stack, *arguments, "--from-savepoint", savepoint)

        again = RunningJob.submit(stack, *arguments, "--from-savepoint", savepoint, "--accept-gap")
        send(writer, "open", "bypass")
        wait_for_signal(again, "watched", "open")
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
    assert ("checked", trace_id("open")) not in violations(kafka, "gap")
