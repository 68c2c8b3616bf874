"""The list of signals: rows, filters in the address, tabs, what an empty list says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from api.signals.folds import FoldFilter, Storms
from api.signals.model import Severity, Shown, Signal, SignalFilter, Status
from api.web.views.addresses import with_query
from api.web.views.many import many_marks, many_summary, many_title
from api.web.views.moments import Moment, moment
from api.web.views.rule_text import Piece, pieces
from api.web.views.storms import StormPanel, storm_panel
from api.web.views.words import SEVERITIES, SHOWN, STATUSES, Choice, choices

EXAMPLE_RULE: Final = "when   { payment.charge.where(amount > 1000) }\nalways { fraud.check }\n"


@dataclass(frozen=True, slots=True)
class SignalRow:
    """One row."""

    id: str
    href: str
    rule_name: str
    severity: str
    severity_label: str
    status: str
    status_label: str
    marks: tuple[str, ...]
    root_name: str
    root_service: str
    trace_id: str
    """Empty for rules over many traces; `seen` says what they saw."""
    trace_short: str
    seen: str
    at: Moment
    arrived: bool = False
    """Came while the page was open: shown for a moment in another colour."""


def signal_row(signal: Signal, *, arrived: bool = False) -> SignalRow:
    """Return the row of a signal."""
    return SignalRow(
        id=signal.id,
        href=f"/signals/{signal.id}",
        rule_name=signal.rule_name or signal.rule_id,
        severity=signal.severity,
        severity_label=SEVERITIES[signal.severity],
        status=signal.status,
        status_label=STATUSES[signal.status],
        marks=signal_marks(signal),
        root_name=many_title(signal.many) if signal.many else signal.root_name or "no root span",
        root_service=signal.root_service,
        trace_id=signal.trace_id or "",
        trace_short=(signal.trace_id or "")[:8],
        seen=many_summary(signal.many) if signal.many else "",
        at=moment(signal.occurred_at),
        arrived=arrived,
    )


def signal_marks(signal: Signal) -> tuple[str, ...]:
    """Return the words that make a signal less than a plain violation."""
    marks = {
        "Incomplete": signal.incomplete,
        "Doubtful": signal.doubtful,
        "Withdrawn": not signal.many and _taken_back(signal),
        "Shadow": signal.shadow,
        "Silenced": signal.exception is not None,
        "Not decided yet": signal.exception_due,
    }
    of_many = many_marks(signal.many, taken_back=_taken_back(signal)) if signal.many else ()
    return (*(mark for mark, applies in marks.items() if applies), *of_many)


def _taken_back(signal: Signal) -> bool:
    return signal.verdict in ("satisfied", "not_applicable")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalQuery:
    """The filters of the address. Empty: any. cursor: opaque, empty for the newest page.

    shown: without, what alerts.
    """

    status: str = ""
    severity: str = ""
    rule_id: str = ""
    service: str = ""
    shown: str = ""
    cursor: str = ""

    def href(self, path: str = "/signals") -> str:
        """Return the address with the filters that are set."""
        fields = {
            "status": self.status,
            "severity": self.severity,
            "rule_id": self.rule_id,
            "service": self.service,
            "shown": self.shown,
            "cursor": self.cursor,
        }
        return with_query(path, fields)

    def chosen(self) -> SignalFilter:
        """Return the filter for the services; a word that is none of a field's means any."""
        return SignalFilter(
            shown=self._shown,
            rule_id=self.rule_id or None,
            statuses=tuple(status for status in Status if status == self.status),
            severities=tuple(severity for severity in Severity if severity == self.severity),
            service=self.service or None,
        )

    def folds(self, *, from_at: datetime | None, to_at: datetime | None) -> FoldFilter | None:
        """Return which folded signals belong to the list; None where they cannot.

        Nobody works on them one by one, so they are open. Their services are not known.
        """
        if self.status not in ("", Status.OPEN):
            return None
        chosen = self.chosen()
        return FoldFilter(
            rule_id=chosen.rule_id, severities=chosen.severities, from_at=from_at, to_at=to_at
        )

    def admits(self, signal: Signal) -> bool:
        """Return whether the list shows a signal: what the database does for pages."""
        return (
            self.status in ("", signal.status)
            and self.severity in ("", signal.severity)
            and self.rule_id in ("", signal.rule_id)
            and self.service in ("", signal.root_service, *signal.services)
            and signal.is_shown(self._shown)
        )

    @property
    def _shown(self) -> Shown:
        return next((shown for shown in Shown if shown == self.shown), Shown.ALERTS)

    @property
    def filtered(self) -> bool:
        """Whether anything but the status narrows the list."""
        return bool(self.severity or self.rule_id or self.service or self.shown)


@dataclass(frozen=True, slots=True)
class Tab:
    """A status to look at."""

    label: str
    href: str
    current: bool


@dataclass(frozen=True, slots=True)
class Filters:
    """The fields of the filter bar."""

    status: str
    severities: tuple[Choice, ...]
    rules: tuple[Choice, ...]
    service: str
    shown: tuple[Choice, ...]
    clear_href: str
    """Empty if nothing is set."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """What an empty list says, and one way on."""

    title: str
    detail: str
    action: str
    href: str


@dataclass(frozen=True, slots=True)
class FirstRun:
    """How to get to the first signal."""

    rule: tuple[Piece, ...]
    exporter: str


@dataclass(frozen=True, slots=True)
class SignalList:
    """The page."""

    tabs: tuple[Tab, ...]
    filters: Filters
    rows: tuple[SignalRow, ...]
    storms: StormPanel
    live_url: str
    """Where new rows come from; empty on older pages, which stay as they are."""
    storms_url: str
    """Where news of storms come from, as long as there is a live_url."""
    older_href: str
    newest_href: str
    first_run: FirstRun | None
    nothing: Nothing


def signal_list(
    signals: Sequence[Signal],
    query: SignalQuery,
    *,
    rules: Mapping[str, str],
    next_cursor: str,
    feed_position: str,
    otlp_url: str,
    storms: Storms = Storms(),  # noqa: B008 - nothing can change it
) -> SignalList:
    """Return the page of a list.

    rules: rule id to name, for the filter. feed_position: the live feed continues after it.
    otlp_url: where exporters send to, shown while there is nothing else to show. storms: what was
    folded in the time that the page covers.
    """
    newest = replace(query, cursor="")
    bare = query == SignalQuery()
    return SignalList(
        tabs=_tabs(newest),
        filters=Filters(
            status=query.status,
            severities=choices(SEVERITIES, query.severity, nothing="Any severity"),
            rules=choices(_with_selected(rules, query.rule_id), query.rule_id, nothing="Any rule"),
            service=query.service,
            shown=choices(SHOWN, query.shown, nothing="Alerts"),
            clear_href=SignalQuery(status=query.status).href() if query.filtered else "",
        ),
        rows=tuple(signal_row(signal) for signal in signals),
        storms=storm_panel(storms, of_one_service=bool(query.service)),
        storms_url=newest.href(),
        live_url="" if query.cursor else _live_url(newest, feed_position),
        older_href=replace(query, cursor=next_cursor).href() if next_cursor else "",
        newest_href=newest.href() if query.cursor else "",
        first_run=_first_run(otlp_url) if bare and not signals else None,
        nothing=_nothing(query),
    )


def _with_selected(rules: Mapping[str, str], rule_id: str) -> dict[str, str]:
    """A rule that is gone stays selectable while the address names it."""
    names = dict(sorted(rules.items(), key=lambda item: item[1].lower()))
    if rule_id and rule_id not in names:
        names[rule_id] = rule_id
    return names


def _tabs(query: SignalQuery) -> tuple[Tab, ...]:
    labels = {"": "All", **STATUSES}
    return tuple(
        Tab(label, replace(query, status=status).href(), status == query.status)
        for status, label in labels.items()
    )


def _live_url(query: SignalQuery, position: str) -> str:
    url = query.href("/live/signals")
    return f"{url}{'&' if '?' in url else '?'}{urlencode({'after': position})}" if position else url


def _nothing(query: SignalQuery) -> Nothing:
    if query.cursor:
        return Nothing("No older signals", "This is the end of the list.", "Newest", "/signals")
    if query.filtered:
        return Nothing(
            "No signal matches these filters",
            "New ones appear here by themselves.",
            "Clear the filters",
            SignalQuery(status=query.status).href(),
        )
    label = STATUSES.get(query.status, "").lower()
    return Nothing(
        f"Nothing is {label}" if label != "false positive" else "No false positives",
        "Signals appear here by themselves when their status changes.",
        "Show all signals",
        "/signals",
    )


def _first_run(otlp_url: str) -> FirstRun:
    exporter = (
        f"export OTEL_EXPORTER_OTLP_ENDPOINT={otlp_url}\n"
        "export OTEL_EXPORTER_OTLP_HEADERS=x-api-key=<your key>\n"
        "export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n"
    )
    return FirstRun(pieces(EXAMPLE_RULE), exporter)
