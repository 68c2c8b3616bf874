"""What each step of the door costs: its own functions, in this process, one after another.

CPU time of the process, all threads included; every figure is the least of some repeats. The steps
are those of `Door.take` and of what stands before it; what the transport costs (sockets, HTTP,
HTTP/2, the event loop) cannot be called by itself and is what is left of a whole request.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from prometheus_client import CollectorRegistry

from api.bench.door_client import DoorClientSettings, requests_of
from api.ingest.allowance import allowance_alone
from api.ingest.answers import success
from api.ingest.credentials import Caller, Keys, Sender
from api.ingest.door import Door, Encoding
from api.ingest.gate import Gate, NoRecords
from api.ingest.gather import Gatherer, Record
from api.ingest.limits import IngestLimits
from api.ingest.metrics import IngestMetrics
from api.ingest.otlp_http import TRACES_PATH
from api.ingest.otlp_json import read_json
from api.ingest.redaction import NoRedaction, OneRequest
from api.ingest.request_wire import Group, encode
from api.ingest.split import Part, decodes, divide, parse
from api.kafka.producer import DeliveryFailed, Done, Headers, RecordWriter
from api.kafka.topics import TopicNames
from udfs.lanes import PARTITIONS, partition_of
from udfs.payload import compress
from udfs.redaction.policy import Policy
from udfs.redaction.redactor import Redactor
from udfs.redaction.tokens import RedactionKey

TENANT = "00000000-0000-4000-8000-0000000bec42"
_HERE = IPv4Address("127.0.0.1")
_LIMITS = IngestLimits(gather_ms=5, tenant_spans_per_s=1e12, tenant_bytes_per_s=1e15)
_REQUESTS = 32
_GATHERED_SPANS = 8_192
_MOST_GATHERED = 100
"""What comes within the time of gathering at full load: so many spans, or so many requests."""
_ACKNOWLEDGE_S = 30.0
AUTH, PARSE, VALIDATE = "auth", "parse", "validate"
REDACT = "redact"
SPLIT, GATHER, COMPRESS, PRODUCE = "split by lane", "gather and write", "compress", "produce, ack"
REST = "wait, count, answer"


class StepFailed(Exception):
    """A step could not be measured; the text says why."""


@dataclass(frozen=True, slots=True)
class StepCost:
    """CPU time of one step for one request."""

    step: str
    us_per_request: float


@dataclass(frozen=True, slots=True)
class DoorSteps:
    """The steps of requests of one protocol and size. taken_us: of a whole request in process,
    from its headers to its answer, with a Kafka that answers at once.
    """

    protocol: str
    request_spans: int
    body_bytes: int
    steps: tuple[StepCost, ...]
    taken_us: float

    def rows(self) -> Iterator[dict[str, float | str]]:
        """Yield each step's CPU µs by request and by span."""
        known = sum(each.us_per_request for each in self.steps if each.step != PRODUCE)
        waiting = StepCost(REST, max(self.taken_us - known, 0.0))
        for each in (*self.steps, waiting):
            yield {
                "step": each.step,
                "us_per_request": round(each.us_per_request, 2),
                "us_per_span": round(each.us_per_request / self.request_spans, 3),
            }


@dataclass(frozen=True, slots=True)
class Servers:
    """What some steps need: where keys are looked up, and a started producer of a topic."""

    keys: Keys
    key: str
    kafka: RecordWriter
    topic: str


class NoKafka:
    """Acknowledges every record at once."""

    healthy = True

    def send(
        self, topic: str, value: bytes, *, partition: int, headers: Headers, done: Done
    ) -> None:
        """Acknowledge."""
        done(None)


async def measure_steps(
    protocol: str,
    request_spans: int,
    *,
    redacts: bool = True,
    servers: Servers | None = None,
    repeats: int = 5,
    least_s: float = 0.1,
) -> DoorSteps:
    """Measure requests of so many spans. protocol: http, grpc, json.

    redacts: by the default policy, as tenants have it that chose nothing. servers: without them
    keys are not looked up, and nothing is written to Kafka. least_s: CPU time of a repeat.
    Raises StepFailed where Kafka does not acknowledge.
    """
    clock = _Clock(repeats, least_s)
    settings = DoorClientSettings(
        protocol, "", "", 0.0, 1, request_spans=request_spans, requests=_REQUESTS
    )
    work = _Work.of(requests_of(settings), request_spans, is_json=protocol == "json")
    requests = len(work.bodies)
    steps: list[StepCost] = []
    if servers is not None:
        cost = await clock.run_async(lambda: _ask(servers, times=requests), requests)
        steps.append(StepCost(AUTH, cost))
    steps += (StepCost(step, clock.run(call, requests)) for step, call in work.reading())
    redactor = Redactor(Policy(), RedactionKey("bench", bytes(32))) if redacts else None
    if redactor is not None:
        cost = clock.run(lambda: [redactor.record(each) for each in work.requests], requests)
        steps.append(StepCost(REDACT, cost))
    steps += (StepCost(step, clock.run(call, work.gathered)) for step, call in work.writing())
    if servers is not None:
        steps.append(StepCost(PRODUCE, clock.run(lambda: _produce(servers, work), work.gathered)))
    taken = _Taken(work, servers, redactor)
    return DoorSteps(
        protocol,
        request_spans,
        sum(map(len, work.bodies)) // requests,
        tuple(steps),
        await clock.run_async(taken.run, requests),
    )


@dataclass(frozen=True, slots=True)
class _Clock:
    """Takes CPU times per request, in µs: the least of some repeats."""

    repeats: int
    least_s: float

    def run(self, call: Callable[[], object], requests: int) -> float:
        """Return what a call costs that does the work of so many requests."""
        call()
        times_us = []
        for _ in range(self.repeats):
            begun_ns, done = time.process_time_ns(), 0
            while not done or time.process_time_ns() - begun_ns < self.least_s * 1e9:
                call()
                done += requests
            times_us.append((time.process_time_ns() - begun_ns) / 1000 / done)
        return min(times_us)

    async def run_async(self, call: Callable[[], Awaitable[object]], requests: int) -> float:
        """Return the same of a call that waits; what it waits for costs nothing."""
        await call()
        times_us = []
        for _ in range(self.repeats):
            begun_ns, done = time.process_time_ns(), 0
            while not done or time.process_time_ns() - begun_ns < self.least_s * 1e9:
                await call()
                done += requests
            times_us.append((time.process_time_ns() - begun_ns) / 1000 / done)
        return min(times_us)


@dataclass(frozen=True, slots=True)
class _Work:
    """Requests at every stage of their way. gathered: how many of them share the records."""

    bodies: Sequence[bytes]
    is_json: bool
    gathered: int
    groups: Sequence[list[Group]]
    requests: Sequence[bytes]
    """As redaction reads them: in protobuf."""
    parts: Sequence[dict[int, Part]]
    records: Sequence[Record[_Waiter]]
    values: Sequence[bytes]

    @classmethod
    def of(cls, bodies: Sequence[bytes], request_spans: int, *, is_json: bool) -> _Work:
        """Bring requests through every stage once."""
        groups = [read_json(body)[0] if is_json else parse(body) for body in bodies]
        parts = [divide(each, [], tenant=TENANT).parts for each in groups]
        gathered = min(max(_GATHERED_SPANS // request_spans, 1), _MOST_GATHERED)
        some = [parts[number % len(parts)] for number in range(gathered)]
        records = _gather(some)
        values = [compress(record.value) for record in records]
        requests = [encode(each) for each in groups] if is_json else bodies
        return cls(bodies, is_json, gathered, groups, requests, some, records, values)

    def reading(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield the steps that each request goes through by itself."""
        bodies, groups = self.bodies, self.groups
        if self.is_json:  # what is written by the schema need not be checked against it
            yield PARSE, lambda: [read_json(body) for body in bodies]
        else:
            yield PARSE, lambda: [parse(body) for body in bodies]
            yield VALIDATE, lambda: [decodes(body) for body in bodies]
        yield SPLIT, lambda: [divide(each, [], tenant=TENANT) for each in groups]

    def writing(self) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield the steps of the records that requests share."""
        yield GATHER, lambda: _gather(self.parts)
        yield COMPRESS, lambda: [compress(record.value) for record in self.records]


class _Waiter:
    """Waits for nothing."""

    def hold(self) -> None:
        """Hold."""


def _gather(parts: Sequence[dict[int, Part]]) -> list[Record[_Waiter]]:
    gatherer: Gatherer[_Waiter] = Gatherer()
    waiter = _Waiter()
    full = [record for each in parts for record in gatherer.add(TENANT, each, waiter)]
    return full + gatherer.flush(TENANT)


async def _ask(servers: Servers, *, times: int) -> None:
    gate = Gate(servers.keys, allowance_alone(_LIMITS), NoRecords())
    for _ in range(times):
        await gate.let_in(Caller(_HERE, TRACES_PATH, api_key=servers.key))


def _produce(servers: Servers, work: _Work) -> None:
    """Write the records and wait until all are acknowledged. Raises StepFailed."""
    left = len(work.values)
    failed: list[DeliveryFailed] = []
    settled = threading.Event()

    def done(error: DeliveryFailed | None) -> None:
        nonlocal left
        left -= 1
        if error is not None:
            failed.append(error)
        if not left:
            settled.set()

    for record, value in zip(work.records, work.values, strict=True):
        headers: Headers = [
            ("tenant", record.tenant.encode()),
            ("lane", b"%d" % record.lane),
            ("n", b"%d" % record.span_count),
            ("v", b"1"),
        ]
        partition = partition_of(record.lane, partitions=PARTITIONS)
        servers.kafka.send(servers.topic, value, partition=partition, headers=headers, done=done)
    if not settled.wait(_ACKNOWLEDGE_S) or failed:
        raise StepFailed(f"Kafka did not acknowledge within {_ACKNOWLEDGE_S:.0f} s: {failed[:1]}")


class _Given:
    """Redacts for every tenant by the same redactor, and keeps nothing."""

    def __init__(self, redactor: Redactor, metrics: IngestMetrics) -> None:
        self._redactor = redactor
        self._metrics = metrics

    async def of(self, _tenant: str) -> OneRequest:
        """Return the redaction of one request."""
        return OneRequest(self._redactor, 0, _nothing_to_keep, self._metrics)


async def _nothing_to_keep() -> None:
    return


class _Taken:
    """Whole requests through a door of its own."""

    def __init__(self, work: _Work, servers: Servers | None, redactor: Redactor | None) -> None:
        self._work = work
        self._servers = servers
        metrics = IngestMetrics(CollectorRegistry())
        self._door = Door(
            producer=NoKafka(),
            topics=TopicNames("bench"),
            limits=_LIMITS,
            metrics=metrics,
            allowance=allowance_alone(_LIMITS),
            redactions=_Given(redactor, metrics) if redactor else NoRedaction(),
        )

    async def run(self) -> None:
        """Take every request, as many at a time as are gathered."""
        await asyncio.gather(*map(self._take, self._work.bodies))

    async def _take(self, body: bytes) -> None:
        if self._servers is not None:
            await _ask(self._servers, times=1)
        self._door.check()
        lease = self._door.lease()
        self._door.grow(lease, len(body))
        encoding = Encoding.JSON if self._work.is_json else Encoding.PROTOBUF
        success(
            await self._door.take(Sender(TENANT), body, encoding=encoding, lease=lease), encoding
        )
