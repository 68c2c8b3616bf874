"""Running intakes inside a test, and waiting for what they do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from api.kafka.topics import TopicNames
from api.worker.accounting import AccountingWriter
from api.worker.copier import Copier
from api.worker.database import connect
from api.worker.health import Health
from api.worker.intake import Intake, Writer
from api.worker.letters import LetterBox
from api.worker.metrics import Metrics
from api.worker.redaction import Letters, WorkerRedactors
from api.worker.signals import SignalWriter
from api.worker.spans_log import SpansLog
from tests.support.postgres import Database

PATIENCE_S = 120.0


def wait_until(true: Callable[[], bool], *, what: str) -> None:
    """Return once something holds. Raises AssertionError if it does not in time."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.05)


def a_copier(
    spans: SpansLog, database: Database, *, metrics: Metrics | None = None, **changed: Any
) -> Copier:
    """Return a copier that is told when to make a round. changed: of what it is made with."""
    metrics = metrics or Metrics()
    made_with: dict[str, Any] = {
        "log": spans,
        "redact": WorkerRedactors(database.worker, None).spans,
        "connect": partial(connect, database.worker, name="test"),
        "metrics": metrics,
        "health": Health(metrics),
        "stop": threading.Event(),
    }
    return Copier(**{**made_with, **changed})


@dataclass(frozen=True)
class RunningIntake:
    """An intake in a thread."""

    intake: Intake
    metrics: Metrics
    health: Health
    thread: threading.Thread

    def settled(self, topic: str) -> float:
        """Return how many records of a topic have been stored, refused or set aside."""
        return sample(self.metrics, "betrace_worker_records_total", topic=topic)

    def wait_for(self, topic: str, count: int) -> None:
        wait_until(
            lambda: self.settled(topic) >= count or not self.thread.is_alive(),
            what=f"{count} records of {topic} settled",
        )
        assert self.thread.is_alive(), "the intake has ended"


def sample(metrics: Metrics, name: str, **labels: str) -> float:
    """Return the value of a metric; 0 if nothing was counted yet."""
    return metrics.registry.get_sample_value(name, labels) or 0.0


@contextmanager
def signals_intake(kafka: str, topics: TopicNames, dsn: str) -> Iterator[RunningIntake]:
    """Run an intake of signals until the block ends."""
    with _running(kafka, topics, dsn, [topics.signals], SignalWriter(), "signals") as running:
        yield running


@contextmanager
def accounting_intake(kafka: str, topics: TopicNames, dsn: str) -> Iterator[RunningIntake]:
    """Run an intake of accounting and dead letters until the block ends."""
    writer = AccountingWriter(topics.stats, topics.dead_letters, Letters())
    with _running(kafka, topics, dsn, [topics.stats, topics.dead_letters], writer, "a") as running:
        yield running


@contextmanager
def intake_of(writer: Writer, kafka: str, topics: TopicNames, dsn: str) -> Iterator[RunningIntake]:
    """Run an intake of compliance spans with another writer until the block ends."""
    with _running(kafka, topics, dsn, [topics.evidence], writer, "evidence") as running:
        yield running


@contextmanager
def _running(
    kafka: str, topics: TopicNames, dsn: str, names: list[str], writer: Writer, group: str
) -> Iterator[RunningIntake]:
    metrics = Metrics()
    health = Health(metrics)
    stop = threading.Event()
    intake = Intake(
        name=f"{topics.prefix}.worker.{group}",
        topics=names,
        writer=writer,
        kafka=kafka,
        connect=partial(connect, dsn, name="test"),
        letters=LetterBox(kafka, topics.dead_letters, Letters()),
        metrics=metrics,
        health=health,
        stop=stop,
    )
    thread = threading.Thread(target=intake.run, daemon=True)
    thread.start()
    try:
        yield RunningIntake(intake, metrics, health, thread)
    finally:
        stop.set()
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), "the intake did not stop"
