"""The whole way on real servers: a rule by REST, a trace by the OpenTelemetry SDK, a signal on the
open page, its cause, and its end."""

from __future__ import annotations

from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from deploy.embedded.stack import Stack
from tests.e2e.browser import accessibility_problems
from tests.e2e.whole.traffic import Shop
from tests.e2e.whole.waiting import PATIENCE_MS, save_rule, until_there

pytestmark = pytest.mark.e2e


def test_a_broken_promise_travels_from_the_sdk_to_the_page_and_is_resolved(
    stack: Stack, page: Page
) -> None:
    env = stack.environment()
    rule_id = f"e2e-{uuid4().hex[:8]}"
    name = f"Charges over 1000 are checked ({rule_id})"
    save_rule(
        env,
        rule_id,
        name=name,
        severity="critical",
        rule="when { payment.charge.where(amount > 1000) }\nalways { fraud.check }",
    )

    page.goto(f"{env['BETRACE_URL']}/signals?rule_id={rule_id}")
    expect(page.locator("[data-live-label]")).to_have_text("Live")

    shop = Shop(env)
    kept, broken = shop.check_out(amount=50), shop.check_out(amount=2400)
    rows = page.locator("[data-rows]")
    row = rows.get_by_role("link", name=name)
    expect(row).to_be_visible(timeout=PATIENCE_MS)
    expect(row).to_have_count(1)

    row.click()
    _expect_cause(page, trace_id=broken)
    assert accessibility_problems(page) == []
    page.get_by_role("button", name="Investigate").click()
    page.get_by_label("Reason").fill("The shop calls the check again.")
    page.get_by_role("button", name="Resolve").click()
    expect(page.locator(".signal-tags")).to_contain_text("Resolved")

    page.goto(f"{env['BETRACE_URL']}/signals?rule_id={rule_id}")
    expect(rows.get_by_role("link", name=name)).to_have_count(1)
    expect(rows).not_to_contain_text(kept[:8])


def _expect_cause(page: Page, *, trace_id: str) -> None:
    """The page says which clause broke and why, and shows the trace with the span marked."""
    expect(page.get_by_role("link", name=trace_id)).to_be_visible()
    broke = page.locator(".clause-broke")
    # the copy of the trace follows the signal by a moment
    until_there(page, broke, load=page.reload)
    expect(broke.locator(".clause-word")).to_have_text("always")
    expect(page.locator(".wf-row:not([hidden]):not(.wf-ghost)")).to_have_count(3)
    marked = page.locator(".wf-marked:not([hidden])")
    expect(marked.filter(has_text="payment.charge")).to_have_count(1)
