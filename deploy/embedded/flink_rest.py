"""The few questions and orders this package has for Flink's REST interface.

Source: Flink 2.3, REST API v1 (`/overview`, `/jobs/overview`, `/jobs/:id/stop`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import httpx

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
        except httpx.HTTPError:
            return False

    def free_or_used_slots(self) -> int:
        """Slots of all registered TaskManagers; 0 if nobody answers."""
        try:
            return int(self._get("/overview")["slots-total"])
        except httpx.HTTPError:
            return 0

    def jobs(self) -> list[FlinkJob]:
        """All jobs this JobManager knows, newest first. Raises httpx.HTTPError."""
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

    def stop_with_savepoint(self, job_id: str, *, timeout_s: float = 90) -> str | None:
        """Stop a job without draining it; returns the savepoint's path, None if there is none.

        Source: POST /jobs/:jobid/stop, then GET /jobs/:jobid/savepoints/:triggerid.
        """
        order = {"drain": False, "formatType": "NATIVE"}
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
        httpx.patch(f"{self.url}/jobs/{job_id}", params={"mode": "cancel"}, timeout=10)

    def _get(self, path: str) -> Any:
        answer = httpx.get(self.url + path, timeout=5)
        answer.raise_for_status()
        return answer.json()

    def _post(self, path: str, body: dict[str, object]) -> Any:
        answer = httpx.post(self.url + path, json=body, timeout=10)
        answer.raise_for_status()
        return answer.json()
