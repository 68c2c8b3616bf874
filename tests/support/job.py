"""Submitting the job to a cluster of a test, and asking it how far it is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from deploy.embedded.endpoint import Unreachable, http_json
from deploy.embedded.flink import flink_environment
from deploy.embedded.flink_rest import ENDED, FlinkRest
from deploy.embedded.settings import REPOSITORY
from deploy.embedded.stack import Stack

_BETRACE = "from api.command import main; main()"
DEADLY = "this text kills a worker"
"""A record of spans that holds it ends the Python worker that looks at it, where a stack was
started with the variable of `udfs.flink.fault`."""
START_S = 180
"""A cluster on two busy cores takes its time to plan and deploy a job."""


def wait_for(
    condition: Callable[[], bool],
    what: str,
    *,
    timeout_s: float,
    why: Callable[[], str] = str,
) -> None:
    """Wait until a condition holds; AssertionError with what was waited for, if it does not.

    why: asked for what is known about it when the time is over.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:.0f} s: {what}; {why()}")
        time.sleep(0.2)


def cancel_jobs(stack: Stack) -> None:
    """Cancel every job of a cluster and wait until it has let its slots go."""
    rest = FlinkRest(stack.settings.flink)

    def living() -> list[str]:
        return [job.id for job in rest.jobs() if job.state not in ENDED]

    for job_id in living():
        rest.cancel(job_id)
    wait_for(lambda: not living(), "no job is left", timeout_s=START_S)


def betrace_job(
    stack: Stack, *words: str, code: int | None = 0, release: Path = REPOSITORY
) -> dict[str, Any]:
    """Run `betrace job … --json` and return what it printed.

    code: None for any. release: the folder of the sources.
    """
    done = subprocess.run(
        [sys.executable, "-c", _BETRACE, "job", *words, "--json"],
        env={**os.environ, **stack.environment()},
        cwd=release,
        capture_output=True,
        text=True,
        check=False,
    )
    assert code in (None, done.returncode), f"{done.stdout}\n{done.stderr}"
    printed: dict[str, Any] = json.loads(done.stdout) if done.stdout else {"said": done.stderr}
    return printed


class RunningJob:
    """A job on a cluster of a stack."""

    def __init__(self, stack: Stack, job_id: str) -> None:
        self.id = job_id
        self._stack = stack
        self._rest = FlinkRest(stack.settings.flink)

    @classmethod
    def submit(cls, stack: Stack, *arguments: str) -> RunningJob:
        """Submit the job as a user would, and wait until it has made a checkpoint."""
        command = [sys.executable, "-m", "jobs.submit"]
        command += ["--flink", stack.settings.flink.removeprefix("http://")]
        command += ["--kafka", stack.settings.kafka, "--checkpoint-interval-ms", "2000"]
        done = subprocess.run(
            [*command, *arguments],
            env={**os.environ, **flink_environment(stack.layout)},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"the job was not submitted:\n{done.stdout}{done.stderr}")
        job = cls(stack, done.stdout.strip())
        job.wait_until_checkpointed()
        return job

    def wait_until_checkpointed(self) -> None:
        """Wait until all subtasks run and one more checkpoint is complete than now."""
        before = self._checkpoints()
        wait_for(
            lambda: self._running() and self._checkpoints() > before,
            f"job {self.id} runs and makes a checkpoint",
            timeout_s=START_S,
            why=self.exceptions,
        )

    def wait_until_restarted(self, *, times: int) -> None:
        """Wait until the job has been restarted so often and makes checkpoints again."""
        wait_for(
            lambda: self._restarts() >= times,
            f"job {self.id} is restarted {times} times",
            timeout_s=START_S,
        )
        self.wait_until_checkpointed()

    def exceptions(self) -> str:
        """Return the newest exceptions that Flink noted, shortened."""
        with suppress(Unreachable):
            history = http_json("GET", f"{self._stack.settings.flink}/jobs/{self.id}/exceptions")[
                "exceptionHistory"
            ]["entries"]
            return " | ".join(entry["stacktrace"][:500] for entry in history[:3])
        return "Flink does not answer"

    def kill_python_workers(self) -> None:
        """kill -9 every Python worker of the TaskManager."""
        pids = self._stack.worker_pids()
        assert pids, "the TaskManager has no Python worker"
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def stop(self) -> str:
        """Stop with a savepoint, so that all that was judged has been written. Returns it."""
        location = self._rest.stop_with_savepoint(self.id)
        assert location is not None, f"job {self.id} was not stopped; {self.exceptions()}"
        return location

    def _running(self) -> bool:
        with suppress(Unreachable):
            job = self._rest.job(self.id)
            return job is not None and job.running
        return False

    def _checkpoints(self) -> int:
        with suppress(Unreachable):
            return self._rest.completed_checkpoints(self.id)
        return 0

    def _restarts(self) -> int:
        with suppress(Unreachable):
            url = f"{self._stack.settings.flink}/jobs/{self.id}/metrics?get=numRestarts"
            rows = http_json("GET", url)
            return int(rows[0]["value"]) if rows else 0
        return 0
