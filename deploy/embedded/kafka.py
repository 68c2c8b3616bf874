"""Kafka as one JVM in KRaft mode: broker and controller in a process, data in one folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from deploy.embedded.component import Command, Service, StartError
from deploy.embedded.endpoint import listens
from deploy.embedded.java import class_archive, java, write_class_archive
from deploy.embedded.layout import JARS, Layout
from deploy.embedded.settings import StackSettings

CLUSTER_ID = "YmVUcmFjZS1lbWJlZGRlZA"  # base64 of "beTrace-embedded": one broker, never joined
LARGEST_RECORD_BYTES = 8 << 20


def kafka(settings: StackSettings, layout: Layout) -> Service:
    """The broker; topics are made by whoever owns them (automatic creation is off)."""
    properties = layout.kafka / "server.properties"
    return Service(
        name="kafka",
        command=lambda: Command(
            argv=(
                *_java(
                    layout,
                    f"-Xmx{settings.kafka_heap}",
                    f"-Xms{settings.kafka_heap}",
                    *class_archive("kafka", _jars()),
                ),
                "kafka.Kafka",
                str(properties),
            ),
            folder=layout.kafka,
        ),
        prepare=lambda: _prepare(settings, layout, properties),
        ready=lambda: _answers(settings.kafka),
        stop_patience_s=30,
        at_rest=lambda pid: write_class_archive(pid, "kafka", _jars()),
    )


def _java(layout: Layout, *options: str) -> tuple[str, ...]:
    return (
        java(),
        *options,
        "-XX:+UseG1GC",
        "-XX:MaxGCPauseMillis=20",
        f"-Dlog4j2.configurationFile={layout.kafka / 'log4j2.properties'}",
        "-cp",
        os.pathsep.join(str(jar) for jar in _jars()),
    )


def _jars() -> list[Path]:
    return sorted((JARS / "kafka").glob("*.jar"))


def _prepare(settings: StackSettings, layout: Layout, properties: Path) -> None:
    """Write the configuration; format the data folder at the first start."""
    if not (JARS / "kafka").is_dir():
        raise StartError(f"Kafka's jars are not in {JARS}: run `make jars`")
    properties.write_text(_properties(settings, layout))
    (layout.kafka / "log4j2.properties").write_text(LOGGING)
    data = layout.kafka / "data"
    if (data / "meta.properties").exists():
        return
    shutil.rmtree(data, ignore_errors=True)
    done = subprocess.run(
        [
            *_java(layout, "-Xmx128m", "-XX:TieredStopAtLevel=1"),
            "kafka.tools.StorageTool",
            "format",
            "--cluster-id",
            CLUSTER_ID,
            "--config",
            str(properties),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StartError(f"Kafka's data folder could not be made:\n{done.stdout}{done.stderr}")


def _answers(address: str) -> bool:
    if not listens(address):  # cheap, where a client is not, and asked several times a second
        return False
    try:
        client = KafkaAdminClient(bootstrap_servers=address, bootstrap_timeout_ms=2000)
    except KafkaError:
        return False
    try:
        return bool(client.describe_cluster()["brokers"])
    except KafkaError:
        return False
    finally:
        client.close()


def _properties(settings: StackSettings, layout: Layout) -> str:
    ports = settings.ports
    values = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{ports.kafka_controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{ports.kafka},"
        f"CONTROLLER://127.0.0.1:{ports.kafka_controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{ports.kafka}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": str(layout.kafka / "data"),
        "auto.create.topics.enable": "false",
        "message.max.bytes": str(LARGEST_RECORD_BYTES),
        "replica.fetch.max.bytes": str(LARGEST_RECORD_BYTES),
        # One broker: internal topics cannot have three replicas, and need few partitions.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        # A broker that was killed is back sooner when it may recover partitions side by side.
        "num.recovery.threads.per.data.dir": "4",
        "log.cleaner.dedupe.buffer.size": str(16 << 20),
        "log.segment.bytes": str(256 << 20),
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


LOGGING = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSS} %-5p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
"""
