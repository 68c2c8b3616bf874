"""Stored traces: filters in the address, rows with a bar for their duration, facets."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from api.problems import ApiError
from api.traces.search import (
    ATTRIBUTES_MAX,
    Facet,
    Facets,
    Found,
    Judged,
    StoredTrace,
    TraceFilter,
    TracePage,
    read_attribute,
)
from api.web.views.addresses import with_query
from api.web.views.moments import Moment, duration_text, moment
from api.web.views.words import VERDICTS, Choice, Message, bad, choices

NO_ROOT: Final = "No root span"
FOUND_WORDS: Final[Mapping[str, str]] = MappingProxyType({**VERDICTS, "none": "No signal"})
WITHIN: Final[Mapping[str, str]] = MappingProxyType(
    {"1h": "Last hour", "6h": "Last 6 hours", "24h": "Last day", "7d": "Last week"}
)
_WITHIN_HOURS: Final = {"1h": 1, "6h": 6, "24h": 24, "7d": 7 * 24}
_UNITS: Final = {
    "": 1_000_000,
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_DURATION: Final = re.compile(r"\s*(\d{1,12}(?:\.\d{1,9})?)\s*([a-zµ]{0,3})\s*")
_VERDICTS_SHOWN: Final = 3
_LEAST_BAR: Final = 0.6
"""Percent: the shortest of traces can still be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceQuery:
    """The filters of the address, as they were written. Empty: any.

    attributes: `key=value key "key=two words"`; least, most: durations; since, until: UTC.
    """

    service: str = ""
    operation: str = ""
    attributes: str = ""
    least: str = ""
    most: str = ""
    error: str = ""
    verdict: str = ""
    rule_id: str = ""
    within: str = ""
    since: str = ""
    until: str = ""
    cursor: str = ""

    def href(self, path: str = "/traces") -> str:
        """Return the address with the filters that are set."""
        return with_query(path, {name: getattr(self, name) for name in self.__slots__})

    def chosen(self, *, now: datetime) -> TraceFilter:
        """Return the filter for the services. Raises ApiError 400 for what cannot be read."""
        hours = _WITHIN_HOURS.get(self.within)
        since = _moment(self.since, "From")
        if hours is not None and since is None:
            since = now - timedelta(hours=hours)
        chosen = TraceFilter(
            service=self.service,
            operation=self.operation,
            attributes=tuple(read_attribute(part) for part in _parts(self.attributes)),
            min_ns=_duration_ns(self.least),
            max_ns=_duration_ns(self.most),
            failed=bool(self.error),
            found=next((found for found in Found if found == self.verdict), None),
            rule_id=self.rule_id,
            from_at=since,
            to_at=_moment(self.until, "To"),
        )
        chosen.check()
        return chosen

    @property
    def newest(self) -> TraceQuery:
        """The same filters, from the first page on."""
        return replace(self, cursor="")


@dataclass(frozen=True, slots=True)
class VerdictChip:
    """What a rule said."""

    href: str
    rule_name: str
    label: str
    tone: str


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One trace. bar: its duration in percent of the longest one on the page."""

    href: str
    title: str
    service: str
    trace_id: str
    trace_short: str
    services: str
    spans: str
    errors: str
    duration: str
    bar: str
    whole: bool
    verdicts: tuple[VerdictChip, ...]
    more_verdicts: int
    at: Moment


@dataclass(frozen=True, slots=True)
class FacetLink:
    """A service or an operation to narrow the list by, or to leave again."""

    name: str
    count: str
    href: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class FacetList:
    """The facets of a kind."""

    title: str
    id: str
    links: tuple[FacetLink, ...]


@dataclass(frozen=True, slots=True)
class NoTraces:
    """What an empty list says, and one way on."""

    title: str
    detail: str
    action: str
    href: str


@dataclass(frozen=True, slots=True)
class TraceList:
    """The page."""

    query: TraceQuery
    verdicts: tuple[Choice, ...]
    rules: tuple[Choice, ...]
    withins: tuple[Choice, ...]
    more_filters: bool
    clear_href: str
    message: Message | None
    notes: tuple[str, ...]
    rows: tuple[TraceRow, ...]
    count: str
    facets: tuple[FacetList, ...]
    facets_of: str
    services: tuple[str, ...]
    operations: tuple[str, ...]
    nothing: NoTraces
    older_href: str
    newest_href: str
    may_test: bool


def trace_list(
    found: TracePage | None,
    query: TraceQuery,
    *,
    rules: Mapping[str, str],
    may_test: bool,
    problem: str = "",
) -> TraceList:
    """Return the page of a search. found: None where what was asked for could not be read.

    rules: rule id to name. may_test: whether samples can be seen. problem: what could not be read.
    """
    items = found.items if found else ()
    longest = max((trace.duration_ns for trace in items), default=0)
    facets = found.facets if found else None
    bare = query.newest == TraceQuery()
    return TraceList(
        query=query,
        verdicts=choices(FOUND_WORDS, query.verdict, nothing="Any verdict"),
        rules=choices(_with_selected(rules, query.rule_id), query.rule_id, nothing="Any rule"),
        withins=choices(WITHIN, query.within, nothing="Any time"),
        more_filters=bool(query.since or query.until or query.least or query.most),
        clear_href="" if bare else "/traces",
        message=bad(problem) if problem else None,
        notes=tuple(f"{note.about}: {note.text}" for note in found.notes) if found else (),
        rows=tuple(_row(trace, longest) for trace in items),
        count=_count(facets),
        facets=_facets(facets, query),
        facets_of=f"Of the newest {facets.counted:,} that match." if facets and facets.more else "",
        services=_names(facets.services) if facets else (),
        operations=_names(facets.operations) if facets else (),
        nothing=_nothing(query, bare=bare, unread=bool(problem)),
        older_href=replace(query, cursor=found.next_cursor).href()
        if found and found.next_cursor
        else "",
        newest_href=query.newest.href() if query.cursor else "",
        may_test=may_test,
    )


# ------------------------------------------------------------------ what was written


def _parts(attributes: str) -> list[str]:
    try:
        parts = shlex.split(attributes)
    except ValueError as error:
        raise ApiError(
            400, "trace.attribute", 'A quotation mark is missing: "key=two words".'
        ) from error
    if len(parts) > ATTRIBUTES_MAX:
        raise ApiError(400, "trace.attribute", f"Ask for {ATTRIBUTES_MAX} attributes at most.")
    return parts


def _duration_ns(text: str) -> int | None:
    if not text.strip():
        return None
    match = _DURATION.fullmatch(text)
    if match is None or match[2] not in _UNITS:
        raise ApiError(
            400, "trace.duration", f"{text!r} is no duration: write 250 ms, 1.5 s or 2 min."
        )
    return round(float(match[1]) * _UNITS[match[2]])


def _moment(text: str, field: str) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ApiError(
            400, "trace.time", f"{field}: {text!r} is no time: write 2026-11-27T14:05."
        ) from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


# ------------------------------------------------------------------ what was found


def _row(trace: StoredTrace, longest_ns: int) -> TraceRow:
    others = len(trace.services) - (trace.root_service in trace.services)
    return TraceRow(
        href=f"/traces/{trace.trace_id}",
        title=trace.root_name or NO_ROOT,
        service=trace.root_service,
        trace_id=trace.trace_id,
        trace_short=trace.trace_id[:8],
        services=_services(trace, others),
        spans=_counted(trace.span_count, "span"),
        errors=_counted(trace.error_count, "error") if trace.error_count else "",
        duration=duration_text(trace.duration_ns),
        bar=_bar(trace.duration_ns, longest_ns),
        whole=trace.whole,
        verdicts=tuple(_chip(judged) for judged in trace.verdicts[:_VERDICTS_SHOWN]),
        more_verdicts=max(0, len(trace.verdicts) - _VERDICTS_SHOWN),
        at=moment(trace.started_at),
    )


def _services(trace: StoredTrace, others: int) -> str:
    if not trace.root_service:
        return _counted(len(trace.services), "service") if trace.services else ""
    return f"and {_counted(others, 'service')}" if others else ""


def _bar(duration_ns: int, longest_ns: int) -> str:
    share = 100 * duration_ns / longest_ns if longest_ns else 0
    return f"{max(_LEAST_BAR, share):.1f}"


_TONES: Final = {"violated": "bad", "satisfied": "good", "inconclusive": "warn"}


def _chip(judged: Judged) -> VerdictChip:
    return VerdictChip(
        href=f"/signals/{judged.signal_id}",
        rule_name=judged.rule_name or judged.rule_id,
        label=VERDICTS[judged.verdict],
        tone=_TONES.get(judged.verdict, "plain"),
    )


def _count(facets: Facets | None) -> str:
    if facets is None:
        return ""
    return f"More than {facets.counted:,}" if facets.more else f"{facets.counted:,}"


def _facets(facets: Facets | None, query: TraceQuery) -> tuple[FacetList, ...]:
    if facets is None:
        return ()
    newest = query.newest
    lists = (
        FacetList(
            "Services",
            "facet-services",
            tuple(
                _link(one, newest, field="service", now=query.service) for one in facets.services
            ),
        ),
        FacetList(
            "Operations",
            "facet-operations",
            tuple(
                _link(one, newest, field="operation", now=query.operation)
                for one in facets.operations
            ),
        ),
    )
    return tuple(one for one in lists if one.links)


def _link(facet: Facet, query: TraceQuery, *, field: str, now: str) -> FacetLink:
    chosen = facet.name == now
    values = {name: getattr(query, name) for name in query.__slots__}
    then = TraceQuery(**{**values, field: "" if chosen else facet.name})
    return FacetLink(facet.name, f"{facet.trace_count:,}", then.href(), chosen)


def _names(facets: Sequence[Facet]) -> tuple[str, ...]:
    return tuple(facet.name for facet in facets)


def _with_selected(rules: Mapping[str, str], rule_id: str) -> dict[str, str]:
    names = dict(sorted(rules.items(), key=lambda item: item[1].lower()))
    if rule_id and rule_id not in names:
        names[rule_id] = rule_id
    return names


def _nothing(query: TraceQuery, *, bare: bool, unread: bool) -> NoTraces:
    if unread:
        return NoTraces(
            "Not searched",
            "Mend the filter above, and search again.",
            "Clear the filters",
            "/traces",
        )
    if query.cursor:
        return NoTraces("No older traces", "This is the end of the list.", "Newest", "/traces")
    if bare:
        return NoTraces(
            "No trace is stored yet",
            "Traces are stored when they break a rule, as examples of backtests, and a few "
            "ordinary ones of every hour.",
            "Rules",
            "/rules",
        )
    return NoTraces(
        "No stored trace matches",
        "Stored are traces that signals are about, examples of backtests, and a few ordinary ones "
        "of every hour.",
        "Clear the filters",
        "/traces",
    )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
