"""What Prometheus is told of anchors. `lag` and `waiting` are of all tenants, whoever asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge

from api.anchors.model import Kind


class AnchorMetrics:
    """Counters of one process and the state of all targets, by kind."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.attempts = Counter(
            "betrace_worker_anchors",
            "Checkpoints handed to targets, by outcome: done, refused (tried again), given_up.",
            ["kind", "outcome"],
            registry=registry,
        )
        self.waiting = Gauge(
            "betrace_worker_anchors_waiting",
            "Checkpoints that wait for a target, of all tenants.",
            ["kind"],
            registry=registry,
        )
        self.lag = Gauge(
            "betrace_worker_anchors_lag_seconds",
            "Age of the oldest checkpoint that waits for a target; 0: none does.",
            ["kind"],
            registry=registry,
        )
        self.failing = Gauge(
            "betrace_worker_anchors_failing_targets",
            "Targets that did not take the last checkpoint, of all tenants.",
            ["kind"],
            registry=registry,
        )

    def show(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take over the state, as `figures` of sql/queries/anchors.sql tells it."""
        told = {row["kind"]: row for row in rows}
        for kind in Kind:
            row = told.get(kind.value, {})
            self.waiting.labels(kind.value).set(row.get("pending", 0))
            self.lag.labels(kind.value).set(row.get("lag_s", 0.0))
            self.failing.labels(kind.value).set(row.get("failing", 0))
