"""The page of redaction in a browser: the policy, what it would do, its versions."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import accessibility_problems
from tests.support.console import CHECKOUT, Console

pytestmark = pytest.mark.e2e


def fits(page: Page) -> bool:
    """Whether nothing is wider than the window."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_an_admin_looks_ahead_changes_the_policy_and_sees_its_versions(
    page_of_admin: Page, console: Console
) -> None:
    page = page_of_admin
    console.add_trace(uuid4().hex, CHECKOUT, at=datetime.now(UTC))
    page.goto(f"{console.url}/settings/redaction")
    expect(page.locator("#no-keys")).to_be_visible()
    page.get_by_label("Phone numbers").select_option("remove")
    page.get_by_label("By key of the attribute").fill("customer.id hash\ndebug.* remove")
    page.get_by_label("Patterns of your own").fill("anything mask [a-z]+\\.[a-z]+")
    page.get_by_role("button", name="Preview").click()
    preview = page.locator("#preview")
    expect(preview).to_contain_text("Nothing is changed")
    expect(preview).to_contain_text("custom.anything")
    expect(page.get_by_label("Phone numbers")).to_have_value("remove")
    found = {"preview": (accessibility_problems(page), fits(page))}
    page.get_by_role("button", name="Change").click()
    expect(page.locator("#message")).to_contain_text("In effect within seconds")
    page.get_by_text("Version 1,").click()
    expect(page.locator(".policy-text")).to_contain_text('"debug.*": "remove"')
    for width, theme in ((1280, "dark"), (390, "light"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 860})
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        found[f"{width} {theme}"] = (accessibility_problems(page), fits(page))
    assert found == dict.fromkeys(found, ([], True))


def test_what_was_taken_out_is_told(page: Page, console: Console) -> None:
    page.goto(f"{console.url}/settings/redaction")
    expect(page.locator("#counts")).to_contain_text("Nothing was taken out of spans")
    with psycopg.connect(console.database.admin) as connection:
        for what, count in (("email", 1234), ("custom.badge", 5), ("spans", 9), ("failures", 2)):
            connection.execute(
                "insert into redaction_counts (tenant_id, day, policy_version, what, count)"
                " values (%s, current_date, 0, %s, %s)",
                [console.tenant_id, what, count],
            )
    page.reload()
    counts = page.locator("#counts")
    expect(counts).to_contain_text("1,239 values were taken out of 9 spans")
    expect(counts.get_by_role("listitem")).to_have_text(["1,234 Mail addresses", "5 custom.badge"])
    expect(counts.get_by_role("status")).to_contain_text("2 values were removed whole")
    assert (accessibility_problems(page), fits(page)) == ([], True)


def test_what_is_wrong_is_said_on_the_form(page_of_admin: Page, console: Console) -> None:
    page = page_of_admin
    page.goto(f"{console.url}/settings/redaction")
    page.get_by_label("By key of the attribute").fill("customer.id")
    page.get_by_role("button", name="Change").click()
    expect(page.locator("#message")).to_contain_text("write a key and a strategy")
    page.get_by_label("By key of the attribute").fill("customer.id hide")
    page.get_by_role("button", name="Change").click()
    expect(page.locator("#message")).to_contain_text("no strategy")
    expect(page.get_by_label("By key of the attribute")).to_have_value("customer.id hide")
    page.get_by_label("By key of the attribute").fill("")
    page.get_by_label("Token or encrypted value").fill("hash:x")
    page.get_by_role("button", name="Reveal").click()
    expect(page.locator("#message")).to_contain_text("cannot be undone")


def test_others_see_the_policy_and_change_nothing(page: Page, console: Console) -> None:
    page.goto(f"{console.url}/settings/redaction")
    expect(page.get_by_label("Phone numbers")).to_be_disabled()
    expect(page.get_by_role("button", name="Change")).to_have_count(0)
    expect(page.get_by_role("button", name="Reveal")).to_have_count(0)
    assert accessibility_problems(page) == []
