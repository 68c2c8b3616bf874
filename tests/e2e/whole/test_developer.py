"""A developer's way on real servers: an ordinary trace becomes a rule with tests, is tried on what
was, runs in shadow, and alerts."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, expect

from deploy.embedded.stack import Stack
from tests.e2e.browser import Complaints, sign_in, write_rule
from tests.e2e.whole.traffic import Shop

pytestmark = pytest.mark.e2e

PATIENCE_MS = 60_000
"""The trace settles in 2 s and is judged in 1; a loaded machine may take a while longer."""
SAMPLED_MS = 240_000
"""Ordinary traces are looked for once a minute, a minute after they came."""


@pytest.fixture
def page(stack: Stack, browser: Browser) -> Iterator[Page]:
    """A page of who may do everything in the tenant; the browser has nothing to complain about."""
    env = stack.environment()
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    complaints = Complaints(context, url=env["BETRACE_URL"])
    page = context.new_page()
    sign_in(page, env["BETRACE_URL"], email=env["BETRACE_LOGIN"], password=env["BETRACE_PASSWORD"])
    yield page
    context.close()
    assert complaints.lines == []


def test_a_trace_becomes_a_rule_that_alerts(stack: Stack, page: Page) -> None:
    env = stack.environment()
    site, mark = env["BETRACE_URL"], uuid4().hex[:8]
    shop, rule_id = Shop(env, service=f"shop-{mark}"), f"charges-{mark}"
    with shop.open(amount=2400):
        # a trace
        until_shown(page, f"{site}/traces?service={shop.service}", "POST /checkout")
        page.get_by_role("link", name="POST /checkout").first.click()

        # a rule with two tests
        page.get_by_role("link", name="Make a rule").click()
        for span in ("payment.charge", "fraud.check"):
            page.get_by_role("checkbox", name=span).check()
        charge = page.get_by_role("listitem").filter(
            has=page.get_by_role("checkbox", name="payment.charge")
        )
        charge.locator("summary").click()
        for condition in ("amount", "service"):
            charge.get_by_role("checkbox", name=condition).check()
        page.get_by_role("button", name="Write the rule").click()
        promise = page.get_by_role("textbox", name="Promise")
        expect(promise).to_contain_text("always { fraud.check after first }")
        write_rule(
            page,
            f'when   {{ payment.charge.where(amount > 1000 and service == "{shop.service}") }}\n'
            "always { fraud.check }",
        )
        expect(page.locator("[data-tried]")).to_have_text("1 trace: 1 satisfied")
        page.get_by_role("button", name="Check and test").click()
        expect(page.locator("#tested")).to_contain_text("All 2 tests passed")
        page.get_by_label("Name", exact=True).fill(f"Charges are checked ({mark})")
        page.get_by_label("Id", exact=True).fill(rule_id)
        page.get_by_role("button", name="Save rule").click()

        # shadow: it is judged, and nobody is alerted
        expect(page.locator(".signal-tags")).to_contain_text("Shadow")
        read_everywhere(page)
        quiet = shop.check_out(amount=9000)
        until_shown(page, f"{site}/signals?rule_id={rule_id}&shown=shadow", quiet[:8])
        page.goto(f"{site}/signals?rule_id={rule_id}")
        expect(page.locator("[data-rows]")).not_to_contain_text(quiet[:8])

        # what it would have said of what was
        page.goto(f"{site}/rules/{rule_id}/backtest")
        page.get_by_label("Traces that began in").select_option("1h")
        page.get_by_role("button", name="Run backtest").click()
        expect(page.locator("#backtest .chip").first).to_have_text("Done", timeout=SAMPLED_MS)
        violated = page.get_by_role("row").filter(has_text="Violated")
        expect(violated).to_contain_text("1")
        expect(page.get_by_role("row").filter(has_text="Satisfied")).to_be_visible()

        # active
        page.goto(f"{site}/rules/{rule_id}")
        page.get_by_role("button", name="Promote to active").click()
        expect(page.locator(".signal-tags")).to_contain_text("Active")
        read_everywhere(page)
        page.goto(f"{site}/signals?rule_id={rule_id}")
        expect(page.locator("[data-live-label]")).to_have_text("Live")
        loud = shop.check_out(amount=9000)
        row = page.locator("[data-rows]").get_by_role("link", name=f"Charges are checked ({mark})")
        expect(row).to_have_count(1, timeout=PATIENCE_MS)
        row.click()
        expect(page.get_by_role("link", name=loud)).to_be_visible()


def until_shown(page: Page, url: str, text: str) -> None:
    """Load a page again until something stands on it."""
    for _ in range(SAMPLED_MS // 2_000):
        page.goto(url)
        if page.get_by_text(text).count():
            return
        page.wait_for_timeout(2_000)
    pytest.fail(f"{text} is not on {url}")


def read_everywhere(page: Page) -> None:
    """Load the page of a rule again until its newest version is judged by everywhere."""
    since = page.locator("dt", has_text="Active everywhere since").locator("+ dd time")
    for _ in range(PATIENCE_MS // 500):
        page.reload()
        if since.count():
            return
        page.wait_for_timeout(500)
    pytest.fail("the rule is not read everywhere")
