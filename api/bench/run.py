"""One benchmark run from end to end, and its figures."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any

from api.bench.machine import cpu_capacity_s, hardware
from api.bench.phases import LESS, Latency, Search, Sustained
from api.bench.running import RunningLoad, Wanted, running_load
from api.bench.score import Score
from api.bench.stack import Stack, checkpoints
from udfs.native import is_compiled


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What is asked of a run; wanted: the load. rate: the rate to hold, 0 to look for it."""

    wanted: Wanted
    seconds: float = 60.0
    slots: int = 2
    latency_seconds: float = 30.0
    rate: float = 0.0
    warm_up_s: float = 90.0
    trial_s: float = 12.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run has shown."""

    settings: RunSettings
    sustained: Sustained
    latencies: tuple[Latency, ...]
    score: Score
    giving_share: float
    span_bytes: float
    checkpoints: dict[str, Any]
    traces: int
    hardware: str

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as one flat object, with details below."""
        half = self.latencies[0].closing if self.latencies else None
        newest = self.checkpoints.get("latest", {}).get("completed") or {}
        summary = self.checkpoints.get("summary", {})
        state_bytes = newest.get("state_size", 0)
        spans = max(self.sustained.spans, 1)
        cpu = {
            group: round(usage.cpu_s / spans * 1e6, 3)
            for group, usage in sorted(self.sustained.usage.items())
        }
        used_s = sum(usage.cpu_s for usage in self.sustained.usage.values())
        return {
            "sustained_spans_per_s": round(self.sustained.processed_per_s),
            "sustained_flat": self.sustained.flat,
            "recall": self.score.recall,
            "precision": self.score.precision,
            "withdrawn_share": round(self.score.withdrawn_share, 4),
            "latency_p50_ms": half.p50_ms if half else None,
            "latency_p95_ms": half.p95_ms if half else None,
            "latency_p99_ms": half.p99_ms if half else None,
            "rules": self.settings.wanted.rules,
            "structural_rules": self.settings.wanted.structural,
            "slots": self.settings.slots,
            "seconds": round(self.sustained.seconds, 1),
            "record_spans": self.settings.wanted.record_spans,
            "facts_share": round(self.giving_share, 3),
            "span_bytes": round(self.span_bytes),
            "compiled": is_compiled(),
            "state_bytes_per_trace": round(state_bytes / max(self.traces, 1)),
            "cpu_s_per_million_spans": cpu,
            "cpu_used_share": round(used_s / cpu_capacity_s(self.sustained.seconds), 3),
            "rss_mb": {
                group: round(usage.rss_bytes / 1e6)
                for group, usage in sorted(self.sustained.usage.items())
            },
            "checkpoint": {
                "completed": self.checkpoints.get("counts", {}).get("completed", 0),
                "failed": self.checkpoints.get("counts", {}).get("failed", 0),
                "state_bytes": state_bytes,
                "duration_ms": summary.get("end_to_end_duration", {}),
            },
            "sustained": {k: v for k, v in asdict(self.sustained).items() if k != "usage"},
            "latency": [asdict(latency) for latency in self.latencies],
            "planted": self.score.planted,
            "found": self.score.found,
            "raised": self.score.raised,
            "withdrawn": self.score.withdrawn,
            "missing": _examples(self.score.missing),
            "false": _examples(self.score.false),
            "hardware": self.hardware,
        }


def measure(
    settings: RunSettings,
    stack_of: AbstractContextManager[Stack],
    *,
    say: Callable[[str], None],
) -> Figures:
    """Run all phases on a stack.

    Raises StackTrouble, GeneratorFailed, NothingJudged.
    """
    say("starting the stack")
    with stack_of as stack, running_load(settings.wanted, stack, say=say) as load:
        return _phases(settings, load)


def _phases(settings: RunSettings, load: RunningLoad) -> Figures:
    phases = load.phases
    phases.warm_up(seconds=settings.warm_up_s)
    rate = settings.rate or LESS * phases.search(Search(seconds=settings.trial_s)).held
    sustained = phases.sustain(
        rate=rate, seconds=settings.seconds, giant=settings.wanted.giant_spans > 0
    )
    newest = checkpoints(load.stack["BETRACE_FLINK"])
    traces = load.traces
    latencies = tuple(
        phases.latency(
            share=share, rate=share * sustained.processed_per_s, seconds=settings.latency_seconds
        )
        for share in (0.5, 0.8)
        if settings.latency_seconds
    )
    found = load.complete()
    last = load.generator.last
    return Figures(
        settings=settings,
        sustained=sustained,
        latencies=latencies,
        score=found,
        giving_share=load.truth.giving_share,
        span_bytes=last.bytes / max(last.sent, 1),
        checkpoints=newest,
        traces=traces,
        hardware=hardware(),
    )


def _examples(pairs: frozenset[tuple[str, bytes]]) -> list[list[str]]:
    return [[rule_id, trace_id.hex()] for rule_id, trace_id in sorted(pairs)[:5]]
