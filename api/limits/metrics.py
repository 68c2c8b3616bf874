"""What limits count for Prometheus. Nobody's id is a label."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge


class LimitMetrics:
    """The counters of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.granted = Counter(
            "betrace_limits_granted", "Requests within all their limits.", registry=registry
        )
        self.refused = Counter(
            "betrace_limits_refused",
            "Requests over a limit, by which: tenant, person, key, address …",
            ["policy"],
            registry=registry,
        )
        self.counted_alone = Counter(
            "betrace_limits_counted_alone",
            "What this process counted for itself because Redis did not answer.",
            registry=registry,
        )
        self.redis_up = Gauge(
            "betrace_limits_redis_up",
            "1 while Redis answers, 0 while it does not or none is set.",
            registry=registry,
        )
