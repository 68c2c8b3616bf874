"""A throw-away Kafka broker for tests: one KRaft JVM, its folder goes with it.

Started from the jars that `make jars` fetches, or those in BETRACE_TEST_KAFKA_LIBS.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

REPOSITORY = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 120


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def kafka_libs() -> Path:
    """Return the folder with Kafka's jars. Raises RuntimeError if there is none."""
    given = os.environ.get("BETRACE_TEST_KAFKA_LIBS")
    folder = Path(given) if given else REPOSITORY / ".tools" / "jars" / "kafka"
    if not any(folder.glob("kafka-clients-*.jar")):
        raise RuntimeError(f"Kafka's jars are not in {folder}: run `make jars`")
    return folder


@dataclass
class Broker:
    """One Kafka broker on its own ports and folder; can be stopped hard and started again."""

    libs: Path
    folder: Path
    port: int = field(default_factory=free_port)
    controller_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def format(self) -> None:
        """Write the configuration and format the log folder."""
        self.config.write_text(
            "\n".join(
                [
                    "process.roles=broker,controller",
                    "node.id=1",
                    f"controller.quorum.voters=1@127.0.0.1:{self.controller_port}",
                    f"listeners=PLAINTEXT://127.0.0.1:{self.port},"
                    f"CONTROLLER://127.0.0.1:{self.controller_port}",
                    f"advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}",
                    "controller.listener.names=CONTROLLER",
                    "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
                    f"log.dirs={self.folder / 'data'}",
                    "offsets.topic.replication.factor=1",
                    "offsets.topic.num.partitions=1",
                    "transaction.state.log.replication.factor=1",
                    "transaction.state.log.min.isr=1",
                    "group.initial.rebalance.delay.ms=0",
                    "group.min.session.timeout.ms=1000",
                    "message.max.bytes=8388608",
                    "auto.create.topics.enable=false",
                    "log.retention.check.interval.ms=1000",
                ]
            )
        )
        self._java(
            "kafka.tools.StorageTool", "format", "-t", str(uuid.uuid4()), "-c", str(self.config)
        ).wait(START_TIMEOUT_S)

    @property
    def config(self) -> Path:
        return self.folder / "kraft.properties"

    def _java(self, main: str, *arguments: str) -> subprocess.Popen[bytes]:
        log = (self.folder / "kafka.log").open("ab")
        return subprocess.Popen(
            ["java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp",
             f"{self.libs}/*", main, *arguments],
            stdout=log,
            stderr=log,
        )  # fmt: skip

    def start(self) -> None:
        """Start the broker and wait until it answers."""
        self.process = self._java("kafka.Kafka", str(self.config))
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            # A client backs off for longer and longer; the port is asked first.
            with contextlib.suppress(KafkaError, OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                client = KafkaAdminClient(
                    bootstrap_servers=self.address, bootstrap_timeout_ms=2_000
                )
                client.list_topics()
                client.close()
                return
            time.sleep(0.1)
        raise RuntimeError(
            f"Kafka did not start: {(self.folder / 'kafka.log').read_text()[-4000:]}"
        )

    def kill(self) -> None:
        """Stop the broker without a farewell (SIGKILL)."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextlib.contextmanager
def running_kafka() -> Iterator[Broker]:
    folder = Path(tempfile.mkdtemp(prefix="betrace-kafka-"))
    broker = Broker(kafka_libs(), folder)
    try:
        broker.format()
        broker.start()
        yield broker
    finally:
        broker.kill()
        shutil.rmtree(folder, ignore_errors=True)
