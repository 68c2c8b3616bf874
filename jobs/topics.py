"""What the job asks of its topics, checked before it is submitted.

The law of the job, a verdict is a function of two logs, rests on the broker's clock: a topic
with times of the producers would break it silently.
"""

from __future__ import annotations

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError

from jobs.settings import JobSettings
from udfs.lanes import LANES


class TopicsUnfit(Exception):
    """The topics are missing or not made as the job needs them; the message says which and why."""


def span_partitions(settings: JobSettings, *, timeout_ms: int = 30_000) -> int:
    """Check the topics that the job reads and writes; return the number of partitions of spans.

    Raises TopicsUnfit, also if no broker answers in time.
    """
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=settings.kafka.split(","),
            bootstrap_timeout_ms=timeout_ms,
            client_id="betrace-detect-submit",
        )
        try:
            return _span_partitions(admin, settings)
        finally:
            admin.close()
    except KafkaError as error:
        raise TopicsUnfit(f"Kafka at {settings.kafka}: {error}") from error


def _span_partitions(admin: KafkaAdminClient, settings: JobSettings) -> int:
    needed = [settings.spans_topic, settings.rules_topic, *settings.output_topics.values()]
    missing = sorted(set(needed) - set(admin.list_topics()))
    if missing:
        raise TopicsUnfit(f"no such topics: {', '.join(missing)} (betrace topics create)")
    for topic in (settings.spans_topic, settings.rules_topic):
        kind = _config(admin, topic, "message.timestamp.type")
        if kind != "LogAppendTime":
            raise TopicsUnfit(f"{topic} has message.timestamp.type={kind}, not LogAppendTime")
    counts = {
        described["name"]: len(described["partitions"])
        for described in admin.describe_topics([settings.spans_topic, settings.rules_topic])
    }
    if counts[settings.rules_topic] != 1:
        raise TopicsUnfit(f"{settings.rules_topic} must have one partition: it is one log")
    partitions = counts[settings.spans_topic]
    if LANES % partitions:
        raise TopicsUnfit(
            f"{settings.spans_topic} has {partitions} partitions; {LANES} lanes are "
            "no multiple of that, so that traces would not stay in their partitions: submit a "
            "release whose lanes are one"
        )
    return partitions


def _config(admin: KafkaAdminClient, topic: str, name: str) -> str:
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    described = admin.describe_configs([resource], config_filter="all")
    return str(described["topic"][topic][name]["value"])
