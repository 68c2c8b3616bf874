"""`betrace job reshard`: what it plans, and in which order it goes about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from api.job.embedded import EmbeddedStack
from api.job.flink import Flink, Job
from api.job.operations import JobTrouble, Operator, Resharding
from api.job.submission import Client
from udfs.lanes import LANES

HOUR_MS = 3_600_000
REACHED_MS = 1_000 * HOUR_MS
SUBMITTED = ["--topic-prefix", "betrace", "--parallelism", "2", "--start", "earliest"]


@dataclass
class Cluster:
    """A Flink with one job, and its client. done: what was asked of them that changes anything."""

    lanes: int | None = 16
    slots_count: int = 4
    tasks: dict[str, int] = field(default_factory=lambda: {"running": 3, "total": 3})
    done: list[tuple[Any, ...]] = field(default_factory=list)
    url: str = "http://flink.example"

    def slots(self) -> int:
        return self.slots_count

    def find(self, topic_prefix: str) -> Job:
        return self.job("old")

    def job(self, job_id: str) -> Job:
        return Job(job_id, f"betrace detect ({job_id})", "RUNNING", 0, self.tasks)

    def arguments(self, job_id: str) -> list[str]:
        return list(SUBMITTED)

    def checkpoints(self, job_id: str) -> dict[str, Any]:
        completed = {"external_path": "file:/checkpoint"}
        return {"latest": {"completed": completed}, "counts": {"completed": 1}}

    def restarts(self, job_id: str) -> int:
        return 0

    def savepoint(self, job_id: str, *, stop: bool) -> str:
        self.done.append(("savepoint", job_id, stop))
        return "file:/savepoint"

    def wait_ended(self, job_id: str) -> None:
        self.done.append(("ended", job_id))

    def check(self, snapshot: str, arguments: Sequence[str]) -> dict[str, Any]:
        says = None if self.lanes is None else {"formats": {"lanes": self.lanes}}
        return {"says": says, "problems": ["it was made with other lanes"]}

    def reach(self, arguments: Sequence[str]) -> dict[str, Any]:
        return {"reach_ms": HOUR_MS, "reached_ms": REACHED_MS}

    def submit(self, arguments: Sequence[str], *, snapshot: str | None) -> str:
        self.done.append(("submit", *arguments, snapshot))
        return "new"


def operator_of(cluster: Cluster) -> Operator:
    return Operator(
        flink=cast(Flink, cluster),
        client=cast(Client, cluster),
        stack=EmbeddedStack("", cluster.url),
        topic_prefix="betrace",
        say=lambda text: None,
    )


def test_the_plan_says_which_lanes_and_from_when_on_the_log_is_read_again() -> None:
    cluster = Cluster()
    plan = operator_of(cluster).plan_reshard()
    assert plan == Resharding("old", 16, LANES, 2, REACHED_MS - HOUR_MS)
    assert operator_of(cluster).plan_reshard(parallelism=4).parallelism == 4
    assert cluster.done == []


def test_the_job_is_stopped_with_a_savepoint_and_begins_anew_without_it() -> None:
    cluster = Cluster()
    operator = operator_of(cluster)
    outcome = operator.reshard(operator.plan_reshard(parallelism=4))
    start = str(REACHED_MS - HOUR_MS)
    submitted = ("--topic-prefix", "betrace", "--parallelism", "4", "--start", start)
    assert cluster.done == [
        ("savepoint", "old", True),
        ("ended", "old"),
        ("submit", *submitted, None),
    ]
    assert (outcome.job_id, outcome.savepoint) == ("new", "file:/savepoint")
    assert set(outcome.timing.steps) == {"stop", "submit", "start", "first checkpoint"}


@pytest.mark.parametrize(
    ("cluster", "parallelism", "why"),
    [
        (Cluster(lanes=LANES), None, "there is nothing to re-shard"),
        (Cluster(lanes=None), None, "betrace job recover"),
        (Cluster(), 5, "5 tasks need 5 slots; there are 4"),
        (Cluster(tasks={"running": 2, "total": 3}), None, "not every task runs"),
    ],
)
def test_nothing_is_stopped_where_it_cannot_be_done(
    cluster: Cluster, parallelism: int | None, why: str
) -> None:
    with pytest.raises(JobTrouble, match=why):
        operator_of(cluster).plan_reshard(parallelism=parallelism)
    assert cluster.done == []
