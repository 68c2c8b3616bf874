"""A record that kills the worker: after two deaths it is passed over, and the stream goes on."""

from __future__ import annotations

import pytest

from deploy.embedded.stack import Stack
from tests.support.charges import TENANT, charge_rules, rule_records, send, violations
from tests.support.engine import trace_id
from tests.support.job import DEADLY, RunningJob, wait_for
from tests.support.logs import SpansWriter, create_topics, read_log, write_rules
from udfs.lanes import lane_of
from udfs.payload import expand
from udfs.wire import betrace_pb2 as wire

pytestmark = pytest.mark.integration

PATIENCE_S = 400


def test_a_record_that_kills_the_worker_twice_becomes_a_dead_letter(stack: Stack) -> None:
    kafka = stack.settings.kafka
    create_topics(kafka, "poison")
    write_rules(kafka, "poison.rules", charge_rules())
    writer = SpansWriter(kafka, "poison.spans")
    with writer.heartbeats():
        job = RunningJob.submit(
            stack, "--topic-prefix", "poison", "--parallelism", "2", "--start", "earliest"
        )
        send(writer, "hit", "charge")
        send(writer, "hit", "check", note=DEADLY + "x" * 20_000)
        wait_for(
            lambda: len(read_log(kafka, "poison.dead-letters")) > 0,
            "the dead letter",
            timeout_s=PATIENCE_S,
            why=job.exceptions,
        )
        send(writer, "after", "charge")
        wait_for(
            lambda: ("checked", trace_id("after")) in violations(kafka, "poison"),
            "a signal after the poison",
            timeout_s=PATIENCE_S,
            why=job.exceptions,
        )
        job.stop()

    (letter,) = {record.value for record in read_log(kafka, "poison.dead-letters")}
    found = wire.DeadLetter.FromString(letter)
    deaths = [record.death for record in rule_records(kafka, "poison", "death")]
    (poison,) = [r for r in read_log(kafka, "poison.spans") if DEADLY.encode() in expand(r.value)]
    assert {(death.partition, death.offset) for death in deaths} == {
        (poison.partition, poison.offset)
    }
    assert len({death.process for death in deaths}) == 2
    assert (found.tenant, found.source, found.code) == (TENANT, "match", "worker.died")
    assert (found.topic, found.partition, found.offset) == (
        "spans",
        poison.partition,
        poison.offset,
    )
    assert found.content == poison.value[: 16 * 1024]
    assert lane_of(TENANT, trace_id("hit")) == deaths[0].lane
    assert ("checked", trace_id("hit")) not in violations(kafka, "poison")
