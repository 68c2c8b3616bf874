"""Deleting what is over, tenant by tenant, a bounded number of rows at a time.

Each batch is a transaction: it waits for whoever holds the tenant or keeps its things for longer,
asks how long they are kept, deletes the oldest and writes down how many. A worker that dies in the
middle has deleted what it wrote down, and the next one goes on. What was deleted is told on the
tenant's audit log once for each round.

Half of the time it waits: what comes in goes first.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final, LiteralString, cast
from uuid import UUID

import aiosql
import psycopg
import structlog

import sql
from api.retention.terms import Choices, Kept, Kind, choices_of, kept, terms_of
from api.worker.database import WorkerConnection
from api.worker.metrics import Metrics

PERIOD_S: Final = 3_600.0
_FIRST_S: Final = 60.0
"""A process that starts has other things to do first."""
_BACK_OFF_S: Final = 60.0
_BATCHES_A_STEP: Final = 100
"""More of one tenant wait for the next round, which then comes at once: others have their turn."""
_LEDGER_DAYS: Final = 400
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """What is deleted by one statement. kind: what it is kept as. most: rows of a batch."""

    what: str
    kind: Kind
    statement: str
    most: int


STEPS: Final = (
    Step("signals", Kind.SIGNALS, "closed_signals", 500),
    Step("open_signals", Kind.OPEN_SIGNALS, "open_signals", 500),
    Step("folds", Kind.SIGNALS, "folds", 2_000),
    Step("dead_letters", Kind.LETTERS, "letters", 500),
    Step("backtests", Kind.BACKTESTS, "backtests", 1),
    Step("accounts", Kind.ACCOUNTS, "accounts", 5_000),
    Step("rule_accounts", Kind.ACCOUNTS, "rule_accounts", 5_000),
    Step("usage", Kind.USAGE, "usage", 500),
    Step("redactions", Kind.USAGE, "redactions", 500),
    Step("audit", Kind.AUDIT, "audit", 2_000),
)
COPIES: Final = Step("traces", Kind.SIGNALS, "copies", 200)
"""After all that shows traces: a copy that nothing shows any more goes, with up to some thousand
spans."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a batch did. seen_count: rows it came across, fewer than it may: there are no more."""

    row_count: int
    seen_count: int
    last_at: datetime


NOTHING: Final = Batch(0, 0, _BEGINNING)


class Retention:
    """Deletes until told to stop. `run` is the body of a thread."""

    def __init__(
        self,
        *,
        connect: Callable[[], WorkerConnection],
        metrics: Metrics,
        stop: threading.Event,
        period_s: float = PERIOD_S,
        first_s: float = _FIRST_S,
    ) -> None:
        self._connect = connect
        self._metrics = metrics
        self._stop = stop
        self._period_s = period_s
        self._first_s = first_s

    def run(self) -> None:
        """Make a round every period, and the next one at once where something is left."""
        wait_s = self._first_s
        while not self._stop.wait(wait_s):
            try:
                wait_s = self._period_s if self.round() else 0.0
            except psycopg.OperationalError as error:
                log.warning("retention.database", error=str(error).strip())
                wait_s = _BACK_OFF_S

    def round(self) -> bool:
        """Delete what is over of every tenant; False if something is left.

        Another worker that is at it does so for both. Raises psycopg.OperationalError.
        """
        with self._connect() as connection:
            if not _row(connection, "take_turn")["is_ours"]:
                return True
            rows = connection.execute(_statement("tenants")).fetchall()
            unfinished = [row["id"] for row in rows if not self._sweep(connection, row["id"])]
            self._sweep_nobody(connection)
        if unfinished:
            return False
        self._metrics.retention_finished.set_to_current_time()
        return True

    def _sweep(self, connection: WorkerConnection, tenant_id: UUID) -> bool:
        """Delete what is over of a tenant; what a worker before us left untold is told as well."""
        steps = (*STEPS, COPIES)
        unfinished = [step for step in steps if not self._step(connection, tenant_id, step)]
        with connection.transaction():
            connection.execute(_statement("tell"), {"tenant_id": tenant_id})
            connection.execute(
                _statement("forget_ledger"), {"tenant_id": tenant_id, "days": _LEDGER_DAYS}
            )
        return not unfinished

    def _step(self, connection: WorkerConnection, tenant_id: UUID, step: Step) -> bool:
        after = _BEGINNING
        for _ in range(_BATCHES_A_STEP):
            if self._stop.is_set():
                return False
            began_s = time.monotonic()
            batch = self.batch(connection, tenant_id, step, after=after)
            if batch.seen_count < step.most:
                return True
            after = batch.last_at
            self._stop.wait(time.monotonic() - began_s)
        return False

    def batch(
        self, connection: WorkerConnection, tenant_id: UUID, step: Step, *, after: datetime
    ) -> Batch:
        """Delete the oldest rows of a step that are not older than `after`, and note how many."""
        with connection.transaction():
            connection.execute(_statement("lock"), {"tenant_id": tenant_id})
            terms = connection.execute(_statement("terms"), {"tenant_id": tenant_id}).fetchone()
            if terms is None or terms["kept_whole"]:
                return NOTHING
            days = days_of(step, kept(terms_of(terms["tier"], terms["bounds"]), _chosen(terms)))
            if days is None:
                return NOTHING
            deleted = connection.execute(
                _statement(step.statement),
                {
                    "tenant_id": tenant_id,
                    "before": terms["now"] - timedelta(days=days),
                    "days": days,
                    "after": after,
                    "most": step.most,
                },
            ).fetchone()
            batch = _batch(deleted, after=after)
            if batch.row_count:
                connection.execute(
                    _statement("note"),
                    {
                        "tenant_id": tenant_id,
                        "what": step.what,
                        "days": days,
                        "row_count": batch.row_count,
                    },
                )
        self._metrics.forgotten.labels(step.what).inc(batch.row_count)
        return batch

    def _sweep_nobody(self, connection: WorkerConnection) -> None:
        """Delete what belongs to no tenant; the metric and the process's log tell of it."""
        terms = _row(connection, "terms_of_nobody")
        letters = terms_of(terms["tier"], {})[Kind.LETTERS].days
        audit = terms_of(terms["tier"], {})[Kind.AUDIT].days
        if letters is not None:
            before = {"before": terms["now"] - timedelta(days=letters)}
            self._all(connection, "dead_letters", "letters_of_nobody", before)
        if audit is not None:
            self._all(connection, "audit", "audit_of_nobody", {"days": audit})

    def _all(
        self, connection: WorkerConnection, what: str, statement: str, values: dict[str, Any]
    ) -> None:
        most = 500
        for _ in range(_BATCHES_A_STEP):
            deleted = _row(connection, statement, {**values, "most": most})
            self._metrics.forgotten.labels(what).inc(deleted["row_count"])
            if deleted["row_count"]:
                log.info("retention.of_nobody", what=what, rows=deleted["row_count"])
            if deleted["seen_count"] < most or self._stop.is_set():
                return


def days_of(step: Step, times: dict[Kind, Kept]) -> int | None:
    """Return for how many days the rows of a step are kept, None: for ever.

    A copy of a trace is looked at once it is as old as what may show it, whatever that is.
    """
    if step is not COPIES:
        return times[step.kind].days
    showing = (Kind.SIGNALS, Kind.OPEN_SIGNALS, Kind.BACKTESTS)
    return min((days for kind in showing if (days := times[kind].days) is not None), default=None)


def _chosen(terms: dict[str, Any]) -> Choices:
    return choices_of(terms["chosen"])


def _batch(row: dict[str, Any] | None, *, after: datetime) -> Batch:
    assert row is not None, "an aggregate has a row"
    return Batch(row["row_count"], row["seen_count"], row["last_at"] or after)


def _row(
    connection: WorkerConnection, name: str, values: dict[str, Any] | None = None
) -> dict[str, Any]:
    row = connection.execute(_statement(name), values).fetchone()
    assert row is not None, "an aggregate has a row"
    return row


def _statement(name: str) -> LiteralString:
    return cast("LiteralString", getattr(_statements(), f"retention_{name}").sql)


@cache
def _statements() -> Any:
    return aiosql.from_path(sql.QUERIES / "retention_runs.sql", "psycopg")
