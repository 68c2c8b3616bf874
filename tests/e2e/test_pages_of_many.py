"""Pages of signals that have no trace, in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from api.worker.many import seen_of
from tests.e2e.browser import accessibility_problems, sign_in
from tests.e2e.conftest import SRE
from tests.support.console import Console
from tests.support.many_signals import CORRELATE, EXPECT, correlated, overdue

pytestmark = pytest.mark.e2e

PROMISE = "when { charge } always { fraud.check }"
SEEN = {"many-charges": correlated(), "nightly-backup": overdue()}


@pytest.fixture
def signal_ids(console: Console) -> dict[str, str]:
    """A signal of each kind of rule over many traces, by rule."""
    console.add_rule("charge-is-checked", PROMISE, group_by=["user.id"])
    console.add_rule("many-charges", CORRELATE, name="Many unchecked charges of one user")
    console.add_rule("nightly-backup", EXPECT, name="A backup every night")
    return {
        rule_id: console.add_signal(
            rule_id, rule_name=rule_id, broken_clause="", many=seen_of(signal)
        )
        for rule_id, signal in SEEN.items()
    }


def test_the_list_shows_the_key_in_place_of_a_trace(
    page: Page, console: Console, signal_ids: dict[str, str]
) -> None:
    page.goto(f"{console.url}/signals")
    row = page.locator(f"#signal-{signal_ids['many-charges']}")
    expect(row.locator(".row-detail")).to_have_text("user.id = u1·2 within 10 min")
    row = page.locator(f"#signal-{signal_ids['nightly-backup']}")
    expect(row.locator(".row-detail")).to_have_text("service = billing·not seen for more than 24 h")


def test_a_signal_says_what_contributes_and_leads_there(
    page: Page, console: Console, signal_ids: dict[str, str]
) -> None:
    console.add_signal("charge-is-checked", signal_id="09" * 16)
    page.goto(f"{console.url}/signals/{signal_ids['many-charges']}")
    panel = page.get_by_role("region", name="What contributes")
    links = panel.get_by_role("link")
    expect(links).to_have_text(["charge-is-checked"])
    assert links.get_attribute("href") == f"/signals/{'09' * 16}"
    expect(page.get_by_role("region", name="Why")).to_contain_text("count is 2")
    expect(page.get_by_role("region", name="Facts")).to_contain_text("Held since")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("rule_id", SEEN)
def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    browser: Browser, console: Console, signal_ids: dict[str, str], rule_id: str, scheme: str
) -> None:
    context = browser.new_context(
        viewport={"width": 380, "height": 800},
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    page = context.new_page()
    sign_in(page, console.url, email=SRE)
    page.goto(f"{console.url}/signals/{signal_ids[rule_id]}")
    assert accessibility_problems(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()
