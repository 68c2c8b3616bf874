"""What the door takes in at most. Each limit is a setting, `BETRACE_INGEST_…`."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

_MIB = 1024 * 1024


class IngestLimits(BaseSettings):
    """Limits of one ingest process."""

    model_config = SettingsConfigDict(env_prefix="BETRACE_INGEST_", frozen=True, extra="ignore")

    max_body_bytes: int = Field(
        default=32 * _MIB, ge=1024, description="Of one request, as it comes over the network."
    )
    max_expanded_bytes: int = Field(
        default=64 * _MIB, ge=1024, description="Of one request, after decompression."
    )
    max_json_bytes: int = Field(
        default=32 * _MIB, ge=1024, description="Of one JSON request, after decompression."
    )
    max_unacknowledged_bytes: int = Field(
        default=256 * _MIB,
        ge=_MIB,
        description="Of all requests that Kafka has not acknowledged; above it the answer is 503.",
    )
    max_read_s: float = Field(
        default=30.0, gt=0, description="In which the body of a request must have come."
    )
    gather_ms: int = Field(
        default=50, ge=0, le=1_000, description="How long spans wait for others of their lane."
    )
    delivery_timeout_ms: int = Field(
        default=8_000,
        ge=1_000,
        description="In which Kafka must acknowledge; OTLP exporters wait for 10 s.",
    )
    tenant_spans_per_s: float = Field(
        default=1_000_000,
        gt=0,
        description="Of a tenant; of each process where no Redis is set. Above it: 429.",
    )
    tenant_bytes_per_s: float = Field(
        default=512 * _MIB, gt=0, description="Of a tenant, after decompression."
    )
    key_spans_per_s: float = Field(default=0, ge=0, description="Of one API key; 0: as its tenant.")
    address_refusals_per_min: int = Field(
        default=300,
        ge=0,
        description="Keys that nobody knows, from one address; above it: 429. 0: any number.",
    )
    tenant_burst_s: float = Field(
        default=2.0, gt=0, description="How much of these rates may come at once."
    )
    max_dead_letters: int = Field(
        default=100, ge=0, description="Refused spans of one request that are kept."
    )
    compress_records: bool = Field(
        default=True, description="Write records of spans as frames of zstd."
    )
    redact: bool = Field(
        default=True,
        description="False: spans go on as they come. For measuring, and where Collectors redact.",
    )
