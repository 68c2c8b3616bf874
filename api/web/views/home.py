"""The home page: banner, figures, groups with their course, what is trending."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from api.health.condition import Trouble
from api.signals.counting import Facet, Facets, Figures, Group, GroupPage
from api.signals.incidents import Incident, Reason, Why
from api.signals.trending import Trends
from api.signals.trends import Trend
from api.web.views.bulk import BulkBar, Done
from api.web.views.links import rule_href
from api.web.views.many import many_title
from api.web.views.moments import Moment, duration_text, moment
from api.web.views.signal_filters import Filters
from api.web.views.signal_list import Beside, FirstRun, Nothing, first_run
from api.web.views.signal_query import UNRESOLVED, SignalQuery
from api.web.views.words import SEVERITIES, Message

_SPARK_WIDTH: Final = 84
_SPARK_HEIGHT: Final = 24
_SPARK_GAP: Final = 2
_SERVICES: Final = 8
_INCIDENTS: Final = 5
_REASONS: Final = 3


@dataclass(frozen=True, slots=True)
class Card:
    """A figure. href: the list that it counts, empty if there is none. note: what belongs to it."""

    label: str
    value: str
    note: str
    href: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """A day of a sparkline, in its coordinates."""

    x: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Spark:
    """A sparkline of days, and the same in words."""

    bars: tuple[Bar, ...]
    text: str
    width: int = _SPARK_WIDTH
    height: int = _SPARK_HEIGHT
    bar_width: int = _SPARK_WIDTH // 14 - _SPARK_GAP


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group. key: for the form; href: its signals; rows_href: where its newest are read."""

    key: str
    element_id: str
    href: str
    title: str
    severity: str
    severity_label: str
    place: str
    values: tuple[tuple[str, str], ...]
    count: str
    waiting: str
    first_at: Moment
    last_at: Moment
    spark: Spark
    trend: str
    selectable: bool


@dataclass(frozen=True, slots=True)
class Rising:
    """A rule or service that stands out, or a busy service."""

    label: str
    href: str
    text: str


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """Signals that probably have one cause. why: what joins them, in words."""

    title: str
    severity: str
    severity_label: str
    href: str
    count: str
    last_at: Moment
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HomeData:
    """What the page is made of."""

    troubles: Sequence[Trouble]
    figures: Figures
    groups: GroupPage
    trends: Trends
    incidents: Sequence[Incident]
    facets: Facets
    otlp_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HomePage:
    """The page. summary: how many groups and signals the filters show."""

    troubles: tuple[Trouble, ...]
    cards: tuple[Card, ...]
    filters: Filters
    rows: tuple[GroupRow, ...]
    summary: str
    more_href: str
    first_href: str
    signals_href: str
    incidents: tuple[IncidentRow, ...]
    rules: tuple[Rising, ...]
    services: tuple[Rising, ...]
    busiest: tuple[Rising, ...]
    first_run: FirstRun | None
    nothing: Nothing
    bulk: BulkBar | None
    done: Done | None
    message: Message | None


def home_page(data: HomeData, query: SignalQuery, *, beside: Beside) -> HomePage:
    """Return the page of a query."""
    first = replace(query, cursor="")
    more = data.groups.next_cursor or ""
    bare = query == SignalQuery()
    return HomePage(
        troubles=tuple(data.troubles),
        cards=_cards(data.figures),
        filters=beside.filters,
        rows=tuple(
            _row(group, query, selectable=beside.bulk is not None) for group in data.groups.items
        ),
        summary=_summary(data.groups.total, data.facets.total),
        more_href=replace(query, cursor=more).href("/home") if more else "",
        first_href=first.href("/home") if query.cursor else "",
        signals_href=replace(first, sort="").href(),
        incidents=tuple(_incident(one) for one in data.incidents[:_INCIDENTS]),
        rules=tuple(_rising(trend, rule_href(trend.subject)) for trend in data.trends.rules),
        services=tuple(
            _rising(trend, SignalQuery(service=trend.subject, range="24h").href())
            for trend in data.trends.services
        ),
        busiest=tuple(
            Rising(
                one.value,
                replace(first, service=one.value, sort="").href("/home"),
                _signals(one.count),
            )
            for one in data.facets.values[Facet.SERVICE][:_SERVICES]
        ),
        first_run=first_run(data.otlp_url) if bare and not data.groups.items else None,
        nothing=_nothing(query),
        bulk=beside.bulk,
        done=beside.done,
        message=beside.message,
    )


def _cards(figures: Figures) -> tuple[Card, ...]:
    resolution = figures.resolution
    median_s, p90_s = resolution.median_s, resolution.p90_s
    known = median_s is not None and p90_s is not None
    return (
        Card(
            "Open",
            f"{figures.open:,}",
            f"{figures.investigating:,} being investigated",
            SignalQuery(status=("open",)).href(),
        ),
        Card(
            "Critical",
            f"{figures.critical:,}",
            "open or being investigated",
            SignalQuery(status=UNRESOLVED, severity=("critical",)).href(),
            "bad" if figures.critical else "",
        ),
        Card(
            "Last 24 hours",
            f"{figures.last_day:,}",
            _beside_day_before(figures),
            SignalQuery(range="24h").href(),
        ),
        Card(
            "Time to resolve",
            _span(median_s) if median_s is not None else "–",
            f"median of {resolution.resolved:,} in 30 days; 90 % within {_span(p90_s or 0)}"
            if known
            else "nothing was resolved in 30 days",
            SignalQuery(status=("resolved",)).href() if known else "",
        ),
    )


def _beside_day_before(figures: Figures) -> str:
    text = f"{figures.day_before:,} the day before"
    return f"{text}; {figures.folded:,} more in storms" if figures.folded else text


def _span(seconds: float) -> str:
    """Return a duration as people say it: 40 s, 1 h 24 min, 3 d 2 h."""
    whole = round(max(seconds, 0))
    days, hours = divmod(whole // 3600, 24)
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    return duration_text(whole * 1_000_000_000) if whole else "under 1 s"


def _row(group: Group, query: SignalQuery, *, selectable: bool) -> GroupRow:
    href = replace(query, cursor="", sort="", group=(str(group.key),)).href()
    return GroupRow(
        key=str(group.key),
        element_id=f"group-{group.signal_id}",
        href=href,
        title=group.rule_name or group.rule_id,
        severity=group.severity,
        severity_label=SEVERITIES[group.severity],
        place=_place(group),
        values=tuple((name, _text(value)) for name, value in group.values.items()),
        count=f"{group.count:,}",
        waiting=_waiting(group),
        first_at=moment(group.first_at),
        last_at=moment(group.last_at),
        spark=spark(group.days),
        trend=course(group.days),
        selectable=selectable,
    )


def _place(group: Group) -> str:
    if not group.key.fingerprint:
        return "Not grouped yet"
    if group.many is not None:
        return many_title(group.many)
    return " · ".join(text for text in (group.root_service, group.root_name) if text)


def _waiting(group: Group) -> str:
    parts = []
    if group.open:
        parts.append(f"{group.open:,} open")
    if group.investigating:
        parts.append(f"{group.investigating:,} investigating")
    return ", ".join(parts) or "none open"


def spark(days: Sequence[int]) -> Spark:
    """Return bars of the days, the highest as high as the line; words for who does not see it."""
    most = max(days, default=0)
    step = _SPARK_WIDTH // max(len(days), 1)
    bars = []
    for number, count in enumerate(days):
        height = round(max(count / most * _SPARK_HEIGHT, 2.0), 1) if count else 1.0
        bars.append(Bar(number * step, round(_SPARK_HEIGHT - height, 1), height))
    last = f", {days[-1]:,} today" if days else ""
    return Spark(tuple(bars), f"{len(days)} days: {sum(days):,} signals, at most {most:,}{last}")


def course(days: Sequence[int]) -> str:
    """Return where a group is going: the last seven days against the seven before."""
    late, early = sum(days[-7:]), sum(days[-14:-7])
    if not early:
        return "new" if late else ""
    if late >= early * 1.5:
        return "rising"
    return "falling" if late * 1.5 <= early else "steady"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value)


def _rising(trend: Trend, href: str) -> Rising:
    usual = f"{trend.baseline:g} usual"
    return Rising(trend.name or trend.subject, href, f"{trend.current:,} now, {usual}")


def _incident(incident: Incident) -> IncidentRow:
    names = [name for _, name in incident.rules]
    title = " and ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")
    rules = tuple(rule_id for rule_id, _ in incident.rules)
    return IncidentRow(
        title=title,
        severity=incident.severity,
        severity_label=SEVERITIES[incident.severity],
        href=SignalQuery(status=UNRESOLVED, rule_id=rules, range="24h").href(),
        count=_signals(len(incident.signal_ids)),
        last_at=moment(incident.last_at),
        why=tuple(_why(reason) for reason in incident.reasons[:_REASONS]),
    )


def _why(reason: Reason) -> str:
    match reason.why:
        case Why.TRACE:
            return f"{_signals(reason.count)} of one trace, {reason.what[:8]}"
        case Why.DEPLOY:
            return f"{_signals(reason.count)} since {reason.what}"
        case Why.SERVICE:
            return f"{_signals(reason.count)} in {reason.what} within minutes"


def _summary(groups: int, signals: int) -> str:
    many = "1 group" if groups == 1 else f"{groups:,} groups"
    return f"{many}, {_signals(signals)}"


def _signals(count: int) -> str:
    return "1 signal" if count == 1 else f"{count:,} signals"


def _nothing(query: SignalQuery) -> Nothing:
    if query.cursor:
        first = replace(query, cursor="").href("/home")
        return Nothing("No more groups", "This is the end of the list.", "To the beginning", first)
    return Nothing(
        "No group matches these filters",
        "Take a filter away, or look at another stretch of time.",
        "Clear the filters",
        "/home",
    )
