"""The list of rules and the library in a browser."""

from __future__ import annotations

from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.browser import problems_of_page, sign_in
from tests.e2e.conftest import DEVELOPER
from tests.support.console import Console

pytestmark = pytest.mark.e2e


@pytest.fixture
def mark(console: Console) -> str:
    """A tag that two new rules have, and no other."""
    mark = f"tag-{uuid4().hex[:6]}"
    console.add_rule(f"pay-{mark}", name=f"Payments {mark}", tags=[mark, "money"])
    console.add_rule(f"log-{mark}", name=f"Logs {mark}", tags=[mark], state="shadow")
    console.add_signal(f"pay-{mark}", rule_name=f"Payments {mark}")
    return mark


@pytest.fixture
def developer(context: BrowserContext, console: Console) -> Page:
    """A page of a signed-in developer, who may write rules."""
    page = context.new_page()
    sign_in(page, console.url, email=DEVELOPER)
    return page


def test_rules_are_found_by_text_and_tag(developer: Page, console: Console, mark: str) -> None:
    developer.goto(f"{console.url}/rules")
    developer.get_by_label("Search name, id").fill(f"payments {mark}")
    developer.keyboard.press("Enter")
    titles = developer.locator(".row-title")
    expect(titles).to_have_text([f"Payments {mark}"])
    developer.goto(f"{console.url}/rules?tag={mark}")
    expect(titles).to_have_text([f"Payments {mark}", f"Logs {mark}"])
    developer.goto(f"{console.url}/rules?q=nothing-like-it")
    expect(developer.get_by_role("heading", name="No rule matches")).to_be_visible()


def test_chosen_rules_are_switched_copied_and_deleted(
    developer: Page, console: Console, mark: str
) -> None:
    url = f"{console.url}/rules?tag={mark}"
    developer.goto(url)
    developer.get_by_label("All of this page").check()
    expect(developer.locator("[data-selected]")).to_have_text("2 chosen")
    developer.get_by_label("With the chosen rules").select_option("off")
    developer.get_by_role("button", name="Do it").click()
    expect(developer.get_by_role("status").filter(has_text="2 rules switched off.")).to_be_visible()
    developer.goto(url)
    developer.get_by_label(f"Choose Logs {mark}").check()
    developer.get_by_label("With the chosen rules").select_option("duplicate")
    developer.get_by_role("button", name="Do it").click()
    developer.goto(url)
    expect(developer.locator(".row-title")).to_have_count(3)
    developer.get_by_label(f"Choose Logs {mark} (Copy)").check()
    developer.get_by_label("With the chosen rules").select_option("delete")
    developer.get_by_role("button", name="Do it").click()
    expect(developer.get_by_role("heading", level=1)).to_have_text("Delete 1 rule?")
    developer.get_by_role("button", name="Delete 1 rule").click()
    expect(developer.get_by_role("status").filter(has_text="1 rule deleted.")).to_be_visible()
    developer.goto(url)
    expect(developer.locator(".row-title")).to_have_count(2)


def test_chosen_rules_are_exported(developer: Page, console: Console, mark: str) -> None:
    developer.goto(f"{console.url}/rules?tag={mark}")
    developer.get_by_label("All of this page").check()
    developer.get_by_label("With the chosen rules").select_option("export")
    with developer.expect_download() as download:
        developer.get_by_role("button", name="Do it").click()
    text = download.value.path().read_text()
    assert f"id: pay-{mark}" in text
    assert f"id: log-{mark}" in text


def test_who_may_not_write_rules_cannot_choose_any(page: Page, console: Console, mark: str) -> None:
    page.goto(f"{console.url}/rules?tag={mark}")
    expect(page.locator(".row-title")).to_have_count(2)
    expect(page.get_by_role("checkbox")).to_have_count(0)
    expect(page.get_by_role("link", name="Library")).to_have_count(0)


def test_rules_are_taken_from_the_library(developer: Page, console: Console) -> None:
    developer.goto(f"{console.url}/rules")
    developer.get_by_role("link", name="Library").click()
    pack = developer.locator(".library-pack").filter(
        has=developer.locator("h2", has_text="Reliability")
    )
    pack.locator("summary").first.click()
    pack.get_by_role("checkbox").first.check()
    developer.get_by_role("button", name="Take").click()
    expect(developer.get_by_role("status").filter(has_text="1 rule taken.")).to_be_visible()
    expect(developer.get_by_text("1 taken").first).to_be_visible()
    developer.get_by_role("link", name="Database queries are fast").click()
    expect(developer.get_by_role("textbox", name="Promise")).to_contain_text("500ms")
    expect(developer.get_by_label("Tests")).to_contain_text("too slow")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_overflows(
    browser: Browser, console: Console, mark: str, scheme: str
) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    sign_in(page, console.url, email=DEVELOPER)
    found = {}
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 860})
        for path in (f"/rules?tag={mark}", "/rules?q=nothing-like-it", "/rules/library"):
            page.goto(f"{console.url}{path}")
            if path.endswith("library"):
                page.locator(".library-pack summary").first.click()
            found[f"{path} at {width}"] = problems_of_page(page)
    context.close()
    assert {what: told for what, told in found.items() if told} == {}
