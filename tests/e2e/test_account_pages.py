"""Signing in with a second step, the settings of an account, and going on in another tenant."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import uuid4

import pyotp
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from api.auth.accounts import issue_reset
from api.auth.principal import Role, TenantScope, grant_scope
from api.database import open_pool
from api.tenants.service import add_member, create_tenant
from api.tenants.settings import TenantSettings
from tests.e2e.browser import Complaints, accessibility_problems, sign_in
from tests.support.console import PASSWORD, SECRET, Console

pytestmark = pytest.mark.e2e

T = TypeVar("T")
NEW = "seven green umbrellas at dusk"


@pytest.fixture
def email(console: Console) -> str:
    """Somebody of their own for each test."""
    made = f"{uuid4().hex[:8]}@example.com"
    console.add_person(made, Role.SRE)
    return made


@pytest.fixture
def page(context: BrowserContext, console: Console, email: str) -> Page:
    """Their account's page."""
    page = context.new_page()
    sign_in(page, console.url, email=email)
    page.goto(f"{console.url}/settings/account")
    return page


@pytest.fixture
def other_page(browser: Browser, console: Console, email: str) -> Iterator[Page]:
    """The same person in another browser, at the sign-in page."""
    context = browser.new_context(user_agent="Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0")
    complaints = Complaints(context, url=console.url)
    page = context.new_page()
    page.goto(f"{console.url}/sign-in")
    yield page
    context.close()
    assert complaints.lines == []


def test_a_password_is_changed_and_what_is_wrong_is_said_beside_the_form(
    page: Page, other_page: Page, console: Console, email: str
) -> None:
    sign_in(other_page, console.url, email=email)
    panel = page.get_by_role("region", name="Password")
    _change_password(page, new="short", again="short")
    expect(panel.get_by_role("alert")).to_contain_text("at least 15 characters")
    _change_password(page, new=NEW, again=f"{NEW}!")
    expect(panel.get_by_role("alert")).to_have_text("The two new passwords are not the same.")
    _change_password(page, new=NEW, again=NEW, current="wrong")
    expect(panel.get_by_role("alert")).to_have_text("The current password is wrong.")
    _change_password(page, new=NEW, again=NEW)
    expect(page.get_by_text("Your password is changed")).to_be_visible()
    other_page.goto(f"{console.url}/home")
    expect(other_page).to_have_url(f"{console.url}/sign-in")


def test_the_second_factor_is_set_up_used_and_turned_off(
    page: Page, other_page: Page, console: Console, email: str
) -> None:
    panel = page.get_by_role("region", name="Second factor")
    secret = _set_up(page)
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    panel.get_by_label("Code that the app shows").fill("000000")
    panel.get_by_role("button", name="Turn on").click()
    expect(panel.get_by_role("alert")).to_contain_text("The code is wrong")
    panel.get_by_label("Code that the app shows").fill(_code(secret, steps=-1))
    page.keyboard.press("Enter")
    expect(panel.locator(".code-grid li")).to_have_count(10)
    recovery = panel.locator(".code-grid li").first.inner_text()
    _type_password(other_page, email)
    expect(other_page.get_by_role("heading", level=1)).to_have_text("One more step")
    expect(other_page.get_by_label("Code")).to_be_focused()
    other_page.get_by_label("Code").fill("000000")
    other_page.keyboard.press("Enter")
    expect(other_page.get_by_role("alert")).to_contain_text("The code is wrong")
    other_page.get_by_label("Code").fill(_code(secret))
    other_page.keyboard.press("Enter")
    other_page.wait_for_url("**/home")
    other_page.context.clear_cookies()
    other_page.goto(f"{console.url}/sign-in")
    _type_password(other_page, email)
    other_page.get_by_label("Code").fill(recovery)
    other_page.keyboard.press("Enter")
    other_page.wait_for_url("**/home")
    page.get_by_role("link", name="I have kept them").click()
    expect(panel).to_contain_text("9 recovery codes are left")
    panel.get_by_label("Your password").nth(1).fill(PASSWORD)
    panel.get_by_role("button", name="Turn off").click()
    expect(page.get_by_text("The second factor is off.")).to_be_visible()


def test_sessions_say_where_they_are_and_are_ended(
    page: Page, other_page: Page, console: Console, email: str
) -> None:
    sign_in(other_page, console.url, email=email)
    page.reload()
    sessions = page.get_by_role("region", name="Sessions").get_by_role("listitem")
    expect(sessions).to_have_count(2)
    expect(sessions.nth(0)).to_contain_text("This one")
    expect(sessions.nth(1)).to_contain_text("Firefox on Linux")
    sessions.nth(1).get_by_role("button", name="End the session of Firefox on Linux").click()
    expect(page.get_by_role("status").get_by_text("The session is ended.")).to_be_visible()
    expect(sessions).to_have_count(1)
    other_page.goto(f"{console.url}/rules")
    expect(other_page.get_by_role("heading", level=1)).to_have_text("Sign in to BeTrace")


def test_a_person_of_two_tenants_goes_on_in_the_other(
    page: Page, console: Console, email: str
) -> None:
    name = f"other-{uuid4().hex[:8]}"
    _run(_join(console, name, email=email))
    console.add_signal("large-charges", rule_name="Of the first tenant")
    page.goto(f"{console.url}/signals")
    expect(page.get_by_text("Of the first tenant").first).to_be_visible()
    page.locator("summary", has_text="Switch tenant").click()
    page.get_by_role("button", name=name).click()
    expect(page.locator("summary", has_text="Switch tenant")).to_contain_text(name)
    expect(page.get_by_text("Of the first tenant")).to_have_count(0)


def test_who_has_one_tenant_has_nothing_to_switch(page: Page) -> None:
    expect(page.locator("summary", has_text="Switch tenant")).to_have_count(0)


def test_a_link_leads_to_a_new_password_and_works_once(
    other_page: Page, console: Console, email: str
) -> None:
    link = f"{console.url}/reset-password?token={_run(_reset_token(console, email))}"
    other_page.goto(link)
    other_page.get_by_label("New password").fill("passwordpassword")
    other_page.get_by_label("Once more").fill("passwordpassword")
    other_page.keyboard.press("Enter")
    expect(other_page.get_by_role("alert")).to_contain_text("guessers")
    other_page.get_by_label("New password").fill(NEW)
    other_page.get_by_label("Once more").fill(NEW)
    other_page.keyboard.press("Enter")
    expect(other_page.get_by_role("status").first).to_contain_text("The password is set.")
    _type_password(other_page, email, NEW)
    other_page.wait_for_url("**/home")
    other_page.goto(link)
    expect(other_page.get_by_role("heading", level=1)).to_have_text("This link is over")


def test_everything_works_without_script(browser: Browser, console: Console, email: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, console.url, email=email)
    page.goto(f"{console.url}/settings/account")
    secret = _set_up(page)
    page.get_by_label("Code that the app shows").fill(_code(secret))
    page.get_by_role("button", name="Turn on").click()
    expect(page.locator(".code-grid li")).to_have_count(10)
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_any_state(
    browser: Browser, console: Console, email: str, scheme: str
) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    _run(_join(console, f"other-{uuid4().hex[:8]}", email=email))
    page.goto(f"{console.url}/reset-password?token={_run(_reset_token(console, email))}")
    found = {"reset": accessibility_problems(page)}
    page.goto(f"{console.url}/reset-password?token=over")
    found["over"] = accessibility_problems(page)
    sign_in(page, console.url, email=email)
    page.goto(f"{console.url}/settings/account")
    page.locator("summary", has_text="Switch tenant").click()
    found["account"] = accessibility_problems(page)
    page.goto(f"{console.url}/settings/account")
    _change_password(page, new="short", again="short")
    found["refused"] = accessibility_problems(page)
    secret = _set_up(page)
    found["enrolment"] = accessibility_problems(page)
    page.get_by_label("Code that the app shows").fill(_code(secret))
    page.get_by_role("button", name="Turn on").click()
    expect(page.locator(".code-grid li")).to_have_count(10)
    found["codes"] = accessibility_problems(page)
    page.goto(f"{console.url}/settings/account")
    found["on"] = accessibility_problems(page)
    page.context.clear_cookies()
    page.goto(f"{console.url}/sign-in")
    _type_password(page, email)
    expect(page.get_by_role("heading", level=1)).to_have_text("One more step")
    found["code"] = accessibility_problems(page)
    context.close()
    assert {state: problems for state, problems in found.items() if problems} == {}


@pytest.mark.parametrize("width", [320, 390])
def test_nothing_is_wider_than_a_narrow_screen(
    browser: Browser, console: Console, email: str, width: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    _run(_join(console, f"other-{uuid4().hex[:8]}", email=email))
    sign_in(page, console.url, email=email)
    page.goto(f"{console.url}/settings/account")
    _set_up(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    context.close()


def _change_password(page: Page, *, new: str, again: str, current: str = PASSWORD) -> None:
    page.get_by_label("Current password").fill(current)
    page.get_by_label("New password", exact=True).fill(new)
    page.get_by_label("New password once more").fill(again)
    page.get_by_role("button", name="Change the password").click()


def _set_up(page: Page) -> str:
    """Begin with the second factor and return the key that the page shows."""
    panel = page.get_by_role("region", name="Second factor")
    panel.get_by_label("Your password").fill(PASSWORD)
    panel.get_by_role("button", name="Set up").click()
    return panel.locator(".key-text").inner_text().replace(" ", "")


def _type_password(page: Page, email: str, password: str = PASSWORD) -> None:
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def _code(secret: str, *, steps: int = 0) -> str:
    return pyotp.TOTP(secret).at(datetime.now(UTC) + timedelta(seconds=30 * steps))


def _grant(tenant_id: Any) -> TenantScope:
    return grant_scope(tenant_id, actor="tests")


async def _join(console: Console, name: str, *, email: str) -> None:
    async with _pool(console) as pool:
        tenant = await create_tenant(pool, name, TenantSettings(), grant=_grant)
        await add_member(pool, _grant(tenant.id), email=email, role=Role.DEVELOPER)


async def _reset_token(console: Console, email: str) -> str:
    async with _pool(console) as pool:
        return await issue_reset(pool, email, pepper=SECRET.encode(), actor="operator:test")


def _pool(console: Console) -> Any:
    return open_pool(console.database.app, size=1)


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a thread: Playwright keeps a loop running in the one that tests are in."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
