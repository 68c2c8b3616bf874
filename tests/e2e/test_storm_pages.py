"""What was folded of storms, in a real browser."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser import accessibility_problems, sign_in
from tests.e2e.conftest import SRE
from tests.support.console import CHECKOUT, Console

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Storm:
    """A storm of two minutes. trace_id: of an example that was copied."""

    rule_id: str
    name: str
    trace_id: str


@pytest.fixture
def storm(console: Console) -> Storm:
    """A storm of a rule of its own."""
    number = uuid4().hex[:8]
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    traces = [uuid4().hex for _ in range(5)]
    storm = Storm(f"rule-{number}", f"Promise {number} is kept", traces[0])
    console.add_rule(storm.rule_id, name=storm.name)
    console.add_trace(storm.trace_id, CHECKOUT, at=minute)
    console.add_signal(storm.rule_id, rule_name=storm.name, at=minute - timedelta(minutes=5))
    for nth, raised in enumerate((12_000, 340)):
        console.add_fold(
            storm.rule_id,
            rule_name=storm.name,
            minute=minute - timedelta(minutes=2 - nth),
            raised=raised,
            withdrawn=nth,
            examples=traces,
        )
    return storm


def test_the_list_and_the_rule_tell_of_a_storm_and_lead_to_a_trace(
    page: Page, console: Console, storm: Storm
) -> None:
    page.goto(f"{console.url}/signals")
    told = page.get_by_role("list", name="Folded signals").get_by_role("listitem")
    mine = told.filter(has_text=storm.name)
    expect(mine).to_contain_text(f"{storm.name}: 12,340 more signals were folded between")
    expect(mine).to_contain_text("1 of them was withdrawn later.")
    mine.get_by_role("link", name=storm.name).click()
    expect(page.get_by_role("region", name="Folded signals")).to_contain_text("12,340 more signals")
    page.get_by_role("link", name=storm.trace_id[:8]).click()
    expect(page).to_have_url(f"{console.url}/traces/{storm.trace_id}")


def test_a_storm_is_told_of_when_a_signal_arrives(page: Page, console: Console) -> None:
    page.goto(f"{console.url}/signals")
    expect(page.locator("[data-live-label]")).to_have_text("Live")
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    console.add_fold(
        "large-charges", rule_name="Arriving", minute=minute, raised=77, examples=[uuid4().hex]
    )
    console.add_signal("large-charges", rule_name="Arriving")
    storms = page.get_by_role("list", name="Folded signals")
    expect(storms).to_contain_text("Arriving: 77 more signals were folded")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    browser: Browser, console: Console, storm: Storm, scheme: str
) -> None:
    context = browser.new_context(
        viewport={"width": 380, "height": 800},
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    page = context.new_page()
    sign_in(page, console.url, email=SRE)
    for path in ("/signals", f"/rules/{storm.rule_id}"):
        page.goto(console.url + path)
        expect(page.get_by_text("12,340 more signals").first).to_be_visible()
        assert accessibility_problems(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()
