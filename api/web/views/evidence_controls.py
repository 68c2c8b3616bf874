"""The matrix of controls and the page of one control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final

from api.evidence.matrix import ControlRow, Matrix, RuleSums, Standing
from api.evidence.quiet import Quiet
from api.evidence.search import EvidencePage
from api.evidence.search_schemas import moment_of
from api.evidence.verification import Verified
from api.web.views.addresses import with_query
from api.web.views.evidence import (
    EvidenceQuery,
    EvidenceRow,
    Opens,
    control_href,
    day_or_none,
    evidence_row,
    title_of,
)
from api.web.views.moments import Moment, minute_moment
from api.web.views.words import Choice, choices
from dsl.controls import catalogue

MATRIX_HREF: Final = "/evidence/controls"
USUAL_DAYS: Final = 30
PERIODS: Final[Mapping[str, str]] = MappingProxyType(
    {"7": "7 days", "30": "30 days", "90": "90 days", "365": "A year"}
)
QUIET: Final[Mapping[str, str]] = MappingProxyType(
    {
        "7": "No evidence for 7 days",
        "30": "No evidence for 30 days",
        "90": "No evidence for 90 days",
    }
)
STANDINGS: Final[Mapping[Standing, tuple[str, str, str]]] = MappingProxyType(
    {
        Standing.VIOLATED: ("Violated", "status-open", "circle-x"),
        Standing.INCONCLUSIVE: ("Inconclusive", "chip-warn", "circle-help"),
        Standing.SATISFIED: ("Satisfied", "status-resolved", "circle-check"),
        Standing.WATCHED: ("Watched", "", "eye"),
        Standing.NONE: ("No evidence", "", "circle"),
    }
)
"""Label, tone and icon."""
MEANINGS: Final[Mapping[Standing, str]] = MappingProxyType(
    {
        Standing.VIOLATED: "A rule was broken, or a service said that what it did failed.",
        Standing.INCONCLUSIVE: "Something could not be judged, and nothing was violated.",
        Standing.SATISFIED: "There is evidence, and none of a violation.",
        Standing.WATCHED: "Rules looked, and nothing that concerns them happened.",
        Standing.NONE: "Nothing of it was sealed in these days.",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixQuery:
    """What the address asks for. since, until: days in UTC, both inclusive; quiet: days."""

    framework: str = ""
    days: str = ""
    since: str = ""
    until: str = ""
    quiet: str = ""

    def period(self, *, today: date) -> tuple[date, date]:
        """Return the days, from inclusive, to exclusive: what is no day falls back on the usual."""
        until = day_or_none(self.until) or today
        until = min(until, date.max - timedelta(days=1))
        days = int(self.days) if self.days in PERIODS else USUAL_DAYS
        since = day_or_none(self.since)
        if since is None or since > until or (until - since).days > 3_650:
            since = max(date(1970, 1, 1), until - timedelta(days=days - 1))
        return since, until + timedelta(days=1)

    def href(self, path: str = MATRIX_HREF, **other: str) -> str:
        """Return the address with what is set, and some of it otherwise."""
        names = ("framework", "days", "since", "until", "quiet")
        return with_query(path, {name: getattr(self, name) for name in names} | other)


@dataclass(frozen=True, slots=True)
class Tab:
    """A framework to go to."""

    href: str
    label: str
    current: bool


@dataclass(frozen=True, slots=True)
class StandingView:
    """The word for a control. why: what it means."""

    label: str
    chip: str
    icon: str
    why: str


@dataclass(frozen=True, slots=True)
class ControlCells:
    """A control's numbers as people read them. quiet: how long nothing was seen."""

    id: str
    name: str
    title: str
    href: str
    standing: StandingView
    satisfied: str
    violated: str
    inconclusive: str
    days: str
    last: Moment | None
    quiet: str
    is_quiet: bool


@dataclass(frozen=True, slots=True)
class Tally:
    """How many controls stand so."""

    count: int
    standing: StandingView


@dataclass(frozen=True, slots=True)
class QuietNow:
    """A control that should have evidence and has none since."""

    id: str
    href: str
    since: Moment


@dataclass(frozen=True, slots=True)
class MatrixPage:
    """The page."""

    title: str
    edition: str
    about: str
    tabs: tuple[Tab, ...]
    rows: tuple[ControlCells, ...]
    tallies: tuple[Tally, ...]
    query: MatrixQuery
    since: str
    until: str
    periods: tuple[Choice, ...]
    quiet: tuple[Choice, ...]
    clear_href: str
    oscal_href: str
    report_href: str
    pack_href: str
    records_href: str
    has_evidence: bool
    may_export: bool
    quiet_now: tuple[QuietNow, ...]
    quiet_days: str


def matrix_page(
    matrix: Matrix,
    query: MatrixQuery,
    *,
    frameworks: Sequence[str],
    quiet: Quiet,
    may_export: bool,
) -> MatrixPage:
    """Return the matrix of a framework. quiet: what is quiet now, whatever the period."""
    described = catalogue(matrix.framework)
    without = int(query.quiet) if query.quiet in QUIET else None
    shown = matrix.rows if without is None else matrix.without_since(without)
    last = matrix.to_day - timedelta(days=1)
    asked = {
        "framework": matrix.framework,
        "from": matrix.from_day.isoformat(),
        "to": matrix.to_day.isoformat(),
    }
    return MatrixPage(
        title=title_of(matrix.framework),
        edition=described.edition if described else "A framework of your own",
        about=described.about if described else "Rules and spans name its controls.",
        tabs=tuple(
            Tab(query.href(framework=one), title_of(one), one == matrix.framework)
            for one in frameworks
        ),
        rows=tuple(_cells(row, matrix, query) for row in shown),
        tallies=_tallies(matrix),
        query=query,
        since=matrix.from_day.isoformat(),
        until=last.isoformat(),
        periods=choices(PERIODS, "" if query.since else query.days or str(USUAL_DAYS)),
        quiet=choices(QUIET, query.quiet, nothing="All controls"),
        clear_href=with_query(MATRIX_HREF, {"framework": matrix.framework}) if without else "",
        oscal_href=with_query("/evidence/oscal", asked),
        report_href=with_query("/evidence/report", asked),
        pack_href=EvidenceQuery(
            framework=matrix.framework, since=matrix.from_day.isoformat(), until=last.isoformat()
        ).href("/evidence/pack"),
        records_href=EvidenceQuery(
            framework=matrix.framework, since=matrix.from_day.isoformat(), until=last.isoformat()
        ).href(),
        has_evidence=any(row.last_ms is not None or row.rules for row in matrix.rows),
        may_export=may_export,
        quiet_now=tuple(
            QuietNow(one.id, control_href(one.id), minute_moment(moment_of(one.since_ms)))
            for one in quiet.of(matrix.framework)
        ),
        quiet_days=_quiet(quiet.days) if quiet.days else "",
    )


@dataclass(frozen=True, slots=True)
class RuleCells:
    """What a rule judged of a control."""

    rule: str
    href: str
    judged: str
    satisfied: str
    violated: str
    inconclusive: str
    lost: str
    days: str


@dataclass(frozen=True, slots=True)
class ControlPage:
    """A control's page."""

    cells: ControlCells
    framework: str
    asks: str
    shows: str
    lacks: str
    why_not: str
    rules: tuple[RuleCells, ...]
    said: tuple[tuple[str, str], ...]
    records: tuple[EvidenceRow, ...]
    records_count: str
    records_href: str
    report_href: str
    pack_href: str
    may_export: bool
    back_href: str
    since: str
    until: str
    periods: tuple[Tab, ...]


def control_page(
    row: ControlRow,
    query: MatrixQuery,
    page: EvidencePage,
    verified: Verified,
    *,
    from_day: date,
    to_day: date,
    may_export: bool,
    opens: Opens,
) -> ControlPage:
    """Return the page of a control, with its newest records."""
    framework, _, name = row.id.partition(".")
    described, known = row.described, catalogue(framework)
    last = to_day - timedelta(days=1)
    matrix = Matrix(framework=framework, from_day=from_day, to_day=to_day, rows=(row,))
    of_control = EvidenceQuery(control=row.id, since=from_day.isoformat(), until=last.isoformat())
    return ControlPage(
        cells=_cells(row, matrix, query),
        framework=title_of(framework),
        asks=described.asks if described else "",
        shows=described.shows if described else "",
        lacks=described.lacks if described else "",
        why_not=known.beyond.get(name, "") if known else "",
        rules=tuple(_rule_cells(one, (to_day - from_day).days, opens) for one in row.rules),
        said=tuple((outcome, f"{count:,}") for outcome, count in sorted(row.said.items())),
        records=tuple(evidence_row(one, verified.by_seq.get(one.seq)) for one in page.items),
        records_count=f"{page.total or 0:,}",
        records_href=of_control.href(),
        report_href=with_query(
            "/evidence/report",
            {"control": row.id, "from": from_day.isoformat(), "to": to_day.isoformat()},
        ),
        pack_href=of_control.href("/evidence/pack"),
        may_export=may_export,
        back_href=query.href(framework=framework),
        since=from_day.isoformat(),
        until=last.isoformat(),
        periods=tuple(
            Tab(
                f"{control_href(row.id)}&days={days}",
                label,
                not query.since and days == (query.days or str(USUAL_DAYS)),
            )
            for days, label in PERIODS.items()
        ),
    )


def standing_view(standing: Standing) -> StandingView:
    """Return the word for how a control stands."""
    label, chip, icon = STANDINGS[standing]
    return StandingView(label, chip, icon, MEANINGS[standing])


def _cells(row: ControlRow, matrix: Matrix, query: MatrixQuery) -> ControlCells:
    days = (matrix.to_day - matrix.from_day).days
    more = {name: getattr(query, name) for name in ("days", "since", "until")}
    href = with_query("/evidence/control", {"id": row.id, **more})
    return ControlCells(
        id=row.id,
        name=row.id.partition(".")[2] or row.id,
        title=row.described.title if row.described else "Not in the catalogue",
        href=href,
        standing=standing_view(row.standing),
        satisfied=f"{row.satisfied:,}",
        violated=f"{row.violated:,}",
        inconclusive=f"{row.inconclusive:,}",
        days=f"{row.day_count} of {days}",
        last=minute_moment(moment_of(row.last_ms)) if row.last_ms is not None else None,
        quiet=_quiet(row.days_without),
        is_quiet=bool(row.days_without),
    )


def _quiet(days: int | None) -> str:
    if days is None:
        return "–"
    if days == 0:
        return "0 days"
    return f"{days:,} day{'' if days == 1 else 's'}"


def _tallies(matrix: Matrix) -> tuple[Tally, ...]:
    counts = dict.fromkeys(Standing, 0)
    for row in matrix.rows:
        counts[row.standing] += 1
    return tuple(Tally(count, standing_view(each)) for each, count in counts.items())


def _rule_cells(sums: RuleSums, days: int, opens: Opens) -> RuleCells:
    lost = sums.late + sums.dropped
    return RuleCells(
        rule=sums.rule,
        href=opens.rule(sums.rule),
        judged=f"{sums.judged:,}",
        satisfied=f"{sums.satisfied:,}",
        violated=f"{sums.violated:,}",
        inconclusive=f"{sums.inconclusive:,}",
        lost=f"{lost:,}",
        days=f"{sums.day_count} of {days}",
    )
