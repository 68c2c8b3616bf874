"""Pages in a real browser, on a real Postgres with rows as the worker writes them."""

from __future__ import annotations

from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.browser import accessibility_problems, sign_in, write_rule
from tests.e2e.conftest import DEVELOPER, SRE, VIEWER
from tests.support.console import Console

pytestmark = pytest.mark.e2e


def test_a_deep_link_survives_signing_in(context: BrowserContext, console: Console) -> None:
    page = context.new_page()
    page.goto(f"{console.url}/rules/large-charges")
    page.get_by_label("Email").fill(SRE)
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{console.url}/rules/large-charges")
    expect(page.get_by_role("heading", level=1)).to_have_text("Large charges are checked")


def test_a_wrong_password_is_said_and_the_address_is_kept(
    context: BrowserContext, console: Console
) -> None:
    page = context.new_page()
    page.goto(f"{console.url}/sign-in")
    page.get_by_label("Email").fill(SRE)
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("The address or the password is wrong.")
    expect(page.get_by_label("Email")).to_have_value(SRE)


def test_a_new_signal_appears_without_loading_the_page(page: Page, console: Console) -> None:
    expect(page.locator("[data-live-label]")).to_have_text("Live")
    signal_id = console.add_signal("large-charges", rule_name="Arrived just now")
    row = page.locator(f"#signal-{signal_id}")
    expect(row.get_by_role("link")).to_have_text("Arrived just now")


def test_a_paused_list_counts_and_catches_up_when_resumed(page: Page, console: Console) -> None:
    console.add_signal("large-charges", rule_name="Before")
    expect(page.locator("[data-live-label]")).to_have_text("Live")
    page.get_by_role("button", name="Pause").click()
    signal_id = console.add_signal("large-charges", rule_name="While paused")
    expect(page.locator("[data-live-label]")).to_contain_text("new")
    expect(page.locator(f"#signal-{signal_id}")).to_have_count(0)
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(f"#signal-{signal_id}")).to_be_visible()


def test_a_row_leaves_a_filtered_list_when_its_status_no_longer_fits(
    page: Page, context: BrowserContext, console: Console, signal_id: str
) -> None:
    page.goto(f"{console.url}/signals?status=open")
    expect(page.locator("[data-live-label]")).to_have_text("Live")
    expect(page.locator(f"#signal-{signal_id}")).to_be_visible()
    other = context.new_page()
    other.goto(f"{console.url}/signals/{signal_id}")
    other.get_by_role("button", name="Investigate").click()
    expect(page.locator(f"#signal-{signal_id}")).to_have_count(0)


def test_filters_stand_in_the_address(page: Page, console: Console, signal_id: str) -> None:
    page.goto(f"{console.url}/signals")
    page.locator("summary", has_text="Severity").click()
    page.get_by_role("checkbox", name="Critical").check()
    expect(page).to_have_url(f"{console.url}/signals?severity=critical")
    expect(page.get_by_role("heading", name="No signal matches these filters")).to_be_visible()
    page.get_by_role("link", name="Clear the filters").click()
    expect(page.locator(f"#signal-{signal_id}")).to_be_visible()


def test_j_k_and_enter_walk_the_list(page: Page, console: Console) -> None:
    older = console.add_signal("large-charges", rule_name="Older")
    newer = console.add_signal("large-charges", rule_name="Newer")
    page.goto(f"{console.url}/signals")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator(f"#signal-{older} a")).to_be_focused()
    page.keyboard.press("k")
    expect(page.locator(f"#signal-{newer} a")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{console.url}/signals/{newer}")
    page.keyboard.press("u")
    expect(page).to_have_url(f"{console.url}/signals")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()


def test_a_signal_explains_itself_before_it_shows_its_trace(
    page: Page, console: Console, signal_id: str
) -> None:
    page.goto(f"{console.url}/signals/{signal_id}")
    why = page.get_by_role("region", name="Why")
    expect(why.get_by_role("heading", level=3)).to_have_text(["when", "always", "never"])
    expect(why.locator(".clause-broke")).to_contain_text("skipped == false: skipped is true")
    marked = page.locator(".wf-marked:not([hidden])")
    expect(marked).to_have_count(2)  # what it rests on, and the nearest miss
    marked.filter(has_text="payment.charge").click()
    expect(page.locator(".span-detail")).to_contain_text("customer.tier")


def test_a_signal_is_investigated_resolved_and_reopened(
    page: Page, console: Console, signal_id: str
) -> None:
    page.goto(f"{console.url}/signals/{signal_id}")
    page.get_by_role("button", name="Investigate").click()
    page.get_by_role("button", name="Resolve").click()
    expect(page.get_by_role("alert")).to_have_text("Say why the signal becomes resolved.")
    page.get_by_label("Reason").fill("The flag was off.")
    page.get_by_role("button", name="Resolve").click()
    history = page.get_by_role("region", name="History")
    expect(history.get_by_role("listitem").first).to_contain_text("Investigating → Resolved")
    expect(history.get_by_role("listitem").first).to_contain_text("The flag was off.")
    page.get_by_role("button", name="Reopen").click()
    expect(history.get_by_role("listitem").first).to_contain_text("Resolved → Open")


def test_status_changes_work_without_script(
    browser: Browser, console: Console, signal_id: str
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, console.url, email=SRE)
    page.goto(f"{console.url}/signals/{signal_id}")
    page.get_by_label("Reason").fill("A test of ours.")
    page.get_by_role("button", name="False positive").click()
    expect(page.locator(".signal-tags")).to_contain_text("False positive")
    context.close()


def test_a_developer_reads_signals_but_cannot_change_them(
    context: BrowserContext, console: Console, signal_id: str
) -> None:
    page = context.new_page()
    sign_in(page, console.url, email=DEVELOPER)
    page.goto(f"{console.url}/signals/{signal_id}")
    expect(page.get_by_role("region", name="Status")).to_contain_text("may read signals")
    expect(page.get_by_role("button", name="Investigate")).to_have_count(0)


def test_a_role_without_permission_is_told_so(context: BrowserContext, console: Console) -> None:
    page = context.new_page()
    sign_in(page, console.url, email=VIEWER)
    expect(page.get_by_role("heading", level=1)).to_have_text("Not for your role")


def test_what_is_not_there_is_said(page: Page, console: Console) -> None:
    answer = page.goto(f"{console.url}/signals/{uuid4().hex}")
    assert answer is not None
    assert answer.status == 404
    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing here")


def test_a_broken_rule_is_shown_in_its_place_and_a_right_one_is_saved(
    context: BrowserContext, console: Console
) -> None:
    page = context.new_page()
    sign_in(page, console.url, email=DEVELOPER)
    page.goto(f"{console.url}/rules/new")
    rule_id = f"rule-{uuid4().hex[:8]}"
    page.get_by_label("Name", exact=True).fill("Orders are paid")
    page.get_by_label("Id", exact=True).fill(rule_id)
    write_rule(page, "when { order.placed }\nalways { payment.charge && ok }")
    page.get_by_role("button", name="Save rule").click()
    expect(page.get_by_role("button", name="Go to line 2").first).to_be_visible()
    expect(page.locator(".cm-lintRange-error").first).to_have_text("&&")
    write_rule(page, "when { order.placed }\nalways { payment.charge }")
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("This rule can be saved.")).to_be_visible()
    page.get_by_role("button", name="Save rule").click()
    expect(page).to_have_url(f"{console.url}/rules/{rule_id}?done=created")
    expect(page.get_by_role("heading", level=1)).to_have_text("Orders are paid")


def test_the_chosen_look_stays(page: Page) -> None:
    page.locator("summary", has_text="Account and appearance").click()
    with page.expect_response("**/preferences/theme"):
        page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, console: Console, signal_id: str, scheme: str) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    page.goto(f"{console.url}/sign-in")
    found = {"/sign-in": accessibility_problems(page)}
    sign_in(page, console.url, email=SRE)
    for path in ("/home", "/home?service=none", "/signals", "/signals?service=none"):
        page.goto(console.url + path)
        found[path] = accessibility_problems(page)
    for path in (f"/signals/{signal_id}", "/rules"):
        page.goto(console.url + path)
        found[path] = accessibility_problems(page)
    for path in ("/rules/large-charges", "/signals/none"):
        page.goto(console.url + path)
        found[path] = accessibility_problems(page)
    context.close()
    assert found == {path: [] for path in found}


def test_a_narrow_screen_does_not_scroll_sideways(
    browser: Browser, console: Console, signal_id: str
) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740})
    page = context.new_page()
    sign_in(page, console.url, email=SRE)
    overflow = {}
    for path in ("/home", "/signals", f"/signals/{signal_id}", "/rules", "/rules/large-charges"):
        page.goto(console.url + path)
        overflow[path] = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    context.close()
    assert overflow == dict.fromkeys(overflow, 0)
