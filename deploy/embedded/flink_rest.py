"""The few questions and orders this package has for Flink's REST interface.

Source: Flink 2.3, REST API v1 (`/overview`, `/jobs/overview`, `/jobs/:id/stop`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from deploy.embedded.endpoint import Unreachable, http_json

RUNNING = "RUNNING"
ENDED = frozenset({"FAILED", "CANCELED", "FINISHED"})


@dataclass(frozen=True, slots=True)
class FlinkJob:
    """One row of the job list; `tasks` counts subtasks by state, in lower case."""

    id: str
    name: str
    state: str
    started_ms: int
    tasks: dict[str, int]

    @property
    def running(self) -> bool:
        """Whether every subtask runs."""
        return self.state == RUNNING and self.tasks.get("running") == self.tasks.get("total")


@dataclass(frozen=True, slots=True)
class FlinkRest:
    """`url`: address of the REST port, such as http://127.0.0.1:8081."""

    url: str

    def answers(self) -> bool:
        try:
            return self._get("/overview") is not None
        except Unreachable:
            return False

    def taskmanagers(self) -> frozenset[str]:
        """Ids of the registered TaskManagers; none if nobody answers."""
        try:
            return frozenset(row["id"] for row in self._get("/taskmanagers")["taskmanagers"])
        except Unreachable:
            return frozenset()

    def jobs(self) -> list[FlinkJob]:
        """All jobs this JobManager knows, newest first. Raises Unreachable."""
        rows = self._get("/jobs/overview")["jobs"]
        jobs = [
            FlinkJob(
                id=row["jid"],
                name=row["name"],
                state=row["state"],
                started_ms=row["start-time"],
                tasks=row["tasks"],
            )
            for row in rows
        ]
        return sorted(jobs, key=lambda job: -job.started_ms)

    def job(self, job_id: str) -> FlinkJob | None:
        return next((job for job in self.jobs() if job.id == job_id), None)

    def completed_checkpoints(self, job_id: str) -> int:
        return int(self._get(f"/jobs/{job_id}/checkpoints")["counts"]["completed"])

    def stop_with_savepoint(
        self, job_id: str, *, timeout_s: float = 90, drain: bool = False
    ) -> str | None:
        """Stop a job; returns the savepoint's path, None if there is none.

        drain: tell it first that time is at its end.

        Source: POST /jobs/:jobid/stop, then GET /jobs/:jobid/savepoints/:triggerid.
        """
        order = {"drain": drain, "formatType": "NATIVE"}
        trigger = self._post(f"/jobs/{job_id}/stop", order)["request-id"]
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            answer = self._get(f"/jobs/{job_id}/savepoints/{trigger}")
            if answer["status"]["id"] == "COMPLETED":
                location = answer["operation"].get("location")
                return None if location is None else str(location)
            time.sleep(0.2)
        return None

    def cancel(self, job_id: str) -> None:
        """Cancel a job; its newest checkpoints stay (retained on cancellation)."""
        http_json("PATCH", f"{self.url}/jobs/{job_id}?mode=cancel")

    def _get(self, path: str) -> Any:
        return http_json("GET", self.url + path)

    def _post(self, path: str, body: dict[str, object]) -> Any:
        return http_json("POST", self.url + path, body=body)
