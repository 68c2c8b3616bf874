"""A trace as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


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


class RowColumnsBody(BaseModel):
    """Rows by column; all lists have the same length.

    ordinal: asks for the span (`…/spans/{ordinal}`), -1: no span, but where one is missing.
    parent: number of a row, -1: none. below: how many rows hang below, errors_below: how many of
    these failed. name: a number into `names`. service: a number into `services`. start_ns,
    duration_ns: from the start of the trace on. flags: 1 failed, 2 its parent did not come, 4 a
    place where a clause of a rule missed a span.
    """

    ordinal: list[int]
    parent: list[int]
    depth: list[int]
    below: list[int]
    errors_below: list[int]
    name: list[int]
    service: list[int]
    start_ns: list[int]
    duration_ns: list[int]
    flags: list[int]


class TraceServiceBody(BaseModel):
    """A service of a trace."""

    name: str
    span_count: int
    error_count: int


class GhostBody(BaseModel):
    """Where a clause missed a span, and when it could have been, from the trace's start on."""

    row: int
    clause: str
    text: str
    from_ns: int
    to_ns: int


class RowsBody(BaseModel):
    """A stretch of a trace's rows: children below their parents, earlier ones first.

    first: number of the first row here, of row_count. critical: [row, from_ns, to_ns] of those here
    that the trace waited for. marks: [row, clauses] of all rows that a signal rests on; `miss`
    marks what came nearest to a missing span. start_ns: unix nanoseconds, a 64-bit integer.
    """

    row_count: int
    span_count: int
    error_count: int
    start_ns: int
    duration_ns: int
    services: list[TraceServiceBody]
    marks: list[tuple[int, list[str]]]
    ghosts: list[GhostBody]
    first: int
    rows: RowColumnsBody
    names: list[str]
    critical: list[tuple[int, int, int]]


class FoundRowsBody(BaseModel):
    """Numbers of rows, ascending. more: there are others, which are not told."""

    rows: list[int]
    more: bool


class JudgedBody(BaseModel):
    """What a rule says of a trace; status: of the signal."""

    model_config = ConfigDict(from_attributes=True)
    signal_id: str
    rule_id: str
    rule_name: str
    severity: str
    verdict: str
    status: str


class StoredTraceBody(BaseModel):
    """A stored trace, without its spans.

    started_at: when its first span came in; duration_ns: from the first start to the last end, by
    the spans' own clocks. whole: false if the log no longer held all of it. verdicts: of all rules
    that said something, the latest first.
    """

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "trace_id": "5b8aa5a2d2c872e8321cf37308d69df2",
                    "root_name": "POST /checkout",
                    "root_service": "shop",
                    "services": ["payments", "shop"],
                    "span_count": 12,
                    "error_count": 1,
                    "duration_ns": 341_000_000,
                    "started_at": "2026-11-27T12:00:00Z",
                    "whole": True,
                    "verdicts": [
                        {
                            "signal_id": "0f0c2b6d5a0e4d7f9b1a2c3d4e5f6071",
                            "rule_id": "large-payments-are-checked",
                            "rule_name": "Large payments are checked",
                            "severity": "high",
                            "verdict": "violated",
                            "status": "open",
                        }
                    ],
                }
            ]
        },
    )
    trace_id: str
    root_name: str
    root_service: str
    services: list[str]
    span_count: int
    error_count: int
    duration_ns: int
    started_at: datetime
    whole: bool
    verdicts: list[JudgedBody]


class FacetBody(BaseModel):
    """A service or an operation, and in how many of the counted traces it is."""

    model_config = ConfigDict(from_attributes=True)
    name: str
    trace_count: int


class FacetsBody(BaseModel):
    """What matching traces hold: the most frequent 15 of each.

    counted: the newest so many were looked at; more: others match as well.
    """

    model_config = ConfigDict(from_attributes=True)
    counted: int
    more: bool
    services: list[FacetBody]
    operations: list[FacetBody]


class SearchNoteBody(BaseModel):
    """Something to know about an attribute that was asked for."""

    model_config = ConfigDict(from_attributes=True)
    about: str = Field(examples=["user.email=ada@example.com"])
    text: str


class TracePageBody(BaseModel):
    """A page of stored traces, newest first. facets: null where they were not asked for."""

    model_config = ConfigDict(from_attributes=True)
    items: list[StoredTraceBody]
    next_cursor: str | None
    facets: FacetsBody | None
    notes: list[SearchNoteBody]
