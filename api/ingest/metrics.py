"""What the door counts for Prometheus. Tenants are no labels: accounting per tenant is data."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_LATENCIES_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class IngestMetrics:
    """The counters of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.spans_received = Counter(
            "betrace_ingest_spans_received", "Spans in requests that were read.", registry=registry
        )
        self.spans_accepted = Counter(
            "betrace_ingest_spans_accepted", "Spans acknowledged by Kafka.", registry=registry
        )
        self.spans_rejected = Counter(
            "betrace_ingest_spans_rejected",
            "Spans refused while their request went on.",
            ["reason"],
            registry=registry,
        )
        self.redacted = Counter(
            "betrace_ingest_redacted_values",
            "Values that were taken out before Kafka, by what they were.",
            ["kind"],
            registry=registry,
        )
        self.redaction_failures = Counter(
            "betrace_ingest_redaction_failures",
            "Values that were removed because their strategy failed.",
            registry=registry,
        )
        self.requests = Counter(
            "betrace_ingest_requests",
            "Requests by transport (http, grpc, kafka) and answer (ok or the refusal).",
            ["transport", "answer"],
            registry=registry,
        )
        self.received_bytes = Counter(
            "betrace_ingest_received_bytes",
            "Bytes of requests, decompressed.",
            ["transport"],
            registry=registry,
        )
        self.records = Counter(
            "betrace_ingest_records", "Records acknowledged by Kafka.", registry=registry
        )
        self.latency_s = Histogram(
            "betrace_ingest_request_seconds",
            "From the whole body to the answer.",
            ["transport"],
            buckets=_LATENCIES_S,
            registry=registry,
        )
        self.held_bytes = Gauge(
            "betrace_ingest_unacknowledged_bytes", "Bytes held for Kafka.", registry=registry
        )
        self.kafka_up = Gauge(
            "betrace_ingest_kafka_up", "1 while Kafka acknowledges.", registry=registry
        )
