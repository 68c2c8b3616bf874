"""Copies of violating traces: read again from the log, explained, kept.

A queue in Postgres (`trace_tasks`) says which signals want their trace; the intake fills it, people
hurry single ones. A round takes some tasks under a lease, reads their stretches of the log in as
few sweeps as possible, and finishes trace by trace, each in a transaction of its own. A worker
that dies leaves its lease to run out; doing a task twice leaves the same rows.

The copier is the part that may wait: it uses no more than its share of a core, what it makes
Postgres do included, and takes what is over the budget of its rule only when nothing else is to do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

import psycopg
import structlog

import dsl
from api.redaction.redactors import RedactionUnavailable
from api.worker.database import WorkerConnection, statement
from api.worker.exceptions import EXCEPTION_PATIENCE_S, as_json, exceptions_of, repetition
from api.worker.health import POSTGRES, REDACTION, Health
from api.worker.metrics import Metrics
from api.worker.redaction import RedactSpans
from api.worker.spans_log import LogUnavailable, RangeExpired, SpansLog, SpansRecord
from api.worker.sweep import Range, merged, spans_of_traces
from api.worker.trace_copy import (
    MAX_SPANS,
    FoundSpan,
    distinct,
    explained,
    lacks_parent,
    names_of,
    spans_of,
    to_json,
)
from api.worker.trace_store import store_copy
from dsl.exceptions import RuleException

ASKED, SOON, IDLE = 0, 1, 2
_LEASE_S = 120
_TASKS_A_ROUND = 100
_WAIT_S = 1.0
_BACK_OFF_S = 2.0
_EXTENSION_MS = 30_000
"""A read is widened once by so much on both sides, of the broker's time."""
_REFRESH_AFTER_S = (5, 30)
"""A signal raised while its trace was still open: when its copy is made again."""
_RETRY_AFTER_S = (5, 20, 60, 300)
_BACKLOG_EVERY_S = 5.0
_NOTHING_EXPLAINED: dict[str, Any] = {
    "explanation": None,
    "explain_mismatch": False,
    "group_values": "{}",
    "group_fingerprint": None,
    "exception": None,
}

log = structlog.get_logger(__name__)


class NothingFound(Exception):
    """The log holds all of a signal's range, and no span of its trace is in it."""

    def __init__(self, core: Range) -> None:
        super().__init__(
            f"No span of the trace was found in partition {core.partition} of the spans log, "
            f"offsets {core.first_offset} to {core.last_offset}."
        )


@dataclass(frozen=True, slots=True)
class WantedSignal:
    """A signal whose trace is to be copied and explained."""

    id: bytes
    revision: int
    rule_id: str
    rule_text: str
    group_by: tuple[str, ...]
    clock_skew_ms: int
    external_roots: bool
    exceptions: tuple[RuleException, ...]
    """Those that may silence it."""
    due: bool
    """It is not decided yet whether something silences it."""
    judged_at: datetime
    verdict: str
    closed: bool
    core: Range
    """Where the spans lie that it was judged on."""
    urgency: int
    attempts: int
    refreshed: int

    @property
    def may_have_external_root(self) -> bool:
        """Whether its trace may begin outside, and is old enough to tell."""
        is_over = self.closed or self.refreshed == len(_REFRESH_AFTER_S)
        return self.external_roots and is_over


@dataclass(slots=True)
class TraceJob:
    """A trace to be copied, for one or more of its signals."""

    tenant: str
    trace_id: bytes
    signals: list[WantedSignal]
    range: Range
    """To be read: the widest any signal or earlier copy of the trace knew, as the log has it."""
    first_span_at: datetime
    last_span_at: datetime
    lost: str = ""
    """Why the log does not hold all of it any more."""
    found: list[FoundSpan] = field(default_factory=list)
    truncated: bool = False
    redacted: bool = False
    """Something was taken out of its spans only here: rules were judged on what it was."""

    @property
    def names(self) -> dict[str, object]:
        """What the trace is called by."""
        return names_of(self.found, external_roots=self.may_have_external_root)

    @property
    def may_have_external_root(self) -> bool:
        """Whether it may begin outside, and is old enough to tell."""
        return any(signal.may_have_external_root for signal in self.signals)


class Copier:
    """Works off the queue of traces. `run` is the body of a thread."""

    def __init__(
        self,
        *,
        log: SpansLog,
        redact: RedactSpans,
        connect: Callable[[], WorkerConnection],
        metrics: Metrics,
        health: Health,
        stop: threading.Event,
        share: float = 0.25,
        may_idle: Callable[[], bool] = lambda: True,
    ) -> None:
        """redact: spans that `ingest` has not redacted. share: of one core, by this thread and by
        Postgres while it stores for it. may_idle: whether there is time for what is over the
        budget.
        """
        self._log = log
        self._redact = redact
        self._connect = connect
        self._metrics = metrics
        self._health = health
        self._stop = stop
        self._share = share
        self._may_idle = may_idle
        self._connection: WorkerConnection | None = None
        self._backlog_at = 0.0
        self._lacks_redaction = False
        self._storing_s = 0.0

    def run(self) -> None:
        """Work until `stop` is set; the trace in hand is finished first."""
        try:
            while not self._stop.is_set():
                self._turn()
        finally:
            self._log.close()
            self._disconnect()

    def _turn(self) -> None:
        used_s = time.thread_time()
        try:
            done = self.round()
        except (LogUnavailable, RedactionUnavailable) as error:
            if isinstance(error, RedactionUnavailable):
                self._lacks_redaction = True
                self._health.failed(REDACTION, str(error))
            log.warning("copier.unavailable", error=str(error))
            self._stop.wait(_BACK_OFF_S)
        except psycopg.Error as error:
            self._disconnect()
            self._health.failed(POSTGRES, str(error).strip())
            log.warning("copier.database", error=str(error))
            self._stop.wait(_BACK_OFF_S)
        else:
            if done and self._lacks_redaction:
                self._lacks_redaction = False
                self._health.answered(REDACTION)
            if done:
                used_s = time.thread_time() - used_s + self._storing_s
                self._stop.wait(used_s * (1 / self._share - 1))

    def round(self) -> int:
        """Take some tasks and finish them; wait a moment if there are none.

        Returns how many signals were dealt with. Raises LogUnavailable, RedactionUnavailable,
        psycopg.Error.
        """
        connection = self._connected()
        self._look_at_backlog(connection)
        claimed = self._claim(connection)
        if not claimed:
            for _ in connection.notifies(timeout=_WAIT_S, stop_after=1):
                pass
            return 0
        jobs = self._jobs(connection, claimed)
        try:
            self._read(jobs)
        except (LogUnavailable, RedactionUnavailable):
            self._give_back(connection, claimed)
            self._log.close()  # whatever its connections had come to
            raise
        storing_s = time.monotonic() - time.thread_time()
        for job in jobs:
            self._finish(connection, job)
        self._storing_s = time.monotonic() - time.thread_time() - storing_s
        return len(claimed)

    # ------------------------------------------------------------------ what to do

    def _claim(self, connection: WorkerConnection) -> list[dict[str, Any]]:
        return connection.execute(
            statement("claim_tasks"),
            {
                "lease_s": _LEASE_S,
                "least_urgent": IDLE if self._may_idle() else SOON,
                "limit": _TASKS_A_ROUND,
            },
        ).fetchall()

    def _jobs(
        self, connection: WorkerConnection, claimed: Sequence[dict[str, Any]]
    ) -> list[TraceJob]:
        """Put the claimed signals together by trace."""
        tasks = {(task["tenant_id"], task["signal_id"]): task for task in claimed}
        rows = connection.execute(
            statement("wanted_traces"),
            {
                "tenant_ids": [tenant for tenant, _ in tasks],
                "signal_ids": [signal for _, signal in tasks],
            },
        ).fetchall()
        jobs: dict[tuple[str, bytes], TraceJob] = {}
        for row in rows:
            signal = _signal(row, tasks[row["tenant_id"], row["signal_id"]])
            key = (str(row["tenant_id"]), row["trace_id"])
            if key not in jobs:
                jobs[key] = _job(row)
            job = jobs[key]
            job.signals.append(signal)
            job.first_span_at = min(job.first_span_at, row["first_span_at"])
            job.last_span_at = max(job.last_span_at, row["last_span_at"])
        return list(jobs.values())

    def _give_back(self, connection: WorkerConnection, claimed: Sequence[dict[str, Any]]) -> None:
        """Let tasks be taken again soon: that the log did not answer was not their fault."""
        for task in claimed:
            connection.execute(
                statement("put_off_task"),
                {
                    "tenant_id": task["tenant_id"],
                    "signal_id": task["signal_id"],
                    "delay_s": _RETRY_AFTER_S[0],
                    "attempts": 0,
                    "refreshed": 0,
                    "last_error": None,
                },
            )

    # ------------------------------------------------------------------ reading

    def _read(self, jobs: Sequence[TraceJob]) -> None:
        """Find the spans of the jobs' traces in the log. Raises LogUnavailable."""
        self._clip(jobs)
        self._sweep(jobs, [job.range for job in jobs])
        self._extend(jobs)

    def _clip(self, jobs: Sequence[TraceJob]) -> None:
        """Find out what the log still holds, and say of a trace what it does not."""
        bounds = {job.range.partition: (0, 0) for job in jobs}
        for partition in bounds:
            bounds[partition] = self._log.bounds(partition)
        for job in jobs:
            begins_at, ends_before = bounds[job.range.partition]
            first = min(signal.core.first_offset for signal in job.signals)
            last = max(signal.core.last_offset for signal in job.signals)
            if first < begins_at:
                job.lost = (
                    f"The spans log keeps partition {job.range.partition} from offset {begins_at} "
                    f"on; the trace began at offset {first}. Longer retention keeps more."
                )
            elif last >= ends_before:
                job.lost = (
                    f"The spans log ends at offset {ends_before} of partition "
                    f"{job.range.partition}; the trace was seen up to offset {last}. "
                    "The topic was made anew, or lost its end."
                )
            job.range = Range(
                job.range.partition,
                max(job.range.first_offset, begins_at),
                min(job.range.last_offset, ends_before - 1),
            )

    def _sweep(self, jobs: Sequence[TraceJob], ranges: Sequence[Range]) -> None:
        """Read ranges, the n-th for the n-th job, together; put what is found into the jobs."""
        wanted = [
            (each, job)
            for each, job in zip(ranges, jobs, strict=True)
            if each.first_offset <= each.last_offset
        ]
        for stretch in merged(each for each, _ in wanted):
            here = [(each, job) for each, job in wanted if stretch.covers(each)]
            try:
                for record in self._log.read(stretch):
                    self._metrics.log_bytes.inc(len(record.payload))
                    _sort_in(record, here, self._redact)
            except RangeExpired as error:
                # It expired between asking and reading: the next attempt will see it clipped.
                raise LogUnavailable(str(error)) from error

    def _extend(self, jobs: Sequence[TraceJob]) -> None:
        """Look further once where a trace is known not to be all there."""
        short = [
            job
            for job in jobs
            if not job.lost
            and (
                lacks_parent(job.found)
                or any(not s.closed or s.urgency == ASKED for s in job.signals)
            )
        ]
        before = [self._before(job) for job in short]
        after = [self._after(job) for job in short]
        self._sweep(short + short, before + after)

    def _before(self, job: TraceJob) -> Range:
        time_ms = int(job.first_span_at.timestamp() * 1000) - _EXTENSION_MS
        first = self._log.offset_at(job.range.partition, time_ms)
        return Range(job.range.partition, first, job.range.first_offset - 1)

    def _after(self, job: TraceJob) -> Range:
        time_ms = int(job.last_span_at.timestamp() * 1000) + _EXTENSION_MS
        end = self._log.offset_at(job.range.partition, time_ms)
        return Range(job.range.partition, job.range.last_offset + 1, end - 1)

    # ------------------------------------------------------------------ storing

    def _finish(self, connection: WorkerConnection, job: TraceJob) -> None:
        """Store a trace, then explain its signals; what fails is one trace's or signal's alone."""
        try:
            with connection.transaction():
                self._store(connection, job)
        except psycopg.OperationalError:
            raise
        except Exception as error:  # noqa: BLE001 - the rim: one trace must not hold up the others
            for signal in job.signals:
                self._failed(connection, job, signal, error)
            return
        for signal in job.signals:
            try:
                with connection.transaction():
                    self._settle(connection, job, signal)
            except psycopg.OperationalError:
                raise
            except Exception as error:  # noqa: BLE001 - the rim: the trace is stored
                self._failed(connection, job, signal, error)

    def _store(self, connection: WorkerConnection, job: TraceJob) -> None:
        job.found = distinct(job.found)
        store_copy(
            connection,
            job.found,
            tenant=job.tenant,
            trace_id=job.trace_id,
            whole=not job.lost and not job.truncated,
            first_span_at=job.first_span_at,
            last_span_at=job.last_span_at,
            read=job.range,
            external_roots=job.may_have_external_root,
        )

    def _settle(self, connection: WorkerConnection, job: TraceJob, signal: WantedSignal) -> None:
        """Write what came of a signal's trace, and end its task or put it off."""
        core = [each for each in job.found if signal.core.holds(each.offset)]
        if not core and not job.lost:
            raise NothingFound(signal.core)
        outcome = self._as_lost(job) if job.lost else self._as_copied(job, signal, core)
        if signal.due and outcome["exception"] is None and outcome["group_fingerprint"]:
            outcome["exception"] = repetition(
                connection,
                tenant_id=job.tenant,
                signal_id=signal.id,
                revision=signal.revision,
                group_fingerprint=outcome["group_fingerprint"],
            )
        done = connection.execute(
            statement("finish_signal"),
            {
                "tenant_id": job.tenant,
                "signal_id": signal.id,
                "revision": signal.revision,
                **job.names,
                **outcome,
            },
        )
        if not done.rowcount:
            return  # a newer revision has come, and its own task
        key = {"tenant_id": job.tenant, "signal_id": signal.id}
        if not job.lost and not signal.closed and signal.refreshed < len(_REFRESH_AFTER_S):
            later = {"delay_s": _REFRESH_AFTER_S[signal.refreshed], "refreshed": 1, "attempts": 0}
            connection.execute(statement("put_off_task"), {**key, **later, "last_error": None})
        else:
            self._drop_task(connection, job, signal)

    def _as_lost(self, job: TraceJob) -> dict[str, Any]:
        self._metrics.copies.labels("lost").inc()
        return {
            "trace_state": "lost",
            "trace_problem": job.lost,
            **_NOTHING_EXPLAINED,
        }

    def _as_copied(
        self, job: TraceJob, signal: WantedSignal, core: Sequence[FoundSpan]
    ) -> dict[str, Any]:
        rule = compiled(signal.rule_text)
        told = explained(
            rule,
            core,
            rule_id=signal.rule_id,
            verdict=signal.verdict,
            closed=signal.closed,
            group_by=signal.group_by,
            clock_skew_ms=signal.clock_skew_ms,
            external_roots=signal.external_roots,
            exceptions=signal.exceptions,
            judged_at=signal.judged_at,
        )
        mismatch = not told.agrees and not job.truncated and not job.redacted
        if mismatch:
            self._metrics.explain_mismatch.inc()
            log.error(
                "copier.explain_mismatch",
                tenant=job.tenant,
                signal_id=signal.id.hex(),
                rule=signal.rule_id,
                stream=signal.verdict,
            )
        self._metrics.copies.labels("copied").inc()
        problem = f"Only {MAX_SPANS} spans of the trace are kept." if job.truncated else ""
        return {
            "trace_state": "copied",
            "trace_problem": problem,
            "explanation": told.json,
            "explain_mismatch": mismatch,
            "group_values": to_json(told.group_values),
            "group_fingerprint": told.fingerprint,
            "exception": as_json(told.exception),
        }

    def _failed(
        self, connection: WorkerConnection, job: TraceJob, signal: WantedSignal, error: Exception
    ) -> None:
        """Try again later; after some attempts leave it, and say so on the signal."""
        log.error(
            "copier.failed",
            tenant=job.tenant,
            trace_id=job.trace_id.hex(),
            signal_id=signal.id.hex(),
            exc_info=error,
        )
        self._metrics.copies.labels("failed").inc()
        key = {"tenant_id": job.tenant, "signal_id": signal.id}
        problem = str(error) or type(error).__name__
        if signal.attempts < len(_RETRY_AFTER_S):
            later = {"delay_s": _RETRY_AFTER_S[signal.attempts], "refreshed": 0, "attempts": 1}
            connection.execute(statement("put_off_task"), {**key, **later, "last_error": problem})
            return
        outcome = {**_NOTHING_EXPLAINED, "trace_state": "failed", "trace_problem": problem}
        with connection.transaction():
            connection.execute(
                statement("finish_signal"),
                {**key, "revision": signal.revision, **job.names, **outcome},
            )
            self._drop_task(connection, job, signal)

    def _drop_task(self, connection: WorkerConnection, job: TraceJob, signal: WantedSignal) -> None:
        connection.execute(
            statement("drop_tasks"), {"tenant_ids": [job.tenant], "signal_ids": [signal.id]}
        )

    # ------------------------------------------------------------------ surroundings

    def _look_at_backlog(self, connection: WorkerConnection) -> None:
        now = time.monotonic()
        if now < self._backlog_at:
            return
        self._backlog_at = now + _BACKLOG_EVERY_S
        waiting = {row["urgency"]: row["count"] for row in connection.execute(statement("backlog"))}
        for urgency, name in ((ASKED, "asked"), (SOON, "soon"), (IDLE, "idle")):
            self._metrics.copier_backlog.labels(name).set(waiting.get(urgency, 0))
        connection.execute(statement("forget_budgets"))
        connection.execute(statement("alert_undecided"), {"patience_s": EXCEPTION_PATIENCE_S})

    def _connected(self) -> WorkerConnection:
        if self._connection is None:
            self._connection = self._connect()
            self._connection.execute("listen trace_tasks")
            self._health.answered(POSTGRES)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()


@lru_cache(maxsize=1_000)
def compiled(text: str) -> dsl.CompiledRule:
    """Compile a stored rule. Raises ValueError if this build no longer takes it."""
    checked = dsl.check(text)
    if checked.promise is None:
        problems = "; ".join(problem.message for problem in checked.problems) or "no promise"
        raise ValueError(f"a stored rule does not check: {problems}")
    return checked.promise


def _signal(row: dict[str, Any], task: dict[str, Any]) -> WantedSignal:
    return WantedSignal(
        id=row["signal_id"],
        revision=row["revision"],
        rule_id=row["rule_id"],
        rule_text=row["rule_text"],
        group_by=tuple(str(name) for name in row["group_by"]),
        clock_skew_ms=row["clock_skew_ms"],
        external_roots=row["external_roots"],
        exceptions=exceptions_of(row["exceptions"]),
        due=row["exception_due"],
        judged_at=row["judged_at"],
        verdict=row["verdict"],
        closed=row["closed"],
        core=Range(row["log_partition"], row["log_first_offset"], row["log_last_offset"]),
        urgency=task["urgency"],
        attempts=task["attempts"],
        refreshed=task["refreshed"],
    )


def _job(row: dict[str, Any]) -> TraceJob:
    return TraceJob(
        tenant=str(row["tenant_id"]),
        trace_id=row["trace_id"],
        signals=[],
        range=Range(row["log_partition"], row["wide_first_offset"], row["wide_last_offset"]),
        first_span_at=row["first_span_at"],
        last_span_at=row["last_span_at"],
    )


def _sort_in(
    record: SpansRecord, wanted: Sequence[tuple[Range, TraceJob]], redact: RedactSpans
) -> None:
    """Give the spans of a record to the jobs that want them. Raises RedactionUnavailable."""
    here = {
        job.trace_id: job
        for each, job in wanted
        if each.holds(record.offset) and job.tenant == record.tenant
    }
    if not here:
        return
    for trace_id, payload in spans_of_traces(record.payload, here).items():
        job = here[trace_id]
        if not record.is_redacted:
            redacted = redact(job.tenant, payload)
            job.redacted |= redacted is not payload
            payload = redacted
        room = MAX_SPANS - len(job.found)
        spans = spans_of(payload, trace_id, offset=record.offset)
        job.found += spans[:room]
        job.truncated |= len(spans) > room
