"""Counts of signals: beside filters, by group, and the figures of the home page.

Nearly all of them come from sums that the database keeps with every change
(sql/migrations/0078-signal-sums.sql), so they are exact, and as fast with a million signals. Out of
the signals themselves are counted the edges of a range of time, and what sums have no cells for: a
service within a range, whose people within a range, people's groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final

from api.auth.principal import TenantScope
from api.cursors import decode_cursor, encode_cursor, foreign_cursor
from api.database import Connection, Pool, queries, tenant_transaction
from api.signals.model import GroupKey, Severity, SignalFilter
from api.signals.service import NO_ONE, assignee_ids, group_ids

SERVICES_MAX: Final = 50
GROUPS_MAX: Final = 200
SPARK_DAYS: Final = 14
RESOLVED_DAYS: Final = 30
RESOLVED_MAX: Final = 10_000
_BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
_END: Final = datetime(9999, 1, 1, tzinfo=UTC)
_RANKS: Final[Mapping[int, Severity]] = {
    5: Severity.CRITICAL,
    4: Severity.HIGH,
    3: Severity.MEDIUM,
    2: Severity.LOW,
    1: Severity.INFO,
}


class Facet(StrEnum):
    """What signals can be narrowed by."""

    SEVERITY = "severity"
    STATUS = "status"
    RULE = "rule"
    SERVICE = "service"
    ASSIGNEE = "assignee"
    TAG = "tag"


@dataclass(frozen=True, slots=True)
class Counted:
    """A value of a filter, and how many signals it would show. Empty of assignees: nobody."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class Facets:
    """How many signals fit all filters, and for each filter its values under all the others.

    values: most frequent first; of services the first SERVICES_MAX.
    """

    total: int
    values: Mapping[Facet, tuple[Counted, ...]]


class GroupSort(StrEnum):
    """In which order groups stand, largest or newest first."""

    LAST_SEEN = "last_seen"
    FIRST_SEEN = "first_seen"
    COUNT = "count"
    SEVERITY = "severity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Signals of one rule that have its `group_by` in common, as far as a filter shows them.

    values: what they have in common; empty where the rule groups by nothing, or, with a key without
    fingerprint, where it is not known yet. signal_id: the newest of the group, whatever its status.
    days: how many there were on each of the last SPARK_DAYS days (UTC), oldest first, whatever
    became of them.
    """

    key: GroupKey
    rule_id: str
    rule_name: str
    severity: Severity
    root_name: str
    root_service: str
    values: Mapping[str, Any]
    many: Mapping[str, Any] | None
    signal_id: str
    count: int
    open: int
    investigating: int
    first_at: datetime
    last_at: datetime
    days: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class GroupPage:
    """A page of groups, where the next begins, and how many groups and signals there are in all."""

    items: tuple[Group, ...]
    next_cursor: str | None
    total: int


@dataclass(frozen=True, slots=True)
class Resolution:
    """How long signals took to be resolved, of the last RESOLVED_DAYS days, in seconds.

    From the first judgement, which raised it, to the moment when somebody (or late evidence)
    resolved it last. False positives do not count. resolved: how many, at most RESOLVED_MAX; with
    none there are no times.
    """

    resolved: int
    median_s: float | None
    p90_s: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What an SRE wants to know first, of signals that alert.

    critical: open or investigating ones. last_day: raised in the last 24 hours of event time;
    day_before: in the 24 hours before. folded: raised in the last 24 hours and only counted.
    """

    open: int
    investigating: int
    critical: int
    last_day: int
    day_before: int
    folded: int
    resolution: Resolution


@dataclass(frozen=True, slots=True)
class Stretch:
    """A range of time as whole UTC days and what is left at either end.

    all_days: no bound at all, then nothing else counts. end_day: exclusive. edges: half-open, none
    to two.
    """

    all_days: bool
    first_day: date = date.min
    end_day: date = date.max
    edges: tuple[tuple[datetime, datetime], ...] = ()


def stretch_of(from_at: datetime | None, to_at: datetime | None) -> Stretch:
    """Return how a half-open range is counted; None: no bound."""
    if from_at is None and to_at is None:
        return Stretch(True)
    begin = from_at.astimezone(UTC) if from_at else None
    end = to_at.astimezone(UTC) if to_at else None
    first_day = date.min if begin is None else _day_from(begin)
    end_day = date.max if end is None else end.date()
    if begin is not None and end is not None and first_day >= end_day:
        return Stretch(False, first_day, first_day, ((begin, end),))
    edges = []
    if begin is not None and begin < _midnight(first_day):
        edges.append((begin, _midnight(first_day)))
    if end is not None and _midnight(end_day) < end:
        edges.append((_midnight(end_day), end))
    return Stretch(False, first_day, end_day, tuple(edges))


async def count_facets(pool: Pool, scope: TenantScope, chosen: SignalFilter) -> Facets:
    """Return how many signals the values of each filter would show.

    Verdicts and trace are not counted by: what was ever violated is.
    """
    async with tenant_transaction(pool, scope) as connection:
        asked = await _asked(connection, chosen)
        has_range = not asked["all_days"]
        by_filters = _counted_by(chosen, asked, sums_tell=not (has_range and chosen.service))
        by_service = _counted_by(chosen, asked, sums_tell=not (has_range and chosen.assignees))
        found: dict[str, list[Counted]] = {}
        async for row in queries("signal_sums").facets(connection, **by_filters):
            if row["signal_count"] > 0:
                counted = Counted(row["value"], row["signal_count"])
                found.setdefault(row["facet"], []).append(counted)
        services = queries("signal_sums").services(connection, **by_service, limit=SERVICES_MAX)
        found[Facet.SERVICE] = [
            Counted(row["value"], row["signal_count"]) async for row in services
        ]
    return Facets(
        total=sum(counted.count for counted in found.get("total", ())),
        values={facet: _most_first(found.get(facet, ())) for facet in Facet},
    )


async def list_groups(
    pool: Pool,
    scope: TenantScope,
    chosen: SignalFilter,
    *,
    sort: GroupSort = GroupSort.LAST_SEEN,
    cursor: str | None = None,
    limit: int = 50,
    today: date | None = None,
) -> GroupPage:
    """Return one page of the groups of what a filter shows.

    today: the last day of `days`, by default that of now. Raises ApiError 400 for a cursor that is
    none, or of another order.
    """
    last_day = today or datetime.now(UTC).date()
    async with tenant_transaction(pool, scope) as connection:
        asked = await _asked(connection, chosen)
        sums_tell = not chosen.assignees and (asked["all_days"] or not chosen.service)
        by = _counted_by(chosen, asked, sums_tell=sums_tell, of_groups=True)
        found = queries("signal_sums").groups(
            connection, **by, **_place(cursor, sort), sort=sort.value, limit=limit + 1
        )
        rows = [row async for row in found]
        shown = rows[:limit]
        keys = {
            "rules": [row["rule_id"] for row in shown],
            "groups": [bytes(row["group_id"]) for row in shown],
        }
        names = await _names(connection, keys)
        days = await _days(connection, keys, asked["shown"], last_day)
    items = tuple(_group(row, names, days) for row in shown if _key(row) in names)
    more = len(rows) > limit
    return GroupPage(
        items,
        _cursor(shown[-1], sort) if more else None,
        total=rows[0]["group_count"] if rows else 0,
    )


async def home_figures(pool: Pool, scope: TenantScope, *, now: datetime | None = None) -> Figures:
    """Return the figures of the home page. now: by default that of the clock."""
    at = now or datetime.now(UTC)
    day = timedelta(days=1)
    statements = queries("signal_sums")
    async with tenant_transaction(pool, scope) as connection:
        waiting = await statements.figures(connection)
        last_day = await statements.raised_between(connection, from_at=at - day, to_at=at)
        before = await statements.raised_between(connection, from_at=at - 2 * day, to_at=at - day)
        folded = await statements.folded_between(connection, from_at=at - day, to_at=at)
        resolution = await statements.resolution(
            connection, since=at - timedelta(days=RESOLVED_DAYS), most=RESOLVED_MAX
        )
    return Figures(
        open=waiting["open"],
        investigating=waiting["investigating"],
        critical=waiting["critical"],
        last_day=last_day,
        day_before=before,
        folded=folded,
        resolution=Resolution(**resolution),
    )


def _day_from(at: datetime) -> date:
    """Return the first whole day from a moment on."""
    midnight = at == _midnight(at.date())
    return at.date() if midnight else at.date() + timedelta(days=1)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


async def _asked(connection: Connection, chosen: SignalFilter) -> dict[str, Any]:
    """Return the parameters that all statements have in common."""
    stretch = stretch_of(chosen.from_at, chosen.to_at)
    fingerprints, ungrouped = group_ids(chosen.groups)
    people = await assignee_ids(connection, chosen.assignees)
    return {
        "all_days": stretch.all_days,
        "first_day": stretch.first_day,
        "end_day": stretch.end_day,
        **_bounds(stretch.edges),
        "shown": chosen.shown.value,
        "service": chosen.service or "",
        "of_groups": bool(chosen.groups),
        "group_ids": fingerprints,
        "ungrouped_rules": ungrouped,
        "rule_ids": list(chosen.rule_ids) or None,
        "severities": [one.value for one in chosen.severities] or None,
        "statuses": [one.value for one in chosen.statuses] or None,
        "assignee_ids": people,
        "nobody": people is not None and NO_ONE in people,
        "tags": list(chosen.tags) or None,
    }


def _bounds(edges: Sequence[tuple[datetime, datetime]]) -> dict[str, datetime | None]:
    """Return the parameters of at most two stretches that are counted out of the signals."""
    head = edges[0] if edges else (None, None)
    tail = edges[1] if len(edges) > 1 else (None, None)
    return {"head_from": head[0], "head_to": head[1], "tail_from": tail[0], "tail_to": tail[1]}


def _counted_by(
    chosen: SignalFilter, asked: Mapping[str, Any], *, sums_tell: bool, of_groups: bool = False
) -> dict[str, Any]:
    """Return the parameters of a count: out of the sums if they tell, else out of the signals.

    of_groups: whether the count is of groups; others know none.
    """
    if sums_tell and (of_groups or not chosen.groups):
        return {**asked, "from_sums": True}
    whole = (chosen.from_at or _BEGINNING, chosen.to_at or _END)
    return {**asked, "from_sums": False, **_bounds([whole])}


def _most_first(counted: Iterable[Counted]) -> tuple[Counted, ...]:
    return tuple(sorted(counted, key=lambda one: (-one.count, one.value)))


_Names = Mapping[tuple[str, bytes], Mapping[str, Any]]
_Days = Mapping[tuple[str, bytes], tuple[int, ...]]


def _key(row: Mapping[str, Any]) -> tuple[str, bytes]:
    return row["rule_id"], bytes(row["group_id"])


async def _names(connection: Connection, keys: Mapping[str, Sequence[Any]]) -> _Names:
    rows = queries("signal_sums").group_examples(connection, **keys)
    return {_key(row): row async for row in rows}


async def _days(
    connection: Connection, keys: Mapping[str, Sequence[Any]], shown: str, last_day: date
) -> _Days:
    first_day = last_day - timedelta(days=SPARK_DAYS - 1)
    found: dict[tuple[str, bytes], list[int]] = {}
    rows = queries("signal_sums").group_days(connection, **keys, shown=shown, first_day=first_day)
    async for row in rows:
        number = (row["day"] - first_day).days
        if number < SPARK_DAYS:
            found.setdefault(_key(row), [0] * SPARK_DAYS)[number] = row["signal_count"]
    return {key: tuple(counts) for key, counts in found.items()}


def _group(row: Mapping[str, Any], names: _Names, days: _Days) -> Group:
    example = names[_key(row)]
    fingerprint = bytes(row["group_id"]).hex()
    return Group(
        key=GroupKey(fingerprint) if fingerprint else GroupKey(rule_id=row["rule_id"]),
        rule_id=row["rule_id"],
        rule_name=example["rule_name"],
        severity=_RANKS[row["rank"]],
        root_name=example["root_name"],
        root_service=example["root_service"],
        values=example["group_values"],
        many=example["many"],
        signal_id=bytes(example["id"]).hex(),
        count=row["signal_count"],
        open=row["open_count"],
        investigating=row["investigating_count"],
        first_at=row["first_at"],
        last_at=row["last_at"],
        days=days.get(_key(row), (0,) * SPARK_DAYS),
    )


def _cursor(last: Mapping[str, Any], sort: GroupSort) -> str:
    group = bytes(last["group_id"]).hex()
    return encode_cursor(sort.value, last["place"], last["rule_id"], group)


def _place(cursor: str | None, sort: GroupSort) -> dict[str, Any]:
    if not cursor:
        return {"before_place": None, "before_rule": None, "before_group": None}
    order, place, rule_id, group = decode_cursor(cursor, str, int, str, str)
    if order != sort.value or not -(2**63) <= place < 2**63:
        raise foreign_cursor()
    try:
        return {
            "before_place": place,
            "before_rule": rule_id,
            "before_group": bytes.fromhex(group),
        }
    except ValueError as error:
        raise foreign_cursor() from error
