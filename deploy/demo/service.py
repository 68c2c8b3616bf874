"""One instrumented service: an HTTP server whose requests are spans of a resource of its own.

Calls to other services are real HTTP with a W3C `traceparent` header, and every service sends
its spans by the OpenTelemetry SDK's own exporter, some over HTTP and some over gRPC, as the
services of a real shop would.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.request import Request, urlopen

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Protocol = Literal["http", "grpc"]
Body = dict[str, Any]
Handler = Callable[["Service", Body], Body]

EXPORT_EVERY_MS = 500


@dataclass(frozen=True, slots=True)
class Collector:
    """Where spans go: base addresses of both doors, and the key that opens them."""

    http: str
    grpc: str
    api_key: str

    def exporter(self, protocol: Protocol) -> SpanExporter:
        headers = {"x-api-key": self.api_key}
        if protocol == "http":
            return HttpExporter(endpoint=f"{self.http}/v1/traces", headers=headers)
        return GrpcExporter(endpoint=self.grpc, insecure=True, headers=headers)


@dataclass
class Service:
    """A service by name. `routes`: span name of a request to what it does.

    Start it with `start`; `stop` sends what it still holds.
    """

    name: str
    protocol: Protocol
    routes: dict[str, Handler]
    collector: Collector
    peers: dict[str, str] = field(default_factory=dict)
    """Names of other services to their addresses; filled in when all have started."""

    def __post_init__(self) -> None:
        resource = Resource.create({"service.name": self.name, "service.namespace": "shop"})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(
            BatchSpanProcessor(
                self.collector.exporter(self.protocol), schedule_delay_millis=EXPORT_EVERY_MS
            )
        )
        self.tracer: Tracer = self._provider.get_tracer("betrace.demo")
        self._propagator = TraceContextTextMapPropagator()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._provider.shutdown()

    def call(self, service: str, route: str, **body: Any) -> Body:
        """Ask another service, as a client span; its answer."""
        with self.tracer.start_as_current_span(f"call {service}", kind=SpanKind.CLIENT) as span:
            span.set_attribute("peer.service", service)
            return post(self.peers[service], route, body, inject=self._propagator.inject)

    def answer(self, route: str, body: Body, headers: dict[str, str]) -> Body:
        """Handle one request as a server span of the caller's trace."""
        context: Context = self._propagator.extract(headers)
        with self.tracer.start_as_current_span(route, context=context, kind=SpanKind.SERVER):
            return self.routes[route](self, body)


def post(
    address: str,
    route: str,
    body: Body,
    *,
    inject: Callable[[dict[str, str]], None] = lambda headers: None,
) -> Body:
    """Send one request; `inject` adds the trace's headers."""
    headers = {"Content-Type": "application/json", "X-Route": route}
    inject(headers)
    request = Request(address, data=json.dumps(body).encode(), headers=headers, method="POST")
    with urlopen(request, timeout=10) as answer:
        result: Body = json.loads(answer.read())
        return result


def _handler_of(service: Service) -> type[BaseHTTPRequestHandler]:
    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = json.dumps(service.answer(headers["x-route"], body, headers)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Requests are spans; a log of them is not needed."""

    return Door
