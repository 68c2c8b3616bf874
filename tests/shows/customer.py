"""What a customer does: saves rules, sends traces by the OpenTelemetry SDK, asks for signals."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self, TypeVar
from uuid import uuid4

import httpx
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

ACTIVE_S = 10.0
"""Saved rules are live within this time."""
_POLL_S = 0.2
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Customer:
    """api: a client of the REST API with the customer's key."""

    api: httpx.Client
    key: str
    otlp_http: str
    otlp_grpc: str

    @classmethod
    @contextmanager
    def of(cls, variables: Mapping[str, str]) -> Iterator[Self]:
        """Be the customer of the stack with these variables."""
        key = variables["BETRACE_API_KEY"]
        headers = {"X-API-Key": key}
        with httpx.Client(base_url=variables["BETRACE_URL"], headers=headers, timeout=30) as api:
            yield cls(api, key, variables["BETRACE_OTLP_HTTP"], variables["BETRACE_OTLP_GRPC"])

    @contextmanager
    def rule(self, text: str) -> Iterator[str]:
        """Save a rule, wait until it is live, and delete it at the end; yields its id."""
        rule_id = f"show-{uuid4().hex[:12]}"
        body = {"id": rule_id, "name": rule_id, "severity": "high", "rule": text}
        answer = self.api.post("/api/v1/rules", json=body)
        assert answer.status_code == 201, answer.text
        time.sleep(ACTIVE_S)
        try:
            yield rule_id
        finally:
            self.api.delete(f"/api/v1/rules/{rule_id}")

    def signals(self, rule_id: str) -> list[dict[str, Any]]:
        """Return the signals of a rule."""
        answer = self.api.get("/api/v1/signals", params={"rule_id": rule_id})
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    def trace(self, trace_id: str) -> list[dict[str, Any]]:
        """Return the spans of a trace; none while there is no copy of it."""
        answer = self.api.get(f"/api/v1/traces/{trace_id}")
        if answer.status_code == 404:
            return []
        assert answer.status_code == 200, answer.text
        spans: list[dict[str, Any]] = answer.json()["spans"]
        return spans

    def exporter(self, protocol: str) -> SpanExporter:
        """Return the SDK's own exporter for "http" or "grpc"."""
        if protocol == "grpc":
            address = self.otlp_grpc.partition("://")[2]
            metadata = (("x-api-key", self.key),)
            return GrpcExporter(endpoint=address, insecure=True, headers=metadata)
        return HttpExporter(endpoint=f"{self.otlp_http}/v1/traces", headers={"X-API-Key": self.key})

    def post_spans(self, body: bytes, **headers: str) -> httpx.Response:
        """Send a body to the OTLP door as it is."""
        given = {
            "Content-Type": "application/x-protobuf",
            "X-API-Key": self.key,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return httpx.post(f"{self.otlp_http}/v1/traces", content=body, headers=given, timeout=60)


@dataclass(frozen=True, slots=True)
class MadeTrace:
    """A trace made with the SDK, to be sent as often as one likes."""

    trace_id: str
    spans: Sequence[ReadableSpan]

    def send(self, exporter: SpanExporter) -> None:
        """Export all spans in one batch."""
        assert exporter.export(self.spans) is SpanExportResult.SUCCESS


def make_trace(*operations: tuple[str, Mapping[str, Any]], service: str = "shop") -> MadeTrace:
    """Make a trace of a root and a child for every operation (name, attributes)."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("tests.shows")
    with tracer.start_as_current_span("POST /checkout") as root:
        for name, attributes in operations:
            with tracer.start_as_current_span(name, attributes=dict(attributes)):
                pass
    return MadeTrace(f"{root.get_span_context().trace_id:032x}", memory.get_finished_spans())


def eventually(ask: Callable[[], _T], *, within_s: float) -> _T:
    """Ask again until the answer is true in itself; returns the last answer in any case."""
    end = time.monotonic() + within_s
    while True:
        answer = ask()
        if answer or time.monotonic() > end:
            return answer
        time.sleep(_POLL_S)
