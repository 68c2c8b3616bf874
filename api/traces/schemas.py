"""A trace as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict


class SpanBody(BaseModel):
    """One span. Times are unix nanoseconds by the span's own clock (64-bit integers)."""

    model_config = ConfigDict(from_attributes=True)
    span_id: str
    parent_span_id: str | None
    name: str
    service: str
    kind: str
    status: str
    status_message: str
    start_ns: int
    end_ns: int
    duration_ns: int
    attributes: dict[str, Any]
    resource: dict[str, Any]
    scope: dict[str, Any]
    events: list[dict[str, Any]]
    links: list[dict[str, Any]]
    dropped_attributes_count: int


class TraceSignalBody(BaseModel):
    """A signal about the trace."""

    model_config = ConfigDict(from_attributes=True)
    id: str
    rule_id: str
    rule_name: str
    severity: str
    verdict: str
    status: str


class TraceBody(BaseModel):
    """The copy of a trace. whole: false if the log no longer held all of it."""

    model_config = ConfigDict(from_attributes=True)
    trace_id: str
    root_name: str
    root_service: str
    services: list[str]
    whole: bool
    first_span_at: datetime
    last_span_at: datetime
    copied_at: datetime
    spans: list[SpanBody]
    signals: list[TraceSignalBody]
