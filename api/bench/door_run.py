"""The door as a whole: every protocol and size beside the pure Kafka path, in one run.

For each protocol and size there are two measurements: client processes against the real `ingest`,
whose CPU seconds are read from /proc; and the steps of a request in process (`door_steps`). What
the first costs over the second is the transport: sockets, HTTP or HTTP/2, the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import uvloop
from pydantic import SecretStr

from api.bench.door import DoorFigures, measure_door
from api.bench.door_client import KAFKA, DoorClientSettings
from api.bench.door_steps import PRODUCE, DoorSteps, Servers, measure_steps
from api.bench.rows import Row, RowFile
from api.bench.running import Say
from api.bench.stack import Lifetimes, Stack, Tenant
from api.ingest.stored_keys import open_stored_keys
from api.kafka.producer import Producer
from api.settings import Settings
from udfs.garbage import spare_the_living

SIZES = "20,512"
PATHS = "kafka,http,grpc,json"
REDACTION = "on,off"
TRANSPORT = "transport, event loop"
_INGEST = "ingest"
_ON_THEIR_WAY = 16_384
"""Spans of a client that wait for their answer: 250,000 a second with 65 ms to an answer."""
_MOST_CONNECTIONS = 128
_CLOSE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorSettings:
    """seconds: of each path and size; sizes: spans to a request; paths: of PATHS. connections: of
    each client, 0: so many that requests waiting to be gathered do not bound the rate. redaction:
    of REDACTION; what is written to Kafka directly is redacted by nobody.
    """

    seconds: float
    sizes: tuple[int, ...]
    paths: tuple[str, ...]
    clients: int = 1
    connections: int = 0
    redaction: tuple[str, ...] = ("on",)

    def connections_for(self, size: int) -> int:
        """Return how many connections a client opens for requests of so many spans.

        Each has one request on its way, which takes what gathering takes, 50 ms and more.
        """
        return self.connections or min(max(_ON_THEIR_WAY // size, 8), _MOST_CONNECTIONS)

    def cells(self, redaction: str) -> Iterator[tuple[str, int, str]]:
        """Yield path, size and redaction of what is measured on one stack."""
        for size in self.sizes:
            for path in self.paths:
                if path != KAFKA or redaction == self.redaction[0]:
                    yield path, size, redaction

    def which(self, path: str, size: int, redaction: str) -> dict[str, Any]:
        """Return the fields by which a row is known."""
        return {
            "path": path,
            "request_spans": size,
            "redaction": "none" if path == KAFKA else redaction,
            "asked_seconds": self.seconds,
            "clients": self.clients,
            "connections": self.connections_for(size),
        }


def measure_paths(
    settings: DoorSettings,
    stack_of: Callable[[dict[str, str]], AbstractContextManager[Stack]],
    *,
    rows: RowFile,
    say: Say,
) -> Iterator[Row]:
    """Yield the row of each size and path; those that `rows` has are not measured again.

    stack_of: starts one with some variables set. With and without redaction are two stacks.
    Raises StackTrouble, ClientFailed, StepFailed.
    """
    for redaction in settings.redaction:
        yield from _measured_on_one(settings, redaction, stack_of, rows=rows, say=say)


def _measured_on_one(
    settings: DoorSettings,
    redaction: str,
    stack_of: Callable[[dict[str, str]], AbstractContextManager[Stack]],
    *,
    rows: RowFile,
    say: Say,
) -> Iterator[Row]:
    cells = list(settings.cells(redaction))
    known = [rows.find(settings.which(*cell)) for cell in cells]
    yield from (row for row in known if row is not None)
    missing = [cell for cell, row in zip(cells, known, strict=True) if row is None]
    if not missing:
        return
    say("starting the stack")
    variables = {} if redaction == "on" else {"BETRACE_INGEST_REDACT": "0"}
    with stack_of(variables) as stack:
        tenant = stack.make_tenant(Lifetimes())
        for path, size, _ in missing:
            say(f"{path}, {size} spans to a request, redaction {redaction}")
            measured = _measure(
                settings, stack, tenant, path=path, size=size, redacts=redaction == "on"
            )
            row = settings.which(path, size, redaction) | measured
            rows.add(row)
            yield row


def _measure(
    settings: DoorSettings, stack: Stack, tenant: Tenant, *, path: str, size: int, redacts: bool
) -> Row:
    client = DoorClientSettings(
        protocol=path,
        address=_address(stack, path),
        key=tenant.key,
        seconds=settings.seconds,
        connections=settings.connections_for(size),
        request_spans=size,
        tenant=tenant.id,
        topic=stack.spans_topic,
    )
    each = [replace(client, seed=number + 1) for number in range(settings.clients)]
    figures = measure_door(each, roots=stack.roots())
    if path == KAFKA:
        return _figures(figures, size)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        steps = runner.run(_steps(stack, tenant, path, size, redacts=redacts))
    return _figures(figures, size) | {"steps": step_rows(figures, steps)}


def step_rows(figures: DoorFigures, steps: DoorSteps) -> list[Row]:
    """Return the steps, and the transport as what `ingest` used over them; the whole at the end."""
    rows: list[Row] = list(steps.rows())
    used_us = figures.cpu_s_per_million_spans.get(_INGEST)
    if used_us is None:  # foreign servers: their CPU is not seen
        return rows
    produce = sum(row["us_per_span"] for row in rows if row["step"] == PRODUCE)
    others = sum(row["us_per_span"] for row in rows if row["step"] != PRODUCE)
    rows.append(_step(TRANSPORT, used_us - others - produce, steps.request_spans))
    rows.append(_step("all of ingest", used_us, steps.request_spans))
    return rows


def _step(name: str, us_per_span: float, spans: int) -> Row:
    return {
        "step": name,
        "us_per_request": round(us_per_span * spans, 2),
        "us_per_span": round(us_per_span, 3),
    }


def _figures(figures: DoorFigures, size: int) -> Row:
    row = figures.to_dict()
    ingest = figures.cpu_s_per_million_spans.get(_INGEST, 0.0)
    if figures.protocol != KAFKA and ingest:
        row["spans_per_ingest_cpu_s"] = round(1e6 / ingest)
    return row | {"requests_per_s": round(figures.spans_per_s / size)}


async def _steps(stack: Stack, tenant: Tenant, path: str, size: int, *, redacts: bool) -> DoorSteps:
    """Measure the steps with the stack's own keys and Kafka, as `ingest` has them."""
    spare_the_living()
    settings = Settings(
        database_url=SecretStr(stack["DATABASE_URL"]),
        secret_key=SecretStr(stack["BETRACE_SECRET_KEY"]),
    )
    producer = Producer(stack["BETRACE_KAFKA"], client_id="betrace-bench")
    producer.start()
    try:
        async with open_stored_keys(settings) as store:
            servers = Servers(store.keys, tenant.key, producer, stack.spans_topic)
            return await measure_steps(path, size, redacts=redacts, servers=servers)
    finally:
        producer.close(timeout_s=_CLOSE_S)


def _address(stack: Stack, path: str) -> str:
    match path:
        case "kafka":
            return stack["BETRACE_KAFKA"]
        case "grpc":
            return stack["BETRACE_OTLP_GRPC"]
    return stack["BETRACE_OTLP_HTTP"]
