"""What rings, and what it says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from api.job.alarms import alarms
from api.job.figures import Checkpoints, JobFigures
from api.job.flink import root_cause
from api.job.operations import with_option

NOW_MS = 1_800_000_000_000
WELL = JobFigures(
    at_ms=NOW_MS,
    job_id="a",
    state="RUNNING",
    running=True,
    parallelism=2,
    watermark_ms=NOW_MS - 900,
    heartbeat_ms=NOW_MS - 300,
    lag_records=40,
    checkpoints=Checkpoints(completed=9, newest_at_ms=NOW_MS - 11_000),
    rss_bytes=(300 << 20, 310 << 20),
    rules_read=7,
    rules_end=7,
)


def test_a_job_that_is_well_rings_nothing() -> None:
    assert alarms(WELL) == []


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        (replace(WELL, state="", running=False, job_id=""), "No job judges"),
        (
            replace(WELL, state="RESTARTING", running=False, why="ValueError: lane state"),
            "The job does not judge: restarting. Last: ValueError: lane state",
        ),
        (replace(WELL, running=False), "The job does not judge: not every task of it runs."),
        (
            replace(WELL, heartbeat_ms=NOW_MS - 9_000, watermark_ms=NOW_MS - 9_100),
            "Judging stands still: a partition of spans has had no record for 9 s",
        ),
        (
            replace(WELL, watermark_ms=NOW_MS - 100_000),
            "The job is 100 s of event time behind the log (lag: 40 records)",
        ),
        (
            replace(WELL, checkpoints=Checkpoints(2, 5, NOW_MS - 400_000, failed_since=True)),
            "No checkpoint for 400 s (5 failed)",
        ),
        (replace(WELL, rss_bytes=(1 << 30, 5 << 30)), "A Python worker holds 5120 MiB"),
        (replace(WELL, unreachable=("Flink at x does not answer",)), "Flink at x does not answer."),
    ],
)
def test_what_is_wrong_rings_once_and_says_so(figures: JobFigures, said: str) -> None:
    (alarm,) = alarms(figures)
    assert said in alarm


def test_silence_of_flink_is_not_taken_for_the_absence_of_a_job() -> None:
    silent = JobFigures(at_ms=NOW_MS, unreachable=("Flink does not answer",))
    assert alarms(silent) == ["Flink does not answer."]


def test_of_a_stack_trace_the_python_error_is_what_matters() -> None:
    trace = """java.lang.RuntimeException: Failed to close remote bundle
\tat org.apache.flink.A.b(A.java:1)
Caused by: java.lang.RuntimeException: Error received from SDK harness for instruction 3: Traceback
  File "udfs/life.py", line 1, in restore
ValueError: lane state of format 3; this build reads 2

\tat org.apache.flink.C.d(C.java:2)
Caused by: java.io.IOException: closed
"""
    assert root_cause(trace) == "ValueError: lane state of format 3; this build reads 2"
    assert root_cause("a.B: one\n\tat x\nCaused by: c.D: two\n\tat y") == "c.D: two"


def test_an_option_is_replaced_where_it_stands_and_added_where_it_does_not() -> None:
    assert with_option(["--a", "1", "--b", "2"], "--a", "3") == ["--b", "2", "--a", "3"]
    assert with_option([], "--a", "3") == ["--a", "3"]
