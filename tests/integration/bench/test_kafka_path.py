"""What is written beside the door are records as `ingest` writes them, and all are counted."""

from __future__ import annotations

import pytest
from kafka import KafkaConsumer

from api.bench.door import measure_door
from api.bench.door_client import KAFKA, DoorClientSettings
from api.kafka.topics import TopicAdmin, TopicNames, topic_specs
from tests.support.kafka import running_kafka
from tests.support.otlp import spans_by_origin
from udfs.payload import expand

pytestmark = pytest.mark.integration

TENANT = "3f0c6f4e-0000-4000-8000-444455556666"
SPANS = 20


def test_the_path_beside_the_door_writes_what_it_says() -> None:
    names = TopicNames("path")
    with running_kafka() as broker:
        with TopicAdmin(broker.address) as admin:
            admin.create(topic_specs(names))
        client = DoorClientSettings(
            protocol=KAFKA,
            address=broker.address,
            key="",
            seconds=0.2,
            connections=1,
            request_spans=SPANS,
            requests=1,
            tenant=TENANT,
            topic=names.spans,
        )
        figures = measure_door([client], roots={})
        consumer = KafkaConsumer(
            names.spans,
            bootstrap_servers=broker.address,
            auto_offset_reset="earliest",
            consumer_timeout_ms=5_000,
        )
        records = list(consumer)
        consumer.close()
    assert figures.statuses == {"written": len(records)}
    assert figures.spans_per_s > 0
    for record in records[:200]:
        headers = dict(record.headers)
        spans = spans_by_origin([expand(record.value)])
        assert headers["tenant"] == TENANT.encode()
        assert int(headers["n"]) == spans.total() <= SPANS
        assert record.partition == int(headers["lane"])
