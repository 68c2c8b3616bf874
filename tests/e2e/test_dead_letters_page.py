"""Dead letters in the browser: found, put aside, refused, and kept from others."""

from __future__ import annotations

from playwright.sync_api import Browser, BrowserContext, Page, expect

from api.auth.principal import TenantScope, grant_scope
from tests.e2e.browser import accessibility_problems, sign_in
from tests.e2e.conftest import DEVELOPER, SRE, VIEWER
from tests.support.console import Console
from tests.support.tenants import insert_letter


def scope(console: Console) -> TenantScope:
    return grant_scope(console.tenant_id, actor="test")


def test_a_letter_is_found_from_the_menu_and_put_aside(page: Page, console: Console) -> None:
    insert_letter(console.database.worker, scope(console), code="otlp.trace_id_zero")
    page.goto(f"{console.url}/signals")
    page.locator(".topbar .menu summary").click()
    page.get_by_role("link", name="Dead letters").click()
    row = page.get_by_role("listitem").filter(has_text="otlp.trace_id_zero")
    row.get_by_role("button", name="Put back").click()
    expect(page.get_by_role("alert")).to_contain_text("refused for what it says")
    row.get_by_role("button", name="Discard").click()
    expect(page.get_by_role("status").filter(has_text="Discarded.")).to_be_visible()
    expect(row).to_have_count(0)
    page.get_by_role("link", name="Discarded").click()
    expect(row).to_contain_text(SRE)


def test_a_developer_looks_and_a_viewer_does_not(context: BrowserContext, console: Console) -> None:
    insert_letter(console.database.worker, scope(console))
    page = context.new_page()
    sign_in(page, console.url, email=DEVELOPER)
    page.goto(f"{console.url}/dead-letters")
    expect(page.get_by_text("otlp.malformed").first).to_be_visible()
    expect(page.get_by_role("button", name="Discard")).to_have_count(0)
    page.context.clear_cookies()
    sign_in(page, console.url, email=VIEWER)
    page.goto(f"{console.url}/dead-letters")
    expect(page.get_by_text("otlp.malformed")).to_have_count(0)


def test_the_page_is_accessible_and_fits_a_narrow_screen(
    browser: Browser, console: Console
) -> None:
    insert_letter(console.database.worker, scope(console), detail="a" * 300)
    context = browser.new_context(viewport={"width": 360, "height": 740})
    page = context.new_page()
    sign_in(page, console.url, email=SRE)
    page.goto(f"{console.url}/dead-letters")
    assert accessibility_problems(page) == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0
    context.close()
