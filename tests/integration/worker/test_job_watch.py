"""What the worker learns of the job, and keeps."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from functools import partial

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from api.job.figures import Checkpoints, JobFigures
from api.worker.database import connect
from api.worker.job_watch import JobWatch
from tests.integration.worker.world import TENANT
from tests.support.postgres import Database

pytestmark = pytest.mark.integration

NOW_MS = 1_800_000_000_000
FIGURES = JobFigures(
    at_ms=NOW_MS,
    job_id="a",
    state="RUNNING",
    running=True,
    parallelism=2,
    watermark_ms=NOW_MS - 1_500,
    heartbeat_ms=NOW_MS - 250,
    checkpoints=Checkpoints(completed=3, failed=1, newest_at_ms=NOW_MS - 8_000, newest_bytes=9),
    rss_bytes=(100, 200),
    rules_read=7,
    rules_end=9,
)


class Watched:
    """A watch on figures that a test changes."""

    def __init__(self, dsn: str) -> None:
        self.figures = FIGURES
        self.registry = CollectorRegistry()
        self.watch = JobWatch(
            read=lambda: self.figures,
            connect=partial(connect, dsn, name="test"),
            registry=self.registry,
            stop=threading.Event(),
        )

    def gauge(self, name: str, **labels: str) -> float:
        value = self.registry.get_sample_value(f"betrace_job_{name}", labels)
        assert value is not None
        return value


def reports(database: Database) -> list[tuple[str, list[str]]]:
    with psycopg.connect(database.app) as connection:
        return connection.execute("select part, alarms from part_reports").fetchall()


def publish(database: Database, *offsets: int | None) -> None:
    """Put records of a tenant into the outbox; None stands for one that waits for Kafka."""
    with psycopg.connect(database.admin) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", [TENANT])
        for offset in offsets:
            connection.execute(
                "insert into rules_outbox (tenant_id, record, published_at, log_offset)"
                " values (%s, '', case when %s::bigint is null then null else now() end, %s)",
                [TENANT, offset, offset],
            )


def read_everywhere(database: Database) -> set[int | None]:
    with psycopg.connect(database.admin) as connection:
        connection.execute("select set_config('app.tenant_id', %s, true)", [TENANT])
        rows = connection.execute(
            "select log_offset from rules_outbox where read_everywhere_at is not null"
        ).fetchall()
    return {row[0] for row in rows}


def test_what_every_subtask_has_read_is_noted_and_nothing_else(seeded: Database) -> None:
    publish(seeded, 5, 6, 7, None)
    watched = Watched(seeded.worker)
    watched.watch.look()
    assert read_everywhere(seeded) == {5, 6}
    watched.figures = replace(FIGURES, rules_read=None)
    watched.watch.look()
    assert read_everywhere(seeded) == {5, 6}
    watched.figures = replace(FIGURES, rules_read=8)
    watched.watch.look()
    assert read_everywhere(seeded) == {5, 6, 7}


def test_a_record_that_was_read_before_it_is_known_to_be_written_is_noted_too(
    seeded: Database,
) -> None:
    watched = Watched(seeded.worker)
    watched.watch.look()
    publish(seeded, 5)  # the transaction that wrote it to Kafka ends now
    watched.watch.look()
    assert read_everywhere(seeded) == {5}


def test_prometheus_is_told_in_seconds_and_bytes(seeded: Database) -> None:
    watched = Watched(seeded.worker)
    watched.watch.look()
    assert watched.gauge("up") == 1
    assert watched.gauge("watermark_age_seconds") == 1.5
    assert watched.gauge("heartbeat_age_seconds") == 0.25
    assert watched.gauge("checkpoint_age_seconds") == 8
    assert watched.gauge("checkpoints_failed") == 1
    assert watched.gauge("rules_behind_records") == 2
    assert watched.gauge("python_rss_bytes", subtask="1") == 200
    assert watched.gauge("alarms") == 0
    assert math.isnan(watched.gauge("lag_records"))


def test_a_job_that_is_gone_rings(seeded: Database) -> None:
    watched = Watched(seeded.worker)
    watched.figures = JobFigures(at_ms=NOW_MS)
    watched.watch.look()
    assert (watched.gauge("up"), watched.gauge("alarms")) == (0, 1)
    assert watched.watch.alarms == ("No job judges: submit it (deploy/README.md).",)


def test_without_postgres_it_is_noted_later(seeded: Database) -> None:
    publish(seeded, 5)
    watched = Watched("postgresql://betrace_worker@127.0.0.1:1/none?connect_timeout=1")
    watched.watch.look()
    assert read_everywhere(seeded) == set()
    watched.watch._connect = partial(connect, seeded.worker, name="test")
    watched.watch.look()
    assert read_everywhere(seeded) == {5}


def test_the_console_is_told_what_is_wrong_when_it_changes(seeded: Database) -> None:
    watched = Watched(seeded.worker)
    watched.watch.look()
    assert reports(seeded) == [("job", [])]
    watched.figures = JobFigures(at_ms=NOW_MS)
    watched.watch.look()
    assert reports(seeded) == [("job", ["No job judges: submit it (deploy/README.md)."])]
