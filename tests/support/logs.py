"""The two logs on a real broker, and what the pure engine makes of them.

`judge` is the law in one function: signals are a function of the spans log and the rules log.
Whatever the job wrote, in whatever order and after whatever crash, must be what it returns.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from confluent_kafka import Producer
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from api.kafka.topics import TopicAdmin, TopicNames, topic_specs
from tests.support.engine import MemoryStore
from tests.support.many import ManyStages
from udfs.addressing import read_address
from udfs.contributions import MANY_SPANS, wake
from udfs.lanes import LANES, lane_of
from udfs.life import Lane
from udfs.match import Matcher
from udfs.payload import compress, expand
from udfs.rulebook import RuleBook

HEARTBEAT_EVERY_S = 0.25


class LogRecord(NamedTuple):
    """One record as the broker has it."""

    partition: int
    offset: int
    time_ms: int
    key: bytes | None
    value: bytes
    headers: dict[str, bytes]


def create_topics(kafka: str, *prefixes: str) -> None:
    """Create all topics of installations with these prefixes."""
    with TopicAdmin(kafka) as admin:
        for prefix in prefixes:
            admin.create(topic_specs(TopicNames(prefix)), replication=1)


def read_log(kafka: str, topic: str) -> list[LogRecord]:
    """Return every record of a topic up to its end as of now, in the order of time."""
    consumer = KafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False, group_id=None)
    try:
        partitions = [
            TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()
        ]
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        ends = consumer.end_offsets(partitions)
        records: list[LogRecord] = []
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            for polled in consumer.poll(timeout_ms=500).values():
                records += (
                    LogRecord(r.partition, r.offset, r.timestamp, r.key, r.value, dict(r.headers))
                    for r in polled
                )
        return sorted(records, key=lambda r: (r.time_ms, r.partition, r.offset))
    finally:
        consumer.close()


def expire_everything(kafka: str, topic: str) -> None:
    """Let all records of a topic of lanes go, as retention does."""
    _delete(kafka, {TopicPartition(topic, number): -1 for number in range(LANES)})


def expire(kafka: str, topic: str, records: Iterable[LogRecord]) -> None:
    """Let these records of a topic go, and all before them, as retention does."""
    ends: dict[TopicPartition, int] = {}
    for record in records:
        partition = TopicPartition(topic, record.partition)
        ends[partition] = max(record.offset + 1, ends.get(partition, 0))
    _delete(kafka, ends)


def _delete(kafka: str, before: Mapping[TopicPartition, int]) -> None:
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.delete_records(before)
    admin.close()


class SpansWriter:
    """Writes to the spans topic as `ingest` does: one tenant and lane a record, heartbeats."""

    def __init__(self, kafka: str, topic: str) -> None:
        self._topic = topic
        self._producer = Producer({"bootstrap.servers": kafka, "linger.ms": 5})

    def write(self, payload: bytes, *, tenant: str, lane: int, spans: int) -> None:
        """Write one record."""
        self._producer.produce(
            self._topic,
            compress(payload),
            partition=lane % LANES,
            headers=[
                ("tenant", tenant.encode()),
                ("lane", b"%d" % lane),
                ("n", b"%d" % spans),
                ("v", b"1"),
            ],
        )
        self._producer.poll(0)

    def write_raw(self, payload: bytes, *, partition: int) -> None:
        """Write something that `ingest` would not have written."""
        self._producer.produce(self._topic, payload, partition=partition)

    def heartbeat(self) -> None:
        """Write a heartbeat into every partition."""
        for partition in range(LANES):
            self._producer.produce(self._topic, b"", partition=partition, headers=[("hb", b"1")])
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until the broker has everything."""
        if self._producer.flush(60):
            raise AssertionError("the broker did not take everything within 60 s")

    @contextmanager
    def heartbeats(self) -> Iterator[None]:
        """Keep event time going while the body runs."""
        stop = threading.Event()

        def beat() -> None:
            while not stop.wait(HEARTBEAT_EVERY_S):
                self.heartbeat()

        beating = threading.Thread(target=beat, daemon=True)
        beating.start()
        try:
            yield
        finally:
            stop.set()
            beating.join()
            self.flush()


def write_rules(kafka: str, topic: str, records: Iterable[bytes]) -> None:
    """Append records to the rules log and wait until the broker has them."""
    producer = Producer({"bootstrap.servers": kafka})
    for record in records:
        producer.produce(topic, record, partition=0, headers=[("v", b"1")])
    if producer.flush(60):
        raise AssertionError("the broker did not take the rules within 60 s")


def judge(rules: Sequence[LogRecord], spans: Sequence[LogRecord]) -> set[tuple[bytes, bytes]]:
    """Return the (id, signal) records that the pure engine makes of the two logs.

    Time comes as far as the slowest partition has come. Every partition has records.
    """
    book = RuleBook()
    for record in rules:
        book.add(record.value, append_ms=record.time_ms, offset=record.offset)
    matcher = Matcher(book)
    lanes = {number: Lane(number, book) for number in range(LANES)}
    for record in spans:
        address = read_address(tenant=record.headers.get("tenant"), lane=record.headers.get("lane"))
        if not record.value or address is None:
            continue
        place = {"partition": record.partition, "offset": record.offset, "time_ms": record.time_ms}
        for lane, element in matcher.match(
            expand(record.value), tenant=address.tenant, lane=address.lane, **place
        ):
            lanes[lane].receive(element=element, **place)
    first_ms: dict[int, int] = {}
    latest_ms: dict[int, int] = {}
    for record in spans:
        first_ms.setdefault(record.partition, record.time_ms)
        latest_ms[record.partition] = record.time_ms
    watermark_ms = min(latest_ms.values()) - 1
    outputs = [o for lane in lanes.values() for o in lane.advance(watermark_ms, MemoryStore())]
    stages = ManyStages(book)
    for partition, time_ms in first_ms.items():
        for number in range(partition, LANES, len(first_ms)):
            stages.say(MANY_SPANS, number, wake(time_ms=time_ms))
    return {
        (output.key, output.value)
        for output in stages.advance(outputs, watermark_ms)
        if output.topic == "signals"
    }


def lane_records(
    tenant: str, payloads: Iterable[tuple[bytes, bytes]]
) -> Iterator[tuple[int, bytes]]:
    """Yield (lane, payload) for payloads given with the trace that all their spans belong to."""
    for trace_id, payload in payloads:
        yield lane_of(tenant, trace_id), payload
