"""The ingest process: what it consists of, how it starts, and how it stops without loss."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog
import uvicorn
import uvloop
from prometheus_client import CollectorRegistry, start_http_server

from api.auth.addresses import Networks
from api.ingest.allowance import Allowance
from api.ingest.door import Door
from api.ingest.from_kafka import FromKafka
from api.ingest.gate import Gate
from api.ingest.heartbeats import Heartbeats
from api.ingest.limits import IngestLimits
from api.ingest.metrics import IngestMetrics
from api.ingest.otlp_grpc import OtlpGrpc
from api.ingest.otlp_http import OtlpHttp
from api.ingest.redaction import NoRedaction, Redactions, StoredRedactions
from api.ingest.stored_keys import KeyStore
from api.kafka.producer import Producer
from api.kafka.topics import KafkaUnavailable, TopicAdmin, TopicNames, topic_specs
from api.limits.buckets import LocalBuckets
from api.limits.metrics import LimitMetrics
from api.limits.settled import SettledBuckets
from api.limits.shared import open_redis_buckets
from udfs.garbage import spare_the_living

_FINISH_S = 10.0
_TOPICS_RETRY_S = 2.0

log = structlog.get_logger(__name__)

OpenKeys = Callable[[], AbstractAsyncContextManager[KeyStore]]
"""Opens, within the event loop, what checks API keys and what keeps refusals."""


class CannotListen(Exception):
    """A port cannot be had; the text says which, and what to do."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Where one ingest process listens, and what it connects to. Port 0: any free one.

    proxies: whose X-Forwarded-For is believed. redis: URL, where replicas count together.
    """

    kafka: str
    topic_prefix: str
    host: str
    http_port: int
    grpc_port: int
    metrics_port: int = 0
    from_kafka: bool = False
    proxies: Networks = ()
    redis: str = ""


def serve(options: ServeOptions, limits: IngestLimits, open_keys: OpenKeys) -> None:
    """Run until SIGTERM or SIGINT. Raises TopicsWrong or CannotListen where it cannot start."""
    spare_the_living()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(options, limits, open_keys))


async def _serve(options: ServeOptions, limits: IngestLimits, open_keys: OpenKeys) -> None:
    """Start the parts from the inside out; the exit stack stops them in the reverse order."""
    stopping = _stop_on_signals()
    topics = TopicNames(options.topic_prefix)
    registry = CollectorRegistry()
    metrics = IngestMetrics(registry)
    async with AsyncExitStack() as parts:
        http_socket = parts.enter_context(_listen(options.host, options.http_port))
        if not await _topics_are_right(options.kafka, topics, stopping):
            return
        store = await parts.enter_async_context(open_keys())
        buckets = await parts.enter_async_context(_counting(options, LimitMetrics(registry)))
        allowance = Allowance(limits, buckets)
        gate = Gate(store.keys, allowance, store.records, tenants=store.tenants)
        producer = await parts.enter_async_context(_producing(options.kafka, topics, limits))
        door = Door(
            producer=producer,
            topics=topics,
            limits=limits,
            metrics=metrics,
            allowance=allowance,
            redactions=_redactions(limits, store, metrics),
        )
        proxies = options.proxies
        http = OtlpHttp(door, gate, limits=limits, metrics=metrics, proxies=proxies)
        grpc = OtlpGrpc(door, gate, limits=limits, metrics=metrics, proxies=proxies)
        await parts.enter_async_context(_serving_http(http, http_socket))
        grpc_port = await parts.enter_async_context(_serving_grpc(grpc, options))
        if options.from_kafka:
            raw = FromKafka(options.kafka, topics=topics, gate=gate, door=door, metrics=metrics)
            await parts.enter_async_context(_reading(raw, stopping))
        if options.metrics_port:
            parts.enter_context(_metrics_server(options, registry))
        parts.callback(door.close)  # the first to go: what was gathered is on its way
        http_port = http_socket.getsockname()[1]
        log.info("ingest.started", http_port=http_port, grpc_port=grpc_port, kafka=options.kafka)
        await stopping.wait()
        log.info("ingest.stopping")


def _redactions(limits: IngestLimits, store: KeyStore, metrics: IngestMetrics) -> Redactions:
    if limits.redact:
        return StoredRedactions(store.redactors, metrics, store.redaction_counts)
    log.warning("ingest.not_redacting", setting="BETRACE_INGEST_REDACT")
    return NoRedaction()


def _stop_on_signals() -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping


async def _topics_are_right(kafka: str, topics: TopicNames, stopping: asyncio.Event) -> bool:
    """Wait for Kafka and check its topics; False when stopped before. Raises TopicsWrong."""
    while not stopping.is_set():
        try:
            await asyncio.to_thread(_check_topics, kafka, topics)
        except KafkaUnavailable as error:
            log.warning("kafka.unreachable", error=str(error))
        else:
            return True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TOPICS_RETRY_S):
                await stopping.wait()
    return False


def _check_topics(kafka: str, topics: TopicNames) -> None:
    with TopicAdmin(kafka) as admin:
        admin.check(topic_specs(topics))


@asynccontextmanager
async def _producing(
    kafka: str, topics: TopicNames, limits: IngestLimits
) -> AsyncIterator[Producer]:
    """A producer, with heartbeats; at the end everything is delivered or reported."""
    producer = Producer(
        kafka,
        client_id=f"betrace-ingest-{socket.gethostname()}-{os.getpid()}",
        delivery_timeout_ms=limits.delivery_timeout_ms,
    )
    heartbeats = Heartbeats(producer, topic=topics.spans)
    producer.start()
    heartbeats.start()
    try:
        yield producer
    finally:
        await asyncio.to_thread(heartbeats.stop)
        left = await asyncio.to_thread(producer.close, timeout_s=_FINISH_S)
        if left:
            log.warning("ingest.undelivered", records=left)


@asynccontextmanager
async def _counting(options: ServeOptions, metrics: LimitMetrics) -> AsyncIterator[SettledBuckets]:
    """What is counted of senders, settled with Redis beside the requests if there is one."""
    async with open_redis_buckets(
        options.redis, prefix=options.topic_prefix, metrics=metrics
    ) as redis:
        buckets = SettledBuckets(LocalBuckets(), redis, metrics=metrics)
        settling = asyncio.create_task(buckets.run(), name="limits") if redis else None
        try:
            yield buckets
        finally:
            if settling is not None:
                settling.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await settling


@contextlib.contextmanager
def _listen(host: str, port: int) -> Generator[socket.socket, None, None]:
    """A listening socket, made before anything else so that a busy port is told at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise CannotListen(
                f"cannot listen on {host}:{port} for OTLP/HTTP ({error.strerror}). "
                "Stop what uses the port, or set BETRACE_OTLP_HTTP_PORT."
            ) from error
        yield listener


class _HttpServer(uvicorn.Server):
    """uvicorn, with signals left to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@asynccontextmanager
async def _serving_http(app: OtlpHttp, listener: socket.socket) -> AsyncIterator[None]:
    server = _HttpServer(
        uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            access_log=False,
            proxy_headers=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=int(_FINISH_S),
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def _serving_grpc(service: OtlpGrpc, options: ServeOptions) -> AsyncIterator[int]:
    server = service.server()
    address = f"{options.host}:{options.grpc_port}"
    try:
        port: int = server.add_insecure_port(address)
    except RuntimeError as error:
        raise CannotListen(
            f"cannot listen on {address} for OTLP/gRPC. "
            "Stop what uses the port, or set BETRACE_OTLP_GRPC_PORT."
        ) from error
    await server.start()
    try:
        yield port
    finally:
        await server.stop(grace=_FINISH_S)


@asynccontextmanager
async def _reading(raw: FromKafka, stopping: asyncio.Event) -> AsyncIterator[None]:
    """Read raw topics beside; should that fail, the process stops with its error."""
    reading = asyncio.create_task(raw.run())
    reading.add_done_callback(lambda _: stopping.set())
    try:
        yield
    finally:
        raw.stop()
        await reading


@contextlib.contextmanager
def _metrics_server(
    options: ServeOptions, registry: CollectorRegistry
) -> Generator[None, None, None]:
    server, thread = start_http_server(options.metrics_port, options.host, registry)
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
