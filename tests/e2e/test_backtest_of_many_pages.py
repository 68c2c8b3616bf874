"""Backtests of rules over many traces in a real browser: signals, keys, and what was seen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from psycopg.types.json import Jsonb

from tests.e2e.browser import accessibility_problems, sign_in
from tests.e2e.conftest import SRE
from tests.support.console import Console
from tests.support.tenants import insert_backtest, insert_count, insert_part, insert_result

pytestmark = pytest.mark.e2e

RULE = "failed-logins"
TEXT = "correlate { login.failed } by user.id within 10m having count >= 5"
LOWER = TEXT.replace("5", "3")
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
AT_NS = int(AT.timestamp()) * 10**9
MINUTE_NS = 60 * 10**9
OUTCOME = {
    "broken": "", "reasons": [], "incomplete": False, "judged_ms": AT_NS // 10**6,
    "signal_id": "", "revision": 0,
}  # fmt: skip


def a_backtest(console: Console, state: str, *, gathered: bool) -> str:
    """Store a backtest of which all partitions are done; return its id."""
    backtest_id = insert_backtest(
        console.database.app,
        console.scope,
        {
            "id": RULE,
            "name": "Failed logins",
            "severity": "high",
            "kind": "correlate",
            "now": {"version": None, "text": LOWER},
            "was": {"version": 1, "text": TEXT},
        },
        state=state,
        finished_at=None if state == "running" else AT,
        started_at=AT - timedelta(seconds=20),
    )
    worker, scope = console.database.worker, console.scope
    insert_part(worker, scope, backtest_id, trace_count=1_250, span_count=9_876)
    done_at = AT if gathered else None
    last = {"partition": 1, "gathers": True, "end_offset": 0, "records_read": 0, "span_count": 0,
            "trace_count": 0, "done_at": done_at}  # fmt: skip
    insert_part(worker, scope, backtest_id, **last)
    return backtest_id


def seen_side(member_count: int) -> dict[str, Any]:
    """Return a signal as a worker stores it."""
    members = [
        {
            "time_ns": AT_NS + number * MINUTE_NS,
            "name": "login.failed",
            "trace_id": f"{number:032x}",
            "span_id": f"{number:016x}",
            "signal_id": "",
            "source": 0,
            "doubtful": False,
            "values": {"client.address": f"203.0.113.{number}"},
        }
        for number in range(member_count)
    ]
    return {
        "kind": "correlate",
        "key": {"user.id": "ada@example.com"},
        "since_ns": AT_NS + 2 * MINUTE_NS,
        "last_ns": AT_NS + (member_count - 1) * MINUTE_NS,
        "within_ns": 10 * MINUTE_NS,
        "over": True,
        "count": member_count,
        "members": members,
        "measured": [{"text": "count", "least": str(member_count), "greatest": str(member_count)}],
    }


def with_signals(console: Console, backtest_id: str) -> str:
    """Store signals that are newly raised, one that both raise, and keys that have none."""
    worker, scope = console.database.worker, console.scope
    for was, now, count in (
        ("satisfied", "violated", 7),
        ("violated", "satisfied", 1),
        ("violated", "violated", 1),
        ("satisfied", "satisfied", 212),
    ):
        insert_count(worker, scope, backtest_id, was, now, count, rule_id=RULE)
    for was, now, sides in (
        ("satisfied", "violated", {"was": None, "now": seen_side(7)}),
        ("violated", "satisfied", {"was": seen_side(5), "now": None}),
    ):
        key = {"user.id": "somebody.with.a.rather.long.name.that.has.to.be.broken@example.com"}
        insert_result(
            worker, scope, backtest_id, partition=1, rule_id=RULE, was=was, now=now, begin_at=AT,
            root_name="", root_service="", span_count=0, seen=Jsonb({"key": key, **sides}),
            was_outcome=Jsonb(OUTCOME), now_outcome=Jsonb(OUTCOME),
        )  # fmt: skip
    return backtest_id


def test_signals_that_differ_are_shown_with_what_was_seen(page: Page, console: Console) -> None:
    backtest_id = with_signals(console, a_backtest(console, "done", gathered=True))
    page.goto(f"{console.url}/backtests/{backtest_id}")
    expect(page.get_by_text("7 signals newly raised, 1 signal no longer raised.")).to_be_visible()
    row = page.get_by_role("row", name="Signals", exact=False).first
    expect(row).to_contain_text("+6")
    new = page.locator(".change", has_text="No signal").first
    expect(new.get_by_role("heading")).to_contain_text("7 signals")
    expect(new).to_contain_text("7 within 14 min")
    new.get_by_text("What was seen").click()
    expect(new.locator(".contributors > li")).to_have_count(5)
    expect(new).to_contain_text("2 more are counted and not listed.")
    new.get_by_role("link", name="More of these rows").click()
    expect(page.get_by_text("somebody.with.a.rather.long.name")).to_be_visible()


def test_they_are_said_to_be_judged_last(page: Page, console: Console) -> None:
    backtest_id = a_backtest(console, "running", gathered=False)
    page.goto(f"{console.url}/backtests/{backtest_id}")
    expect(page.get_by_text("judging the rules over many traces")).to_be_visible()
    expect(page.get_by_text("Judged last, when all partitions")).to_be_visible()
    _end(console, backtest_id)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_a_narrow_screen_does_not_scroll_sideways(
    browser: Browser, console: Console, scheme: str
) -> None:
    paths = pages_of(console)
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light", viewport={"width": 360, "height": 740}
    )
    page = context.new_page()
    sign_in(page, console.url, email=SRE)
    found, overflow = {}, {}
    for path in paths:
        page.goto(console.url + path)
        for summary in page.locator("details:not(.menu) > summary").all():
            summary.click()
        found[path] = accessibility_problems(page)
        overflow[path] = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    context.close()
    assert found == {path: [] for path in paths}
    assert overflow == dict.fromkeys(paths, 0)


def pages_of(console: Console) -> list[str]:
    """Return the pages in every state they have."""
    differing = with_signals(console, a_backtest(console, "done", gathered=True))
    cancelled = a_backtest(console, "cancelled", gathered=False)
    kind = f"rule_id={RULE}&was=satisfied&now=violated"
    return [
        f"/backtests/{differing}",
        f"/backtests/{differing}/traces?{kind}",
        f"/backtests/{cancelled}",
    ]


def _end(console: Console, backtest_id: str) -> None:
    """End a backtest: a tenant has one at a time."""
    import psycopg

    with psycopg.connect(console.database.worker) as connection:
        connection.execute(
            "update backtests set state = 'cancelled', finished_at = now() where id = %s",
            [backtest_id],
        )
