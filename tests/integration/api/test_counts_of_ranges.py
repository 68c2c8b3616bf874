"""Counts of ranges of time are what a plain count of the table gives, wherever their edges lie."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from api.database import Pool, queries, tenant_transaction
from api.signals.counting import Facet, count_facets, list_groups
from api.signals.model import Severity, SignalFilter
from tests.integration.api.conftest import Caller
from tests.support.postgres import Database
from tests.support.tenants import (
    NOON,
    insert_rule,
    insert_signal,
    make_user,
    settle_sums,
    update_signal,
)

MIDNIGHT = datetime(NOON.year, NOON.month, NOON.day, tzinfo=UTC)
DAY = timedelta(days=1)
Row = dict[str, Any]

_FITS: dict[Facet, Callable[[SignalFilter, Row], bool]] = {
    Facet.SEVERITY: lambda chosen, row: row["severity"] in chosen.severities,
    Facet.RULE: lambda chosen, row: row["rule_id"] in chosen.rule_ids,
    Facet.SERVICE: lambda chosen, row: chosen.service in row["involved"],
    Facet.ASSIGNEE: lambda chosen, row: row["assignee"] in chosen.assignees,
    Facet.TAG: lambda chosen, row: bool({*chosen.tags} & {*row["tags"]}),
}
_ASKED: dict[Facet, Callable[[SignalFilter], object]] = {
    Facet.SEVERITY: lambda chosen: chosen.severities,
    Facet.RULE: lambda chosen: chosen.rule_ids,
    Facet.SERVICE: lambda chosen: chosen.service,
    Facet.ASSIGNEE: lambda chosen: chosen.assignees,
    Facet.TAG: lambda chosen: chosen.tags,
}
_VALUES: dict[Facet, Callable[[Row], Iterable[str]]] = {
    Facet.SEVERITY: lambda row: [row["severity"]],
    Facet.STATUS: lambda row: [row["status"]],
    Facet.RULE: lambda row: [row["rule_id"]],
    Facet.SERVICE: lambda row: row["involved"],
    Facet.ASSIGNEE: lambda row: [row["assignee"]],
    Facet.TAG: lambda row: row["tags"],
}


def fitting(rows: list[Row], chosen: SignalFilter, but: Facet | None = None) -> list[Row]:
    """Return the rows that the filters show, without one of them."""
    return [
        row
        for row in rows
        if (chosen.from_at is None or row["occurred_at"] >= chosen.from_at)
        and (chosen.to_at is None or row["occurred_at"] < chosen.to_at)
        and all(
            _FITS[facet](chosen, row)
            for facet in _FITS
            if facet is not but and _ASKED[facet](chosen)
        )
    ]


def stored(database: Database, caller: Caller) -> list[Row]:
    """Return the alerting signals as the table has them, each with all services it involves."""
    with psycopg.connect(database.admin, row_factory=dict_row) as connection:
        rows = connection.execute(
            "select s.rule_id, s.severity, s.status, s.tags, s.occurred_at,"
            " coalesce(s.group_fingerprint, '') as group_id, coalesce(u.email, '') as assignee,"
            " array(select distinct o from unnest(s.root_service || s.services) o where o <> '')"
            " as involved"
            " from signals s left join users u on u.id = s.assignee_id"
            " where s.tenant_id = %s and s.raised and s.alerts",
            [caller.scope.tenant_id],
        )
        return list(rows)


async def people(pool: Pool, caller: Caller, database: Database) -> dict[str, Any]:
    """Make two members; return address to id."""
    emails = [await make_user(pool, caller.scope) for _ in range(2)]
    with psycopg.connect(database.admin) as connection:
        found = connection.execute(
            "select email, id from users where email = any(%s)", [emails]
        ).fetchall()
    return dict(found)


async def fill(caller: Caller, database: Database, ids: dict[str, Any]) -> None:
    """Write signals of four days, at midnights and noons too; half of them are in the sums."""
    for rule in ("promise", "other"):
        insert_rule(database.app, caller.scope, rule)
    chance = random.Random(60)
    exact = [MIDNIGHT + DAY * half / 2 for half in range(9)]
    near = [at - timedelta(microseconds=1) for at in exact]
    anywhere = [MIDNIGHT + timedelta(minutes=chance.randrange(5_760)) for _ in range(70)]
    moments = [*exact, *near, *anywhere]
    chance.shuffle(moments)
    for number, at in enumerate(moments):
        if number == len(moments) // 2:
            settle_sums(database)
        made = insert_signal(
            database.worker,
            caller.scope,
            rule_id=chance.choice(["promise", "other"]),
            severity=chance.choice(["critical", "high"]),
            tags=chance.choice([[], ["pii"], ["pii", "money"]]),
            root_service=chance.choice(["shop", ""]),
            services=chance.choice([["shop"], ["shop", "ledger"], []]),
            group_fingerprint=chance.choice([None, b"a" * 16, b"b" * 16]),
            shadow=chance.random() < 0.1,
            verdict="violated" if chance.random() < 0.9 else "inconclusive",
            judged_at=at,
        )
        if (someone := chance.choice([None, *ids.values()])) is not None:
            update_signal(database.worker, caller.scope, made, assignee_id=someone)


def ranges() -> list[tuple[datetime | None, datetime | None]]:
    """Return ranges without, with one and with two edges, within a day, and on midnights."""
    hours = (0, 9, 12, 24, 36, 50, 72, 96)
    moments = [MIDNIGHT + timedelta(hours=number) for number in hours]
    between = [(begin, end) for nth, begin in enumerate(moments) for end in moments[nth + 1 :]]
    return [
        (None, None),
        *((at, None) for at in moments),
        *((None, at) for at in moments),
        *between,
    ]


async def test_a_range_is_counted_as_the_table_is(
    caller: Caller, pool: Pool, shared_database: Database
) -> None:
    ids = await people(pool, caller, shared_database)
    await fill(caller, shared_database, ids)
    rows = stored(shared_database, caller)
    someone = next(iter(ids))
    filters: list[dict[str, Any]] = [
        {},
        {"assignees": (someone,)},
        {"assignees": ("",)},
        {"assignees": ("", someone)},
        {"assignees": ("stranger@example.com",)},
        {"service": "ledger"},
        {"severities": (Severity.HIGH,), "tags": ("money",)},
        {"rule_ids": ("other",), "assignees": (someone,), "service": "shop"},
    ]
    for begin, end in ranges():
        for by in filters:
            chosen = SignalFilter(from_at=begin, to_at=end, **by)
            shown = fitting(rows, chosen)
            found = await count_facets(pool, caller.scope, chosen)
            assert found.total == len(shown), chosen
            assert {
                facet: {one.value: one.count for one in counted}
                for facet, counted in found.values.items()
            } == {
                facet: Counter(
                    value for row in fitting(rows, chosen, but=facet) for value in values(row)
                )
                for facet, values in _VALUES.items()
            }, chosen
            groups = await list_groups(pool, caller.scope, chosen, limit=200)
            times: dict[tuple[str, bytes], list[datetime]] = {}
            for row in shown:
                times.setdefault((row["rule_id"], row["group_id"]), []).append(row["occurred_at"])
            told = {
                (group.rule_id, bytes.fromhex(group.key.fingerprint)): [
                    group.count,
                    group.first_at,
                    group.last_at,
                ]
                for group in groups.items
            }
            assert told == {
                key: [len(each), min(each), max(each)] for key, each in times.items()
            }, chosen


@pytest.mark.parametrize("hours", [1, 24])
async def test_the_stretches_of_trends_are_counted_as_the_table_is(
    hours: int, caller: Caller, pool: Pool, shared_database: Database
) -> None:
    for rule in ("promise", "other"):
        insert_rule(shared_database.app, caller.scope, rule)
    chance = random.Random(hours)
    days, length, tick = 3, timedelta(hours=hours), timedelta(microseconds=1)
    to_at, from_at = NOON, NOON - length
    for back in range(days + 2):
        for at in (from_at - tick, from_at, from_at + length / 2, to_at - tick, to_at):
            insert_signal(
                shared_database.worker,
                caller.scope,
                rule_id=chance.choice(["promise", "other"]),
                root_service=chance.choice(["shop", "risk", ""]),
                services=chance.choice([["shop"], ["shop", "ledger"], []]),
                shadow=chance.random() < 0.1,
                verdict="violated" if chance.random() < 0.9 else "inconclusive",
                judged_at=at - DAY * back,
            )
    rows = stored(shared_database, caller)
    by_rule: Counter[tuple[str, int]] = Counter()
    by_service: Counter[tuple[str, int]] = Counter()
    for back in range(days + 1):
        begin, end = from_at - DAY * back, to_at - DAY * back
        within = [row for row in rows if begin <= row["occurred_at"] < end]
        by_rule.update((row["rule_id"], back) for row in within)
        by_service.update((name, back) for row in within for name in row["involved"])
    async with tenant_transaction(pool, caller.scope) as connection:
        asked = {"from_at": from_at, "to_at": to_at, "days": days}
        rules = queries("signal_sums").rules_by_day_back(connection, **asked)
        services = queries("signal_sums").services_by_day_back(connection, **asked)
        found = [
            [(row["subject"], row["name"], row["back"], row["signal_count"]) async for row in each]
            for each in (rules, services)
        ]
    assert [sorted(each) for each in found] == [
        sorted((rule, "A promise", back, count) for (rule, back), count in by_rule.items()),
        sorted((name, name, back, count) for (name, back), count in by_service.items()),
    ]
