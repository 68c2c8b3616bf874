"""From a real Kafka to a real Postgres, with what can go wrong between them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Consumer, TopicPartition

from api.kafka.topics import TopicNames
from api.redaction.redactors import RedactionUnavailable
from api.worker.database import WorkerConnection, connect
from api.worker.folding import LogRecord
from api.worker.signals import SignalWriter, Written
from tests.integration.worker.running import (
    accounting_intake,
    intake_of,
    sample,
    signals_intake,
    wait_until,
)
from tests.integration.worker.world import (
    NOON_MS,
    OTHER_TENANT,
    RULE,
    SATISFIED,
    TENANT,
    VIOLATED,
    a_signal,
    lasting_rows,
    rows,
    send,
    send_signals,
    told,
)
from tests.support.kafka import Broker
from tests.support.postgres import Database
from udfs.wire import betrace_pb2 as wire

REBALANCE_S = 120
"""Kafka needs seconds to share partitions anew, and more on a busy machine."""

pytestmark = pytest.mark.integration

PARTITIONS = 8


def committed(broker: Broker, topics: TopicNames, group: str, topic: str) -> int:
    """Return how many records of a topic a group has committed."""
    consumer = Consumer(
        {"bootstrap.servers": broker.address, "group.id": f"{topics.prefix}.worker.{group}"}
    )
    try:
        places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        return sum(max(place.offset, 0) for place in consumer.committed(places, timeout=10))
    finally:
        consumer.close()


def test_signals_reach_the_table_and_offsets_are_committed(
    broker: Broker, topics: TopicNames, seeded: Database
) -> None:
    send_signals(broker.address, topics, (a_signal(n) for n in range(500)))
    with signals_intake(broker.address, topics, seeded.worker) as running:
        running.wait_for(topics.signals, 500)
    assert rows(seeded.admin, "select count(*) from signals") == [{"count": 500}]
    assert committed(broker, topics, "signals", topics.signals) == 500


def test_records_delivered_twice_leave_the_same_rows(
    broker: Broker, topics: TopicNames, seeded: Database
) -> None:
    signals = [a_signal(n) for n in range(50)]
    signals += [a_signal(n, at_ms=1000, verdict=SATISFIED, was=VIOLATED) for n in range(0, 50, 3)]
    send_signals(broker.address, topics, signals)
    with signals_intake(broker.address, topics, seeded.worker) as running:
        running.wait_for(topics.signals, len(signals))
        once = lasting_rows(seeded.admin)
        send_signals(broker.address, topics, signals)
        running.wait_for(topics.signals, 2 * len(signals))
        assert lasting_rows(seeded.admin) == once


def test_poison_becomes_a_dead_letter_and_holds_nothing_up(
    broker: Broker, topics: TopicNames, seeded: Database
) -> None:
    bad_time = a_signal(3, judged_ms=-1)
    poison = [b"\xff\xff not protobuf", b"", bad_time.SerializeToString()]
    send(broker.address, topics.signals, ((b"k", value) for value in poison), partition=0)
    send(broker.address, topics.signals, [(b"k", a_signal(1).SerializeToString())], partition=0)
    with (
        signals_intake(broker.address, topics, seeded.worker) as signals,
        accounting_intake(broker.address, topics, seeded.worker) as accounting,
    ):
        signals.wait_for(topics.signals, 4)
        accounting.wait_for(topics.dead_letters, 3)
    letters = rows(
        seeded.admin,
        "select code, source, topic, log_partition, log_offset, content, tenant_id"
        " from dead_letters order by log_offset",
    )
    assert [tuple(letter.values()) for letter in letters] == [
        ("signal.malformed", "worker", topics.signals, 0, 0, poison[0], None),
        ("signal.empty", "worker", topics.signals, 0, 1, b"", None),
        ("signal.invalid", "worker", topics.signals, 0, 2, poison[2], None),
    ]
    assert rows(seeded.admin, "select count(*) from signals") == [{"count": 1}]


def test_a_row_that_postgres_refuses_stands_alone(
    broker: Broker, topics: TopicNames, seeded: Database
) -> None:
    with psycopg.connect(seeded.admin) as connection:
        connection.execute("alter table signals add constraint odd check (span_count <> 13)")
    signals = [a_signal(n, span_count=13 if n == 17 else 3) for n in range(40)]
    send_signals(broker.address, topics, signals)
    with (
        signals_intake(broker.address, topics, seeded.worker) as running,
        accounting_intake(broker.address, topics, seeded.worker) as accounting,
    ):
        running.wait_for(topics.signals, 40)
        accounting.wait_for(topics.dead_letters, 1)
    [letter] = rows(seeded.admin, "select code, content from dead_letters")
    assert letter["code"] == "signals.refused_by_database"
    assert wire.Signal.FromString(letter["content"]) == signals[17]
    assert rows(seeded.admin, "select count(*) from signals") == [{"count": 39}]


def test_nothing_is_lost_while_postgres_is_away(
    broker: Broker, topics: TopicNames, seeded: Database
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(seeded.admin)["dbname"]
    outside = psycopg.conninfo.make_conninfo(seeded.admin, dbname="postgres")
    with (
        psycopg.connect(outside, autocommit=True) as operator,
        signals_intake(broker.address, topics, seeded.worker) as running,
    ):
        send_signals(broker.address, topics, [a_signal(1)])
        running.wait_for(topics.signals, 1)
        assert "postgres" not in running.health.trouble()
        operator.execute(f"alter database {name} allow_connections false")
        operator.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name]
        )
        send_signals(broker.address, topics, (a_signal(n) for n in range(2, 30)))
        wait_until(lambda: "postgres" in running.health.trouble(), what="trouble is seen")
        operator.execute(f"alter database {name} allow_connections true")
        running.wait_for(topics.signals, 29)
        assert "postgres" not in running.health.trouble()
    assert rows(seeded.admin, "select count(*) from signals") == [{"count": 29}]


def test_nothing_is_lost_while_kafka_is_away(
    broker: Broker, topics: TopicNames, seeded: Database
) -> None:
    send_signals(broker.address, topics, (a_signal(n) for n in range(10)))
    with signals_intake(broker.address, topics, seeded.worker) as running:
        running.wait_for(topics.signals, 10)
        broker.kill()
        try:
            wait_until(lambda: "kafka" in running.health.trouble(), what="trouble is seen")
        finally:
            broker.start()
        send_signals(broker.address, topics, (a_signal(n) for n in range(10, 30)))
        wait_until(
            lambda: rows(seeded.admin, "select count(*) from signals") == [{"count": 30}],
            what="what came afterwards is stored",
        )
        wait_until(lambda: not running.health.trouble(), what="trouble is over")


AVAILABLE = "betrace_worker_dependency_available"


class WithoutRedaction:
    """A writer that lacks the policies of tenants until it is told that they are there."""

    there = False

    def write(self, connection: WorkerConnection, records: Sequence[LogRecord]) -> Written:
        if not self.there:
            raise RedactionUnavailable("policies do not answer")
        return Written({"evidence_inbox": len(records)})


def test_what_waits_for_redaction_says_so_and_blames_nobody_else(
    broker: Broker, topics: TopicNames, seeded: Database
) -> None:
    writer = WithoutRedaction()
    send(broker.address, topics.evidence, [(b"k", b"x")], partition=0)
    with intake_of(writer, broker.address, topics, seeded.worker) as running:
        wait_until(lambda: "redaction" in running.health.trouble(), what="trouble is seen")
        assert running.health.trouble()["redaction"] == "policies do not answer"
        assert sample(running.metrics, "betrace_worker_retries_total", dependency="postgres") == 0
        assert (
            sample(running.metrics, "betrace_worker_dependency_available", dependency="redaction")
            == 0
        )
        writer.there = True
        running.wait_for(topics.evidence, 1)
        assert "redaction" not in running.health.trouble()
        assert (
            sample(running.metrics, "betrace_worker_dependency_available", dependency="redaction")
            == 1
        )


def test_two_replicas_share_the_work_and_leave_the_same_rows(
    broker: Broker, topics: TopicNames, seeded: Database
) -> None:
    with (
        signals_intake(broker.address, topics, seeded.worker) as first,
        signals_intake(broker.address, topics, seeded.worker) as second,
    ):
        number = 0
        give_up_at = time.monotonic() + REBALANCE_S
        while not (first.settled(topics.signals) and second.settled(topics.signals)):
            assert time.monotonic() < give_up_at, "one replica got nothing"
            send_signals(broker.address, topics, (a_signal(n) for n in range(number, number + 100)))
            number += 100
            wait_until_stored(seeded, number)


def wait_until_stored(database: Database, number: int) -> None:
    wait_until(
        lambda: rows(database.admin, "select count(*) from signals") == [{"count": number}],
        what=f"{number} signals stored",
    )


ABRUPT = """
import sys, threading
from functools import partial
from api.worker.database import connect
from api.worker.health import Health
from api.worker.intake import Intake
from api.worker.letters import LetterBox
from api.worker.redaction import Letters
from api.worker.metrics import Metrics
from api.worker.signals import SignalWriter
import os, signal

kafka, prefix, dsn, place = sys.argv[1:]
batches = 0

class Dying(SignalWriter):
    def write(self, connection, records):
        global batches
        batches += 1
        written = super().write(connection, records)
        if batches == 2 and place == "before commit":
            os.kill(os.getpid(), signal.SIGKILL)
        return written

class DyingIntake(Intake):
    def _commit(self, consumer, batch):
        if batches == 2 and place == "between transaction and offsets":
            os.kill(os.getpid(), signal.SIGKILL)
        super()._commit(consumer, batch)

metrics = Metrics()
DyingIntake(
    name=f"{prefix}.worker.signals", topics=[f"{prefix}.signals"], writer=Dying(), kafka=kafka,
    connect=partial(connect, dsn, name="dying"),
    letters=LetterBox(kafka, f"{prefix}.dead-letters", Letters()),
    metrics=metrics, health=Health(metrics), stop=threading.Event(), batch_records=100,
).run()
"""


@pytest.mark.parametrize("place", ["before commit", "between transaction and offsets"])
def test_a_worker_killed_in_the_middle_of_a_batch_leaves_the_rows_of_one_that_was_not(
    broker: Broker, topics: TopicNames, seeded: Database, place: str
) -> None:
    signals = [a_signal(n) for n in range(400)]
    signals += [a_signal(n, at_ms=1000, verdict=SATISFIED, was=VIOLATED) for n in range(0, 400, 7)]
    send_signals(broker.address, topics, signals)
    killed = subprocess.run(
        [sys.executable, "-c", ABRUPT, broker.address, topics.prefix, seeded.worker, place],
        cwd=Path(__file__).parents[3],
        check=False,
        timeout=60,
    )
    assert killed.returncode == -9
    with signals_intake(broker.address, topics, seeded.worker) as again:
        wait_until(
            lambda: committed(broker, topics, "signals", topics.signals) == len(signals),
            what="all is committed",
        )
        assert again.thread.is_alive()
    after_a_kill = lasting_rows(seeded.admin)
    with psycopg.connect(seeded.admin) as connection:
        connection.execute("truncate signals, trace_budgets cascade")
    with connect(seeded.worker, name="undisturbed") as connection, connection.transaction():
        SignalWriter().write(connection, told(*signals))
    assert lasting_rows(seeded.admin) == after_a_kill


def stats(
    revision: int, *, received: int, tenant: str = TENANT, open_spans: int | None = None
) -> wire.Stats:
    """Return the accounts of a minute of lane 3."""
    return wire.Stats(
        lane=3,
        tenant=tenant,
        minute_ms=NOON_MS,
        revision=revision,
        counts={"received": received},
        rules=[wire.RuleStats(rule_id=RULE, version=1, violated=received, satisfied=1)],
        open_before=None if open_spans is None else 0,
        open=open_spans,
    )


def test_accounts_are_checked_and_added_up_for_prometheus(
    broker: Broker, topics: TopicNames, seeded: Database
) -> None:
    def sent(*accounts: wire.Stats) -> None:
        send(broker.address, topics.stats, ((b"k", s.SerializeToString()) for s in accounts))

    with accounting_intake(broker.address, topics, seeded.worker) as running:
        sent(stats(1, received=10, open_spans=10))
        running.wait_for(topics.stats, 1)
        sent(
            stats(3, received=30, open_spans=29),
            stats(2, received=20, open_spans=20),
            stats(1, received=5, tenant=OTHER_TENANT),
        )
        running.wait_for(topics.stats, 4)
        assert sample(running.metrics, "betrace_worker_accounted_total", count="received") == 35
        assert sample(running.metrics, "betrace_worker_accounts_unbalanced_total") == 1
    minutes = rows(
        seeded.admin,
        "select open_before, open_spans from stats_minutes order by revision desc",
    )
    assert [tuple(minute.values()) for minute in minutes] == [(0, 29), (None, None)]


def test_accounts_keep_the_highest_revision(
    broker: Broker, topics: TopicNames, seeded: Database
) -> None:
    accounts = [
        stats(2, received=20),
        stats(3, received=30),
        stats(1, received=10),
        stats(1, received=5, tenant=OTHER_TENANT),
        stats(1, received=7, tenant="00000000-0000-4000-8000-000000000000"),
    ]
    send(broker.address, topics.stats, ((b"k", s.SerializeToString()) for s in accounts))
    with accounting_intake(broker.address, topics, seeded.worker) as running:
        running.wait_for(topics.stats, 5)
    minutes = rows(
        seeded.admin,
        "select tenant_id::text, lane, revision, counts from stats_minutes order by revision desc",
    )
    assert [tuple(minute.values()) for minute in minutes] == [
        (TENANT, 3, 3, {"received": 30}),
        (OTHER_TENANT, 3, 1, {"received": 5}),
    ]
    rules = rows(
        seeded.admin,
        "select rule_id, revision, violated, satisfied from rule_stats_minutes"
        " where tenant_id = %s",
        TENANT,
    )
    assert rules == [{"rule_id": RULE, "revision": 3, "violated": 30, "satisfied": 1}]


def test_a_dead_letter_is_stored_once_with_where_it_came_from(
    broker: Broker, topics: TopicNames, seeded: Database
) -> None:
    letter = wire.DeadLetter(
        tenant=TENANT,
        source="match",
        code="otlp.malformed",
        detail="bad\0bytes",
        topic=topics.spans,
        partition=4,
        offset=77,
        content=b"\x00\x01",
    )
    send(broker.address, topics.dead_letters, [(b"k", letter.SerializeToString())] * 3)
    with accounting_intake(broker.address, topics, seeded.worker) as running:
        running.wait_for(topics.dead_letters, 3)
        assert sample(running.metrics, "betrace_worker_rows_total", table="dead_letters") == 1
    [row] = rows(
        seeded.admin,
        "select tenant_id::text, source, code, detail, log_partition, log_offset, content"
        " from dead_letters",
    )
    assert tuple(row.values()) == (
        TENANT, "match", "otlp.malformed", "bad\ufffdbytes", 4, 77, b"\x00\x01",
    )  # fmt: skip
