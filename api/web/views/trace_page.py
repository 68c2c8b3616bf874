"""One trace: its head, its signals, its waterfall."""

from __future__ import annotations

from dataclasses import dataclass

from api.traces.service import Trace
from api.web.views.moments import Moment, moment
from api.web.views.signal_page import waterfall_summary
from api.web.views.waterfall import Waterfall, draw_waterfall, trace_span
from api.web.views.words import SEVERITIES, STATUSES


@dataclass(frozen=True, slots=True)
class TraceSignalRow:
    """A signal of the trace."""

    href: str
    rule_name: str
    severity: str
    severity_label: str
    status: str
    status_label: str


@dataclass(frozen=True, slots=True)
class TracePage:
    """The page."""

    trace_id: str
    trace_short: str
    root_name: str
    root_service: str
    at: Moment
    whole: bool
    signals: tuple[TraceSignalRow, ...]
    waterfall: Waterfall
    waterfall_summary: str


def trace_page(trace: Trace) -> TracePage:
    """Return the page of a copied trace."""
    waterfall = draw_waterfall([trace_span(span) for span in trace.spans])
    return TracePage(
        trace_id=trace.trace_id,
        trace_short=trace.trace_id[:8],
        root_name=trace.root_name or "A trace without a root span",
        root_service=trace.root_service,
        at=moment(trace.first_span_at),
        whole=trace.whole,
        signals=tuple(
            TraceSignalRow(
                href=f"/signals/{signal.id}",
                rule_name=signal.rule_name or signal.rule_id,
                severity=signal.severity,
                severity_label=SEVERITIES[signal.severity],
                status=signal.status,
                status_label=STATUSES[signal.status],
            )
            for signal in trace.signals
        ),
        waterfall=waterfall,
        waterfall_summary=waterfall_summary(waterfall),
    )
