"""What may go wrong while spans flow: one table.

A fault is struck once spans of its tenant are being judged. Whatever it is, every planted violation
must become exactly one signal, and nothing else may.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from deploy.embedded.flink_rest import FlinkRest
from tests.fault.installation import Installation, kill
from tests.fault.senders import OfSkewedClocks, Sender, TwiceAndShuffled
from tests.support.job import betrace_job
from tests.support.stack import paused

Strike = Callable[[Installation], None]

PAUSE_S = 30
"""For so long a broker, a sink or a disk is not there."""
_SLOW_S = 60
_TURN_S = 1.0
_NO_FILES = (0, resource.RLIM_INFINITY)


@dataclass(frozen=True, slots=True)
class Fault:
    """name: of the row. strike: what happens. sender: how spans come while it does."""

    name: str
    strike: Strike
    sender: type[Sender] = Sender


def killed(*components: str) -> Strike:
    """Components end at once, together; their supervisor starts them again."""
    return lambda at: kill(*(at.stack.pid(name) for name in components))


def kill_workers(at: Installation) -> None:
    """All Python workers of the TaskManager end at once."""
    kill(*at.stack.worker_pids())


def standing_still(component: str) -> Strike:
    """A component does nothing for a while, and is there again."""

    def strike(at: Installation) -> None:
        with paused(at.stack.pid(component)):
            time.sleep(PAUSE_S)

    return strike


def slow_sink(at: Installation) -> None:
    """The worker, which writes signals to Postgres, runs for a tenth of the time."""
    worker = at.stack.pid("worker")
    until = time.monotonic() + _SLOW_S
    while time.monotonic() < until:
        with paused(worker):
            time.sleep(0.9 * _TURN_S)
        time.sleep(0.1 * _TURN_S)


def full_disk(at: Installation) -> None:
    """Neither state nor checkpoints can be written: each write of Flink fails."""
    with _nothing_written(at.stack.pid("taskmanager"), at.stack.pid("jobmanager")):
        time.sleep(PAUSE_S)


@contextmanager
def _nothing_written(*pids: int) -> Iterator[None]:
    processes = [psutil.Process(pid) for pid in pids]
    for process in processes:
        process.rlimit(psutil.RLIMIT_FSIZE, _NO_FILES)
    try:
        yield
    finally:
        for process in processes:
            if process.is_running():
                process.rlimit(psutil.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)


def many_rule_changes(at: Installation) -> None:
    """One rule after the other gets new versions while others judge."""
    for number in range(30):
        at.save_rule(f"changing-{number % 3}", f"when {{ unseen.v{number} }} never {{ other }}")


def rule_changes_under_pressure(at: Installation) -> None:
    """The same while signals are not written."""
    worker = at.stack.pid("worker")
    with paused(worker):
        many_rule_changes(at)
        time.sleep(PAUSE_S / 3)


def job_command(*words: str) -> Strike:
    """An operator's command on the running job."""

    def strike(at: Installation) -> None:
        betrace_job(at.stack, *words)

    return strike


def rescaled_and_back(at: Installation) -> None:
    """The job runs with one task, and with two again, each time from a savepoint."""
    betrace_job(at.stack, "rescale", "1")
    betrace_job(at.stack, "rescale", "2")


def drained(at: Installation) -> None:
    """Somebody stops the job with --drain, which tells it that time is at its end."""
    rest = FlinkRest(at.stack.settings.flink)
    (job,) = (job for job in rest.jobs() if job.running)
    assert rest.stop_with_savepoint(job.id, drain=True)


FAULTS = (
    Fault("nothing", lambda at: None),
    Fault("Python workers killed", kill_workers),
    Fault("TaskManager killed", killed("taskmanager")),
    Fault("JobManager killed", killed("jobmanager")),
    Fault("JobManager and TaskManager killed", killed("jobmanager", "taskmanager")),
    Fault("broker killed", killed("kafka")),
    Fault("broker stands still for 30 s", standing_still("kafka")),
    Fault("TaskManager stands still for 30 s", standing_still("taskmanager")),
    Fault("Postgres killed", killed("postgres")),
    Fault("ingest killed", killed("ingest")),
    Fault("no heartbeats for 30 s", standing_still("ingest")),
    Fault("worker killed", killed("worker")),
    Fault("sink at a tenth of its speed for 60 s", slow_sink),
    Fault("disk full for 30 s", full_disk),
    Fault("records twice and out of order", lambda at: None, TwiceAndShuffled),
    Fault("clocks of producers wrong", lambda at: None, OfSkewedClocks),
    Fault("rules change", many_rule_changes),
    Fault("rules change while nothing is written", rule_changes_under_pressure),
    Fault("upgraded from a savepoint", job_command("upgrade")),
    Fault("rescaled and back", rescaled_and_back),
    Fault("stopped with --drain", drained),
)
