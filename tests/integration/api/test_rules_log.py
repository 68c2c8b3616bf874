"""The rules log: what Kafka's and the one of the tests have in common, and an absent Kafka."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from api.rules.log import KafkaRulesLog, RulesLog, RulesLogUnavailable
from tests.support.rules_log import MemoryRulesLog

Make = Callable[[], tuple[RulesLog, Callable[[], list[bytes]]]]


@pytest.fixture(params=["memory", "kafka"])
def make(request: pytest.FixtureRequest) -> Make:
    """Make an empty log, and what reads it back."""
    if request.param == "memory":
        return _memory
    address: str = request.getfixturevalue("kafka")
    return lambda: _kafka(address)


def _memory() -> tuple[RulesLog, Callable[[], list[bytes]]]:
    log = MemoryRulesLog()
    return log, lambda: log.records


def _kafka(address: str) -> tuple[RulesLog, Callable[[], list[bytes]]]:
    topic = f"rules-{uuid4()}"
    admin = KafkaAdminClient(bootstrap_servers=address)
    admin.create_topics(
        [NewTopic(topic, 1, 1, topic_configs={"message.timestamp.type": "LogAppendTime"})]
    )
    admin.close()

    def read() -> list[bytes]:
        consumer = KafkaConsumer(bootstrap_servers=address, consumer_timeout_ms=5_000)
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        end = consumer.end_offsets([partition])[partition]
        records = [next(consumer) for _ in range(end)]
        consumer.close()
        assert all(dict(record.headers) == {"v": b"1"} for record in records)
        return [record.value for record in records]

    return KafkaRulesLog(address, topic=topic), read


@pytest.mark.integration
def test_records_are_appended_in_order_and_told_where_and_when(make: Make) -> None:
    log, read = make()
    appended = [log.append(record) for record in (b"one", b"two", b"three")]
    assert read() == [b"one", b"two", b"three"]
    assert [place.offset for place in appended] == [0, 1, 2]
    for place in appended:
        assert abs(place.append_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_an_absent_broker_is_told_within_the_time_allowed() -> None:
    log = KafkaRulesLog("127.0.0.1:1", topic="rules", timeout_s=0.5)
    started = time.monotonic()
    with pytest.raises(RulesLogUnavailable):
        log.append(b"record")
    assert time.monotonic() - started < 10
    log.close()
