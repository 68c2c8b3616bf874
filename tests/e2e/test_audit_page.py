"""The audit log in the browser: found from the menu, filtered in the address, and for few."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from api.auth.principal import Role
from tests.e2e.browser import accessibility_problems, sign_in
from tests.e2e.conftest import DEVELOPER
from tests.support.console import Console

ADMIN = "admin-of-the-log@example.com"


def test_who_did_what_is_found_filtered_and_handed_out(browser: Browser, console: Console) -> None:
    console.add_person(ADMIN, Role.ADMIN)
    context = browser.new_context()
    page = context.new_page()
    sign_in(page, console.url, email=ADMIN)
    page.locator(".topbar .menu summary").click()
    page.get_by_role("link", name="Audit").click()
    signed_in = page.get_by_role("listitem").filter(has_text="signed in").first
    expect(signed_in).to_contain_text(ADMIN)
    page.get_by_label("Of what").select_option("rule")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**/audit?kind=rule*")
    expect(page.get_by_role("listitem").first).to_contain_text("wrote a new rule")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    lines = download.value.path().read_text().splitlines()
    assert lines[0].startswith("id,at,until_at,times,actor")
    assert all("rule.created" in line for line in lines[1:])
    page.get_by_label("Of what").select_option("notice")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("heading", name="Nothing on the record")).to_be_visible()
    page.get_by_role("link", name="Show everything").click()
    page.get_by_role("link", name=ADMIN).first.click()
    assert "actor=user" in page.url
    expect(page.get_by_role("listitem").first).to_contain_text(ADMIN)
    context.close()


def test_a_developer_is_not_shown_the_log(browser: Browser, console: Console) -> None:
    context = browser.new_context()
    page = context.new_page()
    sign_in(page, console.url, email=DEVELOPER)
    page.locator(".topbar .menu summary").click()
    expect(page.get_by_role("link", name="Audit")).to_have_count(0)
    page.goto(f"{console.url}/audit")
    expect(page.get_by_role("heading", name="Not for your role")).to_be_visible()
    context.close()


def test_the_page_is_accessible_and_fits_a_narrow_screen(
    browser: Browser, console: Console
) -> None:
    console.add_person(f"narrow-{ADMIN}", Role.ADMIN)
    for scheme in ("light", "dark"):
        context = browser.new_context(
            viewport={"width": 360, "height": 740},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        page = context.new_page()
        sign_in(page, console.url, email=f"narrow-{ADMIN}")
        page.goto(f"{console.url}/audit")
        assert accessibility_problems(page) == []
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0
        context.close()
