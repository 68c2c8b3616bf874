"""Versions of a rule in a browser: side by side, and brought back."""

from __future__ import annotations

from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.browser import problems_of_page, sign_in
from tests.e2e.conftest import DEVELOPER
from tests.support.console import Console

pytestmark = pytest.mark.e2e
TESTS = [{"name": "kept", "trace": [{"name": "a"}], "expect": "satisfied"}]


@pytest.fixture
def rule_id(console: Console) -> str:
    """A new rule of two versions."""
    rule_id = f"two-{uuid4().hex[:6]}"
    console.add_rule(rule_id, "when  { a }\nnever { b }\n", name="As it was", tests=TESTS)
    console.add_rule(rule_id, "when  { a }\nnever { c }\n", name="Changed", state="shadow")
    return rule_id


@pytest.fixture
def developer(context: BrowserContext, console: Console) -> Page:
    """A page of a signed-in developer, who may write rules."""
    page = context.new_page()
    sign_in(page, console.url, email=DEVELOPER)
    return page


def test_an_earlier_version_is_compared_and_brought_back_with_a_reason(
    developer: Page, console: Console, rule_id: str
) -> None:
    developer.goto(f"{console.url}/rules/{rule_id}")
    developer.locator("details.version").filter(has_text="Version 1").locator("summary").click()
    developer.get_by_role("link", name="Compare with the current version").click()
    expect(developer.locator(".line-changed del").first).to_have_text("never { b }")
    expect(developer.locator(".line-changed ins").first).to_have_text("never { c }")
    expect(developer.get_by_role("region", name="Tests")).to_contain_text("- name: kept")
    developer.get_by_label("Why").fill("Version 2 forgot b.")
    developer.get_by_role("button", name="Restore version 1").click()
    done = developer.get_by_role("status").filter(has_text="The earlier version is back")
    expect(done).to_be_visible()
    newest = developer.locator("details.version").first
    expect(newest).to_contain_text("Version 3")
    expect(newest).to_contain_text("Brings version 1 back")
    newest.locator("summary").click()
    expect(newest).to_contain_text("Version 2 forgot b.")
    expect(developer.locator(".signal-tags")).to_contain_text("Shadow")


def test_a_change_of_somebody_else_is_said_and_not_overwritten(
    developer: Page, console: Console, rule_id: str
) -> None:
    developer.goto(f"{console.url}/rules/{rule_id}/difference?was=1&now=2")
    console.add_rule(rule_id, "when { a } never { d }", name="Meanwhile")
    developer.get_by_label("Why").fill("As it was.")
    developer.get_by_role("button", name="Restore version 1").click()
    expect(developer.get_by_role("alert")).to_contain_text("Somebody saved version 3 meanwhile.")
    expect(developer.get_by_label("Why")).to_have_value("As it was.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_overflows(
    browser: Browser, console: Console, rule_id: str, scheme: str
) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    sign_in(page, console.url, email=DEVELOPER)
    found = {}
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 860})
        for versions in ("was=1&now=2", "was=2&now=2"):
            page.goto(f"{console.url}/rules/{rule_id}/difference?{versions}")
            found[f"{versions} at {width}"] = problems_of_page(page)
    context.close()
    assert {what: told for what, told in found.items() if told} == {}
