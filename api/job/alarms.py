"""When to ring: what of the job's figures needs a person, and what that person should do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from api.job.figures import JobFigures


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which values on something is wrong."""

    heartbeat_age_ms: int = 5_000
    """Heartbeats come four times a second."""
    watermark_age_ms: int = 60_000
    checkpoint_age_ms: int = 300_000
    rss_bytes: int = 4 << 30


DEFAULTS: Final = Thresholds()


def alarms(figures: JobFigures, limits: Thresholds = DEFAULTS) -> list[str]:
    """Return what is wrong, each with the next step; none if all is well."""
    found = [f"{problem}." for problem in figures.unreachable]
    asked = (_about_job, _about_heartbeats, _about_watermark, _about_checkpoints, _about_memory)
    return found + [alarm for ask in asked if (alarm := ask(figures, limits))]


_Ask = Callable[[JobFigures, Thresholds], str]


def _about_job(figures: JobFigures, _: Thresholds) -> str:
    if not figures.state:
        return "" if figures.unreachable else "No job judges: submit it (deploy/README.md)."
    if figures.running:
        return ""
    why = f" Last: {figures.why}" if figures.why else ""
    state = "not every task of it runs" if figures.state == "RUNNING" else figures.state.lower()
    return f"The job does not judge: {state}.{why}"


def _about_heartbeats(figures: JobFigures, limits: Thresholds) -> str:
    if figures.heartbeat_ms is None:
        return ""
    age_ms = figures.at_ms - figures.heartbeat_ms
    if age_ms <= limits.heartbeat_age_ms:
        return ""
    return (
        f"Judging stands still: a partition of spans has had no record for {_seconds(age_ms)}. "
        "Event time waits for all of them; see whether `betrace ingest` runs and whether every "
        "partition has a leader."
    )


def _about_watermark(figures: JobFigures, limits: Thresholds) -> str:
    if figures.watermark_ms is None or figures.heartbeat_ms is None:
        return ""
    age_ms = figures.heartbeat_ms - figures.watermark_ms
    if age_ms <= limits.watermark_age_ms:
        return ""
    behind = f"{figures.lag_records} records" if figures.lag_records is not None else "unknown"
    return (
        f"The job is {_seconds(age_ms)} of event time behind the log (lag: {behind}). If it does "
        "not catch up, give it more slots: `betrace job rescale`."
    )


def _about_checkpoints(figures: JobFigures, limits: Thresholds) -> str:
    found = figures.checkpoints
    if not figures.running or found.newest_at_ms is None:
        return "No checkpoint was ever complete, and one has failed." if found.failed_since else ""
    age_ms = figures.at_ms - found.newest_at_ms
    if age_ms <= limits.checkpoint_age_ms:
        return ""
    return (
        f"No checkpoint for {_seconds(age_ms)} ({found.failed} failed): a crash would judge all of "
        "that again. See whether the checkpoint storage is full or slow."
    )


def _about_memory(figures: JobFigures, limits: Thresholds) -> str:
    largest = max(figures.rss_bytes, default=0)
    if largest <= limits.rss_bytes:
        return ""
    return (
        f"A Python worker holds {largest >> 20} MiB. Nothing limits it but the machine: give it "
        "more memory or the job more slots."
    )


def _seconds(age_ms: int) -> str:
    return f"{age_ms / 1000:.0f} s"
