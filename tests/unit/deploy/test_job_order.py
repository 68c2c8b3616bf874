"""The two sides of the files by which `betrace job` and the supervisor agree."""

from __future__ import annotations

import threading
from pathlib import Path

from api.job.embedded import EmbeddedStack
from deploy.embedded.job_order import JobOrder, job_lock, somebody_holds, tell_client

FLINK = "http://127.0.0.1:18081"


def a_stack(home: Path, *, flink: str = FLINK) -> EmbeddedStack:
    run = home / "run"
    run.mkdir(exist_ok=True)
    tell_client(run, flink=FLINK, environment={"FLINK_CONF_DIR": "/conf"})
    return EmbeddedStack(str(home), flink)


def test_an_order_reaches_the_supervisor_and_later_ones_add_to_it(tmp_path: Path) -> None:
    stack = a_stack(tmp_path)
    assert JobOrder.load(tmp_path / "run") == JobOrder()
    stack.order(parallelism=3)
    stack.order(start="1700000000000", snapshots_since=12.5)
    assert JobOrder.load(tmp_path / "run") == JobOrder(3, 12.5, "1700000000000")
    assert stack.client_environment == {"FLINK_CONF_DIR": "/conf"}


def test_the_supervisor_sees_that_somebody_is_at_work(tmp_path: Path) -> None:
    stack, run = a_stack(tmp_path), tmp_path / "run"
    assert not somebody_holds(run)
    with stack.held():
        assert somebody_holds(run)
    assert not somebody_holds(run)


def test_the_supervisor_waits_until_the_work_is_done(tmp_path: Path) -> None:
    stack, run = a_stack(tmp_path), tmp_path / "run"
    steps: list[str] = []

    def supervisor() -> None:
        with job_lock(run):
            steps.append("started by the supervisor")

    with stack.held():
        waiting = threading.Thread(target=supervisor)
        waiting.start()
        steps.append("upgraded")
    waiting.join(30)
    assert steps == ["upgraded", "started by the supervisor"]


def test_another_cluster_is_not_the_stacks(tmp_path: Path) -> None:
    stack = a_stack(tmp_path, flink="http://flink.example:8081")
    stack.order(parallelism=3)
    with stack.held():
        assert not somebody_holds(tmp_path / "run")
    assert JobOrder.load(tmp_path / "run") == JobOrder()
    assert stack.client_environment == {}
    EmbeddedStack("", FLINK).order(parallelism=3)
