"""The panel of signals that have to do with one, and the comparison with a kept promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from api.signals.comparison import Comparison
from api.signals.model import Signal
from api.signals.related import COUNTED_MAX, Related
from api.traces.difference import Different, Kind, Met
from api.traces.layout import NOWHERE
from api.traces.rows import Drawn
from api.web.views.moments import Moment, duration_text, moment
from api.web.views.waterfall import counted
from api.web.views.words import SEVERITIES, STATUSES


@dataclass(frozen=True, slots=True)
class RelatedRow:
    """A related signal."""

    id: str
    href: str
    rule_name: str
    place: str
    severity: str
    severity_label: str
    status: str
    status_label: str
    at: Moment


@dataclass(frozen=True, slots=True)
class RelatedList:
    """Related signals of one kind. linked: whether people said so, and can take it back."""

    title: str
    rows: tuple[RelatedRow, ...]
    note: str
    linked: bool = False


@dataclass(frozen=True, slots=True)
class RelatedPanel:
    """The panel; empty lists are left out."""

    lists: tuple[RelatedList, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceRow:
    """A path that differs. href: its row in the waterfall, empty if it is not in this trace."""

    kind: str
    label: str
    name: str
    service: str
    above: str
    href: str
    this: str
    other: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonPage:
    """The panel, or page, of the comparison."""

    id: str
    href: str
    other_href: str
    other_short: str
    rows: tuple[DifferenceRow, ...]
    note: str


_LABELS: Final = {
    Kind.MISSING: "Only there",
    Kind.ADDED: "Only here",
    Kind.COUNT: "Other number",
    Kind.FAILED: "Failed here",
    Kind.SLOWER: "Slower here",
}


def related_panel(related: Related) -> RelatedPanel:
    """Return the panel."""
    lists = (
        RelatedList("Linked", _rows(related.linked), "", linked=True),
        RelatedList("Of the same trace", _rows(related.of_trace), ""),
        RelatedList("Of the same group", _rows(related.of_group), _group_note(related)),
    )
    return RelatedPanel(tuple(one for one in lists if one.rows))


def _rows(signals: Sequence[Signal]) -> tuple[RelatedRow, ...]:
    return tuple(
        RelatedRow(
            id=signal.id,
            href=f"/signals/{signal.id}",
            rule_name=signal.rule_name or signal.rule_id,
            place=" · ".join(part for part in (signal.root_service, signal.root_name) if part),
            severity=signal.severity,
            severity_label=SEVERITIES[signal.severity],
            status=signal.status,
            status_label=STATUSES[signal.status],
            at=moment(signal.occurred_at),
        )
        for signal in signals
    )


def _group_note(related: Related) -> str:
    if not related.group_count or related.first_at is None:
        return ""
    more = " or more" if related.group_count >= COUNTED_MAX else ""
    return (
        f"{counted(related.group_count, 'signal')}{more} in all, the first one at "
        f"{moment(related.first_at).text}."
    )


def comparison_page(signal_id: str, comparison: Comparison, drawn: Drawn | None) -> ComparisonPage:
    """Return the comparison. drawn: the signal's trace, for links into its waterfall."""
    told = comparison.difference
    href = f"/signals/{signal_id}"
    return ComparisonPage(
        id=signal_id,
        href=href,
        other_href=f"/traces/{comparison.trace_id}" if comparison.trace_id else "",
        other_short=comparison.trace_id[:8],
        rows=tuple(_difference_row(one, href, drawn) for one in told.items) if told else (),
        note=_comparison_note(comparison),
    )


def _difference_row(one: Different, href: str, drawn: Drawn | None) -> DifferenceRow:
    *above, (service, name) = one.path
    there = drawn is not None and one.row != NOWHERE
    return DifferenceRow(
        kind=one.kind.value,
        label=_LABELS[one.kind],
        name=name,
        service=service or "unknown service",
        above=" › ".join(step_name for _, step_name in above),
        href=f"{href}#row-{drawn.drawn_row(one.row)}" if drawn is not None and there else "",
        this=_met(one.this),
        other=_met(one.other),
    )


def _met(met: Met) -> str:
    if not met.span_count:
        return "–"
    parts = [f"{met.span_count:,}×"] if met.span_count > 1 else []
    parts.append(duration_text(met.duration_ns))
    if met.error_count:
        parts.append(counted(met.error_count, "error"))
    return " · ".join(parts)


def _comparison_note(comparison: Comparison) -> str:
    told = comparison.difference
    if told is None:
        if not comparison.tried:
            return "No other trace with this root is stored, so there is none to compare with."
        return (
            f"Of {counted(comparison.tried, 'stored trace')} with this root none is known to have "
            "kept the promise."
        )
    if not told.items:
        return "Both did the same, in about the same time: the difference is in attributes."
    parts = [f"{counted(told.alike_count, 'path')} alike"]
    if told.left_out:
        parts.append(f"{counted(told.left_out, 'more difference')} not listed")
    return ", ".join(parts) + "."
