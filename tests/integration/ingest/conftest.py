"""The real ingest process on a real broker and database, and a look at what it wrote."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpx
import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from tests.support.kafka import Broker, free_port, running_kafka
from tests.support.otlp import spans_by_origin
from tests.support.postgres import Server
from udfs.lanes import LANES
from udfs.payload import expand

PREFIX = "door"
BETRACE = [sys.executable, "-c", "from api.command import main; main()"]
PATIENCE_S = 60.0


def wait_until(condition: Callable[[], bool], what: str, *, patience_s: float = PATIENCE_S) -> None:
    """Return once the condition holds; fail the test when it does not in time."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {patience_s} s")
        time.sleep(0.05)


@dataclass
class Ingest:
    """`betrace ingest` as a process, with one tenant and its key."""

    broker: Broker
    environment: dict[str, str]
    log: IO[bytes]
    tenant: str = ""
    key: str = ""
    process: subprocess.Popen[bytes] | None = None
    http_port: int = field(default_factory=free_port)
    grpc_port: int = field(default_factory=free_port)

    @property
    def traces_url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}/v1/traces"

    @property
    def grpc_address(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"x-api-key": self.key, "content-type": "application/x-protobuf"}

    def betrace(self, *arguments: str) -> str:
        done = subprocess.run(
            [*BETRACE, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def start(self) -> None:
        self.process = subprocess.Popen(
            [*BETRACE, "ingest", "--from-kafka"],
            env=self.environment
            | {
                "BETRACE_OTLP_HTTP_PORT": str(self.http_port),
                "BETRACE_OTLP_GRPC_PORT": str(self.grpc_port),
            },
            stderr=self.log,
        )
        wait_until(self.ready, "ingest is ready")

    def stop(self) -> int:
        """End it as a supervisor would; return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def ready(self) -> bool:
        try:
            url = f"http://127.0.0.1:{self.http_port}/health/ready"
            return httpx.get(url, timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def records(self, topic: str = "spans", partitions: int = LANES) -> list[Message]:
        """Everything that a topic of the installation holds now."""
        return read_topic(self.broker.address, f"{PREFIX}.{topic}", partitions)

    def span_names(self) -> Counter[str]:
        """How often each span's name lies on `.spans`."""
        from opentelemetry.proto.trace.v1.trace_pb2 import Span

        found = spans_by_origin(expand(record.value() or b"") for record in self.records())
        names: Counter[str] = Counter()
        for (*_, serialized), count in found.items():
            names[Span.FromString(serialized).name] += count
        return names


def read_topic(address: str, topic: str, partitions: int) -> list[Message]:
    consumer = Consumer(
        {"bootstrap.servers": address, "group.id": "look", "enable.auto.commit": False}
    )
    records: list[Message] = []
    try:
        ends = {
            number: consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=30)[1]
            for number in range(partitions)
        }
        left = {number for number, end in ends.items() if end}
        consumer.assign([TopicPartition(topic, number, 0) for number in left])
        while left:
            for message in consumer.consume(500, 5):
                assert message.error() is None, message.error()
                if message.offset() < ends[message.partition()]:
                    records.append(message)
                if message.offset() + 1 >= ends[message.partition()]:
                    left.discard(message.partition())
    finally:
        consumer.close()
    return records


@pytest.fixture(scope="package")
def broker() -> Iterator[Broker]:
    with running_kafka() as broker:
        yield broker


@pytest.fixture(scope="package")
def ingest(
    broker: Broker, postgres: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ingest]:
    database = postgres.database()
    environment = os.environ | {
        "DATABASE_URL": database.app,
        "BETRACE_DATABASE_ADMIN_URL": database.admin,
        "BETRACE_KAFKA": broker.address,
        "BETRACE_TOPIC_PREFIX": PREFIX,
        "BETRACE_SECRET_KEY": "0123456789abcdef0123456789abcdef",
    }
    log_path: Path = tmp_path_factory.mktemp("ingest") / "ingest.log"
    with log_path.open("wb") as log:
        ingest = Ingest(broker, environment, log)
        ingest.betrace("topics", "create")
        ingest.tenant = json.loads(ingest.betrace("tenant", "create", "Acme", "--json"))["id"]
        made = ingest.betrace("key", "create", "--tenant", "Acme", "--name", "k", "--json")
        ingest.key = json.loads(made)["key"]
        ingest.start()
        yield ingest
        assert ingest.stop() == 0, log_path.read_text()[-4000:]
