"""The soak: one rate for minutes, and whether anything grows that must not.

The tenant's traces are forgotten within a minute and a half, so that all that the engine keeps of
them (also what it remembers of forgotten ones) has come to its full size when the warm-up is over,
and what still grows then is a leak.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from api.bench.gauges import flink_gauges, open_spans, received_spans, rocksdb_mb
from api.bench.machine import cpu_capacity_s
from api.bench.phases import SETTLED_LAG_MS, Point
from api.bench.rows import Row, RowFile
from api.bench.running import RunningLoad, Say, Wanted, running_load
from api.bench.score import Score
from api.bench.stack import Lifetimes, Stack
from api.bench.trend import RULE, Figure, Trend, trend
from udfs.native import is_compiled

SAMPLE_EVERY_S = 5.0
LIFETIMES = Lifetimes(max_life_ms=60_000, lateness_ms=30_000)
FIGURES = (
    # Lanes forget when traces were closed by tens of minutes (udfs/closed.py).
    Figure("python_rss_mb", "memory of Python workers", "MB", allowed=24, period=10),
    Figure("taskmanager_rss_mb", "memory of the TaskManager", "MB", allowed=48),
    Figure("taskmanager_heap_mb", "its heap after collection", "MB", allowed=32, of_minute=min),
    Figure("worker_rss_mb", "memory of the worker", "MB", allowed=16),
    Figure("ingest_rss_mb", "memory of ingest", "MB", allowed=16),
    Figure("rocksdb_mb", "state on disk (RocksDB)", "MB", allowed=16),
    Figure("checkpoint_state_mb", "state in the newest checkpoint", "MB", allowed=8),
    Figure("checkpoint_ms", "time of a checkpoint", "ms", allowed=500),
    Figure("lag_ms", "lag of judging", "ms", allowed=500),
    Figure("open_spans", "spans of open traces", "", allowed=1_000),
)
_ASKED = ("rate", "rules", "record_spans", "facts_share", "seed")
_RSS = ("python", "taskmanager", "worker", "ingest")
_ACCOUNTS_S = 40.0
_POLL_S = 1.0
_END_POINTS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakSettings:
    """wanted: the load, at its rate all the time. minutes: measured, after the warm-up."""

    wanted: Wanted
    minutes: float = 10.0
    warm_up_minutes: float = 5.0

    def to_dict(self) -> dict[str, Any]:
        """Return what was asked as JSON values."""
        return {
            **{name: getattr(self.wanted, name) for name in _ASKED},
            "minutes": self.minutes,
            "warm_up_minutes": self.warm_up_minutes,
        }


@dataclass(frozen=True, slots=True)
class SoakEnd:
    """How it ended. unread_spans: sent, and not yet accounted for by the job after the end."""

    lag_ms: float
    unread_spans: int
    sent_per_s: float
    cpu_used_share: float
    score: Score

    @property
    def right(self) -> bool:
        """Whether nothing was left behind and every verdict was right."""
        kept_up = self.lag_ms < SETTLED_LAG_MS and not self.unread_spans
        return kept_up and self.score.precision == self.score.recall == 1.0


@dataclass(frozen=True, slots=True)
class Soak:
    """What a soak has shown so far; end: None if it was interrupted."""

    settings: SoakSettings
    trends: tuple[Trend, ...]
    end: SoakEnd | None

    @property
    def growing(self) -> tuple[str, ...]:
        """The figures that grow."""
        return tuple(each.figure.name for each in self.trends if each.grows)

    @property
    def verdict(self) -> str:
        """ "flat", "grows", or "too short" where nothing can be said."""
        if not self.trends:
            return "too short"
        return "grows" if self.growing else "flat"

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        end = self.end
        return {
            "settings": self.settings.to_dict(),
            "verdict": self.verdict,
            "growing": list(self.growing),
            "rule": RULE,
            "compiled": is_compiled(),
            "figures": {each.figure.name: _as_dict(each) for each in self.trends},
            "complete": end is not None,
            "lag_end_ms": round(end.lag_ms) if end else None,
            "unread_spans": end.unread_spans if end else None,
            "sent_per_s": round(end.sent_per_s) if end else None,
            "cpu_used_share": round(end.cpu_used_share, 3) if end else None,
            "precision": end.score.precision if end else None,
            "recall": end.score.recall if end else None,
            "planted": end.score.planted if end else None,
        }


class SoakRun:
    """One soak; what it has shown is there at any moment, also after an interrupt."""

    def __init__(self, settings: SoakSettings, *, rows: RowFile) -> None:
        """rows: keeps every sample. Those of an earlier run are not looked at."""
        self._settings = settings
        self._wanted = replace(settings.wanted, lifetimes=LIFETIMES)
        self._rows = rows
        self._samples: list[Row] = []
        self._end: SoakEnd | None = None

    def run(self, stack: Stack, *, say: Say) -> None:
        """Run all of it. Raises StackTrouble, GeneratorFailed, NothingJudged."""
        warm_up_s, seconds = 60 * self._settings.warm_up_minutes, 60 * self._settings.minutes
        with running_load(self._wanted, stack, say=say) as load:
            self._watch(load, seconds=warm_up_s, label="warming up", from_minute=-warm_up_s / 60)
            before = _cpu_s(load)
            points = self._watch(load, seconds=seconds, label="soaking", from_minute=0.0)
            used_s = _cpu_s(load) - before
            score = load.complete()
            took_s = (points[-1].at_ms - points[0].at_ms) / 1000 or 1.0
            self._end = SoakEnd(
                lag_ms=median(point.lag_ms for point in points[-_END_POINTS:]),
                unread_spans=_unread_spans(load),
                sent_per_s=(points[-1].sent - points[0].sent) / took_s,
                cpu_used_share=used_s / cpu_capacity_s(took_s),
                score=score,
            )

    def result(self) -> Soak:
        """Return what has been shown so far."""
        return Soak(self._settings, tuple(trends(self._samples)), self._end)

    def _keep(self, sample: Row) -> None:
        self._samples.append(sample)
        self._rows.add(sample)

    def _watch(
        self, load: RunningLoad, *, seconds: float, label: str, from_minute: float
    ) -> list[Point]:
        """Send for so many seconds and keep a sample every few of them."""
        begun_s = time.monotonic()
        points: list[Point] = []
        watched = load.phases.watch(
            self._wanted.rate, seconds=seconds, every_s=SAMPLE_EVERY_S, label=label
        )
        for point in watched:
            points.append(point)
            minute = from_minute + (time.monotonic() - begun_s) / 60
            self._keep({"minute": round(minute, 3), **_sample(load, point)})
        return points


def trends(samples: Sequence[Row]) -> Iterator[Trend]:
    """Yield the trend of every figure over the samples after the warm-up."""
    for figure in FIGURES:
        values = [
            (sample["minute"], sample[figure.name])
            for sample in samples
            if sample["minute"] >= 0 and figure.name in sample
        ]
        found = trend(figure, values)
        if found is not None:
            yield found


def _sample(load: RunningLoad, point: Point) -> Row:
    usage = load.usage()
    memory = {f"{name}_rss_mb": usage[name].rss_bytes / 1e6 for name in _RSS if name in usage}
    dsn = load.stack["DATABASE_URL"]
    return {
        **memory,
        **flink_gauges(load.stack["BETRACE_FLINK"]),
        **rocksdb_mb(load.stack),
        "lag_ms": point.lag_ms,
        "open_spans": open_spans(dsn, tenant=load.tenant.id),
    }


def _unread_spans(load: RunningLoad) -> int:
    """Return how many spans the job has not accounted for, once its accounts had time to come."""
    sent = load.generator.last.sent
    end = time.monotonic() + _ACCOUNTS_S
    while True:
        unread = sent - received_spans(load.stack["DATABASE_URL"], tenant=load.tenant.id)
        if unread == 0 or time.monotonic() > end:
            return unread
        time.sleep(_POLL_S)


def _cpu_s(load: RunningLoad) -> float:
    return sum(usage.cpu_s for usage in load.usage().values())


def _as_dict(found: Trend) -> dict[str, Any]:
    return {
        "unit": found.figure.unit,
        "first": round(found.first, 1),
        "last": round(found.last, 1),
        "slope_per_minute": round(found.slope_per_minute, 3),
        "allowed_growth": round(found.allowed, 1),
        "grows": found.grows,
    }
