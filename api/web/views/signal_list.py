"""The list of signals: rows, what stands around them, what an empty list says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlencode

from api.signals.folds import Storms
from api.signals.model import Signal
from api.web.views.bulk import BulkBar, Done
from api.web.views.many import many_marks, many_summary, many_title
from api.web.views.moments import Moment, moment
from api.web.views.rule_text import Piece, pieces
from api.web.views.signal_filters import Filters
from api.web.views.signal_query import SignalQuery
from api.web.views.storms import StormPanel, storm_panel
from api.web.views.words import SEVERITIES, STATUSES, Message

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
    assignee: str
    arrived: bool = False
    """Came while the page was open: shown for a moment in another colour."""
    selectable: bool = False
    """Whether it can be chosen, to change it with others."""


def signal_row(signal: Signal, *, arrived: bool = False, selectable: bool = False) -> SignalRow:
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
        assignee=signal.assignee or "",
        arrived=arrived,
        selectable=selectable,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalList:
    """The page."""

    filters: Filters
    rows: tuple[SignalRow, ...]
    storms: StormPanel
    live_url: str
    """Where new rows come from; empty on pages that stay as they are: older ones, other orders."""
    live_note: str
    """Why they stay as they are."""
    storms_url: str
    """Where news of storms come from, as long as there is a live_url."""
    older_href: str
    older_label: str
    newest_href: str
    groups_href: str
    first_run: FirstRun | None
    nothing: Nothing
    bulk: BulkBar | None
    done: Done | None
    message: Message | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What stands around a list. bulk: None where the reader may not change signals."""

    filters: Filters
    bulk: BulkBar | None = None
    done: Done | None = None
    message: Message | None = None


def signal_list(
    signals: Sequence[Signal],
    query: SignalQuery,
    *,
    beside: Beside,
    next_cursor: str,
    feed_position: str,
    otlp_url: str,
    storms: Storms = Storms(),  # noqa: B008 - nothing can change it
) -> SignalList:
    """Return the page of a list.

    feed_position: the live feed continues after it. otlp_url: where exporters send to, shown while
    there is nothing else to show. storms: what was folded in the time that the page covers.
    """
    newest = replace(query, cursor="")
    bare = query == SignalQuery()
    is_live = not query.cursor and not query.sort
    return SignalList(
        filters=beside.filters,
        rows=tuple(signal_row(signal, selectable=beside.bulk is not None) for signal in signals),
        storms=storm_panel(storms, of_one_service=bool(query.service)),
        storms_url=newest.href(),
        live_url=_live_url(newest, feed_position) if is_live else "",
        live_note="" if is_live else "Only the newest signals, newest first, come by themselves.",
        older_href=replace(query, cursor=next_cursor).href() if next_cursor else "",
        older_label="Next" if query.sort else "Older",
        newest_href=newest.href() if query.cursor else "",
        groups_href=replace(newest, sort="").href("/home"),
        first_run=first_run(otlp_url) if bare and not signals else None,
        nothing=_nothing(query),
        bulk=beside.bulk,
        done=beside.done,
        message=beside.message,
    )


def _live_url(query: SignalQuery, position: str) -> str:
    url = query.href("/live/signals")
    return f"{url}{'&' if '?' in url else '?'}{urlencode({'after': position})}" if position else url


def _nothing(query: SignalQuery) -> Nothing:
    if query.cursor:
        first = replace(query, cursor="").href()
        return Nothing("No more signals", "This is the end of the list.", "To the beginning", first)
    if query.filtered:
        return Nothing(
            "No signal matches these filters",
            "New ones appear here by themselves." if not query.sort else "Take a filter away.",
            "Clear the filters",
            SignalQuery(status=query.status).href(),
        )
    return Nothing(
        _none_of(query.status),
        "Signals appear here by themselves when their status changes.",
        "Show all signals",
        "/signals",
    )


def _none_of(statuses: Sequence[str]) -> str:
    if list(statuses) == ["false_positive"]:
        return "No false positives"
    names = " or ".join(STATUSES[status].lower() for status in statuses)
    return f"Nothing is {names}" if names else "There are no signals"


def first_run(otlp_url: str) -> FirstRun:
    """Return how to get to the first signal. otlp_url: where exporters send to."""
    exporter = (
        f"export OTEL_EXPORTER_OTLP_ENDPOINT={otlp_url}\n"
        "export OTEL_EXPORTER_OTLP_HEADERS=x-api-key=<your key>\n"
        "export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n"
    )
    return FirstRun(pieces(EXAMPLE_RULE), exporter)
