"""From Kafka to Postgres: read a batch, write it in one transaction, then commit its offsets.

    poll ─► batch ─► transaction ─► commit offsets ─► poll …
                        │ Postgres, or what redacts, down: back off, try it again, for ever
                        └ Postgres refuses a row: halve the batch until it stands alone;
                          it becomes a dead letter, the others are stored

A crash between the transaction and the commit delivers the batch again; writers make that
harmless. A group that lost a partition meanwhile fails to commit; the other replica writes the
same rows.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import psycopg
import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from tenacity import (
    RetryCallState,
    RetryError,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_when_event_set,
    wait_exponential_jitter,
)

from api.redaction.redactors import RedactionUnavailable
from api.worker.database import BAD_DATA, WorkerConnection
from api.worker.folding import LogRecord, Poison
from api.worker.health import KAFKA, POSTGRES, REDACTION, Health
from api.worker.letters import LetterBox
from api.worker.metrics import Metrics
from api.worker.signals import Written

_SESSION_TIMEOUT_MS = 10_000
"""After a kill -9 the partitions of the dead replica rest for so long."""
_STATISTICS_MS = 5_000
_IDLE_S = 0.5
_WRITING_SHARE = 0.25
_LONGEST_LINGER_S = 0.2
_FIRST_BACK_OFF_S = 0.1
_LONGEST_BACK_OFF_S = 10.0

log = structlog.get_logger(__name__)


class Record(NamedTuple):
    """A record read from Kafka. timestamp: ms since the epoch, 0 if it has none."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    value: bytes | None


class Writer(Protocol):
    """Merges a batch inside the transaction that the caller has opened."""

    def write(self, connection: WorkerConnection, records: Sequence[LogRecord]) -> Written: ...


class Intake:
    """Carries some topics into Postgres until told to stop. `run` is the body of a thread."""

    def __init__(
        self,
        *,
        name: str,
        topics: Sequence[str],
        writer: Writer,
        kafka: str,
        connect: Callable[[], WorkerConnection],
        letters: LetterBox,
        metrics: Metrics,
        health: Health,
        stop: threading.Event,
        batch_records: int = 2_000,
        linger_s: float = 0.05,
    ) -> None:
        """Prepare; nothing is connected before `run`.

        name: the consumer group. linger_s: how long a batch waits for company after its first
        record at least (lingering), unless batch_records are there sooner.
        """
        self.name = name
        self._topics = list(topics)
        self._writer = writer
        self._kafka = kafka
        self._connect = connect
        self._letters = letters
        self._metrics = metrics
        self._health = health
        self._stop = stop
        self._batch_records = batch_records
        self._linger_s = linger_s
        self._write_s = 0.0
        self._connection: WorkerConnection | None = None
        self._lacks_redaction = False
        self.caught_up = False
        """No record was waiting when last looked."""

    def run(self) -> None:
        """Work until `stop` is set; the batch in hand is finished and committed first."""
        consumer = Consumer(self._configuration())
        try:
            consumer.subscribe(self._topics)
            while not self._stop.is_set():
                batch = self._next_batch(consumer)
                self.caught_up = len(batch) < self._batch_records
                if batch and self._settle(batch):
                    self._commit(consumer, batch)
        finally:
            consumer.close()
            self._disconnect()

    # ------------------------------------------------------------------ Kafka

    def _configuration(self) -> dict[str, Any]:
        return {
            "bootstrap.servers": self._kafka,
            "group.id": self.name,
            "client.id": self.name,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": _SESSION_TIMEOUT_MS,
            "heartbeat.interval.ms": _SESSION_TIMEOUT_MS // 4,
            "socket.timeout.ms": 10_000,
            "reconnect.backoff.max.ms": 2_000,
            "topic.metadata.refresh.interval.ms": 10_000,
            "queued.min.messages": 2 * self._batch_records,
            "queued.max.messages.kbytes": 32 * 1024,
            "statistics.interval.ms": _STATISTICS_MS,
            "stats_cb": self._read_statistics,
            "error_cb": self._failed,
            "log_level": 0,  # what matters comes through the error callback
        }

    def _next_batch(self, consumer: Consumer) -> list[Record]:
        first = consumer.poll(_IDLE_S)
        if first is None:
            return []
        batch = [first]
        deadline = time.monotonic() + lingering(self._linger_s, self._write_s)
        while len(batch) < self._batch_records:
            left_s = deadline - time.monotonic()
            more = consumer.consume(self._batch_records - len(batch), max(left_s, 0.0))
            batch += more
            if left_s <= 0:
                break
        return [record for message in batch if (record := self._record(message)) is not None]

    def _record(self, message: Any) -> Record | None:
        error = message.error()
        if error is None:
            timestamp = message.timestamp()[1]
            return Record(
                message.topic(),
                message.partition(),
                message.offset(),
                max(timestamp, 0),
                message.value(),
            )
        log.warning("worker.kafka", group=self.name, error=error.str())
        return None

    def _commit(self, consumer: Consumer, batch: Sequence[Record]) -> None:
        ends: dict[tuple[str, int], int] = {}
        for record in batch:
            ends[record.topic, record.partition] = record.offset + 1
        offsets = [TopicPartition(topic, number, end) for (topic, number), end in ends.items()]
        try:
            consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            # Stored already: whoever reads these records again changes nothing.
            log.warning("worker.commit", group=self.name, error=str(error))

    def _read_statistics(self, text: str) -> None:
        statistics = json.loads(text)
        if any(broker.get("state") == "UP" for broker in statistics["brokers"].values()):
            self._health.answered(KAFKA)
        else:
            self._health.failed(KAFKA, "no broker answers")
        for topic in self._topics:
            partitions = statistics["topics"].get(topic, {}).get("partitions", {})
            lag = sum(max(p["consumer_lag"], 0) for p in partitions.values())
            self._metrics.lag.labels(topic).set(lag)

    def _failed(self, error: KafkaError) -> None:
        log.warning("worker.kafka", group=self.name, error=error.str())
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._health.failed(KAFKA, error.str())

    # ------------------------------------------------------------------ Postgres

    def _settle(self, batch: Sequence[Record]) -> bool:
        """Store every record of a batch or set it aside, however long it takes.

        False only when told to stop before the surroundings answered: nothing is committed then.
        """
        attempts = Retrying(
            retry=retry_if_exception_type((psycopg.Error, KafkaException, RedactionUnavailable)),
            wait=wait_exponential_jitter(
                multiplier=_FIRST_BACK_OFF_S, max=_LONGEST_BACK_OFF_S, jitter=_FIRST_BACK_OFF_S
            ),
            stop=stop_when_event_set(self._stop),
            sleep=sleep_using_event(self._stop),
            before_sleep=self._note_trouble,
        )
        began = time.monotonic()
        try:
            written = attempts(self._write, batch)
            attempts(self._letters.send, written.poison)
        except RetryError:
            return False
        self._health.answered(POSTGRES)
        if self._lacks_redaction:
            self._lacks_redaction = False
            self._health.answered(REDACTION)
        self._write_s = time.monotonic() - began
        self._count(batch, written, self._write_s)
        return True

    def _write(self, batch: Sequence[Record]) -> Written:
        """Write a batch in one transaction; halve it where Postgres refuses a row."""
        try:
            connection = self._connected()
            with connection.transaction():
                return self._writer.write(connection, batch)
        except BAD_DATA as error:
            if len(batch) == 1:
                return Written(poison=(_refused_by_postgres(batch[0], error),))
        except psycopg.Error:
            self._disconnect()
            raise
        middle = len(batch) // 2
        return _both(self._write(batch[:middle]), self._write(batch[middle:]))

    def _connected(self) -> WorkerConnection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def _note_trouble(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        dependency = _lacking(error)
        self._lacks_redaction |= dependency == REDACTION
        self._health.failed(dependency, str(error).strip())
        log.warning("worker.retry", group=self.name, attempt=state.attempt_number, error=str(error))

    def _count(self, batch: Sequence[Record], written: Written, seconds: float) -> None:
        metrics = self._metrics
        metrics.batches.inc()
        metrics.batch_seconds.observe(seconds)
        for topic in self._topics:
            metrics.records.labels(topic).inc(sum(record.topic == topic for record in batch))
        for table, count in written.rows.items():
            metrics.rows.labels(table).inc(count)
        for reason, count in written.refused.items():
            metrics.refused.labels(reason).inc(count)
        for name, added in written.accounted.items():
            # A revision that counts less than the one before it is the lane's first after a replay.
            metrics.accounted.labels(name).inc(max(added, 0))
        metrics.unbalanced.inc(written.unbalanced)
        for each in written.poison:
            metrics.poison.labels(each.code).inc()
            log.error("worker.poison", code=each.code, detail=each.detail,
                      topic=each.record.topic, partition=each.record.partition,
                      offset=each.record.offset)  # fmt: skip


def lingering(linger_s: float, write_s: float) -> float:
    """Return how long a batch waits for company if the last one took `write_s` to write.

    A batch has a price whatever its size. Writing is to take a quarter of the time at most, so that
    batches grow where they are dear, up to the point at which people would notice.
    """
    patience_s = write_s * (1 / _WRITING_SHARE - 1)
    return max(linger_s, min(patience_s, _LONGEST_LINGER_S))


def _lacking(error: BaseException | None) -> str:
    """Return who did not answer."""
    if isinstance(error, RedactionUnavailable):
        return REDACTION
    return KAFKA if isinstance(error, KafkaException) else POSTGRES


def _both(left: Written, right: Written) -> Written:
    def summed(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
        return {key: a.get(key, 0) + b.get(key, 0) for key in {**a, **b}}

    return Written(
        summed(left.rows, right.rows),
        summed(left.refused, right.refused),
        left.poison + right.poison,
        summed(left.accounted, right.accounted),
        left.unbalanced + right.unbalanced,
    )


def _refused_by_postgres(record: Record, error: psycopg.Error) -> Poison:
    kind = record.topic.rpartition(".")[2].replace("-", "_")
    detail = error.diag.message_primary or str(error)
    return Poison(record, f"{kind}.refused_by_database", detail)
