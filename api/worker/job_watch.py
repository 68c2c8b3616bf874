"""The worker's eye on the job: its figures to Prometheus, and which rules are read everywhere.

Every replica looks; what they write is the same. Flink's own reporters know the JVMs better; here
are the figures that tell whether verdicts come.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import psycopg
import structlog
from prometheus_client import CollectorRegistry, Gauge

from api.job.alarms import alarms
from api.job.figures import JobFigures
from api.worker.database import WorkerConnection, statement

PERIOD_S = 5.0
REPORT_S = 30.0
"""So often the console is told that all is as it was."""
NOTE_AGAIN_S = 60.0
"""For longer no transaction that writes records to the rules log is open."""

log = structlog.get_logger(__name__)


class JobGauges:
    """What Prometheus is told of the job. A figure that is not known is NaN."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            made = Gauge(f"betrace_job_{name}", text, registry=registry)
            made.set(float("nan"))
            return made

        self._up = gauge("up", "1 while every task of the job runs.")
        self._alarms = gauge("alarms", "What needs a person: see `betrace job status`.")
        self._restarts = gauge("restarts", "Restarts since the job was submitted.")
        self._watermark = gauge("watermark_age_seconds", "Event time that is not judged yet.")
        self._heartbeat = gauge(
            "heartbeat_age_seconds", "Age of the newest record of the most silent partition."
        )
        self._lag = gauge("lag_records", "Records of spans not read at the last checkpoint.")
        self._checkpoint_age = gauge("checkpoint_age_seconds", "Since the newest complete one.")
        self._checkpoint_duration = gauge("checkpoint_duration_seconds", "Of the newest one.")
        self._checkpoint_bytes = gauge("checkpoint_bytes", "Written by the newest one.")
        self._checkpoints_failed = gauge("checkpoints_failed", "Since the job was submitted.")
        self._rules_behind = gauge(
            "rules_behind_records", "Records of the rules log that some subtask has not read."
        )
        self._rss = Gauge(
            "betrace_job_python_rss_bytes",
            "Memory of the Python workers.",
            ["subtask"],
            registry=registry,
        )

    def set(self, figures: JobFigures, *, alarm_count: int) -> None:
        """Show the figures of a moment."""
        newest = figures.checkpoints
        since_ms = _Since(figures.at_ms)
        self._up.set(figures.running)
        self._alarms.set(alarm_count)
        self._restarts.set(figures.restarts)
        self._watermark.set(since_ms.seconds(figures.watermark_ms))
        self._heartbeat.set(since_ms.seconds(figures.heartbeat_ms))
        self._lag.set(_known(figures.lag_records))
        self._checkpoint_age.set(since_ms.seconds(newest.newest_at_ms))
        self._checkpoint_duration.set(newest.newest_duration_ms / 1000)
        self._checkpoint_bytes.set(newest.newest_bytes)
        self._checkpoints_failed.set(newest.failed)
        behind = None
        if figures.rules_end is not None and figures.rules_read is not None:
            behind = max(figures.rules_end - figures.rules_read, 0)
        self._rules_behind.set(_known(behind))
        self._rss.clear()
        for subtask, size_bytes in enumerate(figures.rss_bytes):
            self._rss.labels(str(subtask)).set(size_bytes)


class _Since:
    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def seconds(self, then_ms: int | None) -> float:
        return float("nan") if then_ms is None else max(self._now_ms - then_ms, 0) / 1000


class JobWatch:
    """Looks at the job until told to stop. `run` is the body of a thread."""

    def __init__(
        self,
        *,
        read: Callable[[], JobFigures],
        connect: Callable[[], WorkerConnection],
        registry: CollectorRegistry,
        stop: threading.Event,
        period_s: float = PERIOD_S,
    ) -> None:
        self._read = read
        self._connect = connect
        self._gauges = JobGauges(registry)
        self._stop = stop
        self._period_s = period_s
        self._reported_s = -REPORT_S
        self._rules_read = -1
        self._grown_s = 0.0
        self._noted = False
        self._rung: list[str] = []
        self.alarms: tuple[str, ...] = ()
        """What was wrong when last looked."""

    def run(self) -> None:
        """Look every period."""
        while not self._stop.wait(self._period_s):
            self.look()

    def look(self) -> None:
        """Look once. What does not answer is a figure; Postgres is asked again next time."""
        figures = self._read()
        found = alarms(figures)
        self.alarms = tuple(found)
        self._gauges.set(figures, alarm_count=len(found))
        for alarm in found:
            if alarm not in self._rung:
                log.warning("job.alarm", alarm=alarm)
        self._report(found, changed=found != self._rung)
        self._rung = found
        if figures.rules_read is not None:
            self._note_read(figures.rules_read)

    def _report(self, found: list[str], *, changed: bool) -> None:
        """Let the console know; what it is told is old after two minutes."""
        now_s = time.monotonic()
        if not changed and now_s - self._reported_s < REPORT_S:
            return
        try:
            with self._connect() as connection:
                connection.execute(statement("report_part"), {"part": "job", "alarms": found})
        except psycopg.Error as error:
            log.warning("job.not_reported", error=str(error))
            return
        self._reported_s = now_s

    def _note_read(self, offset: int) -> None:
        """Note how far rules are read, and again for a while: Postgres may learn later than the job
        that a record was written."""
        now_s = time.monotonic()
        if offset > self._rules_read:
            self._rules_read, self._grown_s, self._noted = offset, now_s, False
        if not self._noted or now_s - self._grown_s < NOTE_AGAIN_S:
            self._noted = self._note(offset)

    def _note(self, offset: int) -> bool:
        try:
            with self._connect() as connection:
                connection.execute(statement("note_read_everywhere"), {"offset": offset})
        except psycopg.Error as error:
            log.warning("job.not_noted", error=str(error))
            return False
        return True


def _known(value: int | None) -> float:
    return float("nan") if value is None else value
