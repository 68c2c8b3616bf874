"""A false positive on real servers: an exception is proven, saved, and silences what it should."""

from __future__ import annotations

from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from deploy.embedded.stack import Stack
from tests.e2e.whole.traffic import Shop
from tests.e2e.whole.waiting import PATIENCE_MS, save_rule, until_read_everywhere, until_shown

pytestmark = pytest.mark.e2e


def test_a_false_positive_is_silenced_and_nothing_else(stack: Stack, page: Page) -> None:
    env, mark = stack.environment(), uuid4().hex[:8]
    site, rule_id, name = env["BETRACE_URL"], f"gold-{mark}", f"Charges are checked ({mark})"
    shop = Shop(env, service=f"shop-{mark}")
    silver = {"amount": 5000, "customer.tier": "silver"}
    charge = {"name": "payment.charge", "service": shop.service, "attributes": silver}
    save_rule(
        env,
        rule_id,
        name=name,
        severity="high",
        rule="when   { payment.charge.where(amount > 1000"
        f' and service == "{shop.service}") }}\nalways {{ fraud.check }}',
        tests=[{"name": "silver", "trace": [charge], "expect": "violated"}],
    )
    signals = f"{site}/signals?rule_id={rule_id}"
    rows = page.locator("[data-rows]")

    page.goto(signals)
    expect(page.locator("[data-live-label]")).to_have_text("Live")
    gold = shop.check_out(amount=5000, customer_tier="gold")
    alert = rows.get_by_role("link", name=name)
    expect(alert).to_have_count(1, timeout=PATIENCE_MS)
    alert.click()
    until_shown(page, page.url, "fraud.check")

    # too much, then what it is about
    page.get_by_role("link", name="Not a problem? Make an exception").click()
    where, silences = page.get_by_label("Filter"), page.get_by_role("region", name="What it would")
    where.fill(f'service == "{shop.service}"')
    page.get_by_role("button", name="Try").click()
    expect(silences).to_contain_text("silver")
    expect(page.get_by_role("button", name="Save the exception")).to_have_count(0)
    where.fill('customer.tier == "gold"')
    page.get_by_role("button", name="Try").click()
    expect(silences).to_contain_text("A signal like this one would be silenced.")
    page.get_by_label("Reason").fill("Gold customers are checked by hand.")
    page.get_by_role("button", name="Save the exception").click()
    expect(page.get_by_role("status").filter(has_text="false positive now")).to_be_visible()

    # silence
    until_read_everywhere(page)
    again = shop.check_out(amount=5000, customer_tier="gold")
    other = shop.check_out(amount=5000, customer_tier="silver")
    until_shown(page, f"{signals}&shown=excepted", again[:8])
    until_shown(page, f"{signals}&status=open", other[:8])
    expect(rows.get_by_role("link", name=name)).to_have_count(1)
    for quiet in (gold, again):
        expect(rows).not_to_contain_text(quiet[:8])
