"""What people do to the job: save, upgrade, rescale, begin anew. Each keeps what was judged.

A job is stopped with a savepoint, never drained, and goes on from it; its offsets, open traces and
accounts are in it. Before anything is stopped, this build is asked whether it can go on from the
newest checkpoint. Restored state that nobody claims is never allowed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from api.errors import OperatorError
from api.job.embedded import EmbeddedStack
from api.job.flink import ENDED, Flink, FlinkUnavailable, Job, root_cause
from api.job.submission import Client
from udfs.lanes import LANES

Say = Callable[[str], None]

_POLL_S = 0.3
_START_S = 600
_AFTER_RESTARTS = 3
"""A job that was restarted so often without one checkpoint does not run."""


class JobTrouble(OperatorError):
    """What was asked cannot be done, or was not; the text says what stands now."""


@dataclass(slots=True)
class Timing:
    """How long each step took, and how long nothing was judged; in seconds."""

    steps: dict[str, float] = field(default_factory=dict)
    down_s: float = 0.0

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one step."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.steps[name] = round(time.monotonic() - begun, 1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A job that runs again. savepoint: what it went on from, or after re-sharding what is kept of
    the state before; None if it began anew."""

    job_id: str
    savepoint: str | None
    timing: Timing


@dataclass(frozen=True, slots=True)
class Resharding:
    """What re-sharding would do: lanes of the job's state and of this build, tasks, and the time
    from which on the log is read again."""

    job_id: str
    lanes_before: int
    lanes: int
    parallelism: int
    start_ms: int


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody at work on one job of a cluster. say: told of every step."""

    flink: Flink
    client: Client
    stack: EmbeddedStack
    topic_prefix: str
    say: Say

    def find(self) -> Job:
        """Return the job. Raises JobTrouble if the cluster has none."""
        job = self.flink.find(self.topic_prefix)
        if job is None:
            raise JobTrouble(
                f"no job for topics {self.topic_prefix}.* at {self.flink.url}; submit it by "
                "`python -m jobs.submit` (deploy/README.md)"
            )
        return job

    def save(self, *, folder: str | None = None) -> str:
        """Make a savepoint beside the running job and return its address."""
        return self.flink.savepoint(self._running().id, stop=False, folder=folder)

    def check(self, snapshot: str) -> dict[str, Any]:
        """Return what a snapshot says and why this build cannot go on from it."""
        return self.client.check(snapshot, self._arguments(self.flink.find(self.topic_prefix)))

    def upgrade(self, *, parallelism: int | None = None, accept_gap: bool = False) -> Outcome:
        """Stop the job with a savepoint, and let the job of this build go on from it.

        parallelism: another one, None for the same. Raises JobTrouble: before anything is stopped
        if this build cannot read the state, afterwards if the new job does not run; the savepoint
        is named then.
        """
        job = self._running()
        arguments = self._arguments(job)
        if parallelism is not None:
            self._check_slots(parallelism)
            arguments = with_option(arguments, "--parallelism", str(parallelism))
        if accept_gap:
            arguments = [*arguments, "--accept-gap"]
        timing = Timing()
        with timing.step("check"):
            self._refuse_unfit(job, arguments)
        with self.stack.held():
            begun = time.monotonic()
            savepoint = self._stop(job.id, timing)
            self.say(f"going on from {savepoint}")
            if parallelism is not None:
                self.stack.order(parallelism=parallelism)
            new = self._start(arguments, savepoint, timing, begun=begun)
        return Outcome(new, savepoint, timing)

    def recover(self, *, lost_at_ms: int | None = None) -> Outcome:
        """Begin anew without state, far enough back to judge everything again that was open.

        lost_at_ms: from when on verdicts are missing; None: from where the job had come. What runs
        is cancelled.
        """
        job = self.flink.find(self.topic_prefix)
        arguments = self._arguments(job)
        timing = Timing()
        with timing.step("ask the log"):
            start_ms = self._start_of_replay(arguments, lost_at_ms)
        with self.stack.held():
            begun = time.monotonic()
            if job is not None:
                self.say("cancelling the job that runs")
                with timing.step("cancel"):
                    self.flink.cancel(job.id)
            new = self._begin_anew(arguments, start_ms, None, timing, begun=begun)
        return Outcome(new, None, timing)

    def plan_reshard(self, *, parallelism: int | None = None) -> Resharding:
        """Return what `reshard` would do. Nothing is stopped.

        Raises JobTrouble if the job's state has the lanes of this build, or does not say which.
        """
        job = self._running()
        arguments = self._arguments(job)
        if parallelism is not None:
            self._check_slots(parallelism)
        lanes_before = self._lanes_of_state(job, arguments)
        if lanes_before == LANES:
            raise JobTrouble(
                f"the job's state has {LANES} lanes, and so has this build: there is nothing to "
                "re-shard. `betrace job rescale N` spreads the lanes over more or fewer slots"
            )
        tasks = parallelism or int(option_of(arguments, "--parallelism") or self.flink.slots())
        start_ms = self._start_of_replay(arguments, None)
        return Resharding(job.id, lanes_before, LANES, tasks, start_ms)

    def reshard(self, plan: Resharding) -> Outcome:
        """Let the job of this build begin anew with its own lanes, by replay.

        The job is stopped with a savepoint, so that its own release can go back to it.
        """
        before = self._arguments(self.flink.job(plan.job_id))
        arguments = with_option(before, "--parallelism", str(plan.parallelism))
        timing = Timing()
        with self.stack.held():
            begun = time.monotonic()
            savepoint = self._stop(plan.job_id, timing)
            if option_of(before, "--parallelism") != str(plan.parallelism):
                self.stack.order(parallelism=plan.parallelism)
            new = self._begin_anew(arguments, plan.start_ms, savepoint, timing, begun=begun)
        return Outcome(new, savepoint, timing)

    def _stop(self, job_id: str, timing: Timing) -> str:
        """Stop a job with a savepoint; return where that lies."""
        self.say("stopping with a savepoint")
        with timing.step("stop"):
            savepoint = self.flink.savepoint(job_id, stop=True)
            self.flink.wait_ended(job_id)
        return savepoint

    def _lanes_of_state(self, job: Job, arguments: Sequence[str]) -> int:
        """Return how many lanes the newest checkpoint of a job has. Raises JobTrouble."""
        newest = self._newest_checkpoint(job)
        says = self.client.check(newest["external_path"], arguments).get("says") if newest else None
        if says is None:
            raise JobTrouble(
                "the job has no checkpoint that says how many lanes it has; `betrace job recover` "
                "begins anew whatever it was"
            )
        return int(says["formats"]["lanes"])

    def _running(self) -> Job:
        job = self.find()
        if not job.running:
            raise JobTrouble(
                f"the job is {job.state.lower()} and not every task runs, so that no savepoint "
                "can be made; `betrace job status` tells more, `betrace job recover` begins anew"
            )
        return job

    def _arguments(self, job: Job | None) -> list[str]:
        """Return what a job was submitted with; without one, what is usual."""
        if job is not None:
            return self.flink.arguments(job.id)
        return ["--topic-prefix", self.topic_prefix, "--parallelism", str(self.flink.slots())]

    def _check_slots(self, parallelism: int) -> None:
        slots = self.flink.slots()
        if parallelism > slots:
            raise JobTrouble(f"{parallelism} tasks need {parallelism} slots; there are {slots}")
        if LANES % parallelism:
            self.say(f"{LANES} lanes do not spread evenly over {parallelism} tasks")

    def _refuse_unfit(self, job: Job, arguments: Sequence[str]) -> None:
        newest = self._newest_checkpoint(job)
        if newest is None:
            return
        self.say("asking this build whether it can go on from the job's state")
        problems = self.client.check(newest["external_path"], arguments)["problems"]
        if problems and self._newest_checkpoint(job) != newest:
            # Flink may have removed it while it was looked at; a savepoint stays.
            self.say("asking again, with a savepoint")
            savepoint = self.flink.savepoint(job.id, stop=False)
            problems = self.client.check(savepoint, arguments)["problems"]
        if problems:
            raise JobTrouble(
                f"this build cannot go on from the job's state: {'; '.join(problems)}. Nothing "
                "was stopped. `betrace job recover` judges anew from the log instead."
            )

    def _newest_checkpoint(self, job: Job) -> dict[str, Any] | None:
        newest: dict[str, Any] | None = self.flink.checkpoints(job.id)["latest"]["completed"]
        return newest

    def _start_of_replay(self, arguments: Sequence[str], lost_at_ms: int | None) -> int:
        log = self.client.reach(arguments)
        known = lost_at_ms if lost_at_ms is not None else log["reached_ms"]
        return int((known if known is not None else time.time() * 1000) - log["reach_ms"])

    def _begin_anew(
        self,
        arguments: Sequence[str],
        start_ms: int,
        kept: str | None,
        timing: Timing,
        *,
        begun: float,
    ) -> str:
        """Start the job without state. kept: savepoint of the state before, if there is one."""
        self.stack.order(start=str(start_ms), snapshots_since=time.time())
        self.say(f"judging anew from {moment_text(start_ms)}")
        arguments = with_option(arguments, "--start", str(start_ms))
        return self._start(arguments, None, timing, begun=begun, kept=kept)

    def _start(
        self,
        arguments: Sequence[str],
        savepoint: str | None,
        timing: Timing,
        *,
        begun: float,
        kept: str | None = None,
    ) -> str:
        """Start the job, from a savepoint if there is one. kept: where its state is otherwise."""
        named = savepoint or kept
        where = f"; the state is kept in {named}" if named else ""
        try:
            with timing.step("submit"):
                new = self.client.submit(arguments, snapshot=savepoint)
            with timing.step("start"):
                self._wait_running(new)
            timing.down_s = round(time.monotonic() - begun, 1)
            with timing.step("first checkpoint"):
                self._wait_checkpoint(new)
        except (OperatorError, KeyboardInterrupt) as error:
            raise JobTrouble(f"{error}{where}") from error
        return new

    def _wait_running(self, job_id: str) -> None:
        self._wait(job_id, lambda: (job := self.flink.job(job_id)) is not None and job.running)

    def _wait_checkpoint(self, job_id: str) -> None:
        self._wait(job_id, lambda: self.flink.checkpoints(job_id)["counts"]["completed"] > 0)

    def _wait(self, job_id: str, reached: Callable[[], bool]) -> None:
        """Wait for a new job. Raises JobTrouble, and cancels it, if it cannot come up."""
        give_up_at = time.monotonic() + _START_S
        while not reached():
            job = self.flink.job(job_id)
            ended = job is None or job.state in ENDED
            late = time.monotonic() > give_up_at
            if ended or late or self.flink.restarts(job_id) >= _AFTER_RESTARTS:
                why = self._why(job_id)
                if not ended:
                    self.flink.cancel(job_id)
                raise JobTrouble(f"the new job does not run: {why}")
            time.sleep(_POLL_S)

    def _why(self, job_id: str) -> str:
        try:
            exceptions = self.flink.exceptions(job_id)
        except FlinkUnavailable as error:
            return str(error)
        return root_cause(exceptions[0]) if exceptions else f"it was not up after {_START_S} s"


def with_option(arguments: Sequence[str], option: str, value: str) -> list[str]:
    """Return arguments with one option set to a value."""
    kept = list(arguments)
    if option in kept:
        at = kept.index(option)
        del kept[at : at + 2]
    return [*kept, option, value]


def option_of(arguments: Sequence[str], option: str) -> str | None:
    """Return the value of an option among arguments, None if it is not there."""
    return arguments[arguments.index(option) + 1] if option in arguments else None


def moment_text(time_ms: int) -> str:
    """Return a time for people."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(time_ms / 1000))
