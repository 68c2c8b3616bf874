"""The door: every span, by whatever transport, comes in through `Door.take`.

It owns the gathering and the wait for Kafka. Senders are let in (`api.ingest.gate`) and `check` is
asked before bodies are read, so that a tenant over its rate, or a stopped Kafka, costs next to
nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

from api.ingest.acknowledgement import Acknowledgement
from api.ingest.allowance import Allowance, Exhausted, Lease, Memory
from api.ingest.credentials import Sender
from api.ingest.dead_letters import dead_letter, dead_letter_partition
from api.ingest.gather import Gatherer, Record
from api.ingest.limits import IngestLimits
from api.ingest.metrics import IngestMetrics
from api.ingest.otlp_json import read_json
from api.ingest.redaction import Redacting, Redactions
from api.ingest.refusals import Refusal, Refused
from api.ingest.rejects import Reject, rejected_spans
from api.ingest.split import Malformed, Redact, Split, as_it_is, divide, redacted, split
from api.kafka.producer import DeliveryFailed, Headers, ProducerUnavailable, RecordWriter
from api.kafka.topics import POLICY_HEADER, TopicNames
from udfs.lanes import PARTITIONS, partition_of
from udfs.payload import compress

_RETRY_AFTER_S = 2.0
_ASIDE_BYTES = 256 * 1024  # larger bodies are read in a thread, so that small ones need not wait
_JSON_MEMORY_FACTOR = 8  # a parsed body, in Python objects, by its size (measured: 6–8)
_ANSWER_MARGIN_S = 1.0


class Encoding(Enum):
    """How a request's body is encoded."""

    PROTOBUF = "protobuf"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a request was read from, for its dead letters; all empty for OTLP."""

    topic: str = ""
    partition: int = 0
    offset: int = 0


OVER_OTLP = Source()


@dataclass(frozen=True, slots=True)
class Taken:
    """A request that Kafka has, except for the rejected spans."""

    received: int
    rejects: Sequence[Reject]

    @property
    def rejected(self) -> int:
        """How many spans were refused."""
        return rejected_spans(self.rejects)


class Door:
    """Takes requests of authenticated tenants. Belongs to one event loop."""

    def __init__(
        self,
        *,
        producer: RecordWriter,
        topics: TopicNames,
        limits: IngestLimits,
        metrics: IngestMetrics,
        allowance: Allowance,
        redactions: Redactions,
    ) -> None:
        self._producer = producer
        self._topics = topics
        self._limits = limits
        self._metrics = metrics
        self._allowance = allowance
        self._redactions = redactions
        self._gatherer: Gatherer[Acknowledgement] = Gatherer()
        self._policies: dict[str, bytes] = {}
        """Of the tenants of whom something is gathered: a record is redacted by one policy."""
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._memory = Memory(limits.max_unacknowledged_bytes)
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="ingest-decode")
        self._closing = False
        metrics.held_bytes.set_function(lambda: self._memory.held_bytes)
        metrics.kafka_up.set_function(lambda: float(producer.healthy))

    @property
    def ready(self) -> bool:
        """Whether requests are taken now."""
        return self._producer.healthy and not self._closing

    def check(self) -> None:
        """Raise Refused, before anything is read, if nothing can be taken now."""
        if self._closing:
            raise _unavailable("this process is stopping")
        if not self._producer.healthy:
            raise _unavailable("Kafka does not answer")

    def lease(self) -> Lease:
        """Begin a request's share of the memory. Who leases closes, or hands it to `take`."""
        return self._memory.lease()

    def grow(self, lease: Lease, size_bytes: int) -> None:
        """Let a request hold so many bytes more. Raises Refused where memory has run out."""
        try:
            lease.grow(size_bytes)
        except Exhausted:
            raise _unavailable("too much is waiting for Kafka") from None

    async def take(
        self,
        sender: Sender,
        body: bytes,
        *,
        encoding: Encoding,
        lease: Lease,
        source: Source = OVER_OTLP,
    ) -> Taken:
        """Take one export request, and return when Kafka has all that is good of it.

        lease covers the body and is closed here. Raises Refused: MALFORMED, or UNAVAILABLE when
        nothing can be redacted, or Kafka did not acknowledge in time (it may have parts of it:
        sending again is harmless).
        """
        tenant = sender.tenant
        try:
            if encoding is Encoding.JSON:
                self.grow(lease, _JSON_MEMORY_FACTOR * len(body))
            redacting = await self._redactions.of(tenant)
            divided = await self._divided(tenant, body, encoding, redacting)
            await redacting.settle()
        except _Unreadable as error:
            lease.close()
            self._send_dead_letter(error.reject, tenant, source)
            raise Refused(Refusal.MALFORMED, str(error)) from error
        except BaseException:
            lease.close()
            raise
        self._charge(sender, divided, len(body))
        acknowledgement = self._hand_over(tenant, divided, lease, source, policy=redacting.policy)
        try:
            timeout_s = self._limits.delivery_timeout_ms / 1000 + _ANSWER_MARGIN_S
            await acknowledgement.wait(timeout_s=timeout_s)
        except (DeliveryFailed, TimeoutError) as error:
            raise _unavailable("Kafka did not acknowledge in time") from error
        taken = Taken(divided.received, divided.rejects)
        self._metrics.spans_accepted.inc(taken.received - taken.rejected)
        return taken

    def close(self) -> None:
        """Take nothing more, and hand all that was gathered to Kafka."""
        self._closing = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._send(self._gatherer.flush_all())
        self._aside.shutdown(wait=False)

    async def _divided(
        self, tenant: str, body: bytes, encoding: Encoding, redacting: Redacting
    ) -> Split:
        """Raises _Unreadable."""
        if len(body) < _ASIDE_BYTES:
            return _read_redacted(tenant, body, encoding, redacting)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._aside, _read_redacted, tenant, body, encoding, redacting
        )

    def _charge(self, sender: Sender, divided: Split, size_bytes: int) -> None:
        self._allowance.charge(sender, span_count=divided.received, size_bytes=size_bytes)
        self._metrics.spans_received.inc(divided.received)
        for reject in divided.rejects:
            self._metrics.spans_rejected.labels(reject.code).inc(reject.count)

    def _hand_over(
        self, tenant: str, divided: Split, lease: Lease, source: Source, *, policy: bytes
    ) -> Acknowledgement:
        acknowledgement = Acknowledgement(lease.close)
        if self._policies.get(tenant, policy) != policy:
            self._send(self._gatherer.flush(tenant))
        self._policies[tenant] = policy
        self._send(self._gatherer.add(tenant, divided.parts, acknowledgement))
        if self._closing:
            self._send(self._gatherer.flush(tenant))
        elif tenant not in self._timers and self._gatherer.holds(tenant):
            delay_s = self._limits.gather_ms / 1000
            loop = asyncio.get_running_loop()
            self._timers[tenant] = loop.call_later(delay_s, self._flush, tenant)
        for reject in divided.rejects[: self._limits.max_dead_letters]:
            self._send_dead_letter(reject, tenant, source, acknowledgement)
        acknowledgement.release()
        if not self._gatherer.holds(tenant):
            self._policies.pop(tenant, None)
        return acknowledgement

    def _flush(self, tenant: str) -> None:
        self._timers.pop(tenant, None)
        self._send(self._gatherer.flush(tenant))
        self._policies.pop(tenant, None)

    def _send(self, records: Sequence[Record[Acknowledgement]]) -> None:
        for record in records:
            headers: Headers = [
                ("tenant", record.tenant.encode()),
                ("lane", b"%d" % record.lane),
                ("n", b"%d" % record.span_count),
                ("v", b"1"),
            ]
            if policy := self._policies.get(record.tenant):
                headers.append((POLICY_HEADER, policy))
            self._produce(
                self._topics.spans,
                compress(record.value) if self._limits.compress_records else record.value,
                partition=partition_of(record.lane, partitions=PARTITIONS),
                headers=headers,
                waiting=record.waiting,
            )

    def _send_dead_letter(
        self,
        reject: Reject,
        tenant: str,
        source: Source,
        acknowledgement: Acknowledgement | None = None,
    ) -> None:
        """Keep what was refused; with an acknowledgement, success depends on its being kept."""
        if acknowledgement is not None:
            acknowledgement.hold()
        value = dead_letter(
            reject,
            tenant=tenant,
            topic=source.topic,
            partition=source.partition,
            offset=source.offset,
        )
        self._produce(
            self._topics.dead_letters,
            value,
            partition=dead_letter_partition(tenant),
            headers=[("tenant", tenant.encode())],
            waiting=() if acknowledgement is None else (acknowledgement,),
        )

    def _produce(
        self,
        topic: str,
        value: bytes,
        *,
        partition: int,
        headers: Headers,
        waiting: tuple[Acknowledgement, ...],
    ) -> None:
        loop = asyncio.get_running_loop()

        def settled(error: DeliveryFailed | None) -> None:
            if error is None:
                self._metrics.records.inc()
            for acknowledgement in waiting:
                acknowledgement.release(error)

        def done(error: DeliveryFailed | None) -> None:  # in the producer's thread
            loop.call_soon_threadsafe(settled, error)

        try:
            self._producer.send(topic, value, partition=partition, headers=headers, done=done)
        except ProducerUnavailable as error:
            settled(DeliveryFailed(str(error)))


def read(tenant: str, body: bytes, encoding: Encoding, *, redact: Redact = as_it_is) -> Split:
    """Decode, redact and split a body. Rejects hold what was sent. Raises Malformed."""
    if encoding is Encoding.PROTOBUF:
        return split(body, tenant=tenant, redact=redact)
    groups, rejects = read_json(body)
    return divide(redacted(groups, redact), rejects, tenant=tenant)


class _Unreadable(Exception):
    """A request that is none. reject: what may be kept of it."""

    def __init__(self, why: str, reject: Reject) -> None:
        super().__init__(why)
        self.reject = reject


def _read_redacted(tenant: str, body: bytes, encoding: Encoding, redacting: Redacting) -> Split:
    """Return a body as it may be written anywhere, with its rejects. Raises _Unreadable."""
    keep = redacting.reject_json if encoding is Encoding.JSON else redacting.reject
    try:
        divided = read(tenant, body, encoding, redact=redacting.redact)
    except Malformed as error:
        why = str(error)
        raise _Unreadable(why, keep(Reject("otlp.malformed", why, body))) from error
    divided.rejects[:] = map(keep, divided.rejects)
    return divided


def _unavailable(reason: str) -> Refused:
    return Refused(Refusal.UNAVAILABLE, reason, retry_after_s=_RETRY_AFTER_S)
