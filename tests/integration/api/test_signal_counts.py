"""Counts beside filters, groups, figures and trends: exact after every change, of one tenant."""

from __future__ import annotations

import random
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from api.database import Pool, queries, tenant_transaction
from api.signals.counting import Facet, count_facets, home_figures, list_groups
from api.signals.model import GroupKey, Severity, Shown, SignalFilter, Status
from api.signals.service import list_signals
from tests.integration.api.conftest import Caller
from tests.support.postgres import Database
from tests.support.tenants import (
    NOON,
    insert_rule,
    insert_signal,
    insert_trace,
    make_user,
    settle_sums,
    update_signal,
)

Insert = Callable[..., str]
FACETS = "/api/v1/signals/facets"
GROUPS = "/api/v1/signals/groups"


@pytest.fixture
def insert(caller: Caller, shared_database: Database) -> Insert:
    """Write a signal of the rule `promise`."""
    insert_rule(shared_database.app, caller.scope)
    return partial(insert_signal, shared_database.worker, caller.scope)


@pytest.fixture
def update(caller: Caller, shared_database: Database) -> Callable[..., None]:
    """Change a signal as the worker does."""
    return partial(update_signal, shared_database.worker, caller.scope)


async def facets(caller: Caller, **query: Any) -> dict[str, Any]:
    response = await caller.client.get(FACETS, params=query)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return {
        name: found if name == "total" else {one["value"]: one["count"] for one in found}
        for name, found in body.items()
    }


async def test_each_filter_counts_under_the_others(caller: Caller, insert: Insert) -> None:
    insert(severity="critical", tags=["pii", "money"], services=["shop", "ledger"])
    insert(severity="high", tags=["pii"], root_service="billing", services=["billing"])
    insert(severity="high", root_service="")
    assert await facets(caller) == {
        "total": 3,
        "severity": {"high": 2, "critical": 1},
        "status": {"open": 3},
        "rule": {"promise": 3},
        "service": {"billing": 1, "ledger": 1, "shop": 1},
        "assignee": {"": 3},
        "tag": {"pii": 2, "money": 1},
    }
    narrowed = await facets(caller, severity="high", tag="pii")
    assert (narrowed["total"], narrowed["severity"], narrowed["tag"], narrowed["service"]) == (
        1, {"critical": 1, "high": 1}, {"pii": 1}, {"billing": 1},
    )  # fmt: skip


async def test_counts_follow_what_becomes_of_signals(
    caller: Caller, insert: Insert, update: Any, pool: Pool, shared_database: Database
) -> None:
    first, second = insert(), insert()
    never = insert(verdict="inconclusive")
    email = await make_user(pool, caller.scope)
    path = f"/api/v1/signals/{first}"
    await caller.client.patch(path, json={"status": "investigating", "assignee": email})
    update(second, services=["shop", "ledger"], group_fingerprint=b"g" * 16)
    update(never, verdict="violated", revision=2)
    before = await facets(caller)
    assert (before["status"], before["assignee"], before["service"]) == (
        {"open": 2, "investigating": 1}, {"": 2, email: 1}, {"shop": 3, "ledger": 1},
    )  # fmt: skip
    settle_sums(shared_database)
    assert await facets(caller) == before
    with psycopg.connect(shared_database.worker) as connection:
        connection.execute("delete from signals where id = %s", [bytes.fromhex(second)])
    assert (await facets(caller))["service"] == {"shop": 2}


async def test_a_range_counts_its_days_and_its_edges(caller: Caller, insert: Insert) -> None:
    for hours in (0, 11, 13, 36, 47, 49):
        insert(judged_at=NOON + timedelta(hours=hours))
    counted = {}
    for begin, end in ((0, 1), (0, 12), (11, 48), (12, 60), (1, 13)):
        query = {
            "from": (NOON + timedelta(hours=begin)).isoformat(),
            "to": (NOON + timedelta(hours=end)).isoformat(),
        }
        page = await caller.client.get("/api/v1/signals", params=query)
        counted[begin, end] = (await facets(caller, **query))["total"], len(page.json()["items"])
    assert {key: pair[0] for key, pair in counted.items()} == {
        (0, 1): 1, (0, 12): 2, (11, 48): 4, (12, 60): 4, (1, 13): 1,
    }  # fmt: skip
    assert all(count == listed for count, listed in counted.values())


async def test_silent_signals_are_counted_apart(caller: Caller, insert: Insert) -> None:
    insert()
    insert(shadow=True)
    insert(exception=Jsonb({"where": "a", "reason": "b"}))
    counts = {shown: (await facets(caller, shown=shown.value))["total"] for shown in Shown}
    assert counts == {Shown.ALERTS: 1, Shown.SHADOW: 1, Shown.EXCEPTED: 1, Shown.ALL: 3}


@pytest.mark.parametrize("query", [{"verdict": "violated"}, {"trace_id": "0" * 32}])
async def test_nothing_is_counted_by_verdict_or_trace(
    caller: Caller, query: Mapping[str, str]
) -> None:
    for path in (FACETS, GROUPS):
        response = await caller.client.get(path, params=query)
        assert (response.status_code, response.json()["code"]) == (400, "signals.not_counted")


async def test_groups_hold_what_has_a_fingerprint_in_common(
    caller: Caller, insert: Insert, shared_database: Database
) -> None:
    like = {"group_fingerprint": b"a" * 16, "group_values": Jsonb({"customer": "gold"})}
    insert(judged_at=NOON, **like)
    newest = insert(judged_at=NOON + timedelta(minutes=5), severity="critical", **like)
    alone = insert(judged_at=NOON + timedelta(minutes=2))
    settle_sums(shared_database)
    body = (await caller.client.get(GROUPS)).json()
    told = [
        (group["group"], group["count"], group["severity"], group["values"], group["signal_id"])
        for group in body["items"]
    ]
    assert (body["total"], told) == (
        2,
        [
            ("61" * 16, 2, "critical", {"customer": "gold"}, newest),
            ("rule:promise", 1, "high", {}, alone),
        ],
    )
    first = body["items"][0]
    assert (first["first_at"], first["last_at"]) == (
        "2026-11-23T12:00:00Z", "2026-11-23T12:05:00Z",
    )  # fmt: skip
    listed = await caller.client.get("/api/v1/signals", params={"group": first["group"]})
    assert listed.json()["items"][0]["id"] == newest
    assert (await facets(caller, group=first["group"]))["total"] == 2
    rest = await caller.client.get("/api/v1/signals", params={"group": "rule:promise"})
    assert [one["id"] for one in rest.json()["items"]] == [alone]


@pytest.mark.parametrize("sort", ["last_seen", "first_seen", "count", "severity"])
async def test_pages_of_groups_are_the_whole_list_in_order(
    sort: str, caller: Caller, insert: Insert
) -> None:
    for number in range(7):
        for nth in range(number % 3 + 1):
            insert(
                group_fingerprint=bytes([number]) * 16,
                severity=["low", "critical", "high"][number % 3],
                judged_at=NOON + timedelta(minutes=number * 7 % 5, seconds=nth),
            )
    whole = (await caller.client.get(GROUPS, params={"sort": sort})).json()["items"]
    found, cursor = [], None
    while True:
        query = {"sort": sort, "limit": 3, **({"cursor": cursor} if cursor else {})}
        page = (await caller.client.get(GROUPS, params=query)).json()
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert (len(whole), found) == (7, whole)


async def test_a_cursor_of_another_order_is_refused(caller: Caller, insert: Insert) -> None:
    for number in range(3):
        insert(group_fingerprint=bytes([number]) * 16)
    page = (await caller.client.get(GROUPS, params={"limit": 1})).json()
    wrong = {"cursor": page["next_cursor"], "sort": "count"}
    response = await caller.client.get(GROUPS, params=wrong)
    assert (response.status_code, response.json()["code"]) == (400, "request.cursor")
    one = (await caller.client.get("/api/v1/signals", params={"limit": 1})).json()
    wrong = {"cursor": one["next_cursor"], "sort": "severity"}
    response = await caller.client.get("/api/v1/signals", params=wrong)
    assert (response.status_code, response.json()["code"]) == (400, "request.cursor")


@pytest.mark.parametrize("sort", ["oldest", "severity", "status"])
async def test_pages_in_another_order_are_the_whole_list(
    sort: str, caller: Caller, insert: Insert, update: Any
) -> None:
    made = {}
    for number in range(9):
        severity = ["low", "critical", "medium"][number % 3]
        at = NOON + timedelta(seconds=number * 5 % 7)
        signal_id = insert(severity=severity, judged_at=at)
        status = ["open", "investigating"][number % 2]
        update(signal_id, status=status)
        made[signal_id] = (severity, status, at)
    found: list[str] = []
    cursor = None
    while True:
        query = {"sort": sort, "limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await caller.client.get("/api/v1/signals", params=query)).json()
        found += [one["id"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    def newest(signal_id: str) -> tuple[float, int]:
        return -made[signal_id][2].timestamp(), -int(signal_id, 16)

    orders: dict[str, Callable[[str], Any]] = {
        "oldest": lambda one: (made[one][2], int(one, 16)),
        "severity": lambda one: (list(Severity).index(Severity(made[one][0])), *newest(one)),
        "status": lambda one: (list(Status).index(Status(made[one][1])), *newest(one)),
    }
    assert found == sorted(made, key=orders[sort])


async def test_lists_are_narrowed_by_assignee_tag_and_several_rules(
    caller: Caller, insert: Insert, update: Any, pool: Pool, shared_database: Database
) -> None:
    insert_rule(shared_database.app, caller.scope, "other")
    email = await make_user(pool, caller.scope)
    mine = insert(tags=["pii"])
    await caller.client.patch(f"/api/v1/signals/{mine}", json={"assignee": email})
    plain = insert(judged_at=NOON + timedelta(seconds=1))
    other = insert(rule_id="other", tags=["money"], judged_at=NOON + timedelta(seconds=2))

    async def ids(**query: Any) -> list[str]:
        page = await caller.client.get("/api/v1/signals", params=query)
        return [one["id"] for one in page.json()["items"]]

    assert await ids(assignee=email.upper()) == [mine]
    assert await ids(assignee="") == [other, plain]
    assert await ids(assignee=["", email], rule_id="promise") == [plain, mine]
    assert await ids(assignee="nobody@example.com") == []
    assert await ids(tag=["pii", "money"]) == [other, mine]
    assert await ids(rule_id=["other", "promise"]) == [other, plain, mine]


async def test_sums_agree_with_signals_whatever_happens_to_them(
    caller: Caller, insert: Insert, update: Any, pool: Pool, shared_database: Database
) -> None:
    """A hundred random changes, with the worker in between; then every filter and its count."""
    chance = random.Random(7)
    ids: list[str] = []
    for number in range(100):
        at = NOON + timedelta(minutes=chance.randrange(5_000))
        match chance.randrange(6) if ids else 0:
            case 0 | 1:
                ids.append(
                    insert(
                        severity=chance.choice(["critical", "high", "low"]),
                        tags=chance.choice([[], ["pii"], ["pii", "money"]]),
                        services=chance.choice([["shop"], ["shop", "ledger"], []]),
                        verdict=chance.choice(["violated", "violated", "inconclusive"]),
                        shadow=chance.random() < 0.2,
                        judged_at=at,
                    )
                )
            case 2:
                update(chance.choice(ids), group_fingerprint=bytes([chance.randrange(3)]) * 16)
            case 3:
                update(chance.choice(ids), status="investigating", services=["shop", "risk"])
            case 4:
                update(chance.choice(ids), verdict="violated", occurred_at=at)
            case 5:
                gone = ids.pop(chance.randrange(len(ids)))
                with psycopg.connect(shared_database.worker) as connection:
                    connection.execute("delete from signals where id = %s", [bytes.fromhex(gone)])
        if number % 30 == 0:
            settle_sums(shared_database)
    with psycopg.connect(shared_database.admin) as connection:
        rows = connection.execute(
            "select severity, status, services || root_service,"
            " coalesce(encode(group_fingerprint, 'hex'), ''), alerts, occurred_at"
            " from signals where tenant_id = %s and raised",
            [caller.scope.tenant_id],
        ).fetchall()
    alerting = [row for row in rows if row[4]]
    found = await count_facets(pool, caller.scope, SignalFilter())
    by = {facet: {one.value: one.count for one in found.values[facet]} for facet in Facet}
    assert found.total == len(alerting)
    assert by[Facet.SEVERITY] == Counter(row[0] for row in alerting)
    assert by[Facet.STATUS] == Counter(row[1] for row in alerting)
    assert by[Facet.SERVICE] == Counter(name for row in alerting for name in {*row[2]} if name)
    groups = await list_groups(pool, caller.scope, SignalFilter(shown=Shown.ALL))
    assert {group.key.fingerprint: group.count for group in groups.items} == Counter(
        row[3] for row in rows
    )
    for chosen in (
        SignalFilter(service="ledger"),
        SignalFilter(service="shop", statuses=(Status.INVESTIGATING,)),
        SignalFilter(service="risk", from_at=NOON + timedelta(minutes=700)),
        SignalFilter(assignees=("",), to_at=NOON + timedelta(minutes=4_000)),
        SignalFilter(groups=(GroupKey("01" * 16), GroupKey(rule_id="promise"))),
        SignalFilter(tags=("money",), severities=(Severity.HIGH, Severity.LOW)),
    ):
        listed = await list_signals(pool, caller.scope, chosen, limit=1_000)
        counted = await count_facets(pool, caller.scope, chosen)
        of_groups = await list_groups(pool, caller.scope, chosen)
        assert counted.total == len(listed.items)
        assert sum(group.count for group in of_groups.items) == len(listed.items)
    middle = NOON + timedelta(minutes=2_500)
    late = await count_facets(pool, caller.scope, SignalFilter(from_at=middle))
    assert late.total == sum(row[5] >= middle for row in alerting)
    late_groups = await list_groups(pool, caller.scope, SignalFilter(from_at=middle))
    assert sum(group.count for group in late_groups.items) == late.total


async def test_the_figures_are_of_what_alerts(
    caller: Caller, insert: Insert, update: Any, pool: Pool, shared_database: Database
) -> None:
    now = datetime.now(UTC)
    insert(severity="critical", judged_at=now - timedelta(hours=1))
    insert(judged_at=now - timedelta(hours=30))
    insert(shadow=True, judged_at=now - timedelta(hours=1))
    for hours in (1, 3, 5):
        solved = insert(judged_at=now - timedelta(hours=hours))
        update(solved, status="resolved", status_reason="fixed")
    wrong = insert(judged_at=now - timedelta(hours=9))
    update(wrong, status="false_positive", status_reason="test")
    figures = await home_figures(pool, caller.scope)
    resolution = figures.resolution
    assert (figures.open, figures.investigating, figures.critical) == (2, 0, 1)
    assert (figures.last_day, figures.day_before, figures.folded) == (5, 1, 0)
    assert resolution.resolved == 3
    assert resolution.median_s == pytest.approx(3 * 3600, abs=120)
    assert resolution.p90_s == pytest.approx(4.6 * 3600, abs=120)
    body = (await caller.client.get("/api/v1/signals/figures")).json()
    assert (body["open"], body["critical"], body["resolution"]["resolved"]) == (2, 1, 3)


async def test_a_rule_that_raises_more_than_at_this_hour_is_trending(
    caller: Caller, insert: Insert
) -> None:
    now = datetime.now(UTC) - timedelta(minutes=1)
    for number in range(12):
        insert(judged_at=now - timedelta(minutes=number), services=["shop", "ledger"])
    for days in range(1, 15):
        insert(judged_at=now - timedelta(days=days, minutes=5))
    body = (await caller.client.get("/api/v1/signals/trending")).json()
    assert [
        (one["subject"], one["name"], one["current"], one["baseline"]) for one in body["rules"]
    ] == [("promise", "A promise", 12, 1.0)]
    assert [(one["subject"], one["baseline"]) for one in body["services"]] == [
        ("ledger", 0.0), ("shop", 1.0),
    ]  # fmt: skip


async def test_signals_of_one_deploy_are_an_incident(
    caller: Caller, stranger: Caller, insert: Insert, shared_database: Database
) -> None:
    insert_rule(shared_database.app, caller.scope, "other")
    now = datetime.now(UTC)
    ids = []
    for number, rule in enumerate(("promise", "other")):
        trace_id = secrets.token_bytes(16)
        insert_trace(shared_database.worker, caller.scope, trace_id.hex(), "GET /")
        with psycopg.connect(shared_database.worker) as connection:
            connection.execute(
                "update trace_spans set resource = %s where trace_id = %s",
                [Jsonb({"service.version": "4.2"}), trace_id],
            )
        at = now - timedelta(hours=3 * number)
        ids.append(insert(rule_id=rule, trace_id=trace_id, root_service=rule, judged_at=at))
    body = (await caller.client.get("/api/v1/signals/incidents")).json()
    assert [(one["signal_ids"], one["reasons"]) for one in body["items"]] == [
        (ids, [{"why": "deploy", "what": "shop 4.2", "count": 2}])
    ]
    assert (await stranger.client.get("/api/v1/signals/incidents")).json() == {"items": []}


async def test_another_tenant_counts_nothing(
    caller: Caller, stranger: Caller, insert: Insert, pool: Pool
) -> None:
    insert(group_fingerprint=secrets.token_bytes(16), judged_at=datetime.now(UTC))
    assert (await facets(stranger))["total"] == 0
    assert (await stranger.client.get(GROUPS)).json() == {
        "items": [], "next_cursor": None, "total": 0,
    }  # fmt: skip
    assert (await stranger.client.get("/api/v1/signals/figures")).json()["last_day"] == 0
    assert (await stranger.client.get("/api/v1/signals/trending")).json()["rules"] == []
    async with tenant_transaction(pool, stranger.scope) as connection:
        rows = queries("signal_sums").group_days(
            connection,
            rules=["promise"],
            groups=[b""],
            shown="all",
            first_day=NOON.date() - timedelta(days=900),
        )
        assert [row async for row in rows] == []
