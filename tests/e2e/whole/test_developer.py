"""A developer's way on real servers: an ordinary trace becomes a rule with tests, is tried on what
was, runs in shadow, and alerts."""

from __future__ import annotations

from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from deploy.embedded.stack import Stack
from tests.e2e.browser import write_rule
from tests.e2e.whole.traffic import Shop
from tests.e2e.whole.waiting import (
    PATIENCE_MS,
    SAMPLED_MS,
    until_read_everywhere,
    until_shown,
)

pytestmark = pytest.mark.e2e


def test_a_trace_becomes_a_rule_that_alerts(stack: Stack, page: Page) -> None:
    env = stack.environment()
    site, mark = env["BETRACE_URL"], uuid4().hex[:8]
    shop, rule_id = Shop(env, service=f"shop-{mark}"), f"charges-{mark}"
    with shop.open(amount=2400):
        # a trace
        traces = f"{site}/traces?service={shop.service}"
        until_shown(page, traces, "POST /checkout", for_ms=SAMPLED_MS)
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
        until_read_everywhere(page)
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
        until_read_everywhere(page)
        page.goto(f"{site}/signals?rule_id={rule_id}")
        expect(page.locator("[data-live-label]")).to_have_text("Live")
        loud = shop.check_out(amount=9000)
        row = page.locator("[data-rows]").get_by_role("link", name=f"Charges are checked ({mark})")
        expect(row).to_have_count(1, timeout=PATIENCE_MS)
        row.click()
        expect(page.get_by_role("link", name=loud)).to_be_visible()
