"""One trace: its head, its signals, its waterfall."""

from __future__ import annotations

from dataclasses import dataclass

from api.traces.layout import Layout
from api.traces.rows import Drawn
from api.traces.service import Trace
from api.web.views.moments import Moment, moment
from api.web.views.waterfall import Waterfall, large_waterfall, waterfall
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
    json_href: str
    sample_name: str
    """What it would be called as a sample; empty where nobody here may keep one."""
    rule_href: str


def trace_page(
    trace: Trace, layout: Layout | None, *, span_count: int, may_write_rules: bool = False
) -> TracePage:
    """Return the page of a copied trace. layout: of its spans, if they are not too many.

    may_write_rules: whether who looks at it may make a sample or a rule of it.
    """
    url = f"/api/v1/traces/{trace.trace_id}"
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
        waterfall=waterfall(Drawn(layout), url) if layout else large_waterfall(span_count, url),
        json_href=url,
        sample_name=f"{trace.root_name or 'Trace'} {trace.trace_id[:8]}"[:255]
        if may_write_rules
        else "",
        rule_href=f"/traces/{trace.trace_id}/rule" if may_write_rules else "",
    )
