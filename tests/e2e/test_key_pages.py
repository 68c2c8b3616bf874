"""API keys in the browser: made and shown once, rotated, revoked, and kept from others."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.browser import Complaints, accessibility_problems, sign_in
from tests.e2e.conftest import ADMIN, DEVELOPER
from tests.support.console import Console

pytestmark = pytest.mark.usefixtures("admin")


@pytest.fixture
def page(page_of_admin: Page) -> Page:
    """A page of the signed-in administrator."""
    return page_of_admin


def status(console: Console, key: str) -> int:
    return httpx.get(f"{console.url}/api/v1/session", headers={"X-API-Key": key}).status_code


def make_key(page: Page, console: Console, name: str) -> str:
    page.goto(f"{console.url}/settings/keys/new")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Make the key").click()
    shown = page.locator("[data-made-key]").inner_text()
    page.get_by_role("link", name="I have it").click()
    return shown


def test_a_key_is_made_from_the_menu_copied_and_never_shown_again(
    page: Page, console: Console
) -> None:
    page.goto(f"{console.url}/signals")
    page.locator(".topbar .menu summary").click()
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("link", name="API keys").click()
    expect(page.get_by_role("heading", name="No keys yet")).to_be_visible()
    page.get_by_role("link", name="Make the first key").click()
    page.get_by_label("Name").fill("collectors")
    page.get_by_role("checkbox", name="Read signals").check()
    page.get_by_label("May be used from").fill("127.0.0.1\n2001:db8::/32")
    page.get_by_role("button", name="Make the key").click()
    dialog = page.get_by_role("dialog", name="collectors")
    key = dialog.locator("code").first.inner_text()
    expect(dialog.get_by_role("button", name="Copy")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("[data-announce]")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == key
    page.keyboard.press("Escape")
    expect(dialog).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    row = page.get_by_role("article").filter(has_text="collectors")
    expect(row).to_contain_text("spans.ingest")
    expect(row).to_contain_text("signals.read")
    assert key not in page.content()
    assert status(console, key) == 200


def test_a_rotated_key_goes_on_beside_the_new_one(page: Page, console: Console) -> None:
    old = make_key(page, console, "rotated")
    page.get_by_role("link", name="rotated").click()
    page.get_by_label("The old key goes on for").select_option("1 hour")
    page.get_by_role("button", name="Rotate the key").click()
    dialog = page.get_by_role("dialog", name="rotated")
    expect(dialog).to_contain_text("goes on for 1 hour")
    new = dialog.locator("[data-made-key]").inner_text()
    page.get_by_role("link", name="I have it").click()
    replaced = page.get_by_role("article").filter(has_text="Being replaced")
    expect(replaced).to_contain_text("rotated")
    assert (status(console, old), status(console, new)) == (200, 200)


def test_a_revoked_key_is_refused_and_still_listed_under_all(page: Page, console: Console) -> None:
    key = make_key(page, console, "leaked")
    page.get_by_role("link", name="leaked").focus()
    page.keyboard.press("Enter")
    page.get_by_text("Revoke the key…").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Yes, revoke leaked").press("Enter")
    expect(page.get_by_role("status").filter(has_text="Revoked.")).to_be_visible()
    expect(page.get_by_role("link", name="leaked")).to_have_count(0)
    assert status(console, key) == 401
    page.get_by_role("link", name="All", exact=True).click()
    page.get_by_role("link", name="leaked").click()
    expect(page.get_by_text(f"by {ADMIN}").first).to_be_visible()
    expect(page.get_by_role("button", name="Rotate the key")).to_have_count(0)


def test_a_refusal_is_said_on_the_form_which_keeps_what_was_typed(
    page: Page, console: Console
) -> None:
    page.goto(f"{console.url}/settings/keys/new")
    page.get_by_label("Name").fill("nowhere")
    page.get_by_label("May be used from").fill("10.0.0.7/8")
    page.get_by_label("What a role may").check()
    page.get_by_label("Role", exact=True).select_option("developer")
    page.get_by_role("button", name="Make the key").click()
    expect(page.get_by_role("alert")).to_contain_text("bits beyond the prefix")
    expect(page.get_by_label("Name")).to_have_value("nowhere")
    expect(page.get_by_label("Role", exact=True)).to_have_value("developer")
    page.get_by_label("May be used from").fill("")
    page.get_by_role("button", name="Make the key").click()
    expect(page.get_by_role("dialog", name="nowhere")).to_be_visible()


def test_a_key_ends_when_the_form_said(page: Page, console: Console) -> None:
    for words, ends in (("Never", "Ends never"), ("A year", "UTC")):
        page.goto(f"{console.url}/settings/keys/new")
        page.get_by_label("Name").fill(f"ends {words}")
        page.get_by_label("Ends after").select_option(words)
        page.get_by_role("button", name="Make the key").click()
        page.get_by_role("link", name="I have it").click()
        row = page.get_by_role("article").filter(has_text=f"ends {words}")
        expect(row).to_contain_text(ends)


def test_whoever_may_not_keep_keys_finds_no_way_to_them(
    context: BrowserContext, console: Console
) -> None:
    page = context.new_page()
    sign_in(page, console.url, email=DEVELOPER)
    page.goto(f"{console.url}/settings/account")
    expect(page.get_by_role("link", name="API keys")).to_have_count(0)
    page.goto(f"{console.url}/settings/keys")
    expect(page.get_by_role("heading", name="Not for your role")).to_be_visible()


def test_the_form_works_without_a_script(browser: Browser, console: Console) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, console.url, email=ADMIN)
    key = make_key(page, console, "no script")
    context.close()
    assert status(console, key) == 200


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_are_accessible_and_fit_a_narrow_screen(
    scheme: str, browser: Browser, console: Console
) -> None:
    context = browser.new_context(
        viewport={"width": 360, "height": 740},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    complaints = Complaints(context, url=console.url)
    page = context.new_page()
    sign_in(page, console.url, email=ADMIN)
    name = f"a_name_that_does_not_break_anywhere_{scheme}"
    page.goto(f"{console.url}/settings/keys/new")
    page.get_by_label("Name").fill(name)
    assert_good(page)
    page.get_by_role("button", name="Make the key").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert_good(page)
    page.get_by_role("link", name="I have it").click()
    assert_good(page)
    page.get_by_role("link", name=name).click()
    page.get_by_text("Revoke the key…").click()
    assert_good(page)
    context.close()
    assert complaints.lines == []


def assert_good(page: Page) -> None:
    assert accessibility_problems(page) == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0
