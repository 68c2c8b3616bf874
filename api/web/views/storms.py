"""Folded signals on pages: one sentence for each storm, with examples."""

from __future__ import annotations

from dataclasses import dataclass

from api.signals.folds import Example, Folded, Storms
from api.web.views.links import rule_href
from api.web.views.moments import between
from api.web.views.words import SEVERITIES


@dataclass(frozen=True, slots=True)
class ExampleLink:
    """An example. href: empty where there is no copy of the trace."""

    trace_id: str
    short: str
    href: str


@dataclass(frozen=True, slots=True)
class StormRow:
    """A storm: what was folded of a rule, and when."""

    rule_name: str
    href: str
    severity: str
    severity_label: str
    text: str
    withdrawn: str
    examples: tuple[ExampleLink, ...]


@dataclass(frozen=True, slots=True)
class StormPanel:
    """What is told of storms on a page; notes stand below."""

    rows: tuple[StormRow, ...] = ()
    notes: tuple[str, ...] = ()


def storm_panel(storms: Storms, *, of_one_service: bool = False) -> StormPanel:
    """Return what to tell of storms; empty if nothing was folded.

    of_one_service: the page is about one service, which folded signals are not known by.
    """
    if not storms.items:
        return StormPanel()
    left_out = storms.total - sum(storm.raised for storm in storms.items)
    notes = {
        f"{_signals(left_out)} folded in other storms of this time.": bool(left_out),
        "Folded signals are not told apart by service.": of_one_service,
    }
    return StormPanel(
        rows=tuple(map(_row, storms.items)),
        notes=tuple(note for note, applies in notes.items() if applies),
    )


def _row(folded: Folded) -> StormRow:
    when = between(folded.first_at, folded.last_at) if folded.first_at and folded.last_at else ""
    return StormRow(
        rule_name=folded.rule_name or folded.rule_id,
        href=rule_href(folded.rule_id),
        severity=folded.severity,
        severity_label=SEVERITIES[folded.severity],
        text=f"{_signals(folded.raised)} folded {when}.",
        withdrawn=_withdrawn(folded.withdrawn - folded.renewed),
        examples=tuple(map(_example, folded.examples)),
    )


def _signals(count: int) -> str:
    return f"{count:,} more signal was" if count == 1 else f"{count:,} more signals were"


def _withdrawn(count: int) -> str:
    if count <= 0:
        return ""
    return f"{count:,} of them {'was' if count == 1 else 'were'} withdrawn later."


def _example(example: Example) -> ExampleLink:
    trace_id = example.trace_id
    return ExampleLink(trace_id, trace_id[:8], f"/traces/{trace_id}" if example.copied else "")
