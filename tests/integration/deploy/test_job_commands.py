"""`betrace job …` on an embedded stack: nothing that was judged is lost, nothing said twice."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from deploy.embedded.settings import SERVERS
from deploy.embedded.stack import Stack
from tests.support.charges import charge_rules, send, violations
from tests.support.engine import trace_id
from tests.support.job import betrace_job, wait_for
from tests.support.logs import SpansWriter, read_log, write_rules
from tests.support.stack import running_stack

pytestmark = pytest.mark.integration

PREFIX = "betrace"
PATIENCE_S = 300


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Servers, ingest for its heartbeats, and the job."""
    with running_stack((*SERVERS, "ingest", "job"), checkpoint_interval_s=10) as stack:
        write_rules(stack.settings.kafka, f"{PREFIX}.rules", charge_rules(max_life_ms=60_000))
        yield stack


def wait_for_signal(stack: Stack, rule: str, trace: str) -> None:
    wait_for(
        lambda: (rule, trace_id(trace)) in violations(stack.settings.kafka, PREFIX),
        f"{rule} of {trace}",
        timeout_s=PATIENCE_S,
    )


def writer(stack: Stack) -> SpansWriter:
    return SpansWriter(stack.settings.kafka, f"{PREFIX}.spans")


def job_restarts(stack: Stack) -> int:
    state = stack.state()
    assert state is not None
    return state.components["job"].restarts


def test_status_has_every_figure_and_no_alarm(stack: Stack) -> None:
    figures: dict[str, Any] = {}

    def complete() -> bool:
        figures.update(betrace_job(stack, "status", code=None))
        wanted = ("watermark_ms", "heartbeat_ms", "lag_records", "rules_read", "rss_bytes")
        return (
            all(figures[name] not in (None, []) for name in wanted)
            and figures["checkpoints"]["completed"] > 0
            and figures["rules_read"] == figures["rules_end"]
        )

    wait_for(complete, f"a job with all its figures, not {figures}", timeout_s=PATIENCE_S)
    assert figures["alarms"] == []
    assert figures["rules_read"] >= 3
    assert figures["parallelism"] == len(figures["rss_bytes"]) == 2
    assert figures["at_ms"] - figures["watermark_ms"] < 60_000


def test_a_savepoint_says_what_it_holds(stack: Stack) -> None:
    savepoint = betrace_job(stack, "savepoint")["savepoint"]
    report = betrace_job(stack, "check", savepoint)
    assert report["problems"] == []
    assert report["says"]["formats"]["lanes"] == 32
    assert set(map(int, report["offsets"])) == set(range(32))


def test_a_savepoint_of_other_lanes_is_refused(stack: Stack, tmp_path: Path) -> None:
    made = Path(urlsplit(betrace_job(stack, "savepoint")["savepoint"]).path)
    other = tmp_path / "other"
    shutil.copytree(made, other)
    metadata = other / "_metadata"
    metadata.write_bytes(metadata.read_bytes().replace(b"lanes=32", b"lanes=64"))
    report = betrace_job(stack, "check", other.as_uri(), code=1)
    assert report["problems"] == ["it was made with lanes 64; this build reads 32"]


def test_rescaling_keeps_open_traces_and_says_how_long_it_took(stack: Stack) -> None:
    before = job_restarts(stack)
    sender = writer(stack)
    send(sender, "over a rescale", "charge")
    outcome = betrace_job(stack, "rescale", "1")
    assert outcome["timing"]["down_s"] > 0
    assert set(outcome["timing"]["steps"]) >= {"check", "stop", "submit", "start"}
    send(sender, "over a rescale", "bypass")
    wait_for_signal(stack, "watched", "over a rescale")
    assert betrace_job(stack, "status", code=None)["parallelism"] == 1
    assert job_restarts(stack) == before


def test_more_tasks_than_slots_are_refused_before_anything_is_stopped(stack: Stack) -> None:
    job = betrace_job(stack, "status", code=None)["job_id"]
    said = betrace_job(stack, "rescale", "64", code=2)["said"]
    assert "64 tasks need 64 slots; there are 2" in said
    assert betrace_job(stack, "status", code=None)["job_id"] == job


def test_an_upgrade_keeps_state_and_parallelism(stack: Stack) -> None:
    sender = writer(stack)
    send(sender, "over an upgrade", "charge")
    outcome = betrace_job(stack, "upgrade")
    assert outcome["savepoint"].startswith("file:")
    send(sender, "over an upgrade", "bypass")
    wait_for_signal(stack, "watched", "over an upgrade")
    figures = betrace_job(stack, "status", code=None)
    assert (figures["job_id"], figures["parallelism"]) == (outcome["job_id"], 1)


def test_recovery_without_state_says_the_same_again(stack: Stack) -> None:
    sender = writer(stack)
    send(sender, "before the loss", "charge")
    wait_for_signal(stack, "checked", "before the loss")
    before = {(r.key, r.value) for r in read_log(stack.settings.kafka, f"{PREFIX}.signals")}
    outcome = betrace_job(stack, "recover")
    assert outcome["savepoint"] is None
    send(sender, "after the loss", "charge")
    wait_for_signal(stack, "checked", "after the loss")
    after = {(r.key, r.value) for r in read_log(stack.settings.kafka, f"{PREFIX}.signals")}
    new = after - before
    assert before <= after
    assert {key for key, _ in new}.isdisjoint(key for key, _ in before)
