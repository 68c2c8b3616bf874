"""The process that works off backtests: it takes work, does it, and ends when there is none.

    python -m api.worker.backtests.process     < settings as JSON

Its settings come by standard input, since a DSN has no place on a command line. It runs with the
lowest priority, uses a share of one core, and ends with the process that started it. Whatever
happens to it, nothing is lost: a part is done or it is not.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Self
from uuid import uuid4

import psycopg
import structlog
from confluent_kafka.admin import AdminClient

from api.kafka.log_times import LogTimes, LogTimesUnavailable
from api.kafka.topics import TopicNames
from api.logs import configure_logging
from api.redaction.redactors import RedactionUnavailable
from api.settings import load_settings
from api.worker import spans_log
from api.worker.backtests.examples import chosen, read_examples
from api.worker.backtests.gathering import gather
from api.worker.backtests.log_reader import LogExpired, LogUnavailable, RulesReader, SpansReader
from api.worker.backtests.part import Judged, Progress, Throttle, judge_part
from api.worker.backtests.planning import CannotRun, plan_reading
from api.worker.backtests.storing import PartLost, store_gathered, store_part
from api.worker.backtests.work import Asked, Part, Sides
from api.worker.database import WorkerConnection, backtest_statement, connect
from api.worker.redaction import WorkerRedactors
from api.worker.spans_log import SpansLog
from udfs.backtest.gathering import TooManySignals
from udfs.backtest.handed import TooManyMembers
from udfs.backtest.rules import RuleRefused

NICENESS = 19
_LEASE_S = 60
"""Longer than any one wait for the broker."""
_ATTEMPTS = 3
_BACK_OFF_S = 2.0
_LINGER_S = 5.0
"""The process stays for so long without work: the next request finds it started."""
_LINGER_STEP_S = 0.25

log = structlog.get_logger(__name__)

_SILENT_BROKER = (
    LogUnavailable,
    LogTimesUnavailable,
    spans_log.LogUnavailable,
    RedactionUnavailable,
)
_OUTAGES = (*_SILENT_BROKER, psycopg.OperationalError)
_REFUSALS = (
    CannotRun,
    RuleRefused,
    LogExpired,
    spans_log.RangeExpired,
    TooManyMembers,
    TooManySignals,
)


@dataclass(frozen=True, slots=True)
class RunnerSettings:
    """What the process is told. share: of one core, over 0 and at most 1."""

    database_dsn: str
    kafka: str
    topic_prefix: str
    share: float
    log_level: str = "info"

    def to_json(self) -> str:
        """Return the settings as the process reads them."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))


class Runner:
    """Works off the queue until `stop` is set or nothing is left to do."""

    def __init__(
        self, settings: RunnerSettings, *, redactors: WorkerRedactors, stop: threading.Event
    ) -> None:
        topics = TopicNames(settings.topic_prefix)
        self.name = uuid4().hex
        self._redactors = redactors
        self._stop = stop
        self._settings = settings
        self._spans = SpansReader(settings.kafka, topics.spans)
        self._rules = RulesReader(settings.kafka, topics.rules)
        self._copies = SpansLog(settings.kafka, topics.spans)
        admin = AdminClient({"bootstrap.servers": settings.kafka, "log_level": 0})
        self._times = LogTimes(admin, topics.spans, timeout_s=10.0)
        self._connection: WorkerConnection | None = None
        self._throttle = Throttle(settings.share, sleep=stop.wait)

    def run(self) -> None:
        """Work until told to stop, or until nothing came for a while."""
        idle_since = time.monotonic()
        try:
            while not self._stop.is_set() and time.monotonic() - idle_since < _LINGER_S:
                try:
                    worked = self.turn()
                except _OUTAGES as error:
                    log.warning("backtests.outage", error=str(error).strip())
                    self._disconnect()
                    self._stop.wait(_BACK_OFF_S)
                    worked = True
                if worked:
                    idle_since = time.monotonic()
                else:
                    self._stop.wait(_LINGER_STEP_S)
        finally:
            self.close()

    def close(self) -> None:
        """Leave the servers."""
        self._spans.close()
        self._rules.close()
        self._copies.close()
        self._redactors.close()
        self._disconnect()

    def turn(self) -> bool:
        """Do one thing that waits to be done; False if there is none. Raises what outages raise."""
        connection = self._connected()
        connection.execute(backtest_statement("settle"))
        connection.execute(backtest_statement("forget_handed"))
        lease = {"runner": self.name, "lease_s": _LEASE_S}
        row = connection.execute(backtest_statement("claim_plan"), lease).fetchone()
        if row is not None:
            asked = Asked.from_row(row)
            with self._mishaps(connection, asked, attempts=row["attempts"], what="planning"):
                self._plan(connection, asked)
            return True
        row = connection.execute(backtest_statement("claim_part"), lease).fetchone()
        if row is not None:
            part = Part.from_row(row)
            with self._mishaps(connection, part.asked, attempts=part.attempts, what=part.what):
                self._do(connection, part)
            return True
        return False

    # ------------------------------------------------------------------ one request, one part

    def _plan(self, connection: WorkerConnection, asked: Asked) -> None:
        plan = plan_reading(asked, self._rules.entries(until_ms=_now_ms()), self._times)
        with connection.transaction():
            began = connection.execute(
                backtest_statement("begin"), {**asked.key, "log_end_at": plan.log_end_at}
            )
            if began.rowcount:
                for row in plan.parts():
                    connection.execute(backtest_statement("insert_part"), {**asked.key, **row})
        log.info("backtests.planned", tenant=asked.tenant, backtest=asked.id)

    def _do(self, connection: WorkerConnection, part: Part) -> None:
        """Do a part, or give it back at once where that is no fault of its own."""
        given_back = {**part.key, "runner": self.name}
        try:
            self._judge_and_store(connection, part)
        except PartLost:
            connection.execute(backtest_statement("release_part"), given_back)
        except _SILENT_BROKER:
            connection.execute(backtest_statement("release_part"), given_back)
            raise

    def _judge_and_store(self, connection: WorkerConnection, part: Part) -> None:
        if part.attempts > _ATTEMPTS:
            what = f"{part.what}: {_ATTEMPTS} workers ended while judging it"
            self._fail(connection, part.asked, what)
            return

        def tell(progress: Progress) -> None:
            self._tell(connection, part, progress)

        sides = part.asked.sides(self._rules.entries(until_ms=part.log_end_ms))
        if part.gathers:
            gathered = gather(part, sides, connection, throttle=self._throttle, tell=tell)
            store_gathered(connection, part, sides, gathered, runner=self.name)
            return
        judged = judge_part(part, sides, self._spans, throttle=self._throttle, tell=tell)
        tell(judged.progress)
        self._store(connection, part, sides, judged)

    def _store(
        self, connection: WorkerConnection, part: Part, sides: Sides, judged: Judged
    ) -> None:
        rows = chosen(judged.difference.rows)
        examples = read_examples(
            rows, sides, self._copies, partition=part.partition, redact=self._redactors.spans
        )
        store_part(connection, part, judged, examples, runner=self.name)

    def _tell(self, connection: WorkerConnection, part: Part, progress: Progress) -> None:
        """Say how far a part is. Raises PartLost if it is no longer ours, or nobody's."""
        row = connection.execute(
            backtest_statement("progress"),
            {**part.key, **progress._asdict(), "runner": self.name, "lease_s": _LEASE_S},
        ).fetchone()
        if row is None or row["state"] != "running" or self._stop.is_set():
            raise PartLost

    # ------------------------------------------------------------------ what goes wrong

    @contextmanager
    def _mishaps(
        self, connection: WorkerConnection, asked: Asked, *, attempts: int, what: str
    ) -> Iterator[None]:
        """End a backtest that cannot be done, and after some attempts one that meets a bug.

        Until then the lease stands, so that it is tried again when that is over. Outages go on.
        """
        try:
            yield
        except _OUTAGES:
            raise
        except _REFUSALS as refusal:
            self._fail(connection, asked, str(refusal))
        except Exception as error:  # the rim: one must not stop all others
            log.error("backtests.bug", backtest=asked.id, what=what, exc_info=error)
            if attempts >= _ATTEMPTS:
                self._fail(connection, asked, f"{what}: {type(error).__name__}: {error}")

    def _fail(self, connection: WorkerConnection, asked: Asked, problem: str) -> None:
        log.warning("backtests.refused", backtest=asked.id, problem=problem)
        connection.execute(backtest_statement("fail"), {**asked.key, "problem": problem[:2_000]})

    # ------------------------------------------------------------------ surroundings

    def _connected(self) -> WorkerConnection:
        if self._connection is None:
            self._connection = connect(self._settings.database_dsn, name="betrace backtests")
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _end_with_parent(stop: threading.Event) -> None:
    """Set `stop` when whoever started this process is gone, however it went."""
    parent = os.getppid()

    def watch() -> None:
        while not stop.wait(1.0):
            if os.getppid() != parent:
                stop.set()

    threading.Thread(target=watch, name="parent", daemon=True).start()


def main() -> None:
    """Read the settings and work."""
    settings = RunnerSettings.from_json(sys.stdin.readline())
    os.nice(NICENESS)
    configure_logging(settings.log_level)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    _end_with_parent(stop)
    redactors = WorkerRedactors(settings.database_dsn, load_settings().keys)
    Runner(settings, redactors=redactors, stop=stop).run()


if __name__ == "__main__":
    main()
