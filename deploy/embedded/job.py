"""The detect job as a part of the stack: submitted, watched, stopped with a savepoint.

A standalone JobManager forgets its jobs when it dies, and nobody but us knows where the job
stood. The newest complete snapshot, savepoint or retained checkpoint, is found on disk and the
job goes on from there. It is only ever submitted while no other attempt of it runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from deploy.embedded.component import StartError, Watched
from deploy.embedded.endpoint import Unreachable
from deploy.embedded.flink import flink_environment, flink_home
from deploy.embedded.flink_rest import ENDED, FlinkJob, FlinkRest
from deploy.embedded.job_order import JobOrder, job_lock, somebody_holds, tell_client
from deploy.embedded.layout import Layout
from deploy.embedded.settings import REPOSITORY, StackSettings

SUBMIT_PATIENCE_S = 300
NAME = "betrace detect"


def detect(settings: StackSettings, layout: Layout, environment: dict[str, str]) -> Watched:
    """The job on our cluster, or on the one that BETRACE_FLINK names."""
    job = DetectJob(
        settings=settings,
        layout=layout,
        environment=environment,
        rest=FlinkRest(settings.flink),
    )
    return Watched(
        name="job",
        start=job.start,
        ready=job.ready,
        healthy=job.healthy,
        stop=job.stop,
        needs=("jobmanager", "taskmanager", "topics"),
    )


@dataclass(frozen=True, slots=True)
class DetectJob:
    """Orders to the one job of this stack."""

    settings: StackSettings
    layout: Layout
    environment: dict[str, str]
    rest: FlinkRest

    def start(self) -> None:
        """Submit the job from its newest snapshot, unless it runs. Raises StartError.

        Waits while `betrace job` is at work on it.
        """
        tell_client(
            self.layout.run, flink=self.settings.flink, environment=self._client_environment()
        )
        with job_lock(self.layout.run):
            self._start()

    def _start(self) -> None:
        order = JobOrder.load(self.layout.run)
        snapshot = newest_snapshot(self.layout.flink, since=order.snapshots_since)
        try:
            if self._attempt() is not None:
                return
        except Unreachable as error:
            raise StartError(f"Flink at {self.settings.flink}: {error}") from error
        try:
            done = subprocess.run(
                self._command(snapshot, order),
                env={**os.environ, **self.environment, **self._client_environment()},
                cwd=REPOSITORY,
                capture_output=True,
                text=True,
                check=False,
                timeout=SUBMIT_PATIENCE_S,
            )
        except subprocess.TimeoutExpired as error:
            raise StartError(f"`flink run` took over {SUBMIT_PATIENCE_S} s") from error
        with self.layout.log_of("job").open("a") as log:
            log.write(done.stdout + done.stderr)
        if done.returncode != 0:
            raise StartError(f"the job was not taken:\n{(done.stdout + done.stderr)[-2000:]}")

    def ready(self) -> bool:
        try:
            job = self._attempt()
        except Unreachable:
            return False
        return job is not None and job.running

    def healthy(self) -> bool | None:
        try:
            if self._attempt() is not None:
                return True
        except Unreachable:
            return None  # the JobManager is away; it is looked after by itself
        return None if somebody_holds(self.layout.run) else False

    def stop(self) -> None:
        """Stop with a savepoint, without draining; where that fails, cancel: the retained
        checkpoint is then what the job goes on from."""
        try:
            job = self._attempt()
            if job is None:
                return
            try:
                savepoint = self.rest.stop_with_savepoint(job.id) if job.running else None
            except Unreachable:
                savepoint = None
            if savepoint is None:
                self.rest.cancel(job.id)
        except Unreachable as error:
            print(f"job: not stopped, Flink does not answer: {error}", flush=True)

    def _attempt(self) -> FlinkJob | None:
        """The job if the cluster has one that has not ended. Raises Unreachable."""
        name = f"{NAME} ({self.settings.topic_prefix})"
        alive = (job for job in self.rest.jobs() if job.state not in ENDED)
        return next((job for job in alive if job.name == name), None)

    def _command(self, snapshot: Path | None, order: JobOrder) -> list[str]:
        address = urlsplit(self.settings.flink)
        command = [sys.executable, "-m", "jobs.submit"]
        command += ["--flink", f"{address.hostname}:{address.port}"]
        if snapshot is not None:
            command += ["--from-savepoint", snapshot.as_uri()]
        else:
            command += ["--start", order.start]
        command += ["--kafka", self.settings.kafka]
        command += ["--topic-prefix", self.settings.topic_prefix]
        command += ["--parallelism", str(order.parallelism or self.settings.slots)]
        return [
            *command,
            "--checkpoint-interval-ms",
            str(self.settings.checkpoint_interval_s * 1000),
        ]

    def _client_environment(self) -> dict[str, str]:
        """The client is a short-lived JVM: compiling it well would not pay."""
        if self.settings.external.flink:
            return {}
        return {
            **flink_environment(self.layout),
            # Without it PyFlink takes the wheel's own folders, which hold no connector.
            "FLINK_HOME": str(flink_home()),
            "JVM_ARGS": "-XX:TieredStopAtLevel=1",
        }


def newest_snapshot(flink: Path, *, since: float = 0) -> Path | None:
    """Folder of the newest complete savepoint or checkpoint below `flink`, if there is one.

    since: only one made after this time, in seconds since 1970.

    A snapshot is complete when its `_metadata` is there: Flink writes that last, at once.
    """
    complete = [
        *flink.glob("savepoints/*/_metadata"),
        *flink.glob("checkpoints/*/chk-*/_metadata"),
    ]
    young = (path for path in complete if path.stat().st_mtime >= since)
    newest = max(young, key=lambda path: path.stat().st_mtime_ns, default=None)
    return None if newest is None else newest.parent
