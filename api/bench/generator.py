"""The measuring side's handle on a generating process."""

from __future__ import annotations

import json
import subprocess
import sys
from bisect import bisect_left
from dataclasses import dataclass
from queue import Empty, Queue
from threading import Lock, Thread
from types import TracebackType
from typing import IO, Any, Self

from api.bench.load import GeneratorSettings

_READY_S = 300.0
_STOP_S = 90.0


class GeneratorFailed(Exception):
    """The generating process ended or says nothing."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a generating process says of itself; cpu_s: its CPU seconds since it was started."""

    at_ms: int
    sent: int
    bytes: int
    cycles: int
    giants: int
    giant_left: int
    queued: int
    cpu_s: float
    finished: bool


class RunningGenerator:
    """A generating process; as a context it is started, and stopped at the end."""

    def __init__(self, settings: GeneratorSettings) -> None:
        self._settings = settings
        self._reports: list[Report] = []
        self._lock = Lock()
        self._first: Queue[dict[str, Any]] = Queue()
        self._process: subprocess.Popen[str]

    def __enter__(self) -> Self:
        """Start the process and wait until its load has been laid out."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "api.bench.load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        Thread(target=self._hear, args=(self._process.stdout,), daemon=True).start()
        self._tell(self._settings.to_json())
        try:
            self._first.get(timeout=_READY_S)
        except Empty as silence:
            raise GeneratorFailed("the load was not laid out in time") from silence
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process; what it still has to write is written first."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            code = self._process.wait(timeout=_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        if code and error is None:
            raise GeneratorFailed(f"the generating process ended with {code}")

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def set_rate(self, spans_per_s: float) -> None:
        """Send so many spans per second from now on."""
        self._tell(json.dumps({"rate": spans_per_s}))

    def add_giant(self) -> None:
        """Let the giant trace flow among the others."""
        self._tell(json.dumps({"giant": True}))

    def finish(self) -> None:
        """Complete all traces that were begun; `last.finished` tells when."""
        self._tell(json.dumps({"finish": True}))

    @property
    def last(self) -> Report:
        """The newest report. Raises GeneratorFailed if there is none or the process has ended."""
        if self._process.poll() is not None:
            raise GeneratorFailed(f"the generating process ended with {self._process.returncode}")
        with self._lock:
            if self._reports:
                return self._reports[-1]
        return Report(0, 0, 0, 0, 0, 0, 0, 0.0, False)

    def sent_at(self, at_ms: float) -> float:
        """Return how many spans had been sent at a time, between two reports by proportion."""
        with self._lock:
            reports = self._reports
            if not reports:
                return 0.0
            index = bisect_left(reports, at_ms, key=lambda report: report.at_ms)
            if index == 0:
                return float(reports[0].sent)
            if index == len(reports):
                return float(reports[-1].sent)
            before, after = reports[index - 1], reports[index]
        part = (at_ms - before.at_ms) / (after.at_ms - before.at_ms)
        return before.sent + part * (after.sent - before.sent)

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as gone:
            raise GeneratorFailed("the generating process has ended") from gone

    def _hear(self, output: IO[str]) -> None:
        for line in output:
            said: dict[str, Any] = json.loads(line)
            if "ready" in said:
                self._first.put(said)
                continue
            with self._lock:
                self._reports.append(Report(**said))
