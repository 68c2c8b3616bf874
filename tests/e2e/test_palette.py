"""The command palette, by keyboard alone, and its page without a script."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.e2e.browser import accessibility_problems, sign_in
from tests.e2e.conftest import SRE, VIEWER
from tests.support.console import Console

pytestmark = pytest.mark.e2e


def chosen(page: Page) -> str:
    """The option that Enter would follow, as assistive technology is told."""
    option_id = page.get_by_role("combobox", name="Go to a page").get_attribute(
        "aria-activedescendant"
    )
    option = page.locator(f"#{option_id}")
    expect(option).to_have_attribute("aria-selected", "true")
    return option.locator("span").first.inner_text()


def test_the_palette_leads_to_pages_rules_and_signals(
    page: Page, console: Console, signal_id: str
) -> None:
    page.goto(f"{console.url}/rules")
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="Go to a page")
    expect(field).to_be_focused()
    options = page.get_by_role("listbox", name="Places").get_by_role("option")
    expect(options.first).to_contain_text("Signals")
    assert chosen(page) == "Signals"
    page.keyboard.press("ArrowDown")
    assert chosen(page) == "Traces"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert chosen(page) != "Traces"
    page.keyboard.type("large ch")
    expect(options).to_have_count(2)
    expect(page.get_by_role("group", name="Rules").get_by_role("option")).to_contain_text(
        "large-charges"
    )
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/signals/{signal_id}")
    page.keyboard.press("Meta+k")
    page.keyboard.type("sample")
    expect(options).to_have_count(1)
    page.keyboard.press("Enter")
    page.wait_for_url("**/samples")


def test_the_palette_closes_and_gives_the_focus_back(page: Page, console: Console) -> None:
    page.goto(f"{console.url}/rules")
    button = page.get_by_role("link", name="Go to", exact=True)
    button.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Go to")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(button).to_be_focused()
    page.keyboard.press("Control+k")
    expect(dialog).to_be_visible()
    page.keyboard.press("Control+k")
    expect(dialog).to_be_hidden()


def test_words_that_fit_nothing_and_a_server_that_is_away_are_said(
    page: Page, console: Console
) -> None:
    page.goto(f"{console.url}/rules")
    page.keyboard.press("Control+k")
    page.keyboard.type("zzz")
    state = page.locator("#palette [data-part=state]")
    expect(state).to_have_text("Nothing fits. Try fewer words.")
    expect(page.get_by_role("combobox", name="Go to a page")).to_have_attribute(
        "aria-expanded", "false"
    )

    def away(route: Route) -> None:
        route.abort()

    page.route(re.compile(r"/go\?"), away)
    page.keyboard.press("Backspace")
    expect(state).to_contain_text("The server did not answer")


def test_nobody_is_led_to_what_is_not_theirs(
    context: BrowserContext, console: Console, signal_id: str
) -> None:
    page = context.new_page()
    sign_in(page, console.url, email=VIEWER)
    page.goto(f"{console.url}/go?q=")
    main = page.get_by_role("main")
    expect(main.get_by_role("link", name="Your account")).to_be_visible()
    for name in ("Rules", "Traces", "API keys", "Large charges are checked"):
        expect(main.get_by_role("link", name=name, exact=True)).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_the_palette(
    scheme: str, page: Page, console: Console, signal_id: str
) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    found = {}
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 740})
        page.goto(f"{console.url}/go?q=large")
        found[f"page {width}"] = accessibility_problems(page)
        page.keyboard.press("Control+k")
        expect(page.get_by_role("option").first).to_be_visible()
        found[f"palette {width}"] = accessibility_problems(page)
    assert not any(found.values()), found


def test_the_page_does_without_a_script(browser: Browser, console: Console) -> None:
    with_script = browser.new_context()
    sign_in(with_script.new_page(), console.url, email=SRE)
    state = with_script.storage_state()
    with_script.close()
    context = browser.new_context(java_script_enabled=False, storage_state=state)
    page = context.new_page()
    page.goto(f"{console.url}/rules")
    page.get_by_role("link", name="Go to", exact=True).click()
    page.get_by_label("Where to").fill("large")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("main").get_by_role("link", name="Large charges are checked").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Large charges are checked")
    context.close()
