"""What the door writes of what it takes in: redacted, by which policy, and nothing without one."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client import CollectorRegistry

from api.ingest.allowance import allowance_alone
from api.ingest.credentials import Sender
from api.ingest.door import Door, Encoding, Taken
from api.ingest.limits import IngestLimits
from api.ingest.metrics import IngestMetrics
from api.ingest.redaction import OneRequest
from api.ingest.refusals import Refusal, Refused
from api.kafka.producer import Done, Headers
from api.kafka.topics import POLICY_HEADER, TopicNames
from api.redaction.redactors import RedactionUnavailable
from tests.support import otlp
from tests.support.redaction import KEY, PLACES, a_span, request, string, with_attribute
from udfs.payload import expand
from udfs.redaction.policy import Policy
from udfs.redaction.redactor import Redactor
from udfs.redaction.strategies import Strategy
from udfs.wire.betrace_pb2 import DeadLetter

TENANT = "3f1f7a52-0d8c-4f0e-9d26-6f1f0c1f2a01"
SECRET = "ada.lovelace@example.com"


@dataclass
class ListedKafka:
    healthy: bool = True
    sent: list[tuple[str, bytes, dict[str, Any]]] = field(default_factory=list)

    def send(
        self, topic: str, value: bytes, *, partition: int, headers: Headers, done: Done
    ) -> None:
        self.sent.append((topic, value, dict(headers)))
        threading.Thread(target=done, args=(None,)).start()

    def on(self, topic: str) -> list[tuple[bytes, dict[str, Any]]]:
        return [(value, headers) for name, value, headers in self.sent if name == topic]


async def nothing() -> None:
    return


class Policies:
    """Gives the door what a test says. settle: in place of the vault."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.metrics = IngestMetrics(CollectorRegistry())
        self.settle: Callable[[], Awaitable[None]] = nothing
        self.away = False
        self.use(policy or Policy())

    def use(self, policy: Policy) -> None:
        self.redactor, self.version = Redactor(policy, KEY), policy.version

    async def of(self, tenant: str) -> OneRequest:
        if self.away:
            raise Refused(Refusal.UNAVAILABLE, "not now", retry_after_s=1)
        return OneRequest(self.redactor, self.version, self.settle, self.metrics)


@dataclass
class Ingest:
    kafka: ListedKafka
    door: Door
    policies: Policies

    async def take(
        self, body: bytes | ExportTraceServiceRequest, encoding: Encoding = Encoding.PROTOBUF
    ) -> Taken:
        sent = body if isinstance(body, bytes) else body.SerializeToString()
        lease = self.door.lease()
        self.door.grow(lease, len(sent))
        return await self.door.take(Sender(TENANT), sent, encoding=encoding, lease=lease)

    @property
    def written(self) -> bytes:
        return b"".join(expand(value) for value, _ in self.kafka.on("t.spans"))

    @property
    def letters(self) -> list[DeadLetter]:
        return [DeadLetter.FromString(value) for value, _ in self.kafka.on("t.dead-letters")]


@pytest.fixture
async def ingest() -> Ingest:
    return an_ingest()


def an_ingest(policy: Policy | None = None, *, gather_ms: int = 1) -> Ingest:
    limits = IngestLimits(gather_ms=gather_ms)
    kafka, policies = ListedKafka(), Policies(policy)
    door = Door(
        producer=kafka,
        topics=TopicNames("t"),
        limits=limits,
        metrics=policies.metrics,
        allowance=allowance_alone(limits),
        redactions=policies,
    )
    return Ingest(kafka, door, policies)


@pytest.mark.parametrize("place", PLACES)
async def test_what_is_found_anywhere_in_a_span_is_not_written(ingest: Ingest, place: str) -> None:
    taken = await ingest.take(PLACES[place](SECRET))
    assert (taken.received, taken.rejected) == (1, 0)
    assert SECRET.encode() not in ingest.written
    assert b"hash:k1:" in ingest.written


async def test_spans_with_nothing_in_them_are_written_as_they_came(ingest: Ingest) -> None:
    sent = request(a_span(name="GET /users/{id}"))
    await ingest.take(sent)
    assert ExportTraceServiceRequest.FromString(ingest.written) == sent


async def test_json_is_redacted_as_well(ingest: Ingest) -> None:
    await ingest.take(json_of(attributes=[{"key": "note", "value": {"stringValue": SECRET}}]),
                      Encoding.JSON)  # fmt: skip
    assert SECRET.encode() not in ingest.written
    assert b"hash:k1:" in ingest.written


async def test_a_large_request_is_redacted_beside_the_event_loop(ingest: Ingest) -> None:
    filling = [a_span(name="x" * 1_000, span_id=number.to_bytes(8)) for number in range(1, 400)]
    sent = request(*filling, a_span(name=f"mail to {SECRET}"))
    taken = await ingest.take(sent)
    assert (taken.received, taken.rejected) == (400, 0)
    assert SECRET.encode() not in ingest.written


async def test_every_record_names_the_version_of_the_policy() -> None:
    ingest = an_ingest(gather_ms=1_000)
    first = asyncio.create_task(ingest.take(request(a_span(name="one"))))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    ingest.policies.use(Policy(version=7))
    second = asyncio.create_task(ingest.take(request(a_span(name="two"))))
    await asyncio.gather(first, second)
    versions = [
        (headers[POLICY_HEADER], b"one" in expand(value), b"two" in expand(value))
        for value, headers in ingest.kafka.on("t.spans")
    ]
    assert versions == [(b"0", True, False), (b"7", False, True)]


async def test_without_a_policy_nothing_is_taken(ingest: Ingest) -> None:
    ingest.policies.away = True
    with pytest.raises(Refused) as refused:
        await ingest.take(request(a_span(name=SECRET)))
    assert (refused.value.kind, refused.value.retry_after_s) == (Refusal.UNAVAILABLE, 1)
    assert ingest.kafka.sent == []


async def test_what_is_refused_for_want_of_a_policy_holds_no_memory(ingest: Ingest) -> None:
    ingest.policies.away = True
    with pytest.raises(Refused):
        await ingest.take(request(a_span(name="x")))
    [held] = ingest.policies.metrics.held_bytes.collect()[0].samples
    assert held.value == 0


async def test_a_token_that_is_not_kept_does_not_leave() -> None:
    ingest = an_ingest(Policy(keys={"card": Strategy.TOKENIZE}))

    async def full() -> None:
        raise RedactionUnavailable("the vault is away")

    ingest.policies.settle = full
    with pytest.raises(Refused) as refused:
        await ingest.take(with_attribute("card", string("4111")))
    assert refused.value.kind is Refusal.UNAVAILABLE
    assert ingest.kafka.sent == []


async def test_a_span_that_grows_over_the_limit_by_its_tokens_is_a_reject() -> None:
    ingest = an_ingest(Policy(keys={"m": Strategy.HASH}))
    sent = request(a_span(attributes=[otlp.attribute("m", "x") for _ in range(20_000)]))
    assert len(sent.SerializeToString()) < 900_000
    taken = await ingest.take(sent)
    assert [reject.code for reject in taken.rejects] == ["otlp.span_too_large"]


async def test_a_refused_span_is_kept_without_what_is_found_in_it(ingest: Ingest) -> None:
    bad = a_span(name=f"mail to {SECRET}")
    bad.trace_id = b"short"
    taken = await ingest.take(request(bad, a_span(name="fine")))
    [letter] = ingest.letters
    assert (taken.rejected, letter.code) == (1, "otlp.trace_id_length")
    assert SECRET.encode() not in letter.content
    assert b"hash:k1:" in letter.content


async def test_a_request_that_does_not_decode_is_kept_only_if_nothing_is_found(
    ingest: Ingest,
) -> None:
    for body in (b"\xff\xff" + SECRET.encode(), b"\xff\xffnothing"):
        with pytest.raises(Refused):
            await ingest.take(body)
    assert [letter.content for letter in ingest.letters] == [b"[REDACTED]", b"\xff\xffnothing"]


async def test_json_that_is_none_is_not_kept(ingest: Ingest) -> None:
    with pytest.raises(Refused):
        await ingest.take(b'{"resourceSpans": [{"password": "hunter2"', Encoding.JSON)
    [letter] = ingest.letters
    assert letter.content == b"[REDACTED]"
    assert "hunter2" not in letter.detail


async def test_a_refused_span_of_json_is_kept_by_its_keys(ingest: Ingest) -> None:
    body = json_of(
        traceId="not hex",
        attributes=[
            {"key": "password", "value": {"stringValue": "hunter2"}},
            {"key": "user", "value": {"kvlistValue": {"values": [
                {"key": "ssn", "value": {"intValue": "123456789"}}]}}},
            {"key": "app.note", "value": {"arrayValue": {"values": [{"stringValue": SECRET}]}}},
            {"key": "order.id", "value": {"stringValue": "o-17"}},
        ],
    )  # fmt: skip
    taken = await ingest.take(body, Encoding.JSON)
    [letter] = ingest.letters
    assert taken.rejected == 1
    for secret in (b"hunter2", b"123456789", SECRET.encode()):
        assert secret not in letter.content
    assert b"o-17" in letter.content
    assert b"hash:k1:" in letter.content


async def test_what_was_taken_out_is_counted(ingest: Ingest) -> None:
    await ingest.take(request(a_span(name=f"from {SECRET} to {SECRET}")))
    counted = ingest.policies.metrics.redacted.labels("email")
    assert counted._value.get() == 2


def json_of(**fields: Any) -> bytes:
    span = {"traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1", "name": "x", **fields}
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
