"""What may go wrong while spans flow: one table.

A fault is struck once spans of its tenant are being judged. Whatever it is, every planted violation
must become exactly one signal, and nothing else may. Where a fault takes spans away for good, that
holds for all traces that they can not have belonged to, and of the others nothing false is said.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import pytest

from api.bench.stack import Lifetimes
from deploy.embedded.flink_rest import ENDED, FlinkRest
from deploy.embedded.job_order import job_lock
from tests.fault.installation import RECOVERY_S, USUAL, Installation, kill
from tests.fault.losses import Loss
from tests.fault.senders import OfSkewedClocks, Sender, TwiceAndShuffled
from tests.support.flow import PATIENCE_MS, SETTLE_MS
from tests.support.job import DEADLY, RunningJob, betrace_job, wait_for
from tests.support.logs import expire
from tests.support.otlp import request, span
from tests.support.stack import paused
from udfs.lanes import lane_of
from udfs.payload import expand

Strike = Callable[[Installation], None]

PAUSE_S = 30
"""For so long a broker, a sink or a disk is not there."""
_SLOW_S = 60
_TURN_S = 1.0
_AWAY_S = 180
"""Six times what the alignment of watermarks lets one partition run ahead in catching up."""
_SHORT_LIVED = Lifetimes(
    settle_ms=SETTLE_MS, patience_ms=PATIENCE_MS, max_life_ms=60_000, lateness_ms=60_000
)
"""So that the time for which the job is away is longer than anything is remembered."""
_POISONED = b"a deadly trace\x00\x01"
_NO_FILES = (0, resource.RLIM_INFINITY)


@dataclass(frozen=True, slots=True)
class Fault:
    """name: of the row. strike: what happens. sender: how spans come while it does.

    lifetimes: of the tenant. proof: asserts at the end what else must have come of it.
    """

    name: str
    strike: Strike
    sender: type[Sender] = Sender
    lifetimes: Lifetimes = USUAL
    proof: Strike = lambda at: None


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
    assert rest.stop_with_savepoint(running_job(rest), drain=True)


def job_away(at: Installation) -> None:
    """The job is cancelled and nobody starts it, as if its cluster were gone."""
    rest = FlinkRest(at.stack.settings.flink)
    with job_lock(at.stack.layout.run):
        job_id = running_job(rest)
        rest.cancel(job_id)
        wait_for(lambda: ended(rest, job_id), "the job is cancelled", timeout_s=RECOVERY_S)
        time.sleep(_AWAY_S)


def savepoint_behind_retention(at: Installation) -> None:
    """What the job would have to read next has expired, and an operator accepts that."""
    settings = at.stack.settings
    rest = FlinkRest(settings.flink)
    arguments = ("--topic-prefix", settings.topic_prefix, "--parallelism", str(settings.slots))
    with job_lock(at.stack.layout.run):
        since_s = time.time()
        savepoint = rest.stop_with_savepoint(running_job(rest))
        judged_until_s = time.time()
        assert savepoint is not None
        time.sleep(PAUSE_S)
        expired = at.log()
        expire(settings.kafka, at.spans_topic, expired)
        spans = at.spans_in(expired, since_s=since_s)
        at.loss = Loss(since_s, judged_until_s, time.time(), spans)
        with pytest.raises(AssertionError, match=r"spans were lost.*--accept-gap"):
            RunningJob.submit(at.stack, *arguments, "--from-savepoint", savepoint)
        RunningJob.submit(at.stack, *arguments, "--from-savepoint", savepoint, "--accept-gap")


def poison(at: Installation) -> None:
    """A record that ends each Python worker that looks at it."""
    since_s = time.time()
    deadly = span("deadly", trace_id=_POISONED, note=DEADLY)
    at.export(request(deadly).SerializeToString(), 1)
    until_s = time.time()
    spans = at.spans_in(record for record in at.log() if DEADLY.encode() in expand(record.value))
    lane = lane_of(at.tenant.id, _POISONED)
    at.loss = Loss(since_s, until_s, until_s, spans, lane)


def one_dead_letter(at: Installation) -> None:
    """The record was passed over after it had killed twice, and nothing else was."""
    (letter,) = at.dead_letters()
    assert (letter.source, letter.code) == ("match", "worker.died")


def some_are_inconclusive(at: Installation) -> None:
    """Where a missing span matters, nobody claims to know."""
    assert at.inconclusive() > 0


def running_job(rest: FlinkRest) -> str:
    """Return the id of the one job that runs."""
    (job,) = (job for job in rest.jobs() if job.running)
    return job.id


def ended(rest: FlinkRest, job_id: str) -> bool:
    """Tell whether a job has let its slots go."""
    job = rest.job(job_id)
    return job is None or job.state in ENDED


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
    Fault("job away for longer than traces are kept", job_away, lifetimes=_SHORT_LIVED),
    Fault("a record that kills Python workers", poison, proof=one_dead_letter),
    Fault("savepoint older than the log", savepoint_behind_retention, proof=some_are_inconclusive),
)
