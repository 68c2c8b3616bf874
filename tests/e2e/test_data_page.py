"""All of a tenant's data in the browser: taken along, to be deleted, kept after all."""

from __future__ import annotations

import zipfile
from pathlib import Path

import psycopg
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import accessibility_problems, sign_in
from tests.e2e.conftest import SRE
from tests.support.console import Console

HREF = "/settings/data"

pytestmark = pytest.mark.usefixtures("admin")


@pytest.fixture
def page(page_of_admin: Page) -> Page:
    """A page of the signed-in administrator."""
    return page_of_admin


def title_of(page: Page) -> str:
    """Return the tenant's name as the form asks for it."""
    return page.locator("label[for=name] strong").inner_text()


def test_an_admin_takes_everything_along(page: Page, console: Console, tmp_path: Path) -> None:
    page.goto(f"{console.url}/settings/account")
    page.get_by_role("link", name="Data", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Export everything").click()
    path = tmp_path / "export.zip"
    download.value.save_as(path)
    with zipfile.ZipFile(path) as archive:
        assert b"large-charges" in archive.read("rules.jsonl")


def test_an_admin_has_it_deleted_and_keeps_it(page: Page, console: Console) -> None:
    page.goto(f"{console.url}{HREF}")
    name = title_of(page)
    page.get_by_label("Type").fill("another")
    page.get_by_role("button", name="Delete the tenant").click()
    expect(page.get_by_role("alert")).to_contain_text("Type the name of the tenant")
    page.get_by_label("Type").fill(name)
    page.get_by_role("button", name="Delete the tenant").click()
    expect(page.get_by_role("heading", name="Deletion")).to_be_visible()
    expect(page.get_by_text("On its way out", exact=True)).to_be_visible()
    page.goto(f"{console.url}/rules")
    banner = page.locator(".tenant-banner")
    expect(banner).to_contain_text("is deleted after")
    assert accessibility_problems(page) == []
    banner.get_by_role("link").click()
    assert accessibility_problems(page) == []
    page.get_by_role("button", name="Keep the tenant").click()
    expect(page.locator("#message")).to_contain_text("The tenant is kept")
    expect(banner).to_have_count(0)


def test_who_signed_in_long_ago_signs_in_again_and_comes_back(page: Page, console: Console) -> None:
    with psycopg.connect(console.database.admin) as connection:
        connection.execute("update sessions set expires_at = expires_at - interval '1 hour'")
    page.goto(f"{console.url}{HREF}")
    expect(page.get_by_role("button", name="Delete the tenant")).to_have_count(0)
    page.get_by_role("button", name="Sign in again").click()
    page.wait_for_url("**/sign-in?next=**")


def test_others_are_told_and_have_no_buttons(page: Page, console: Console) -> None:
    page.context.clear_cookies()
    sign_in(page, console.url, email=SRE)
    page.goto(f"{console.url}{HREF}")
    expect(page.get_by_text("An admin of the tenant may export it.")).to_be_visible()
    expect(page.get_by_text("An admin of the tenant may have it deleted.")).to_be_visible()
    assert page.locator("main button").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_readable_in_both_themes(page: Page, console: Console, theme: str) -> None:
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    page.goto(f"{console.url}{HREF}")
    assert accessibility_problems(page) == []
