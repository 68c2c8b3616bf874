"""The job refuses topics that would break its law."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from api.kafka.topics import TopicAdmin, TopicSpec
from deploy.embedded.settings import Ports
from deploy.embedded.stack import Stack
from jobs.settings import OUTPUTS, JobSettings
from jobs.topics import TopicsUnfit, span_partitions
from tests.support.logs import create_topics

pytestmark = pytest.mark.integration

LOG = {"message.timestamp.type": "LogAppendTime"}


def settings(kafka: str, prefix: str) -> JobSettings:
    return JobSettings(kafka=kafka, input_prefix=prefix, output_prefix=prefix, group="g")


def create(kafka: str, topics: Mapping[str, tuple[int, dict[str, str]]]) -> None:
    with TopicAdmin(kafka) as admin:
        admin.create(
            TopicSpec(name, partitions, required=config)
            for name, (partitions, config) in topics.items()
        )


def test_topics_as_they_are_created_are_fit(stack: Stack) -> None:
    create_topics(stack.settings.kafka, "fit")
    assert span_partitions(settings(stack.settings.kafka, "fit")) == 32


def test_missing_topics_are_named(stack: Stack) -> None:
    with pytest.raises(TopicsUnfit, match=r"absent\.dead-letters, .*absent\.spans"):
        span_partitions(settings(stack.settings.kafka, "absent"))


@pytest.mark.parametrize(
    ("prefix", "spans", "rules", "complaint"),
    [
        ("producers", (32, {}), (1, LOG), "producers.spans has message.timestamp.type=CreateTime"),
        ("ruled", (32, LOG), (1, {}), "ruled.rules has message.timestamp.type=CreateTime"),
        ("split", (32, LOG), (2, LOG), "split.rules must have one partition"),
        ("odd", (12, LOG), (1, LOG), "odd.spans has 12 partitions"),
    ],
)
def test_topics_made_otherwise_are_refused(
    stack: Stack,
    prefix: str,
    spans: tuple[int, dict[str, str]],
    rules: tuple[int, dict[str, str]],
    complaint: str,
) -> None:
    outputs = {f"{prefix}.{output}": (1, dict[str, str]()) for output in OUTPUTS}
    create(stack.settings.kafka, {f"{prefix}.spans": spans, f"{prefix}.rules": rules, **outputs})
    with pytest.raises(TopicsUnfit, match=complaint):
        span_partitions(settings(stack.settings.kafka, prefix))


def test_no_broker_is_a_refusal() -> None:
    with pytest.raises(TopicsUnfit, match="Kafka at"):
        span_partitions(settings(f"127.0.0.1:{Ports.free().kafka}", "any"), timeout_ms=500)
