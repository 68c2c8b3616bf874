"""A trace that lives for hours, beside ordinary ones, in process: hours of event time in seconds.

Matching and the life of traces are those of the job; what is missing is Kafka and Flink, whose
clock nobody can turn. The load is small, since every second of hours must be lived through.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from api.bench.engine import EngineRun, EngineSettings, run_engine
from api.bench.long_trace import LONG_RULES, LongTrace
from api.bench.plan import LoadSettings
from api.bench.schedule import Emission
from api.bench.score import Pair
from api.bench.traffic import TrafficSettings

_TENANT = "00000000-0000-4000-8000-0000000bec41"
_STEP_MS = 500
_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_LOAD_SPANS_PER_S = 100
_BREACH_SHARE = 0.1
"""Few traces make a chunk: some of them must break something."""


@dataclass(frozen=True, slots=True)
class Hours:
    """The load alone, and beside the trace that lives long."""

    hours: float
    long_spans: int
    alone: EngineRun
    beside: EngineRun

    @property
    def cpu_ratio(self) -> float:
        """CPU per span beside the long trace by that without it."""
        return (
            self.beside.cpu_s_per_million_spans["all"] / self.alone.cpu_s_per_million_spans["all"]
        )

    def to_row(self) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            "part": "hours of event time, in process",
            "hours": self.hours,
            "long_spans": self.long_spans,
            "spans": self.beside.spans,
            "precision": self.beside.score.precision,
            "recall": self.beside.score.recall,
            "planted": self.beside.score.planted,
            "cpu_ratio": round(self.cpu_ratio, 3),
        }


@dataclass(slots=True)
class LongBeside:
    """The long trace as something that the engine is fed with beside its load."""

    trace: LongTrace
    begun: bool = False

    @property
    def planted(self) -> frozenset[Pair]:
        """What must be found of it."""
        return self.trace.violations

    @property
    def finished(self) -> bool:
        """Whether all of it was sent."""
        return self.trace.finished

    def due(self, now_ms: int) -> Iterator[Emission]:
        """Yield what is due; the first question begins it."""
        if not self.begun:
            self.trace.begin_at(now_ms)
            self.begun = True
        return self.trace.due(now_ms)


def measure_hours(hours: float, *, every_ms: int = 5_000) -> Hours:
    """Let a trace live for so many hours of event time, with a span every so often.

    Takes about a minute of CPU an hour, half of it without the long trace.
    """
    settings = _settings(hours)
    trace = LongTrace(tenant=_TENANT, life_ms=int(hours * _HOUR_MS), every_ms=every_ms)
    beside = run_engine(settings, beside=LongBeside(trace))
    return Hours(hours, trace.sent, run_engine(settings), beside)


def _settings(hours: float) -> EngineSettings:
    cycles = max(int(hours * 3_600), 2)  # of a second each
    load = LoadSettings(
        tenant=_TENANT,
        rules=20,
        chunk_spans=_LOAD_SPANS_PER_S,
        record_spans=20,
        traffic=replace(TrafficSettings(), breach_share=_BREACH_SHARE, large_trace_share=0.0),
    )
    return EngineSettings(
        load=load,
        cycles=cycles,
        spans_per_s=_LOAD_SPANS_PER_S,
        step_ms=_STEP_MS,
        max_life_ms=_DAY_MS,
        more_rules=LONG_RULES,
    )
