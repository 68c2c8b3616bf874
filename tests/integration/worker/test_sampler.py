"""Ordinary traces in Postgres: which ones are stored, how many, and whose."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Producer

from api.kafka.topics import TopicNames
from api.worker.database import connect
from api.worker.redaction import WorkerRedactors
from api.worker.sampler import Sampler
from api.worker.spans_log import SpansLog
from tests.integration.worker.backtests import timed_topics
from tests.integration.worker.test_copier import CHARGE, ROOT, a_request, a_span
from tests.integration.worker.world import OTHER_TENANT, TENANT, rows, trace_id
from tests.support.kafka import Broker
from tests.support.postgres import Database
from udfs.lanes import LANES

pytestmark = pytest.mark.integration
NOW_MS = time.time_ns() // 1_000_000
MIDDLE_MS = NOW_MS - 82_000
"""In the middle of the stretch that a round at NOW_MS looks at."""


@pytest.fixture
def topics(broker: Broker) -> TopicNames:
    """Topics whose records bear the times that the writer gives them."""
    return timed_topics(broker, f"sampler-{uuid4().hex[:8]}")


class Log:
    """Writes traces at times of one's own."""

    def __init__(self, broker: Broker, topics: TopicNames) -> None:
        self._producer = Producer({"bootstrap.servers": broker.address, "acks": "all"})
        self._topic = topics.spans

    def send(self, number: int, *spans: Any, at_ms: int = MIDDLE_MS, tenant: str = TENANT) -> None:
        self._producer.produce(
            self._topic,
            a_request(*spans) if spans else a_request(a_span(number, "GET /", ROOT)),
            partition=number % LANES,
            timestamp=at_ms,
            headers=[("tenant", tenant.encode()), ("v", b"1")],
        )
        assert self._producer.flush(30) == 0


@pytest.fixture
def log(broker: Broker, topics: TopicNames) -> Log:
    return Log(broker, topics)


@pytest.fixture
def sampler(broker: Broker, topics: TopicNames, seeded: Database) -> Iterator[Sampler]:
    """Stores at most three traces of a tenant in an hour."""
    spans = SpansLog(broker.address, topics.spans)
    redactors = WorkerRedactors(seeded.worker, None)
    yield Sampler(
        log=spans,
        redact=redactors.spans,
        connect=partial(connect, seeded.worker, name="test"),
        stop=threading.Event(),
        per_hour=3,
    )
    spans.close()
    redactors.close()


def a_round(sampler: Sampler, database: Database) -> int:
    """Do a round as if the last one were long ago."""
    rows(database.admin, "update sampling_rounds set next_at = now() returning 1")
    with connect(database.worker, name="test") as connection:
        return sampler.round(connection, now_ms=NOW_MS)


def stored(database: Database, tenant: str = TENANT) -> set[bytes]:
    found = rows(
        database.admin, "select trace_id from trace_copies where sampled and tenant_id = %s", tenant
    )
    return {row["trace_id"] for row in found}


def test_a_whole_trace_is_stored_redacted_and_found(
    log: Log, sampler: Sampler, seeded: Database
) -> None:
    log.send(1, a_span(1, "POST /pay", ROOT, order="4711"))
    log.send(1, a_span(1, "mail", CHARGE, ROOT, after_ms=5, to="ada@example.com"))
    assert a_round(sampler, seeded) == 1
    assert stored(seeded) == {trace_id(1)}
    spans = rows(seeded.admin, "select name, attributes from trace_spans order by ordinal")
    assert [(span["name"], span["attributes"]) for span in spans] == [
        ("POST /pay", {"order": "4711"}), ("mail", {"to": "[REDACTED]"}),
    ]  # fmt: skip
    [row] = rows(seeded.admin, "select whole, span_count, root_name from trace_copies")
    assert (row["whole"], row["span_count"], row["root_name"]) == (True, 2, "POST /pay")
    assert len(rows(seeded.admin, "select 1 from trace_search")) == 1


@pytest.mark.parametrize(
    ("spans", "at_ms"),
    [
        ([a_span(1, "POST /pay", ROOT)], MIDDLE_MS - 20_000),
        ([a_span(1, "POST /pay", ROOT)], MIDDLE_MS + 20_000),
        ([a_span(1, "POST /pay", ROOT)], NOW_MS),
        ([a_span(1, "charge", CHARGE, ROOT)], MIDDLE_MS),
    ],
    ids=["may have begun before", "may go on", "is too new", "has no root"],
)
def test_what_may_not_be_whole_is_left(
    spans: list[Any], at_ms: int, log: Log, sampler: Sampler, seeded: Database
) -> None:
    log.send(1, *spans, at_ms=at_ms)
    assert (a_round(sampler, seeded), stored(seeded)) == (0, set())


def test_traces_of_different_names_come_first_and_a_tenant_has_its_share_of_an_hour(
    log: Log, sampler: Sampler, seeded: Database
) -> None:
    for number in range(1, 10):
        log.send(number)
    log.send(10, a_span(10, "POST /rare", ROOT))
    assert a_round(sampler, seeded) == 2
    assert trace_id(10) in stored(seeded)
    assert a_round(sampler, seeded) == 1
    assert a_round(sampler, seeded) == 0
    assert len(stored(seeded)) == 3


def test_one_worker_at_a_time_looks(log: Log, sampler: Sampler, seeded: Database) -> None:
    log.send(1)
    assert a_round(sampler, seeded) == 1
    log.send(2)
    with connect(seeded.worker, name="test") as connection:
        assert sampler.round(connection, now_ms=NOW_MS) == 0


def test_each_tenant_gets_its_own(log: Log, sampler: Sampler, seeded: Database) -> None:
    log.send(1)
    log.send(2, tenant=OTHER_TENANT)
    log.send(3, tenant="no tenant of ours")
    assert a_round(sampler, seeded) == 2
    assert stored(seeded) == {trace_id(1)}
    assert stored(seeded, OTHER_TENANT) == {trace_id(2)}


def test_who_is_suspended_gets_none(log: Log, sampler: Sampler, seeded: Database) -> None:
    log.send(1)
    rows(seeded.admin, "update tenants set suspended_at = now() where id = %s returning 1", TENANT)
    assert a_round(sampler, seeded) == 0
