"""The operator's console and the page of retention in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, expect

from api.database import open_pool
from api.operators.making import create_operator_key
from tests.e2e.browser import Complaints, accessibility_problems
from tests.support.console import SECRET, Console, run_apart


async def _make_key(console: Console) -> str:
    async with open_pool(console.database.app, size=1) as pool:
        return await create_operator_key(
            pool,
            f"op-{uuid4()}",
            lifetime=timedelta(hours=1),
            networks=(),
            pepper=SECRET.encode(),
            actor="operator:test",
        )


@pytest.fixture(params=["light", "dark", "narrow"])
def operator(request: pytest.FixtureRequest, browser: Browser, console: Console) -> Iterator[Page]:
    """A page of an operator who has just signed in, on a screen of each kind."""
    narrow = request.param == "narrow"
    context = browser.new_context(
        viewport={"width": 390 if narrow else 1280, "height": 860},
        color_scheme="dark" if request.param == "dark" else "light",
    )
    complaints = Complaints(context, url=console.url)
    page = context.new_page()
    page.goto(f"{console.url}/operator")
    assert accessibility_problems(page) == []
    page.get_by_label("Operator's key").fill(run_apart(_make_key(console)))
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/operator")
    yield page
    context.close()
    assert complaints.lines == []


def fits(page: Page) -> bool:
    wide: int = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return wide <= 0


def test_a_tenant_is_made_limited_suspended_and_held(operator: Page, console: Console) -> None:
    name = f"tenant-{uuid4().hex[:8]}"
    operator.get_by_role("link", name="New tenant").click()
    operator.get_by_label("Name").fill(name)
    operator.get_by_label("First admin").fill(f"{name}@example.com")
    operator.get_by_label("Tier").select_option("team")
    seen = {"new": (accessibility_problems(operator), fits(operator))}
    operator.get_by_role("button", name="Make the tenant").click()
    expect(operator.locator("[data-made-key]")).to_contain_text("betrace_live_")
    seen["made"] = (accessibility_problems(operator), fits(operator))
    operator.get_by_role("link", name="To the tenant").click()
    operator.get_by_label("Rules", exact=True).fill("33")
    operator.get_by_role("button", name="Set quotas").click()
    expect(operator.get_by_label("Rules", exact=True)).to_have_value("33")
    operator.get_by_role("button", name="Suspend").click()
    operator.get_by_role("button", name="Hold everything").click()
    expect(operator.get_by_text("Held by an operator since")).to_be_visible()
    seen["tenant"] = (accessibility_problems(operator), fits(operator))
    operator.goto(f"{console.url}/operator?q={name}")
    row = operator.get_by_role("listitem").filter(has_text=name)
    for chip in ("Suspended", "On hold", "Quotas of its own"):
        expect(row.get_by_text(chip)).to_be_visible()
    seen["list"] = (accessibility_problems(operator), fits(operator))
    assert seen == dict.fromkeys(seen, ([], True))


def test_the_page_of_retention_says_what_is_kept(page_of_admin: Page, console: Console) -> None:
    page = page_of_admin
    page.goto(f"{console.url}/settings/retention")
    page.get_by_label("Dead letters").fill("14")
    page.get_by_role("button", name="Change").click()
    expect(page.get_by_label("Dead letters")).to_have_value("14")
    page.get_by_role("button", name="Hold everything").click()
    expect(page.locator("#on-hold")).to_contain_text("nothing is deleted")
    assert accessibility_problems(page) == []
    page.get_by_role("button", name="Lift the hold").click()
    expect(page.locator("#on-hold")).to_have_count(0)
