"""Starting what only a process with Flink's client can do: submitting, and reading snapshots.

`jobs` is never imported here: it belongs to the job, and its environment may be another one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from api.errors import OperatorError

_PATIENCE_S = 600


class SubmissionFailed(OperatorError):
    """The job was not taken; the text says what was said."""


@dataclass(frozen=True, slots=True)
class Client:
    """How Flink's client is run.

    flink: URL of the cluster. python: interpreter on the TaskManagers, empty for that of this
    process. flink_home: an installed Flink, empty for that of the wheel. environment: variables
    in addition.
    """

    flink: str
    python: str = ""
    flink_home: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    def submit(self, arguments: Sequence[str], *, snapshot: str | None) -> str:
        """Submit the job and return its id. Raises SubmissionFailed."""
        address = urlsplit(self.flink)
        command = ["-m", "jobs.submit", "--flink", f"{address.hostname}:{address.port or 80}"]
        command += ["--python", self.python] if self.python else []
        command += ["--flink-home", self.flink_home] if self.flink_home else []
        command += ["--from-savepoint", snapshot] if snapshot else []
        done = self._run([*command, *arguments])
        if done.returncode:
            raise SubmissionFailed(f"the job was not taken: {done.stderr.strip()}")
        return done.stdout.strip().splitlines()[-1]

    def check(self, snapshot: str, arguments: Sequence[str]) -> dict[str, Any]:
        """Return what a snapshot says, with `problems`. Raises SubmissionFailed."""
        return self._ask("jobs.check", snapshot, *arguments)

    def reach(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Return how far back judging anew must begin. Raises SubmissionFailed."""
        return self._ask("jobs.reach", *arguments)

    @property
    def _home(self) -> dict[str, str]:
        return {"FLINK_HOME": self.flink_home} if self.flink_home else {}

    def _ask(self, module: str, *arguments: str) -> dict[str, Any]:
        done = self._run(["-m", module, *arguments])
        lines = done.stdout.strip().splitlines()
        try:
            answer: dict[str, Any] = json.loads(lines[-1]) if lines else {}
        except ValueError:
            answer = {}
        if not answer:
            raise SubmissionFailed(f"{module} failed: {done.stderr.strip()[-2_000:]}")
        return answer

    def _run(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [sys.executable, *arguments],
                env={**os.environ, **self.environment, **self._home},
                capture_output=True,
                text=True,
                check=False,
                timeout=_PATIENCE_S,
            )
        except subprocess.TimeoutExpired as error:
            raise SubmissionFailed(f"{arguments[1]} took over {_PATIENCE_S} s") from error
