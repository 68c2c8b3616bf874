"""What `betrace job` has ordered of this stack's job, and whether it is at work on it.

Files below `run/`: `client.json` tells the command how to reach the cluster, `job.json` holds its
orders, `job.lock` is held by whoever stops or starts the job. The other side of this is
`api/job/embedded.py`.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.envfile import write_private


@dataclass(frozen=True, slots=True)
class JobOrder:
    """How to start the job.

    parallelism: 0 for one task a slot. snapshots_since: only snapshots made after this time
    (seconds since 1970) may be gone on from. start: where to begin without one.
    """

    parallelism: int = 0
    snapshots_since: float = 0
    start: str = "earliest"

    @classmethod
    def load(cls, run: Path) -> JobOrder:
        """Read what was ordered; without orders, what is usual."""
        try:
            return cls(**json.loads((run / "job.json").read_text()))
        except FileNotFoundError:
            return cls()


def tell_client(run: Path, *, flink: str, environment: Mapping[str, str]) -> None:
    """Write down how Flink's client reaches the cluster of this stack."""
    write_private(
        run / "client.json", json.dumps({"flink": flink, "environment": dict(environment)})
    )


@contextmanager
def job_lock(run: Path) -> Iterator[None]:
    """Hold the lock on the job, waiting for it as long as it takes."""
    file = _open(run)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def somebody_holds(run: Path) -> bool:
    """Tell whether somebody else is stopping or starting the job."""
    file = _open(run)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _open(run: Path) -> int:
    return os.open(run / "job.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
