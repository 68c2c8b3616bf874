"""A rule in quarantine, in shadow, and with exceptions, as people see it in a browser."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.browser import problems_of_page, sign_in
from tests.e2e.conftest import DEVELOPER, SRE
from tests.support.console import Console

pytestmark = pytest.mark.e2e


@pytest.fixture
def developer(context: BrowserContext, console: Console) -> Page:
    """A page of a signed-in developer, who may write rules."""
    page = context.new_page()
    sign_in(page, console.url, email=DEVELOPER)
    return page


@pytest.fixture
def quarantined(console: Console) -> str:
    """A new rule that was put into quarantine."""
    rule_id = f"pairs-{uuid4().hex[:6]}"
    console.add_rule(rule_id, name="Every pair is compared", severity="medium")
    console.quarantine(rule_id)
    return rule_id


def test_a_rule_in_quarantine_says_why_and_is_switched_on_again(
    developer: Page, console: Console, quarantined: str
) -> None:
    developer.goto(f"{console.url}/rules/{quarantined}")
    banner = developer.get_by_role("region", name="In quarantine since")
    expect(banner).to_contain_text("Its budget ran out in 1,412 of 2,980 judgements")
    expect(banner).to_contain_text("save it as a new version")
    expect(developer.locator(".badge")).to_be_visible()
    banner.get_by_role("button", name="Switch on again").click()
    expect(developer.get_by_text("Switched on. Traces that begin")).to_be_visible()
    expect(developer.locator(".signal-tags")).to_contain_text("Active")


def test_a_notice_is_acknowledged_and_the_rule_stays_where_it_is(
    developer: Page, console: Console, quarantined: str
) -> None:
    developer.goto(f"{console.url}/rules/{quarantined}")
    developer.get_by_role("link", name="Notices").click()
    row = developer.get_by_role("listitem").filter(has_text="Every pair is compared").first
    row.get_by_role("button", name="Acknowledge").click()
    expect(developer.get_by_text("Acknowledged by developer@example.com").first).to_be_visible()
    developer.goto(f"{console.url}/rules/{quarantined}")
    expect(developer.get_by_role("heading", name="In quarantine since")).to_be_visible()


def test_who_may_not_write_rules_reads_why_and_cannot_release(
    page: Page, console: Console, quarantined: str
) -> None:
    page.goto(f"{console.url}/rules/{quarantined}")
    expect(page.get_by_role("heading", name="In quarantine since")).to_be_visible()
    expect(page.get_by_role("button", name="Switch on again")).to_have_count(0)


def test_a_shadow_rule_counts_what_would_have_alerted_and_is_promoted(
    developer: Page, console: Console
) -> None:
    rule_id = f"shadow-{uuid4().hex[:6]}"
    console.add_rule(rule_id, name="Tried out", severity="low", state="shadow")
    signal_id = console.add_signal(rule_id, rule_name="Tried out", shadow=True)
    developer.goto(f"{console.url}/signals")
    expect(developer.locator(f"#signal-{signal_id}")).to_have_count(0)
    developer.goto(f"{console.url}/rules/{rule_id}")
    expect(developer.get_by_role("region", name="Last 24 hours")).to_contain_text(
        "1 in 24 h, 1 in 7 days"
    )
    developer.get_by_role("link", name="Signals", exact=True).last.click()
    expect(developer.locator(f"#signal-{signal_id}")).to_contain_text("Shadow")
    developer.goto(f"{console.url}/rules/{rule_id}")
    developer.get_by_role("button", name="Promote to active").click()
    expect(developer.locator(".signal-tags")).to_contain_text("Active")


def test_a_silenced_signal_says_by_whom_and_is_found_when_asked_for(
    page: Page, console: Console
) -> None:
    exception = {"where": "service == staging", "reason": "load tests", "owner": "ada"}
    signal_id = console.add_signal(
        "large-charges", rule_name="Large charges are checked", exception=exception
    )
    page.goto(f"{console.url}/signals")
    expect(page.locator("[data-live-label]")).to_have_text("Live")
    expect(page.locator(f"#signal-{signal_id}")).to_have_count(0)
    page.locator("summary", has_text="More").click()
    page.get_by_label("Which signals").select_option("excepted")
    page.locator(f"#signal-{signal_id} a").click()
    expect(page.get_by_role("note")).to_have_text(
        "Silenced by ada: load tests (service == staging)"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_overflows(
    browser: Browser, console: Console, quarantined: str, scheme: str
) -> None:
    soon = (datetime.now(UTC) + timedelta(days=3)).date().isoformat()
    rule_id = f"excepting-{uuid4().hex[:6]}"
    console.add_rule(
        rule_id,
        name="Excused here and there",
        severity="high",
        exceptions=[
            {"where": "service == staging", "reason": "load tests", "owner": "ada", "until": soon},
            {"where": "user.id in [robot, probe]", "reason": "our own probes"},
            {"where": "service == old", "reason": "is replaced", "until": "2020-01-31"},
        ],
    )
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    sign_in(page, console.url, email=SRE)
    found = {}
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 860})
        for path in ("/notices", f"/rules/{quarantined}", f"/rules/{rule_id}", "/rules"):
            page.goto(f"{console.url}{path}")
            expect(page.locator(".badge")).to_be_visible()
            found[f"{path} at {width}"] = problems_of_page(page)
    context.close()
    assert {path: problems for path, problems in found.items() if problems} == {}
