"""Folded signals by REST and on pages."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.integration.api.conftest import Caller
from tests.support.postgres import Database
from tests.support.tenants import NOON, insert_fold, insert_rule, insert_signal, insert_trace

pytestmark = pytest.mark.integration

FOLDS = "/api/v1/signals/folds"


@pytest.fixture
def fold(caller: Caller, shared_database: Database) -> Any:
    """Write what was folded n minutes after noon."""
    insert_rule(shared_database.app, caller.scope)
    insert_rule(shared_database.app, caller.scope, "other")

    def write(minutes: int = 0, **columns: Any) -> None:
        minute = NOON + timedelta(minutes=minutes)
        insert_fold(shared_database.worker, caller.scope, minute=minute, **columns)

    return write


def examples(*numbers: int) -> list[bytes]:
    return [bytes((number,)) * 16 for number in numbers]


async def test_a_minute_is_the_sum_of_its_lanes(
    caller: Caller, fold: Any, shared_database: Database
) -> None:
    later = NOON + timedelta(seconds=30)
    fold(lane=1, raised=5, withdrawn=1, example_trace_ids=examples(1, 2, 3, 4, 5))
    fold(lane=2, raised=6, renewed=2, first_at=NOON, last_at=later, example_trace_ids=examples(9))
    insert_trace(shared_database.worker, caller.scope, "09" * 16, "root")
    assert (await caller.client.get(FOLDS)).json() == {
        "items": [
            {
                "rule_id": "promise",
                "rule_version": 1,
                "rule_name": "Promise",
                "severity": "high",
                "shadow": False,
                "minute": "2026-11-23T12:00:00Z",
                "raised": 11,
                "renewed": 2,
                "withdrawn": 1,
                "first_at": "2026-11-23T12:00:00Z",
                "last_at": "2026-11-23T12:00:30Z",
                "examples": [
                    {"trace_id": "09" * 16, "copied": True},
                    *({"trace_id": f"0{n}" * 16, "copied": False} for n in (1, 2, 3, 4)),
                ],
            }
        ],
        "next_cursor": None,
    }


async def test_pages_go_back_in_time_and_miss_nothing(caller: Caller, fold: Any) -> None:
    for minutes in range(4):
        for rule_id in ("promise", "other"):
            for lane in (1, 2):
                fold(minutes, rule_id=rule_id, lane=lane)
    found: list[tuple[str, str]] = []
    cursor: str | None = None
    while True:
        asked: dict[str, Any] = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        page = (await caller.client.get(FOLDS, params=asked)).json()
        found += [(item["minute"], item["rule_id"]) for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == [
        (f"2026-11-23T12:0{minutes}:00Z", rule_id)
        for minutes in (3, 2, 1, 0)
        for rule_id in ("promise", "other")
    ]


async def test_filters_narrow_the_list(caller: Caller, fold: Any) -> None:
    fold(0, severity="low")
    fold(1, rule_id="other")
    fold(2)

    async def minutes(**asked: str) -> list[int]:
        page = (await caller.client.get(FOLDS, params=asked)).json()
        return [datetime.fromisoformat(item["minute"]).minute for item in page["items"]]

    assert await minutes(rule_id="other") == [1]
    assert await minutes(severity="low") == [0]
    assert await minutes(**{"from": "2026-11-23T12:01:00Z"}) == [2, 1]
    assert await minutes(to="2026-11-23T12:01:00Z") == [0]
    assert await minutes(rule_id="nobody") == []


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"cursor": "bm9wZQ"}, "request.cursor"),
        ({"from": "2026-11-24T00:00:00Z", "to": "2026-11-23T00:00:00Z"}, "request.range"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    caller: Caller, asked: dict[str, str], code: str
) -> None:
    refused = await caller.client.get(FOLDS, params=asked)
    assert (refused.status_code, refused.json()["code"]) == (400, code)


async def test_another_tenant_sees_nothing_by_rest_and_on_pages(
    caller: Caller, stranger: Caller, fold: Any, shared_database: Database
) -> None:
    fold(raised=4321)
    insert_rule(shared_database.app, stranger.scope)
    for path in ("/signals", "/rules/promise"):
        assert "4,321" not in (await stranger.client.get(path)).text
    assert (await stranger.client.get(FOLDS)).json() == {"items": [], "next_cursor": None}
    assert "4,321 more signals were folded" in (await caller.client.get("/signals")).text


async def test_a_page_of_the_list_tells_of_its_own_time(
    caller: Caller, fold: Any, shared_database: Database
) -> None:
    for minutes in range(100):
        at = NOON + timedelta(minutes=minutes)
        insert_signal(shared_database.worker, caller.scope, judged_at=at)
    fold(20, raised=1_111)
    fold(80, raised=2_222)
    newest = (await caller.client.get("/signals")).text
    assert "2,222 more signals were folded" in newest
    assert "1,111" not in newest
    older = newest.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0]
    oldest = (await caller.client.get(older.replace("&amp;", "&"))).text
    assert "1,111 more signals were folded" in oldest
    assert "2,222" not in oldest


async def test_minutes_that_follow_each_other_are_one_storm(caller: Caller, fold: Any) -> None:
    for minutes in (0, 1, 4, 20):
        fold(minutes, raised=1_000)
    fold(10, raised=0, withdrawn=7, first_at=None, last_at=None)
    page = (await caller.client.get("/signals")).text
    assert "3,000 more signals were folded between 12:00 and 12:04 UTC on 23 Nov 2026." in page
    assert "7 of them were withdrawn later." in page
    assert "1,000 more signals were folded at 12:20 UTC on 23 Nov 2026." in page


async def test_storms_that_are_not_listed_are_counted(caller: Caller, fold: Any) -> None:
    for number in range(7):
        fold(10 * number, raised=100)
    page = (await caller.client.get("/signals")).text
    assert page.count('class="storm"') == 5
    assert "200 more signals were folded in other storms of this time." in page


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("status=open", True),
        ("status=resolved", False),
        ("severity=high", True),
        ("severity=low", False),
        ("rule_id=other", False),
        ("service=shop", True),
    ],
)
async def test_the_filters_of_the_page_hold_for_folded_signals(
    caller: Caller, fold: Any, query: str, shown: bool
) -> None:
    fold(raised=4321)
    page = (await caller.client.get(f"/signals?{query}")).text
    assert ("4,321 more signals" in page) is shown
    assert ("not told apart by service" in page) is query.startswith("service")
