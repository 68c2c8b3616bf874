"""OTLP/gRPC: opentelemetry.proto.collector.trace.v1.TraceService/Export.

Messages are taken undecoded: the door reads them by its own means, and decompresses them itself,
because gRPC's own decompression has no bound below the ratio of gzip (200 KB become 200 MB).

Source: OTLP specification, "OTLP/gRPC" and "OTLP/gRPC Throttling".
"""

from __future__ import annotations

import time
from typing import Any, NoReturn
from urllib.parse import unquote

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from api.auth.addresses import Networks, caller_address
from api.ingest.allowance import Lease
from api.ingest.answers import failure_details, success
from api.ingest.credentials import Caller
from api.ingest.door import Door, Encoding
from api.ingest.gate import Gate
from api.ingest.inflate import GZIP_MAGIC, Compression, ExpandsTooFar, Inflater, NotCompressed
from api.ingest.limits import IngestLimits
from api.ingest.metrics import IngestMetrics
from api.ingest.refusals import Refusal, Refused

_SERVICE = trace_service_pb2.DESCRIPTOR.services_by_name["TraceService"]
_ROUTE = f"/{_SERVICE.full_name}/Export"
_DETAILS_KEY = "grpc-status-details-bin"


class OtlpGrpc:
    """The gRPC service. `server` makes a grpc.aio server of it, not yet started."""

    def __init__(
        self,
        door: Door,
        gate: Gate,
        *,
        limits: IngestLimits,
        metrics: IngestMetrics,
        proxies: Networks = (),
    ) -> None:
        self._door = door
        self._gate = gate
        self._limits = limits
        self._metrics = metrics
        self._proxies = proxies

    def server(self) -> grpc.aio.Server:
        """Return a server with the service and its options; the caller adds ports."""
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", self._limits.max_body_bytes),
                ("grpc.per_message_decompression", 0),
                ("grpc.so_reuseport", 0),
            ],
        )
        method = _SERVICE.methods_by_name["Export"]
        handler = grpc.unary_unary_rpc_method_handler(self._answer)
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(_SERVICE.full_name, {method.name: handler}),)
        )
        return server

    async def _answer(self, message: bytes, context: grpc.aio.ServicerContext) -> bytes:
        try:
            body = await self._export(message, context)
        except Refused as refused:
            self._metrics.requests.labels("grpc", refused.kind.label).inc()
            await _abort(context, refused)
        self._metrics.requests.labels("grpc", "ok").inc()
        return body

    async def _export(self, message: bytes, context: grpc.aio.ServicerContext) -> bytes:
        """Return the serialized response. Raises Refused."""
        pairs = context.invocation_metadata() or ()
        metadata = dict(pairs)
        forwarded_for = [_text(value) for name, value in pairs if name == "x-forwarded-for"]
        peer = _host_of(context.peer())
        sender = await self._gate.let_in(
            Caller(
                caller_address(peer, forwarded_for, trusted=self._proxies),
                _ROUTE,
                user_agent=_text(metadata.get("user-agent")),
                api_key=_text(metadata.get("x-api-key")),
                authorization=_text(metadata.get("authorization")),
            )
        )
        self._door.check()
        lease = self._door.lease()
        try:
            body = self._expanded(message, lease)
        except BaseException:
            lease.close()
            raise
        begun_s = time.perf_counter()
        taken = await self._door.take(sender, body, encoding=Encoding.PROTOBUF, lease=lease)
        self._metrics.latency_s.labels("grpc").observe(time.perf_counter() - begun_s)
        return success(taken, Encoding.PROTOBUF)

    def _expanded(self, message: bytes, lease: Lease) -> bytes:
        """Return the message decompressed. Raises Refused.

        Whether it is compressed is told by its first bytes, as gRPC does not hand on its flag: no
        protobuf message begins like gzip (0x1f is a tag of a wire type that does not exist).
        """
        compressed = message.startswith(GZIP_MAGIC)
        compression = Compression.GZIP if compressed else Compression.IDENTITY
        max_bytes = self._limits.max_expanded_bytes
        inflater = Inflater(compression, max_bytes=max_bytes)
        chunks: list[bytes] = []
        try:
            for chunk in inflater.feed(message):
                self._door.grow(lease, len(chunk))
                chunks.append(chunk)
            inflater.finish()
        except ExpandsTooFar:
            raise Refused(
                Refusal.TOO_LARGE, f"the request has more than {max_bytes} bytes"
            ) from None
        except NotCompressed as error:
            raise Refused(Refusal.MALFORMED, str(error)) from error
        self._metrics.received_bytes.labels("grpc").inc(lease.size_bytes)
        return b"".join(chunks)


def _host_of(peer: str) -> str:
    """Return the address in gRPC's name of a peer: ipv4:10.0.0.7:1234, ipv6:%5B2001:db8::7%5D:1234.

    Empty for a peer on a Unix socket.
    """
    kind, _, rest = unquote(peer).partition(":")
    return rest.rpartition(":")[0].strip("[]") if kind in ("ipv4", "ipv6") else ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


async def _abort(context: grpc.aio.ServicerContext, refused: Refused) -> NoReturn:
    await context.abort(
        refused.kind.value.grpc,
        refused.message,
        ((_DETAILS_KEY, failure_details(refused)),),
    )
    raise AssertionError("abort raises")
