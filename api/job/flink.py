"""Flink's REST interface, as far as operating the job needs it.

Source: Flink 2.3, REST API v1.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from api.errors import OperatorError

ENDED: Final = frozenset({"FAILED", "CANCELED", "FINISHED"})
JOB_NAME: Final = "betrace detect"
_ARGUMENTS: Final = "betrace.arguments"
"""What `jobs.topology` keeps among the job's parameters."""
_PATIENCE_S: Final = 10.0
_POLL_S: Final = 0.2


class FlinkUnavailable(OperatorError):
    """Flink does not answer, or refuses; the text says what it said."""


@dataclass(frozen=True, slots=True)
class Job:
    """One row of Flink's list of jobs. tasks: counts of subtasks by state, in lower case."""

    id: str
    name: str
    state: str
    started_ms: int
    tasks: dict[str, int]

    @property
    def running(self) -> bool:
        """Whether every subtask runs."""
        return self.state == "RUNNING" and self.tasks.get("running") == self.tasks.get("total")


@dataclass(frozen=True, slots=True)
class Vertex:
    """A chain of operators."""

    id: str
    name: str
    parallelism: int


class Flink:
    """One cluster. Every method raises FlinkUnavailable."""

    def __init__(self, url: str) -> None:
        """url: of the REST port."""
        self.url = url.rstrip("/")
        self._client = httpx.Client(base_url=self.url, timeout=_PATIENCE_S)

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def slots(self) -> int:
        """Return how many slots the cluster has."""
        return int(self._get("/overview")["slots-total"])

    def find(self, topic_prefix: str) -> Job | None:
        """Return the job that writes to topics of a prefix, if it has not ended."""
        for job in self.jobs():
            if job.name == f"{JOB_NAME} ({topic_prefix})" and job.state not in ENDED:
                return job
        return None

    def jobs(self) -> list[Job]:
        """Return all jobs that are known, newest first."""
        rows = self._get("/jobs/overview")["jobs"]
        jobs = [
            Job(row["jid"], row["name"], row["state"], row["start-time"], row["tasks"])
            for row in rows
        ]
        return sorted(jobs, key=lambda job: -job.started_ms)

    def job(self, job_id: str) -> Job | None:
        """Return one job."""
        return next((job for job in self.jobs() if job.id == job_id), None)

    def vertices(self, job_id: str) -> list[Vertex]:
        """Return the chains of a job."""
        rows = self._get(f"/jobs/{job_id}")["vertices"]
        return [Vertex(row["id"], row["name"], row["parallelism"]) for row in rows]

    def arguments(self, job_id: str) -> list[str]:
        """Return what a job was submitted with. Raises FlinkUnavailable if it does not tell."""
        config = self._get(f"/jobs/{job_id}/config")["execution-config"]["user-config"]
        if _ARGUMENTS not in config:
            raise FlinkUnavailable(
                f"job {job_id} was submitted by a release that does not say how. Stop it by "
                "`flink stop`, and submit it from its savepoint by `python -m jobs.submit`."
            )
        return list(json.loads(config[_ARGUMENTS]))

    def checkpoints(self, job_id: str) -> dict[str, Any]:
        """Return what is known of a job's checkpoints: counts, latest, history."""
        found: dict[str, Any] = self._get(f"/jobs/{job_id}/checkpoints")
        return found

    def restarts(self, job_id: str) -> int:
        """Return how often a job was restarted since it was submitted."""
        rows = self._get(f"/jobs/{job_id}/metrics?get=numRestarts")
        return int(rows[0]["value"]) if rows else 0

    def exceptions(self, job_id: str) -> list[str]:
        """Return what went wrong, newest first: whole stack traces."""
        history = self._get(f"/jobs/{job_id}/exceptions")["exceptionHistory"]["entries"]
        return [entry["stacktrace"] for entry in history]

    def watermarks(self, job_id: str, vertex_id: str) -> list[int]:
        """Return the watermarks of a chain's subtasks, in ms of event time."""
        rows = self._get(f"/jobs/{job_id}/vertices/{vertex_id}/watermarks")
        return [int(row["value"]) for row in rows]

    def gauges(self, job_id: str, vertex: Vertex, name: str) -> list[int]:
        """Return an operator's figure for every subtask that gives it, in their order."""
        url = f"/jobs/{job_id}/vertices/{vertex.id}/metrics"
        wanted = [row["id"] for row in self._get(url) if row["id"].endswith(f".{name}")]
        if not wanted:
            return []
        rows = self._get(f"{url}?get={','.join(sorted(wanted))}")
        return [int(float(row["value"])) for row in rows]

    def savepoint(
        self, job_id: str, *, stop: bool, folder: str | None = None, timeout_s: float = 600
    ) -> str:
        """Make a savepoint, never draining, and return its address when it is complete.

        folder: URI of the folder it goes to, None for the cluster's own.
        """
        order: dict[str, object] = {"formatType": "NATIVE"}
        if folder:
            order["targetDirectory" if stop else "target-directory"] = folder
        if stop:
            trigger = self._post(f"/jobs/{job_id}/stop", {**order, "drain": False})
        else:
            trigger = self._post(f"/jobs/{job_id}/savepoints", {**order, "cancel-job": False})
        give_up_at = time.monotonic() + timeout_s
        while time.monotonic() < give_up_at:
            answer = self._get(f"/jobs/{job_id}/savepoints/{trigger['request-id']}")
            if answer["status"]["id"] == "COMPLETED":
                operation = answer["operation"]
                if "location" in operation:
                    return str(operation["location"])
                cause = operation.get("failure-cause", {}).get("stack-trace", "no reason given")
                raise FlinkUnavailable(f"no savepoint was made: {root_cause(cause)}")
            time.sleep(_POLL_S)
        raise FlinkUnavailable(f"the savepoint was not complete after {timeout_s:.0f} s")

    def cancel(self, job_id: str) -> None:
        """Cancel a job and wait until it has ended; its newest checkpoints stay."""
        self._ask("PATCH", f"/jobs/{job_id}?mode=cancel")
        self.wait_ended(job_id)

    def wait_ended(self, job_id: str, *, timeout_s: float = 300) -> None:
        """Wait until a job has ended."""
        give_up_at = time.monotonic() + timeout_s
        while True:
            job = self.job(job_id)
            if job is None or job.state in ENDED:
                return
            if time.monotonic() > give_up_at:
                raise FlinkUnavailable(f"job {job_id} is still {job.state.lower()}")
            time.sleep(_POLL_S)

    def _get(self, path: str) -> Any:
        return self._ask("GET", path)

    def _post(self, path: str, body: dict[str, object]) -> Any:
        return self._ask("POST", path, body)

    def _ask(self, method: str, path: str, body: dict[str, object] | None = None) -> Any:
        try:
            answer = self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise FlinkUnavailable(f"Flink at {self.url} does not answer: {error}") from error
        if answer.is_success:
            return answer.json() if answer.content else None
        raise FlinkUnavailable(f"Flink at {self.url}: {answer.status_code} {_said(answer)}")


def root_cause(stack_trace: str) -> str:
    """Return the innermost message of a Java stack trace, a Python one in it before all."""
    lines = stack_trace.strip().splitlines()
    errors = [
        line.strip()
        for line in lines
        if line[:1].isalpha() and "Error: " in line and not line.startswith("Caused by")
    ]
    if errors:
        return errors[-1]
    causes = [line for line in lines if line.startswith("Caused by: ")]
    return (causes[-1].removeprefix("Caused by: ") if causes else lines[0]).strip()


def _said(answer: httpx.Response) -> str:
    try:
        errors: Sequence[str] = answer.json()["errors"]
    except (ValueError, KeyError, TypeError):
        return answer.text[:300]
    return root_cause(errors[-1]) if errors else ""
