"""People of a tenant in the browser: invited, let in, given another role, removed, leaving."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect

from api.auth.principal import Role
from tests.e2e.browser import Complaints, accessibility_problems, sign_in
from tests.e2e.conftest import ADMIN, DEVELOPER, SRE
from tests.support.console import PASSWORD, Console

NEW = "seven green umbrellas at dusk"


pytestmark = pytest.mark.usefixtures("admin")


@pytest.fixture
def page(page_of_admin: Page) -> Page:
    """A page of the signed-in administrator."""
    return page_of_admin


@contextmanager
def another_browser(browser: Browser, console: Console) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    complaints = Complaints(context, url=console.url)
    yield context.new_page()
    context.close()
    assert complaints.lines == []


def invite(page: Page, console: Console, email: str, role: str = "Developer") -> str:
    """Invite an address and return the link that is shown."""
    page.goto(f"{console.url}/settings/team")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Role").select_option(role)
    page.get_by_role("button", name="Invite", exact=True).click()
    link = page.locator("[data-made-link]").inner_text()
    page.get_by_role("link", name="I have it").click()
    return link


def make_account(page: Page, link: str) -> None:
    page.goto(link)
    page.get_by_label("Your name").fill("Grace")
    page.get_by_label("Password").fill(NEW)
    page.get_by_label("Once more").fill(NEW)
    page.get_by_role("button", name="Make my account").click()
    page.wait_for_url("**/sign-in?**")


def somebody() -> str:
    return f"{secrets.token_hex(6)}@example.com"


def test_a_link_that_is_handed_over_makes_an_account_and_a_member(
    page: Page, browser: Browser, console: Console
) -> None:
    email = somebody()
    page.goto(f"{console.url}/signals")
    page.locator(".topbar .menu summary").click()
    page.get_by_role("link", name="Settings").click()
    page.get_by_role("link", name="Team").click()
    page.get_by_label("Email").fill(email)
    page.get_by_role("button", name="Invite", exact=True).click()
    dialog = page.get_by_role("dialog", name=email)
    link = dialog.locator("[data-made-link]").inner_text()
    expect(dialog.get_by_role("button", name="Copy")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("[data-announce]")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == link
    page.get_by_role("link", name="I have it").click()
    assert link not in page.content()
    expect(page.get_by_role("listitem").filter(has_text=email)).to_contain_text("Pending")
    with another_browser(browser, console) as other:
        make_account(other, link)
        expect(other.get_by_role("status").filter(has_text="Your account is made")).to_be_visible()
        sign_in(other, console.url, email=email, password=NEW)
        other.goto(link)
        expect(other.get_by_role("heading", name="This invitation is over")).to_be_visible()
    page.reload()
    row = page.get_by_role("listitem").filter(has_text=email)
    expect(row).to_contain_text("Grace")
    expect(row).to_contain_text("Developer")


def test_whoever_has_an_account_signs_in_to_accept(
    page: Page, browser: Browser, console: Console
) -> None:
    link = invite(page, console, "known@example.com")
    console.add_person_elsewhere("known@example.com")
    with another_browser(browser, console) as other:
        other.goto(link)
        other.get_by_role("link", name="Sign in").click()
        other.get_by_label("Email").fill("known@example.com")
        other.get_by_label("Password").fill(PASSWORD)
        other.get_by_role("button", name="Sign in").click()
        other.get_by_role("button", name="Join").click()
        other.wait_for_url("**/welcome?**")
        other.locator("summary", has_text="Switch tenant").click()
        expect(other.get_by_text("as developer")).to_be_visible()


def test_somebody_elses_invitation_cannot_be_taken(
    page: Page, browser: Browser, console: Console
) -> None:
    link = invite(page, console, somebody())
    with another_browser(browser, console) as other:
        sign_in(other, console.url, email=SRE)
        other.goto(link)
        expect(other.get_by_text("you are signed in as")).to_be_visible()
        expect(other.get_by_role("button", name="Join")).to_have_count(0)
        other.get_by_role("button", name="Sign out").click()
        other.wait_for_url("**/sign-in")


def test_another_link_and_a_cancelled_invitation_end_the_link_before(
    page: Page, browser: Browser, console: Console
) -> None:
    email = somebody()
    first = invite(page, console, email)
    page.get_by_role("button", name=f"New link for {email}").click()
    second = page.locator("[data-made-link]").inner_text()
    page.get_by_role("link", name="I have it").click()
    with another_browser(browser, console) as other:
        other.goto(first)
        expect(other.get_by_role("heading", name="This invitation is over")).to_be_visible()
        other.goto(second)
        expect(other.get_by_label("Your name")).to_be_focused()
        page.get_by_role("button", name=f"Cancel the invitation of {email}").click()
        expect(page.get_by_role("status").filter(has_text="cancelled")).to_be_visible()
        other.reload()
        expect(other.get_by_role("heading", name="This invitation is over")).to_be_visible()


def test_a_refused_invitation_keeps_what_was_typed(page: Page, console: Console) -> None:
    page.goto(f"{console.url}/settings/team")
    page.get_by_label("Email").fill(SRE)
    page.get_by_label("Role").select_option("Auditor")
    page.get_by_role("button", name="Invite", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("say until when")
    expect(page.get_by_label("Role")).to_have_value("auditor")
    page.get_by_label("Belongs here for").select_option("30 days")
    page.get_by_role("button", name="Invite", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("is a member already")
    expect(page.get_by_label("Email")).to_have_value(SRE)


def test_a_member_gets_another_role_and_is_removed_at_once(
    page: Page, browser: Browser, console: Console
) -> None:
    email = somebody()
    console.add_person(email, Role.VIEWER)
    with another_browser(browser, console) as other:
        other.goto(f"{console.url}/sign-in?next=/settings/team")
        other.get_by_label("Email").fill(email)
        other.get_by_label("Password").fill(PASSWORD)
        other.get_by_role("button", name="Sign in").click()
        expect(other.get_by_role("heading", name="Members")).to_be_visible()
        expect(other.get_by_role("heading", name="Invite somebody")).to_have_count(0)
        page.goto(f"{console.url}/settings/team")
        page.get_by_role("listitem").filter(has_text=email).get_by_role("link").click()
        page.get_by_label("Role", exact=True).select_option("Developer")
        page.get_by_role("button", name="Change").click()
        expect(page.get_by_role("status").filter(has_text="Changed.")).to_be_visible()
        other.goto(f"{console.url}/rules/new")
        expect(other.get_by_role("heading", name="New rule")).to_be_visible()
        other.goto(f"{console.url}/settings/team")  # the editor tries its draft by itself
        page.get_by_role("listitem").filter(has_text=email).get_by_role("link").click()
        page.get_by_text("Remove from the team…").click()
        page.get_by_role("button", name="Yes, remove").click()
        expect(page.get_by_role("status").filter(has_text="Removed")).to_be_visible()
        other.goto(f"{console.url}/rules")
        other.wait_for_url("**/sign-in?**")
    expect(page.get_by_role("listitem").filter(has_text=email)).to_have_count(0)


def test_the_last_admin_is_told_why_they_cannot_leave(page: Page, console: Console) -> None:
    page.goto(f"{console.url}/settings/team")
    page.get_by_text("Leave the tenant…").click()
    page.get_by_role("button", name="Yes, leave").click()
    expect(page.get_by_role("alert")).to_contain_text("make another member an admin first")
    expect(page.get_by_role("heading", name="Members")).to_be_visible()


def test_whoever_leaves_is_signed_out(browser: Browser, console: Console) -> None:
    email = somebody()
    console.add_person(email, Role.SRE)
    with another_browser(browser, console) as other:
        sign_in(other, console.url, email=email)
        other.goto(f"{console.url}/settings/team")
        other.get_by_text("Leave the tenant…").click()
        other.get_by_role("button", name="Yes, leave").click()
        expect(other.get_by_role("status").filter(has_text="You have left")).to_be_visible()


def test_settings_of_the_tenant_are_changed_and_refusals_said(
    page: Page, browser: Browser, console: Console
) -> None:
    page.goto(f"{console.url}/settings/tenant")
    page.get_by_label("Quiet before a verdict").fill("ten seconds")
    page.get_by_role("button", name="Change").click()
    expect(page.get_by_role("alert")).to_contain_text("Quiet before a verdict: 'ten seconds'")
    expect(page.get_by_label("Quiet before a verdict")).to_have_value("ten seconds")
    page.get_by_label("Quiet before a verdict").fill("5s")
    page.get_by_label("Name").fill("The shop")
    page.get_by_role("button", name="Change").click()
    expect(page.get_by_role("status").filter(has_text="Changed.")).to_be_visible()
    expect(page.get_by_label("Quiet before a verdict")).to_have_value("5s")
    with another_browser(browser, console) as other:
        sign_in(other, console.url, email=DEVELOPER)
        other.locator(".topbar .menu summary").click()
        expect(other.get_by_text("developer in The shop")).to_be_visible()
        other.goto(f"{console.url}/settings/tenant")
        expect(other.get_by_label("Name")).to_be_disabled()
        expect(other.get_by_role("button", name="Change")).to_have_count(0)


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
    email = f"somebody-with-a-rather-long-address-{scheme}@department.example.com"
    page.goto(f"{console.url}/settings/team")
    page.get_by_label("Email").fill(email)
    page.get_by_role("button", name="Invite", exact=True).click()
    link = page.locator("[data-made-link]").inner_text()
    assert_good(page)
    page.get_by_role("link", name="I have it").click()
    expect(page.locator("[data-made-link]")).to_have_count(0)
    page.wait_for_load_state()
    assert_good(page)
    page.get_by_role("listitem").filter(has_text=SRE).get_by_role("link").click()
    page.get_by_text("Remove from the team…").click()
    assert_good(page)
    for path in ("/settings/tenant", "/settings/usage", "/welcome"):
        page.goto(f"{console.url}{path}")
        assert_good(page)
    page.context.clear_cookies()
    page.goto(link)
    assert_good(page)
    context.close()
    assert complaints.lines == []


def assert_good(page: Page) -> None:
    assert accessibility_problems(page) == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0
