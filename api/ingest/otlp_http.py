"""OTLP/HTTP: `POST /v1/traces`, and the health of the process, as one ASGI application.

Source: OTLP specification, "OTLP/HTTP".
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog

from api.auth.addresses import Address, Networks, caller_address
from api.ingest.allowance import Lease
from api.ingest.answers import CONTENT_TYPES, failure, success
from api.ingest.credentials import Caller
from api.ingest.door import Door, Encoding
from api.ingest.gate import Gate
from api.ingest.inflate import Compression, ExpandsTooFar, Inflater, NotCompressed
from api.ingest.limits import IngestLimits
from api.ingest.metrics import IngestMetrics
from api.ingest.refusals import Refusal, Refused

TRACES_PATH = "/v1/traces"
_LIVE_PATH = "/health/live"
_READY_PATH = "/health/ready"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = dict[bytes, bytes]

log = structlog.get_logger(__name__)


class ClientGone(Exception):
    """The client closed the connection before its body had come."""


class OtlpHttp:
    """The ASGI application."""

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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise NotImplementedError(f"ASGI scope {scope['type']}")
        match scope["path"]:
            case path if path == _LIVE_PATH:
                await _answer(send, 200, b'{"status":"live"}', CONTENT_TYPES[Encoding.JSON])
            case path if path == _READY_PATH:
                await self._answer_readiness(send)
            case _:
                await self._answer_export(scope, receive, send)

    async def _answer_readiness(self, send: Send) -> None:
        ready = self._door.ready
        body = {"status": "ready" if ready else "unavailable", "kafka": ready}
        await _answer(
            send, 200 if ready else 503, json.dumps(body).encode(), CONTENT_TYPES[Encoding.JSON]
        )

    async def _answer_export(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: Headers = dict(scope["headers"])
        encoding = _encoding(headers)
        try:
            body = await self._export(scope, headers, encoding, receive)
        except ClientGone:
            return
        except Refused as refused:
            self._metrics.requests.labels("http", refused.kind.label).inc()
            await _refuse(send, refused, encoding or Encoding.JSON)
        else:
            self._metrics.requests.labels("http", "ok").inc()
            await _answer(send, 200, body, CONTENT_TYPES[encoding or Encoding.JSON])

    async def _export(
        self, scope: Scope, headers: Headers, encoding: Encoding | None, receive: Receive
    ) -> bytes:
        """Return the body of the success answer. Raises Refused, ClientGone."""
        if scope["path"] != TRACES_PATH:
            raise Refused(Refusal.NO_SUCH_PATH, f"only {TRACES_PATH} is served here")
        if scope["method"] != "POST":
            raise Refused(Refusal.WRONG_METHOD, f"{TRACES_PATH} takes POST only")
        sender = await self._gate.let_in(
            Caller(
                self._address_of(scope),
                TRACES_PATH,
                user_agent=headers.get(b"user-agent", b"").decode("latin-1"),
                api_key=headers.get(b"x-api-key", b"").decode("latin-1"),
                authorization=headers.get(b"authorization", b"").decode("latin-1"),
            )
        )
        if encoding is None:
            raise Refused(
                Refusal.UNSUPPORTED,
                "Content-Type must be application/x-protobuf or application/json",
            )
        compression = _compression(headers)
        self._door.check()
        lease = self._door.lease()
        try:
            body = await self._read(receive, headers, encoding, compression, lease)
        except BaseException:
            lease.close()
            raise
        begun_s = time.perf_counter()
        taken = await self._door.take(sender, body, encoding=encoding, lease=lease)
        self._metrics.latency_s.labels("http").observe(time.perf_counter() - begun_s)
        return success(taken, encoding)

    def _address_of(self, scope: Scope) -> Address | None:
        peer = scope.get("client")
        forwarded_for = [
            value.decode("latin-1")
            for name, value in scope["headers"]
            if name == b"x-forwarded-for"
        ]
        return caller_address(peer[0] if peer else "", forwarded_for, trusted=self._proxies)

    async def _read(
        self,
        receive: Receive,
        headers: Headers,
        encoding: Encoding,
        compression: Compression,
        lease: Lease,
    ) -> bytes:
        """Return the decompressed body. Raises Refused (TOO_LARGE, TOO_SLOW, …), ClientGone."""
        limits = self._limits
        max_bytes = limits.max_expanded_bytes
        if encoding is Encoding.JSON:
            max_bytes = min(max_bytes, limits.max_json_bytes)
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > min(limits.max_body_bytes, max_bytes):
            raise _too_large(min(limits.max_body_bytes, max_bytes))
        inflater = Inflater(compression, max_bytes=max_bytes)
        chunks: list[bytes] = []
        body_bytes = 0
        try:
            async with asyncio.timeout(limits.max_read_s):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    data = message.get("body", b"")
                    more = message.get("more_body", False)
                    body_bytes += len(data)
                    if body_bytes > limits.max_body_bytes:
                        raise _too_large(limits.max_body_bytes)
                    for chunk in inflater.feed(data):
                        self._door.grow(lease, len(chunk))
                        chunks.append(chunk)
                inflater.finish()
        except ExpandsTooFar:
            raise _too_large(max_bytes) from None
        except NotCompressed as error:
            raise Refused(Refusal.MALFORMED, str(error)) from error
        except TimeoutError:
            raise Refused(Refusal.TOO_SLOW, "the body did not come in time") from None
        self._metrics.received_bytes.labels("http").inc(lease.size_bytes)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _encoding(headers: Headers) -> Encoding | None:
    match headers.get(b"content-type", b"").split(b";")[0].strip().lower():
        case b"application/x-protobuf" | b"application/protobuf":
            return Encoding.PROTOBUF
        case b"application/json":
            return Encoding.JSON
    return None


def _compression(headers: Headers) -> Compression:
    name = headers.get(b"content-encoding", b"").strip().lower().decode("latin-1")
    try:
        return Compression(name or "identity")
    except ValueError:
        raise Refused(
            Refusal.UNSUPPORTED, "Content-Encoding must be gzip, deflate or identity"
        ) from None


def _too_large(max_bytes: int) -> Refused:
    return Refused(Refusal.TOO_LARGE, f"the request has more than {max_bytes} bytes")


async def _refuse(send: Send, refused: Refused, encoding: Encoding) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in refused.headers.items()]
    match refused.kind:
        case Refusal.UNAUTHENTICATED:
            headers.append((b"www-authenticate", b"Bearer"))
        case Refusal.WRONG_METHOD:
            headers.append((b"allow", b"POST"))
        case Refusal.UNSUPPORTED:
            headers.append((b"accept-encoding", b"gzip, deflate"))
        case Refusal.TOO_LARGE | Refusal.TOO_SLOW:
            headers.append((b"connection", b"close"))  # the rest of the body is not read
    if refused.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(math.ceil(refused.retry_after_s), 1)))
    await _answer(
        send,
        refused.kind.value.http,
        failure(refused, encoding),
        CONTENT_TYPES[encoding],
        headers,
    )


async def _answer(
    send: Send,
    status: int,
    body: bytes,
    content_type: bytes,
    headers: list[tuple[bytes, bytes]] | None = None,
) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", content_type),
                (b"content-length", b"%d" % len(body)),
                *(headers or ()),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})
