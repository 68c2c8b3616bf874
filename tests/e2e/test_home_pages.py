"""The home page and changing many signals, in a real browser."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from api.auth.principal import Role
from tests.e2e.browser import accessibility_problems, sign_in
from tests.e2e.conftest import DEVELOPER, SRE
from tests.support.console import Console

pytestmark = pytest.mark.e2e

HUNTER = "hunter@example.com"


@pytest.fixture(scope="module")
def filled(console: Console) -> Console:
    """The console with groups of two rules over some days."""
    console.add_person(HUNTER, Role.SRE)
    console.add_rule("slow-queries", name="Queries are quick", severity="critical")
    now = datetime.now(UTC)
    for number in range(6):
        console.add_signal(
            "large-charges",
            rule_name="Large charges are checked",
            at=now - timedelta(days=number, minutes=3),
            group_fingerprint=b"c" * 16,
            group_values={"customer": "gold"},
        )
    for number in range(3):
        console.add_signal(
            "slow-queries",
            rule_name="Queries are quick",
            severity="critical",
            at=now - timedelta(minutes=number + 1),
            group_fingerprint=b"q" * 16,
            tags=["latency"],
        )
    return console


@pytest.fixture
def home(context: BrowserContext, filled: Console) -> Page:
    """The home page of a signed-in SRE."""
    page = context.new_page()
    sign_in(page, filled.url, email=SRE)
    expect(page.get_by_role("heading", level=1)).to_have_text("Home")
    return page


def test_the_cards_count_and_lead_to_what_they_count(home: Page, filled: Console) -> None:
    cards = home.get_by_role("region", name="Figures").get_by_role("listitem")
    expect(cards.filter(has_text="Critical")).to_contain_text("3")
    cards.get_by_role("link", name="Critical").click()
    expect(home).to_have_url(
        f"{filled.url}/signals?status=open&status=investigating&severity=critical"
    )
    expect(home.locator("[data-rows] > li")).to_have_count(3)


def test_a_group_shows_its_course_and_its_newest_signals(home: Page) -> None:
    groups = home.get_by_role("list", name="Groups of signals").locator("> li")
    expect(groups).to_have_count(2)
    gold = groups.filter(has_text="gold")
    expect(gold.get_by_role("img")).to_have_attribute(
        "aria-label", "14 days: 6 signals, at most 1, 1 today"
    )
    gold.locator("summary").click()
    expect(gold.locator("ol [data-row-link]")).to_have_count(6)


def test_menus_stay_open_while_their_choices_narrow_the_groups(home: Page, filled: Console) -> None:
    home.locator("summary", has_text="Severity").click()
    home.get_by_role("checkbox", name="Critical").check()
    expect(home).to_have_url(f"{filled.url}/home?severity=critical")
    expect(home.get_by_role("list", name="Groups of signals").locator("> li")).to_have_count(1)
    expect(home.get_by_role("checkbox", name="High")).to_be_visible()
    home.get_by_role("checkbox", name="High").check()
    expect(home).to_have_url(f"{filled.url}/home?severity=critical&severity=high")
    home.keyboard.press("Escape")
    home.get_by_role("link", name="Take away: Critical").click()
    expect(home).to_have_url(f"{filled.url}/home?severity=high")


def test_groups_are_changed_together_and_taken_back(home: Page) -> None:
    gold = home.get_by_role("list", name="Groups of signals").locator("> li", has_text="gold")
    gold.get_by_role("checkbox").check()
    expect(home.locator("[data-picked]")).to_have_text("· 1 chosen")
    home.get_by_label("Status to give").select_option("investigating")
    home.get_by_role("button", name="Change selected").click()
    said = home.locator(".message-good")
    expect(said).to_contain_text("Investigating: 6 signals.")
    expect(gold).to_contain_text("6 investigating")
    said.get_by_role("button", name="Undo").click()
    expect(said).to_contain_text("Taken back for 6 signals.")
    expect(gold).to_contain_text("6 open")


def test_the_list_is_walked_chosen_and_changed_by_keys_alone(home: Page, filled: Console) -> None:
    home.goto(f"{filled.url}/signals?tag=latency")
    expect(home.locator("[data-live-label]")).to_have_text("Live")
    home.keyboard.press("j")
    home.keyboard.press("x")
    home.keyboard.press("j")
    home.keyboard.press("x")
    expect(home.locator("[data-picked]")).to_have_text("· 2 chosen")
    home.get_by_label("Status to give").focus()
    home.keyboard.press("F")
    home.get_by_label("Reason").focus()
    home.keyboard.type("A test of ours.")
    home.keyboard.press("Enter")
    expect(home.locator(".message-good")).to_contain_text("False positive: 2 signals.")
    home.locator(".message-good").get_by_role("button", name="Undo").focus()
    home.keyboard.press("Enter")
    expect(home.locator(".message-good")).to_contain_text("Taken back for 2 signals.")


def test_a_view_is_saved_and_found_again(context: BrowserContext, filled: Console) -> None:
    page = context.new_page()
    sign_in(page, filled.url, email=HUNTER)
    page.goto(f"{filled.url}/home?severity=critical&assignee=me")
    expect(page.get_by_role("heading", name="No group matches these filters")).to_be_visible()
    page.locator("summary", has_text="Views").click()
    page.get_by_label("Save these filters as").fill("My worst")
    page.get_by_role("button", name="Save view").click()
    expect(page.locator(".message-good")).to_have_text("The view is saved.")
    page.goto(f"{filled.url}/signals")
    page.locator("summary", has_text="Views").click()
    page.get_by_role("link", name="My worst").click()
    expect(page).to_have_url(f"{filled.url}/home?severity=critical&assignee=me")


def test_who_may_not_change_signals_is_offered_nothing_to_change(
    context: BrowserContext, filled: Console
) -> None:
    page = context.new_page()
    sign_in(page, filled.url, email=DEVELOPER)
    expect(page.get_by_role("list", name="Groups of signals").locator("> li")).to_have_count(2)
    expect(page.get_by_role("button", name="Change selected")).to_have_count(0)
    expect(page.locator("[data-pick]")).to_have_count(0)


def test_filters_and_changes_work_without_script(browser: Browser, filled: Console) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, filled.url, email=SRE)
    page.locator("summary", has_text="Severity").click()
    page.get_by_role("checkbox", name="Critical").check()
    page.locator("summary", has_text="Severity").click()
    page.get_by_role("button", name="Apply").click()
    groups = page.get_by_role("list", name="Groups of signals").locator("> li")
    expect(groups).to_have_count(1)
    groups.get_by_role("checkbox").check()
    page.get_by_label("Status to give").select_option("investigating")
    page.get_by_role("button", name="Change selected").click()
    expect(page.locator(".message-good")).to_contain_text("Investigating: 3 signals.")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".message-good")).to_contain_text("Taken back for 3 signals.")
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(
    browser: Browser, filled: Console, scheme: str, width: int
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 860},
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    page = context.new_page()
    sign_in(page, filled.url, email=SRE)
    found = {}
    for path in ("/home", "/home?tag=none", "/signals?severity=critical", "/signals?sort=severity"):
        page.goto(filled.url + path)
        page.locator("summary", has_text="Severity").click()
        sideways = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        found[path] = accessibility_problems(page), sideways
    context.close()
    assert found == {path: ([], 0) for path in found}
