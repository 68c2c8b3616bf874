"""Requests that a Collector's Kafka exporter (otlp_proto) wrote to `<prefix>.raw.<tenant>`.

Each goes through the same gate and door; its offset is committed when Kafka has all that is good of
it. The tenant is that of the topic's name: who may write there is a matter of Kafka's access
control. What comes for a tenant that takes no spans is refused as it would be with a key: counted,
on the audit log, and not kept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message

from api.ingest.door import Door, Encoding, Source
from api.ingest.gate import Gate
from api.ingest.metrics import IngestMetrics
from api.ingest.refusals import Refused
from api.kafka.errors import ErrorLog
from api.kafka.topics import TopicNames

_BATCH = 100
_POLL_S = 0.5
_RETRY_S = 1.0

log = structlog.get_logger(__name__)


class FromKafka:
    """A consumer group on the raw topics. `run` works until `stop`."""

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        topics: TopicNames,
        gate: Gate,
        door: Door,
        metrics: IngestMetrics,
    ) -> None:
        self._topics = topics
        self._gate = gate
        self._door = door
        self._metrics = metrics
        self._stopping = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ingest-from-kafka")
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": f"{topics.prefix}.ingest",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "topic.metadata.refresh.interval.ms": 10_000,  # finds topics of new tenants
                "fetch.message.max.bytes": 8 * 1024 * 1024,
                "queued.max.messages.kbytes": 64 * 1024,
                "reconnect.backoff.max.ms": 1_000,
                "log_level": 0,
                "error_cb": ErrorLog("consumer of raw topics"),
            }
        )
        self._consumer.subscribe([topics.raw_pattern])

    def stop(self) -> None:
        """Finish the batch at hand; what is not committed is read again by the next process."""
        self._stopping.set()

    async def run(self) -> None:
        """Take batch after batch. Kafka's failures are waited out; any other ends the process."""
        loop = asyncio.get_running_loop()
        try:
            while not self._stopping.is_set():
                messages = await loop.run_in_executor(self._thread, self._poll)
                if messages and await self._take_all(messages):
                    await loop.run_in_executor(self._thread, self._commit, messages)
        finally:
            await loop.run_in_executor(self._thread, self._consumer.close)
            self._thread.shutdown()

    def _poll(self) -> list[Message]:
        messages = self._consumer.consume(_BATCH, _POLL_S)
        for message in messages:
            error = message.error()
            if error is not None and error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                log.warning("ingest.raw", error=error.str())
        return [message for message in messages if message.error() is None]

    def _commit(self, messages: Sequence[Message]) -> None:
        try:
            for message in _last_of_each_partition(messages):
                self._consumer.commit(message=message, asynchronous=False)
        except KafkaException as error:
            # The partition has gone to another process: it reads these again, which is harmless.
            log.warning("ingest.raw_commit", error=str(error))

    async def _take_all(self, messages: Sequence[Message]) -> bool:
        """Return whether all were taken; False when stopped before that."""
        taken = await asyncio.gather(*(self._take(message) for message in messages))
        return all(taken)

    async def _take(self, message: Message) -> bool:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        body = message.value()
        tenant = _uuid(self._topics.raw_tenant(topic or "") or "")
        if tenant is None or not isinstance(body, bytes):
            log.warning("ingest.raw_skipped", topic=topic, partition=partition, offset=offset)
            return True
        source = Source(topic or "", partition or 0, offset or 0)
        while not self._stopping.is_set():
            begun_s = time.perf_counter()
            try:
                await self._take_once(tenant, body, source)
            except Refused as refused:
                self._metrics.requests.labels("kafka", refused.kind.label).inc()
                if refused.retry_after_s is None:
                    return True  # it is refused for good; if unreadable, a dead letter
                await self._pause(min(refused.retry_after_s, _RETRY_S))
            else:
                self._metrics.requests.labels("kafka", "ok").inc()
                self._metrics.latency_s.labels("kafka").observe(time.perf_counter() - begun_s)
                return True
        return False

    async def _take_once(self, tenant: str, body: bytes, source: Source) -> None:
        """Raises Refused; UNAVAILABLE or RATE_LIMITED say when to try again."""
        sender = await self._gate.let_in_from_topic(tenant, topic=source.topic)
        self._door.check()
        lease = self._door.lease()
        self._door.grow(lease, len(body))
        self._metrics.received_bytes.labels("kafka").inc(len(body))
        await self._door.take(sender, body, encoding=Encoding.PROTOBUF, lease=lease, source=source)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return


def _last_of_each_partition(messages: Sequence[Message]) -> list[Message]:
    return list({(message.topic(), message.partition()): message for message in messages}.values())


def _uuid(text: str) -> str | None:
    """Return the tenant id in its one spelling; None where it is none."""
    try:
        return str(UUID(text))
    except ValueError:
        return None
