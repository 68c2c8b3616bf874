"""A process that sends export requests to the OTLP door as fast as answers come.

Started as `python -m api.bench.door_client` with settings as one line of JSON on standard input;
it prints "ready", waits for a second line, sends for the seconds asked, and prints one line of
JSON. Every connection has one request on its way at a time, as an exporter does.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from random import Random
from typing import TextIO

import grpc
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from api.bench.chunk import Chunk, Stamp
from api.bench.plan import Load, LoadSettings, plan
from api.bench.topic import SpansTopic
from udfs.lanes import PARTITIONS

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PROTOCOLS = ("http", "grpc", "json")
KAFKA = "kafka"
"""No protocol of the door: records go straight to the topic of spans, as `ingest` writes them."""
_TIMEOUT_S = 30.0
_KAFKA_SPANS = 65_536
"""Enough for full records of every lane."""
_AFTER_BROKEN_S = 0.05
_HEX_FIELDS = ("traceId", "spanId", "parentSpanId")

Send = Callable[[bytes], str]
"""Sends one request; returns the status of the answer, "200" or "OK" if it was taken."""


@dataclass(frozen=True, slots=True)
class DoorClientSettings:
    """address: http://host:port; of Kafka host:port. requests: how many different ones are sent in
    turn. tenant, topic: where records go, for Kafka alone.
    """

    protocol: str
    address: str
    key: str
    seconds: float
    connections: int
    request_spans: int = 512
    requests: int = 32
    seed: int = 1
    tenant: str = ""
    topic: str = ""


@dataclass(slots=True)
class Sent:
    """What one process has sent. spans: those of requests that were taken."""

    spans: int = 0
    bytes: int = 0
    delays_ms: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)

    def add(self, other: Sent) -> None:
        """Add what another has sent."""
        self.spans += other.spans
        self.bytes += other.bytes
        self.delays_ms += other.delays_ms
        self.statuses += other.statuses


def requests_of(settings: DoorClientSettings) -> list[bytes]:
    """Return the bodies to send: spans of many traces each, as a Collector's batches are."""
    spans = settings.requests * settings.request_spans
    load = LoadSettings(tenant="", chunk_spans=spans, record_spans=settings.request_spans)
    load = replace(load, traffic=replace(load.traffic, seed=settings.seed))
    chunk = Chunk(
        (replace(placed, lane=0) for placed in plan(load).placed()),
        record_spans=settings.request_spans,
    )
    chunk.stamp(Stamp(1, time.time_ns()), previous=Stamp(0, time.time_ns()))
    full = [body for slot, body in chunk if slot.spans == settings.request_spans]
    if settings.protocol == "json":
        return [json.dumps(_otlp_json(body)).encode() for body in full]
    return full


def _otlp_json(body: bytes) -> dict[str, object]:
    """Return a request as OTLP/JSON: ids are hex there, unlike protobuf's own JSON."""
    request = ExportTraceServiceRequest.FromString(body)
    message: dict[str, object] = MessageToDict(request, use_integers_for_enums=True)
    for resource, given in zip(
        message["resourceSpans"],
        request.resource_spans,
        strict=True,  # type: ignore[call-overload]
    ):
        for scope, given_scope in zip(resource["scopeSpans"], given.scope_spans, strict=True):
            for span, given_span in zip(scope["spans"], given_scope.spans, strict=True):
                ids = (given_span.trace_id, given_span.span_id, given_span.parent_span_id)
                span.update({k: v.hex() for k, v in zip(_HEX_FIELDS, ids, strict=True) if v})
    return message


def _http_sender(settings: DoorClientSettings) -> Send:
    host = settings.address.partition("://")[2]
    connection = http.client.HTTPConnection(host, timeout=_TIMEOUT_S)
    kind = "json" if settings.protocol == "json" else "x-protobuf"
    headers = {"Content-Type": f"application/{kind}", "X-API-Key": settings.key}

    def send(body: bytes) -> str:
        connection.request("POST", "/v1/traces", body, headers)
        answer = connection.getresponse()
        answer.read()
        return str(answer.status)

    return send


def _grpc_sender(settings: DoorClientSettings) -> Send:
    # A channel of its own for every connection: channels share sockets otherwise.
    channel = grpc.insecure_channel(
        settings.address.partition("://")[2], options=[("grpc.use_local_subchannel_pool", 1)]
    )
    export = channel.unary_unary(EXPORT)
    metadata = (("x-api-key", settings.key),)

    def send(body: bytes) -> str:
        try:
            export(body, timeout=_TIMEOUT_S, metadata=metadata)
        except grpc.RpcError as error:
            return str(error.code().name)
        return "OK"

    return send


def _connection(settings: DoorClientSettings, bodies: list[bytes], *, number: int) -> Sent:
    """Send over one connection until the time is over."""
    sent = Sent()
    send = _grpc_sender(settings) if settings.protocol == "grpc" else _http_sender(settings)
    order = Random(number).sample(bodies, len(bodies))
    end = time.monotonic() + settings.seconds
    turn = 0
    while time.monotonic() < end:
        body = order[turn % len(order)]
        turn += 1
        begun = time.monotonic()
        status = "broken"
        with suppress(OSError, http.client.HTTPException):
            status = send(body)
        if status == "broken":
            time.sleep(_AFTER_BROKEN_S)
        sent.delays_ms.append((time.monotonic() - begun) * 1000)
        sent.statuses[status] += 1
        if status in ("200", "OK"):
            sent.spans += settings.request_spans
            sent.bytes += len(body)
    return sent


def _to_kafka(settings: DoorClientSettings, load: Load) -> Sent:
    """Write records until the time is over, and wait until the broker has them all."""
    topic = SpansTopic(
        bootstrap=settings.address,
        topic=settings.topic,
        tenant=settings.tenant,
        partitions=PARTITIONS,
    )
    sent = Sent()
    end = time.monotonic() + settings.seconds
    while time.monotonic() < end:
        for slot, record in load.whole:
            topic.write(record, lane=slot.lane, spans=slot.spans)
            sent.spans += slot.spans
            sent.bytes += len(record)
            sent.statuses["written"] += 1
            if time.monotonic() > end:
                break
    topic.flush(timeout_s=_TIMEOUT_S)
    return sent


def _prepared(settings: DoorClientSettings) -> Callable[[], Sent]:
    """Lay out what is to be sent, and return what sends it."""
    if settings.protocol == KAFKA:
        load = plan(
            LoadSettings(
                tenant=settings.tenant,
                chunk_spans=max(settings.requests * settings.request_spans, _KAFKA_SPANS),
                record_spans=settings.request_spans,
            )
        ).load()
        stamp = Stamp(1, time.time_ns())
        load.whole.stamp(stamp, previous=stamp)
        return lambda: _to_kafka(settings, load)
    bodies = requests_of(settings)
    return lambda: _over_connections(settings, bodies)


def _over_connections(settings: DoorClientSettings, bodies: list[bytes]) -> Sent:
    total = Sent()
    with ThreadPoolExecutor(settings.connections) as threads:
        running = [
            threads.submit(_connection, settings, bodies, number=number)
            for number in range(settings.connections)
        ]
        for each in running:
            total.add(each.result())
    return total


def main(commands: TextIO, results: TextIO) -> None:
    """Run one client process."""
    settings = DoorClientSettings(**json.loads(commands.readline()))
    send = _prepared(settings)
    results.write("ready\n")
    results.flush()
    commands.readline()
    cpu_s = time.process_time()
    begun = time.monotonic()
    total = send()
    result = {
        "spans": total.spans,
        "bytes": total.bytes,
        "delays_ms": total.delays_ms,
        "statuses": dict(total.statuses),
        "seconds": time.monotonic() - begun,
        "cpu_s": time.process_time() - cpu_s,
    }
    results.write(json.dumps(result) + "\n")
    results.flush()


if __name__ == "__main__":
    main(sys.stdin, sys.stdout)
