"""Spans through the real process: exporters of the OpenTelemetry SDK in, records on Kafka out."""

from __future__ import annotations

import gzip
import json
import subprocess
import threading
from collections import Counter
from uuid import uuid4

import grpc
import httpx
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OverGrpc
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OverHttp
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter

from tests.integration.ingest.conftest import BETRACE, PREFIX, Ingest, wait_until
from tests.support.otlp import random_spans, request, span
from udfs.lanes import LANES
from udfs.wire.betrace_pb2 import DeadLetter

pytestmark = pytest.mark.integration


def export_one(exporter: SpanExporter, name: str) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("tests").start_as_current_span(name, attributes={"k": "v" * 500}):
        pass
    provider.shutdown()


def test_the_sdks_own_exporters_deliver_over_http_and_grpc(ingest: Ingest) -> None:
    key = {"x-api-key": ingest.key}
    bearer = {"authorization": f"Bearer {ingest.key}"}
    gzipped = grpc.Compression.Gzip
    url, address = ingest.traces_url, f"http://{ingest.grpc_address}"
    export_one(OverHttp(endpoint=url, headers=key), "sdk http")
    export_one(OverHttp(url, headers=bearer, compression=Compression.Gzip), "sdk http gzip")
    export_one(OverGrpc(address, insecure=True, headers=key), "sdk grpc")
    export_one(
        OverGrpc(address, insecure=True, headers=bearer, compression=gzipped), "sdk grpc gzip"
    )
    names = ingest.span_names()
    assert {name: count for name, count in names.items() if name.startswith("sdk")} == {
        "sdk http": 1,
        "sdk http gzip": 1,
        "sdk grpc": 1,
        "sdk grpc gzip": 1,
    }
    tenants = {dict(r.headers()).get("tenant") for r in ingest.records() if r.value()}
    assert tenants == {ingest.tenant.encode()}


def test_a_request_of_20_000_spans_is_taken_whole(ingest: Ingest) -> None:
    body = gzip.compress(request(*random_spans(20_000, name="large")).SerializeToString())
    headers = ingest.headers | {"content-encoding": "gzip"}
    answer = httpx.post(ingest.traces_url, content=body, headers=headers, timeout=60)
    assert (answer.status_code, answer.content) == (200, b"")
    assert ingest.span_names()["large"] == 20_000


def test_every_partition_hears_a_heartbeat(ingest: Ingest) -> None:
    def beating() -> bool:
        beats = [r for r in ingest.records() if r.headers() == [("hb", b"1")]]
        assert {beat.value() for beat in beats} <= {b"", None}
        return {beat.partition() for beat in beats} == set(range(LANES))

    wait_until(beating, "a heartbeat in every partition")


def test_grpc_names_the_rejected_spans(ingest: Ingest) -> None:
    with grpc.insecure_channel(ingest.grpc_address) as channel:
        response = TraceServiceStub(channel).Export(
            request(span(span_id=b""), span("grpc good")), metadata=(("x-api-key", ingest.key),)
        )
    assert isinstance(response, ExportTraceServiceResponse)
    assert response.partial_success.rejected_spans == 1
    assert "otlp.span_id_missing" in response.partial_success.error_message
    assert ingest.span_names()["grpc good"] == 1


@pytest.mark.parametrize(
    ("body", "key", "code"),
    [
        (b"\xff\xff", "", grpc.StatusCode.UNAUTHENTICATED),
        (b"\xff\xff", "wrong", grpc.StatusCode.UNAUTHENTICATED),
        (b"\xff\xff", "right", grpc.StatusCode.INVALID_ARGUMENT),
        (b"\x0a" + bytes(200_000_000), "right", grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
    ids=["no key", "wrong key", "malformed", "gzip bomb"],
)
def test_grpc_refusals_have_their_status_and_no_retry(
    ingest: Ingest, body: bytes, key: str, code: grpc.StatusCode
) -> None:
    metadata = (("x-api-key", ingest.key if key == "right" else key),)
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(ingest.grpc_address, options=options) as channel:
        export = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        with pytest.raises(grpc.RpcError) as refused:
            export(body, metadata=metadata, compression=grpc.Compression.Gzip, timeout=60)
    assert refused.value.code() is code
    details = dict(refused.value.trailing_metadata())["grpc-status-details-bin"]
    status = Status.FromString(details)
    assert (status.code, list(status.details)) == (code.value[0], [])


def test_what_a_collector_wrote_to_kafka_comes_through_the_same_door(ingest: Ingest) -> None:
    tenant = new_tenant(ingest, "collecting")
    bodies = [
        request(span("raw good"), span(trace_id=b"short")).SerializeToString(),
        b"\xff\xff",
        request(span("raw last")).SerializeToString(),
    ]
    topic = write_raw(ingest, tenant, *bodies)
    wait_until(lambda: ingest.span_names()["raw last"] > 0, "the raw topic is read")
    records = [r for r in ingest.records() if dict(r.headers()).get("tenant") == tenant.encode()]
    assert ingest.span_names()["raw good"] == 1
    assert sum(int(dict(record.headers())["n"]) for record in records) == 2
    letters = [
        DeadLetter.FromString(letter.value()) for letter in ingest.records("dead-letters", 4)
    ]
    assert [
        (letter.code, letter.partition, letter.offset)
        for letter in letters
        if letter.topic == topic
    ] == [("otlp.trace_id_length", 0, 0), ("otlp.malformed", 0, 1)]


def test_tenants_that_take_no_spans_take_none_by_a_topic(ingest: Ingest) -> None:
    suspended = new_tenant(ingest, "suspended")
    ingest.betrace("tenant", "suspend", "suspended")
    leaving = new_tenant(ingest, "leaving")
    ingest.betrace("tenant", "delete", "leaving", "--confirm", "leaving")
    names = {suspended: "of a suspended", leaving: "of a leaving", str(uuid4()): "of nobody's"}
    for tenant, name in names.items():
        write_raw(ingest, tenant, request(span(name)).SerializeToString())
        wait_until(lambda tenant=tenant: is_read(ingest, tenant), f"{name} tenant is read")
    ingest.betrace("tenant", "resume", "suspended")

    def taken_again() -> bool:  # once its processes have heard of it
        write_raw(ingest, suspended, request(span("of a resumed")).SerializeToString(), make=False)
        return ingest.span_names()["of a resumed"] > 0

    wait_until(taken_again, "a tenant that was resumed takes spans")
    assert not set(names.values()) & set(ingest.span_names())
    letters = [DeadLetter.FromString(each.value()) for each in ingest.records("dead-letters", 4)]
    assert not {letter.tenant for letter in letters} & set(names)


def new_tenant(ingest: Ingest, name: str) -> str:
    """Create a tenant; return its id."""
    made: str = json.loads(ingest.betrace("tenant", "create", name, "--json"))["id"]
    return made


def write_raw(ingest: Ingest, tenant: str, *bodies: bytes, make: bool = True) -> str:
    """Write requests as a Collector does; return the topic. make: it is new."""
    topic = f"{PREFIX}.raw.{tenant}"
    if make:
        admin = AdminClient({"bootstrap.servers": ingest.broker.address})
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    producer = Producer({"bootstrap.servers": ingest.broker.address})
    for body in bodies:
        producer.produce(topic, body, partition=0)
    assert producer.flush(30) == 0
    return topic


def is_read(ingest: Ingest, tenant: str) -> bool:
    """Tell whether `ingest` is done with all that lies on a tenant's raw topic."""
    place = TopicPartition(f"{PREFIX}.raw.{tenant}", 0)
    group = {"bootstrap.servers": ingest.broker.address, "group.id": f"{PREFIX}.ingest"}
    consumer = Consumer(group)
    try:
        _, end = consumer.get_watermark_offsets(place, timeout=30)
        (committed,) = consumer.committed([place], timeout=30)
        return end > 0 and committed.offset >= end
    finally:
        consumer.close()


def test_topics_with_the_wrong_clock_or_partitions_are_told_with_what_to_do(
    ingest: Ingest,
) -> None:
    admin = AdminClient({"bootstrap.servers": ingest.broker.address})
    wrong = [NewTopic("wrong.spans", 8, 1), NewTopic("wrong.rules", 1, 1)]
    for made in admin.create_topics(wrong).values():
        made.result(30)
    done = subprocess.run(
        [*BETRACE, "topics", "check"],
        env=ingest.environment | {"BETRACE_TOPIC_PREFIX": "wrong"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "wrong.spans has 8 partitions, and must have 32" in done.stderr
    assert "wrong.rules has message.timestamp.type=CreateTime" in done.stderr
    assert "wrong.signals does not exist. Run `betrace topics create`." in done.stderr


class Sender:
    """Sends one span after another, each with a name of its own, and remembers the answers."""

    def __init__(self, ingest: Ingest, prefix: str) -> None:
        self._ingest = ingest
        self._prefix = prefix
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.acknowledged: list[str] = []
        self.answers: Counter[int] = Counter()
        self.slowest_s = 0.0

    def __enter__(self) -> Sender:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with httpx.Client(timeout=30) as client:
            number = 0
            while not self._stop.wait(0.02):
                number += 1
                name = f"{self._prefix} {number}"
                body = request(span(name)).SerializeToString()
                try:
                    answer = client.post(
                        self._ingest.traces_url, content=body, headers=self._ingest.headers
                    )
                except httpx.TransportError:
                    self.answers[0] += 1
                    continue
                self.answers[answer.status_code] += 1
                self.slowest_s = max(self.slowest_s, answer.elapsed.total_seconds())
                if answer.status_code == 200:
                    self.acknowledged.append(name)


def test_kafka_killed_and_started_again_loses_nothing_that_was_acknowledged(
    ingest: Ingest,
) -> None:
    with Sender(ingest, "outage") as sender:
        wait_until(lambda: len(sender.acknowledged) > 10, "spans flow")
        ingest.broker.kill()
        wait_until(lambda: sender.answers[503] > 10, "503 while Kafka is away")
        before = len(sender.acknowledged)
        assert not ingest.ready()
        ingest.broker.start()
        wait_until(lambda: len(sender.acknowledged) > before + 10, "spans flow again")
    assert set(sender.answers) == {200, 503}
    assert sender.slowest_s < 12
    names = ingest.span_names()
    assert [name for name in sender.acknowledged if not names[name]] == []
    wait_until(ingest.ready, "ready again")


def test_without_kafka_grpc_says_when_to_try_again(ingest: Ingest) -> None:
    ingest.broker.kill()
    wait_until(lambda: not ingest.ready(), "ingest has noticed")
    key = (("x-api-key", ingest.key),)
    channel = grpc.insecure_channel(ingest.grpc_address)
    with channel, pytest.raises(grpc.RpcError) as refused:
        TraceServiceStub(channel).Export(ExportTraceServiceRequest(), metadata=key)
    ingest.broker.start()
    status = Status.FromString(dict(refused.value.trailing_metadata())["grpc-status-details-bin"])
    retry = RetryInfo()
    assert status.details[0].Unpack(retry)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert retry.retry_delay.ToMilliseconds() == 2_000
    wait_until(ingest.ready, "ready again")


def test_a_stop_in_the_middle_of_traffic_loses_nothing_that_was_acknowledged(
    ingest: Ingest,
) -> None:
    with Sender(ingest, "stop") as sender:
        wait_until(lambda: len(sender.acknowledged) > 10, "spans flow")
        assert ingest.stop() == 0
    ingest.start()
    names = ingest.span_names()
    assert [name for name in sender.acknowledged if not names[name]] == []
