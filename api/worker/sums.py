"""The worker's part in the sums of signals: it puts the rows of one cell together.

Whatever changes a signal adds rows to the sums and waits for nobody (0078-signal-sums.sql). Reading
them gives the same numbers before and after; afterwards there are fewer to read. Every replica
comes by, one at a time does it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import psycopg
import structlog

from api.worker.database import WorkerConnection, statement

log = structlog.get_logger(__name__)

PERIOD_S: Final = 5.0
_BACK_OFF_S: Final = 30.0
_BATCH: Final = 20_000


class SumKeeper:
    """Settles sums until told to stop. `run` is the body of a thread."""

    def __init__(
        self,
        *,
        connect: Callable[[], WorkerConnection],
        stop: threading.Event,
        period_s: float = PERIOD_S,
    ) -> None:
        self._connect = connect
        self._stop = stop
        self._period_s = period_s

    def run(self) -> None:
        """Settle what is new every period; what does not answer is asked again later."""
        wait_s = self._period_s
        while not self._stop.wait(wait_s):
            try:
                with self._connect() as connection:
                    self._keep(connection)
            except psycopg.OperationalError as error:
                log.warning("sums.database", error=str(error).strip())
                wait_s = _BACK_OFF_S

    def _keep(self, connection: WorkerConnection) -> None:
        while True:
            while settle(connection) >= _BATCH and not self._stop.is_set():
                pass
            if self._stop.wait(self._period_s):
                return


def settle(connection: WorkerConnection) -> int:
    """Settle up to a batch of each of the sums; return how many rows were new.

    Raises psycopg.OperationalError.
    """
    row = connection.execute(statement("settle_signal_sums"), {"most": _BATCH}).fetchone()
    assert row is not None, "a function has a result"
    taken: int = row["taken"]
    return taken
