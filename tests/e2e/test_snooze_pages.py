"""Rules that are silent for a time, and those that alert once for a group."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.browser import problems_of_page, sign_in
from tests.e2e.conftest import DEVELOPER, SRE, VIEWER
from tests.support.console import Console

pytestmark = pytest.mark.e2e
REASON = "The bank's sandbox is down until the afternoon."


@pytest.fixture
def rule_id(console: Console) -> str:
    """A new rule."""
    rule_id = f"noisy-{uuid4().hex[:6]}"
    console.add_rule(rule_id, name=f"Noisy {rule_id}", severity="high")
    return rule_id


def snooze(page: Page, console: Console, rule_id: str, *, span: str = "1 day") -> None:
    page.goto(f"{console.url}/rules/{rule_id}")
    page.get_by_text("Let it be silent for a time").click()
    page.get_by_label("For", exact=True).select_option(label=span)
    page.get_by_label("Reason").fill(REASON)
    page.get_by_role("button", name="Snooze").press("Enter")
    expect(page.get_by_role("status").filter(has_text="Snoozed.")).to_be_visible()


def test_who_is_on_call_snoozes_a_rule_and_wakes_it(
    page: Page, console: Console, rule_id: str
) -> None:
    snooze(page, console, rule_id)
    panel = page.get_by_role("region", name="Snooze")
    expect(panel).to_contain_text("Alerts nobody")
    expect(panel).to_contain_text(f"by {SRE}: {REASON}")
    page.goto(f"{console.url}/rules?q={rule_id}")
    expect(page.locator(".rule-row .chip-warn")).to_have_text("Snoozed")
    page.goto(f"{console.url}/rules/{rule_id}")
    panel.get_by_role("button", name="Wake it now").click()
    expect(page.get_by_role("status").filter(has_text="alerts again")).to_be_visible()
    expect(panel).not_to_contain_text("Alerts nobody")


def test_a_silent_signal_says_who_snoozed_its_rule(
    page: Page, console: Console, rule_id: str
) -> None:
    snooze(page, console, rule_id)
    signal_id = console.add_signal(rule_id, rule_name="Noisy")
    with psycopg.connect(console.database.worker) as connection:
        connection.execute(
            "update signals s set exception = jsonb_build_object('where', '', 'reason', z.reason,"
            " 'owner', z.actor, 'until', '2027-01-15T08:00:00Z', 'snooze', z.id)"
            " from rule_snoozes z where s.id = %s and z.rule_id = s.rule_id",
            [bytes.fromhex(signal_id)],
        )
    page.goto(f"{console.url}/signals/{signal_id}")
    expect(page.get_by_text(f"its rule was snoozed by {SRE}")).to_be_visible()
    expect(page.get_by_text(REASON)).to_be_visible()


def test_who_may_only_look_is_offered_nothing(
    browser: Browser, console: Console, rule_id: str
) -> None:
    context = browser.new_context()
    page = context.new_page()
    sign_in(page, console.url, email=VIEWER)
    answer = page.goto(f"{console.url}/rules/{rule_id}")
    assert answer is not None
    expect(page.get_by_role("button", name="Snooze")).to_have_count(0)
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_overflows(
    browser: Browser, console: Console, rule_id: str, scheme: str
) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    sign_in(page, console.url, email=SRE)
    found = {}
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 860})
        page.goto(f"{console.url}/rules/{rule_id}")
        page.get_by_text("Let it be silent for a time").click()
        found[f"before at {width}"] = problems_of_page(page)
    snooze(page, console, rule_id)
    page.get_by_text("Snooze it for longer or shorter").click()
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 860})
        found[f"snoozed at {width}"] = problems_of_page(page)
        page.goto(f"{console.url}/rules?q={rule_id}")
        found[f"listed at {width}"] = problems_of_page(page)
        page.goto(f"{console.url}/rules/{rule_id}")
    context.close()
    assert {where: problems for where, problems in found.items() if problems} == {}


def test_a_repeat_leads_to_the_signal_that_alerts(
    page: Page, console: Console, rule_id: str
) -> None:
    first = console.add_signal(rule_id, rule_name="Noisy")
    repeat = console.add_signal(rule_id, rule_name="Noisy")
    with psycopg.connect(console.database.worker) as connection:
        connection.execute(
            "update signals set exception = jsonb_build_object('where', '', 'reason', 'It repeats"
            " a signal of its group: its rule alerts once in 900 s.', 'repeats', %s::text)"
            " where id = %s",
            [first, bytes.fromhex(repeat)],
        )
    page.goto(f"{console.url}/signals/{repeat}")
    page.get_by_role("link", name="Look at that one").click()
    expect(page).to_have_url(f"{console.url}/signals/{first}")


def test_a_window_is_chosen_in_the_form_and_told_on_the_page(
    context: BrowserContext, console: Console, rule_id: str
) -> None:
    page = context.new_page()
    sign_in(page, console.url, email=DEVELOPER)
    page.goto(f"{console.url}/rules/{rule_id}/edit")
    expect(page.get_by_label("Alerts")).to_have_value("")
    page.get_by_label("Alerts").select_option("15m")
    page.get_by_role("button", name="Save rule").click()
    expect(page.get_by_text("Once in 15m for each group")).to_be_visible()
    page.goto(f"{console.url}/rules/{rule_id}/edit")
    expect(page.get_by_label("Alerts")).to_have_value("15m")
