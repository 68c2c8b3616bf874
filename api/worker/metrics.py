"""What the worker tells Prometheus. One object, made once, handed to whoever counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BATCH_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The worker's counters, in a registry of their own so that tests can make several."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.lag = Gauge(
            "betrace_worker_lag_records",
            "Records of a topic that are not yet in Postgres, over the partitions held here.",
            ["topic"],
            registry=self.registry,
        )
        self.batches = Counter(
            "betrace_worker_batches",
            "Batches written to Postgres.",
            registry=self.registry,
        )
        self.batch_seconds = Histogram(
            "betrace_worker_batch_seconds",
            "Time to write one batch, retries included.",
            buckets=_BATCH_SECONDS,
            registry=self.registry,
        )
        self.records = Counter(
            "betrace_worker_records",
            "Records read from Kafka and settled: stored, refused or set aside.",
            ["topic"],
            registry=self.registry,
        )
        self.rows = Counter(
            "betrace_worker_rows",
            "Rows that changed in Postgres.",
            ["table"],
            registry=self.registry,
        )
        self.refused = Counter(
            "betrace_worker_refused",
            "Signals not stored, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.poison = Counter(
            "betrace_worker_poison",
            "Records set aside as dead letters, by code.",
            ["code"],
            registry=self.registry,
        )
        self.accounted = Counter(
            "betrace_worker_accounted",
            "What the job counted, by count: spans received, judged, late …, traces, signals.",
            ["count"],
            registry=self.registry,
        )
        self.unbalanced = Counter(
            "betrace_worker_accounts_unbalanced",
            "Accounts of the job in which some span is missing or counted twice. Must stay 0.",
            registry=self.registry,
        )
        self.retries = Counter(
            "betrace_worker_retries",
            "Attempts that failed and were repeated, by what did not answer.",
            ["dependency"],
            registry=self.registry,
        )
        self.available = Gauge(
            "betrace_worker_dependency_available",
            "1 while a dependency answers, 0 while it does not.",
            ["dependency"],
            registry=self.registry,
        )
        self.copies = Counter(
            "betrace_worker_trace_copies",
            "Traces dealt with by the copier, by outcome.",
            ["outcome"],
            registry=self.registry,
        )
        self.explain_mismatch = Counter(
            "betrace_worker_explain_mismatch",
            "Traces on which the evaluator disagrees with the stream. Must stay 0.",
            registry=self.registry,
        )
        self.copier_backlog = Gauge(
            "betrace_worker_copier_backlog",
            "Traces waiting to be copied, by urgency.",
            ["urgency"],
            registry=self.registry,
        )
        self.log_bytes = Counter(
            "betrace_worker_copier_read_bytes",
            "Bytes of the spans log read again.",
            registry=self.registry,
        )
        self.forgotten = Counter(
            "betrace_worker_forgotten",
            "Rows deleted because they are kept for no longer, by what they are.",
            ["what"],
            registry=self.registry,
        )
        self.retention_finished = Gauge(
            "betrace_worker_retention_finished_timestamp_seconds",
            "When this worker last found nothing left to delete.",
            registry=self.registry,
        )
