"""How the job does, in figures: from Flink's REST interface and from Kafka's offsets."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from api.job.flink import Flink, FlinkUnavailable, Job, Vertex, root_cause
from api.kafka.topics import TopicNames
from udfs.lanes import PARTITIONS

RULES_OFFSET: Final = "rules_offset"
RSS_BYTES: Final = "python_rss_bytes"
"""Names of figures of the operators: `udfs/flink/figures.py`."""
_TIMEOUT_S: Final = 10.0
_NO_WATERMARK: Final = 0


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Of the job that runs. newest_at_ms: when the newest complete one was triggered."""

    completed: int = 0
    failed: int = 0
    newest_at_ms: int | None = None
    newest_duration_ms: int = 0
    newest_bytes: int = 0
    failed_since: bool = False
    """The last one to end has failed."""


@dataclass(frozen=True, slots=True)
class JobFigures:
    """The job at one moment; None where nothing answers or nothing is known yet.

    at_ms: that moment, by our clock. state: Flink's, "" without a job. watermark_ms: how far event
    time has come everywhere. heartbeat_ms: time of the newest record of the most silent partition.
    lag_records: what was not read at the last checkpoint. rules_read: offset up to which every
    subtask has read the rules log; rules_end: its end.
    """

    at_ms: int
    job_id: str = ""
    state: str = ""
    running: bool = False
    parallelism: int = 0
    restarts: int = 0
    why: str = ""
    watermark_ms: int | None = None
    heartbeat_ms: int | None = None
    lag_records: int | None = None
    checkpoints: Checkpoints = Checkpoints()
    rss_bytes: tuple[int, ...] = ()
    rules_read: int | None = None
    rules_end: int | None = None
    unreachable: tuple[str, ...] = ()
    """What did not answer, with what it said."""


class Kafka:
    """The offsets and times of an installation's topics. Every method raises KafkaException."""

    def __init__(self, bootstrap_servers: str, topics: TopicNames) -> None:
        """Prepare; connects at the first question."""
        self._topics = topics
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})

    def read_into(self, figures: JobFigures, *, group: str) -> JobFigures:
        """Return the figures with what Kafka knows. group: of the job."""
        spans = [TopicPartition(self._topics.spans, number) for number in range(PARTITIONS)]
        rules = TopicPartition(self._topics.rules, 0)
        spec: Any = OffsetSpec  # its makers gave it no types
        newest = self._admin.list_offsets(
            dict.fromkeys(spans, spec.max_timestamp()), request_timeout=_TIMEOUT_S
        )
        ends = self._admin.list_offsets(
            dict.fromkeys([*spans, rules], spec.latest()), request_timeout=_TIMEOUT_S
        )
        times_ms = [future.result().timestamp for future in newest.values()]
        end = {place: future.result().offset for place, future in ends.items()}
        committed = self._committed(group, spans)
        lags = [end[place] - committed[place.partition] for place in spans if committed]
        return replace(
            figures,
            heartbeat_ms=min(times_ms) if min(times_ms) >= 0 else None,
            lag_records=sum(lags) if committed else None,
            rules_end=end[rules],
        )

    def _committed(self, group: str, spans: list[TopicPartition]) -> Mapping[int, int]:
        """Return committed offsets by partition; nothing unless all have one."""
        asked = [ConsumerGroupTopicPartitions(group, spans)]
        answers = self._admin.list_consumer_group_offsets(asked, request_timeout=_TIMEOUT_S)
        found = answers[group].result().topic_partitions
        committed = {place.partition: place.offset for place in found if place.offset >= 0}
        return committed if len(committed) == len(spans) else {}


def read_figures(flink: Flink, kafka: Kafka, *, topic_prefix: str) -> JobFigures:
    """Ask Flink and Kafka. Raises nothing for what does not answer: that is a figure as well."""
    figures = JobFigures(at_ms=time.time_ns() // 1_000_000)
    try:
        figures = _of_flink(flink, figures, topic_prefix)
    except FlinkUnavailable as error:
        figures = replace(figures, unreachable=(*figures.unreachable, str(error)))
    try:
        return kafka.read_into(figures, group=f"{topic_prefix}.detect")
    except KafkaException as error:
        problem = f"Kafka: {error.args[0].str()}"
        return replace(figures, unreachable=(*figures.unreachable, problem))


def _of_flink(flink: Flink, figures: JobFigures, topic_prefix: str) -> JobFigures:
    job = flink.find(topic_prefix)
    if job is None:
        return figures
    exceptions = flink.exceptions(job.id)
    figures = replace(
        figures,
        job_id=job.id,
        state=job.state,
        running=job.running,
        restarts=flink.restarts(job.id),
        why=root_cause(exceptions[0]) if exceptions else "",
        checkpoints=_checkpoints(flink.checkpoints(job.id)),
    )
    vertices = flink.vertices(job.id)
    figures = replace(figures, parallelism=max(vertex.parallelism for vertex in vertices))
    return _of_vertices(flink, figures, job, vertices) if job.running else figures


def _of_vertices(flink: Flink, figures: JobFigures, job: Job, vertices: list[Vertex]) -> JobFigures:
    rules: list[int] = []
    rss: list[int] = []
    complete = True
    for vertex in vertices:
        rss += flink.gauges(job.id, vertex, RSS_BYTES)
        if "match" not in vertex.name and "correlate" not in vertex.name:
            continue
        read = flink.gauges(job.id, vertex, RULES_OFFSET)
        complete = complete and len(read) == vertex.parallelism
        rules += read
    return replace(
        figures,
        watermark_ms=watermark_of(flink, job.id, vertices),
        rules_read=min(rules) if rules and complete else None,
        rss_bytes=tuple(rss),
    )


def watermark_of(flink: Flink, job_id: str, vertices: Iterable[Vertex]) -> int | None:
    """Return how far event time has come in every subtask that judges; None if one has none.

    Raises FlinkUnavailable.
    """
    judging = [vertex for vertex in vertices if "correlate" in vertex.name]
    watermarks = [each for vertex in judging for each in flink.watermarks(job_id, vertex.id)]
    least = min(watermarks, default=_NO_WATERMARK)
    return least if least > _NO_WATERMARK else None


def _checkpoints(answer: dict[str, Any]) -> Checkpoints:
    counts, latest = answer["counts"], answer["latest"]
    newest, failed = latest["completed"], latest["failed"]
    found = Checkpoints(completed=counts["completed"], failed=counts["failed"])
    if newest is not None:
        found = replace(
            found,
            newest_at_ms=newest["trigger_timestamp"],
            newest_duration_ms=newest["end_to_end_duration"],
            newest_bytes=newest["checkpointed_size"],
        )
    since = newest["trigger_timestamp"] if newest else 0
    return replace(found, failed_since=failed is not None and failed["trigger_timestamp"] > since)
