"""What the door answers over HTTP, and what reaches Kafka, with a Kafka of one list."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from prometheus_client import CollectorRegistry

from api.auth.addresses import Address, AddressRefused, parse_address, parse_networks
from api.ingest.allowance import allowance_alone
from api.ingest.credentials import KeysUnavailable, MayNotSend, Sender
from api.ingest.door import Door
from api.ingest.gate import Gate, NoRecords
from api.ingest.limits import IngestLimits
from api.ingest.metrics import IngestMetrics
from api.ingest.otlp_http import OtlpHttp
from api.ingest.redaction import NoRedaction
from api.kafka.producer import DeliveryFailed, Done, Headers, ProducerUnavailable
from api.kafka.topics import TopicNames
from tests.support.otlp import random_spans, request, span, spans_by_origin
from udfs.lanes import LANES
from udfs.payload import expand
from udfs.wire.betrace_pb2 import DeadLetter

TENANT = "3f1f7a52-0d8c-4f0e-9d26-6f1f0c1f2a01"
PROTOBUF = {"x-api-key": "good", "content-type": "application/x-protobuf"}
JSON = {"authorization": "Bearer good", "content-type": "application/json"}
ONE = request(span()).SerializeToString()


@dataclass(frozen=True)
class Sent:
    topic: str
    value: bytes
    partition: int
    headers: dict[str, Any]


@dataclass
class ListedKafka:
    """Acknowledges, fails or refuses records, from a thread of its own like the real producer."""

    healthy: bool = True
    error: DeliveryFailed | None = None
    refuses: bool = False
    sent: list[Sent] = field(default_factory=list)

    def send(
        self, topic: str, value: bytes, *, partition: int, headers: Headers, done: Done
    ) -> None:
        if self.refuses:
            raise ProducerUnavailable("full")
        self.sent.append(Sent(topic, value, partition, dict(headers)))
        threading.Thread(target=done, args=(self.error,)).start()

    def on(self, topic: str) -> list[Sent]:
        return [sent for sent in self.sent if sent.topic == topic]


class TwoKeys:
    def knows(self, key: str) -> bool:
        return key == "good"

    async def sender(self, key: str, *, address: Address | None) -> Sender | None:
        match key:
            case "good":
                return Sender(TENANT)
            case "viewer":
                raise MayNotSend
            case "good from 203.0.113.9":
                if address != parse_address("203.0.113.9"):
                    raise AddressRefused(address)
                return Sender(TENANT)
            case "unknown while Postgres is away":
                raise KeysUnavailable
        return None


@dataclass
class Ingest:
    kafka: ListedKafka
    door: Door
    http: httpx.AsyncClient

    async def post(self, body: bytes, headers: dict[str, str]) -> httpx.Response:
        return await self.http.post("/v1/traces", content=body, headers=headers)


def ingest_with(*, proxies: tuple[str, ...] = (), **limits: Any) -> Ingest:
    chosen = IngestLimits(gather_ms=1, **limits)
    kafka = ListedKafka()
    metrics = IngestMetrics(CollectorRegistry())
    allowance = allowance_alone(chosen)
    door = Door(
        producer=kafka,
        topics=TopicNames("t"),
        limits=chosen,
        metrics=metrics,
        allowance=allowance,
        redactions=NoRedaction(),
    )
    gate = Gate(TwoKeys(), allowance, NoRecords())
    app = OtlpHttp(door, gate, limits=chosen, metrics=metrics, proxies=parse_networks(proxies))
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    return Ingest(kafka, door, httpx.AsyncClient(transport=transport, base_url="http://ingest"))


@pytest.fixture
async def ingest() -> AsyncIterator[Ingest]:
    made = ingest_with(max_body_bytes=100_000, max_expanded_bytes=200_000, max_json_bytes=150_000)
    async with made.http:
        yield made
    made.door.close()


async def test_success_is_an_empty_response_in_the_encoding_of_the_request(ingest: Ingest) -> None:
    answers = [await ingest.post(ONE, PROTOBUF), await ingest.post(b"{}", JSON)]
    assert [(a.status_code, a.headers["content-type"], a.content) for a in answers] == [
        (200, "application/x-protobuf", b""),
        (200, "application/json", b"{}"),
    ]


async def test_records_carry_tenant_lane_and_count_and_lie_in_the_partition_of_their_lane(
    ingest: Ingest,
) -> None:
    sent = request(*random_spans(100)).SerializeToString()
    assert (await ingest.post(sent, PROTOBUF)).status_code == 200
    records = ingest.kafka.on("t.spans")
    assert spans_by_origin(expand(record.value) for record in records) == spans_by_origin([sent])
    for record in records:
        count = sum(spans_by_origin([expand(record.value)]).values())
        lane = int(record.headers["lane"])
        assert record.partition == lane % LANES
        assert record.headers == {
            "tenant": TENANT.encode(),
            "lane": b"%d" % lane,
            "n": b"%d" % count,
            "v": b"1",
        }


async def test_a_tenant_named_in_the_payload_changes_nothing(ingest: Ingest) -> None:
    other = request(span(), service="00000000-0000-0000-0000-000000000000")
    attribute = other.resource_spans[0].resource.attributes.add(key="betrace.tenant.id")
    attribute.value.string_value = "00000000-0000-0000-0000-000000000000"
    await ingest.post(other.SerializeToString(), PROTOBUF)
    assert {record.headers["tenant"] for record in ingest.kafka.sent} == {TENANT.encode()}


async def test_bad_spans_are_named_and_kept_and_the_good_ones_go_on(ingest: Ingest) -> None:
    bad = span("bad", trace_id=bytes(16))
    body = request(bad, span("good")).SerializeToString()
    answer = await ingest.post(body, PROTOBUF)
    partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert (answer.status_code, partial.rejected_spans, partial.error_message) == (
        200,
        1,
        "1 × otlp.trace_id_zero: a trace id must not be all zeros",
    )
    assert [int(record.headers["n"]) for record in ingest.kafka.on("t.spans")] == [1]
    [letter] = ingest.kafka.on("t.dead-letters")
    assert DeadLetter.FromString(letter.value) == DeadLetter(
        tenant=TENANT,
        source="ingest",
        code="otlp.trace_id_zero",
        detail="a trace id must not be all zeros",
        content=bad.SerializeToString(),
    )


async def test_partial_success_in_json_has_its_number_as_a_string(ingest: Ingest) -> None:
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "without ids"}]}]}]}
    answer = await ingest.post(json.dumps(body).encode(), JSON)
    assert answer.json() == {
        "partialSuccess": {
            "rejectedSpans": "1",
            "errorMessage": "1 × otlp.trace_id_missing: the span has no trace id",
        }
    }


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"garbage", PROTOBUF, 400, 3),
        (b"{", JSON, 400, 3),
        (b"not gzip", {**PROTOBUF, "content-encoding": "gzip"}, 400, 3),
        (ONE, {"content-type": "application/x-protobuf"}, 401, 16),
        (ONE, {**PROTOBUF, "x-api-key": "wrong"}, 401, 16),
        (b"{}", {**JSON, "authorization": "Basic good"}, 401, 16),
        (ONE, {**PROTOBUF, "x-api-key": "viewer"}, 403, 7),
        (bytes(100_001), PROTOBUF, 413, 8),
        (gzip.compress(bytes(200_001)), {**PROTOBUF, "content-encoding": "gzip"}, 413, 8),
        (gzip.compress(bytes(150_001)), {**JSON, "content-encoding": "gzip"}, 413, 8),
        (ONE, {**PROTOBUF, "content-type": "text/plain"}, 415, 12),
        (ONE, {"x-api-key": "good"}, 415, 12),
        (ONE, {**PROTOBUF, "content-encoding": "br"}, 415, 12),
        (ONE, {**PROTOBUF, "x-api-key": "unknown while Postgres is away"}, 503, 14),
    ],
)
async def test_refusals_say_why_as_a_status_in_the_encoding_of_the_request(
    ingest: Ingest, body: bytes, headers: dict[str, str], status: int, code: int
) -> None:
    answer = await ingest.post(body, headers)
    if answer.headers["content-type"] == "application/json":
        said = answer.json()["code"]
    else:
        said = Status.FromString(answer.content).code
    assert (answer.status_code, said) == (status, code)
    assert ("retry-after" in answer.headers) == (status == 503)
    assert ingest.kafka.on("t.spans") == []


async def test_an_undecodable_request_is_kept_up_to_16_kib(ingest: Ingest) -> None:
    await ingest.post(b"\xff" * 20_000, PROTOBUF)
    [letter] = ingest.kafka.on("t.dead-letters")
    kept = DeadLetter.FromString(letter.value)
    assert (kept.tenant, kept.code, kept.content) == (TENANT, "otlp.malformed", b"\xff" * 16_384)


@pytest.mark.parametrize(
    "trouble", [{"healthy": False}, {"refuses": True}, {"error": DeliveryFailed("timed out")}]
)
async def test_without_kafka_the_answer_is_503_and_nothing_is_held(
    ingest: Ingest, trouble: dict[str, Any]
) -> None:
    for name, value in trouble.items():
        setattr(ingest.kafka, name, value)
    answer = await ingest.post(ONE, PROTOBUF)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert ingest.door.lease().size_bytes == 0


async def test_over_its_rate_a_tenant_is_told_when_to_come_back() -> None:
    ingest = ingest_with(tenant_spans_per_s=1, tenant_burst_s=1)
    body = request(*random_spans(10)).SerializeToString()
    async with ingest.http:
        answers = [await ingest.post(body, PROTOBUF) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert 1 <= int(answers[1].headers["retry-after"]) <= 10


async def test_over_its_memory_the_door_answers_503() -> None:
    ingest = ingest_with(max_unacknowledged_bytes=1024 * 1024)
    body = request(span(note="x" * 100)).SerializeToString()
    large = request(*(span(note="x" * 1000) for _ in range(1100))).SerializeToString()
    async with ingest.http:
        answers = [await ingest.post(each, PROTOBUF) for each in (large, body)]
    assert [answer.status_code for answer in answers] == [503, 200]


async def test_a_stopping_door_takes_nothing_more(ingest: Ingest) -> None:
    ingest.door.close()
    answer = await ingest.post(ONE, PROTOBUF)
    ready = await ingest.http.get("/health/ready")
    live = await ingest.http.get("/health/live")
    assert (answer.status_code, ready.status_code, live.status_code) == (503, 503, 200)


async def test_other_paths_and_methods_are_refused(ingest: Ingest) -> None:
    answers = [
        await ingest.http.get("/v1/traces", headers=PROTOBUF),
        await ingest.http.post("/v1/logs", headers=PROTOBUF),
    ]
    assert [answer.status_code for answer in answers] == [405, 404]


@pytest.mark.parametrize(
    ("proxies", "status", "seen"),
    [((), 403, "127.0.0.1"), (("127.0.0.1",), 200, ""), (("10.0.0.0/8",), 403, "127.0.0.1")],
)
async def test_a_caller_is_believed_only_where_a_trusted_proxy_names_them(
    proxies: tuple[str, ...], status: int, seen: str
) -> None:
    made = ingest_with(proxies=proxies)
    headers = {**PROTOBUF, "x-api-key": "good from 203.0.113.9", "x-forwarded-for": "203.0.113.9"}
    async with made.http:
        answer = await made.post(ONE, headers)
    made.door.close()
    assert answer.status_code == status
    if status == 403:
        message = Status.FromString(answer.content).message
        assert message == f"This API key may not be used from {seen}."
