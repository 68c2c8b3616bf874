"""Starts the process that works off backtests when there is work, and looks after it.

A process of its own, because the engine is Python: as a thread it would hold the interpreter's
lock while live signals wait to be written.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable

import psycopg
import structlog

from api.worker.backtests.process import RunnerSettings
from api.worker.database import WorkerConnection, backtest_statement

_LOOK_EVERY_S = 2.0
_BACK_OFF_S = 5.0
_FAREWELL_S = 20.0
"""A part in hand is given back between two batches of records."""

log = structlog.get_logger(__name__)


class BacktestKeeper:
    """`run` is the body of a thread; it returns when `stop` is set."""

    def __init__(
        self,
        settings: RunnerSettings,
        *,
        connect: Callable[[], WorkerConnection],
        stop: threading.Event,
    ) -> None:
        self._settings = settings
        self._connect = connect
        self._stop = stop
        self._process: subprocess.Popen[str] | None = None

    def run(self) -> None:
        """Look for work until told to stop."""
        try:
            while not self._stop.is_set():
                try:
                    with self._connect() as connection:
                        connection.execute("listen backtests")
                        self._watch(connection)
                except psycopg.OperationalError as error:
                    log.warning("backtests.database", error=str(error).strip())
                    self._stop.wait(_BACK_OFF_S)
        finally:
            self._end()

    def _watch(self, connection: WorkerConnection) -> None:
        while not self._stop.is_set():
            if not self._runs():
                row = connection.execute(backtest_statement("is_work")).fetchone()
                if row is not None and row["is_work"]:
                    self._start()
            for _ in connection.notifies(timeout=_LOOK_EVERY_S, stop_after=1):
                pass

    def _runs(self) -> bool:
        """Tell whether the process runs; one that has failed is not started again at once."""
        if self._process is None:
            return False
        code = self._process.poll()
        if code is None:
            return True
        self._process = None
        if code:
            log.error("backtests.died", exit_code=code)
            self._stop.wait(_BACK_OFF_S)
        return False

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "api.worker.backtests.process"],
            stdin=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(self._settings.to_json() + "\n")
            self._process.stdin.close()
        except BrokenPipeError:
            log.error("backtests.not_started")

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_FAREWELL_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
