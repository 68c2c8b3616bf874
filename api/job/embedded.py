"""The embedded stack's share in its job: who may touch it now, and how it is to be started.

Its supervisor submits the job again when it is gone. Whoever stops it on purpose holds the lock
until the new one runs, and leaves what the supervisor must know in `run/job.json`. The other side
of this is `deploy/embedded/job_order.py`.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_LOCK = "job.lock"
_ORDER = "job.json"
_CLIENT = "client.json"


@dataclass(frozen=True, slots=True)
class Order:
    """How the supervisor is to start the job.

    parallelism: 0 for one task a slot. snapshots_since: only snapshots made after this time
    (seconds since 1970) may be gone on from. start: where to begin without one.
    """

    parallelism: int = 0
    snapshots_since: float = 0
    start: str = "earliest"


class EmbeddedStack:
    """The folder `run` of a stack that owns the job, or of none."""

    def __init__(self, home: str, flink: str) -> None:
        """home: BETRACE_HOME, empty if there is none. flink: address of the cluster."""
        folder = Path(home) / "run"
        client = _read(folder / _CLIENT) if home else {}
        self._folder = folder if client.get("flink") == flink else None
        self.client_environment: dict[str, str] = client.get("environment", {})
        """Variables by which Flink's client finds the stack's configuration."""
        if self._folder is None:
            self.client_environment = {}

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the supervisor from starting the job while the body runs."""
        if self._folder is None:
            yield
            return
        file = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    def order(self, **changes: Any) -> None:
        """Change what the supervisor is to do at its next start of the job."""
        if self._folder is None:
            return
        path = self._folder / _ORDER
        unfinished = path.with_suffix(".new")
        unfinished.write_text(json.dumps({**asdict(Order()), **_read(path), **changes}))
        unfinished.replace(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return found
