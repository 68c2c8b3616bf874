"""The Kafka source and sink, as tables: the DataStream connectors of Python know no bytes.

The names of columns are read by the queries below and by nobody else.
"""

from __future__ import annotations

from jobs.settings import JobSettings
from udfs.payload import MAX_BYTES

OUTPUTS = "outputs"
MANY_OUTPUTS = "many_outputs"
"""The names of the sinks: of `correlate`, and of the stages of rules over many traces."""

READ_SPANS = """
select
  payload,
  headers['tenant'] as tenant,
  headers['lane'] as lane,
  `partition`,
  `offset`,
  appended_at
from spans
"""
"""appended_at must be among the columns: it becomes the rows' time in the DataStream."""


def spans_table(
    settings: JobSettings, *, partitions: int, passes_over_expired: bool = False
) -> str:
    """Return the statement that declares the source `spans`.

    It reads on from the offsets of a snapshot, or else from those that the group has committed
    (`jobs.start` sees to that), and fails if they are gone, now or later. passes_over_expired: it
    goes on at the oldest record instead, for as long as this submission runs.

    The watermark is pushed down into the source and follows each partition on its own; the
    slowest one decides. A source task without a partition would never let time pass, hence the
    bound on the parallelism.
    """
    options = {
        "connector": "kafka",
        "topic": settings.spans_topic,
        "properties.bootstrap.servers": settings.kafka,
        "properties.group.id": settings.group,
        "properties.max.partition.fetch.bytes": "1048576",
        "properties.fetch.max.bytes": "16777216",
        # With 32 partitions there is always something to fetch: without a least amount, broker
        # and source would be busy with hundreds of small fetches a second.
        "properties.fetch.min.bytes": "1048576",
        "properties.fetch.max.wait.ms": "100",
        "format": "raw",
        "scan.parallelism": str(source_parallelism(settings, partitions=partitions)),
        # The number of partitions is fixed when the topic is made: lanes depend on it.
        "scan.topic-partition-discovery.interval": "0 ms",
        "scan.watermark.emit.strategy": "on-periodic",
        # In catching up, no partition may run ahead: what it brought would wait in state.
        "scan.watermark.alignment.group": "spans",
        "scan.watermark.alignment.max-drift": "30 s",
        "scan.watermark.alignment.update-interval": "1 s",
        "scan.startup.mode": "group-offsets",
        "properties.auto.offset.reset": "earliest" if passes_over_expired else "none",
    }
    return f"""
create table spans (
  payload bytes,
  headers map<string, bytes> metadata virtual,
  `partition` int metadata virtual,
  `offset` bigint metadata virtual,
  appended_at timestamp_ltz(3) metadata from 'timestamp' virtual,
  watermark for appended_at as appended_at - interval '0.001' second
) with ({_options(options)})
"""


def outputs_table(settings: JobSettings, *, name: str = OUTPUTS) -> str:
    """Return the statement that declares a sink for every output, whatever the topic."""
    options = {
        "connector": "kafka",
        "topic": ";".join(settings.output_topics.values()),
        "properties.bootstrap.servers": settings.kafka,
        "properties.max.request.size": str(MAX_BYTES),
        "properties.linger.ms": "20",
        "properties.acks": "all",
        "key.format": "raw",
        "key.fields": "key",
        "value.format": "raw",
        "value.fields-include": "EXCEPT_KEY",
        # Ids and revisions are deterministic: what is written twice is the same record.
        "sink.delivery-guarantee": "at-least-once",
    }
    return f"""
create table {name} (
  topic string metadata,
  key bytes,
  `value` bytes,
  headers map<string, bytes> metadata
) with ({_options(options)})
"""


def source_parallelism(settings: JobSettings, *, partitions: int) -> int:
    """Return the number of source tasks: no more than there are partitions."""
    return min(settings.parallelism, partitions)


def _options(options: dict[str, str]) -> str:
    return ", ".join(f"{_quoted(name)} = {_quoted(value)}" for name, value in options.items())


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
