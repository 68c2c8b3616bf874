"""Where checkpoints go, in the browser: added, tried, switched off, removed, stamps taken along."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pydantic import SecretStr

from api.auth.principal import Role
from tests.e2e.browser import accessibility_problems, sign_in
from tests.e2e.conftest import VIEWER
from tests.support.anchors import put_checkpoint
from tests.support.authority import Authority, Served, served
from tests.support.console import Console, running_console
from tests.support.keys import MASTER
from tests.support.postgres import Server
from udfs.evidence.verify import openssl_accepts

HREF = "/settings/evidence"
BEGIN_MS = 1_795_000_000_000

pytestmark = pytest.mark.usefixtures("admin")


@pytest.fixture(scope="module")
def console(postgres: Server) -> Iterator[Console]:
    """A console with keys of tenants, that may call this machine."""
    with running_console(
        postgres.database(),
        keys_provider="local",
        keys_master=SecretStr(MASTER),
        outbound_networks="127.0.0.1",
    ) as console:
        console.add_person(VIEWER, Role.VIEWER)
        yield console


@pytest.fixture(scope="module")
def note(console: Console) -> bytes:
    """The one checkpoint of the tenant's log."""
    return put_checkpoint(console.database, console.scope, size=9, time_ms=BEGIN_MS)


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A time-stamping authority."""
    with served(Authority.made_in(tmp_path_factory.mktemp("authority"))) as serving:
        yield serving


@pytest.fixture
def page(page_of_admin: Page) -> Page:
    """A page of the signed-in administrator."""
    return page_of_admin


def test_an_authority_is_added_tried_and_its_stamp_taken_along(
    page: Page, console: Console, tsa: Served, note: bytes, tmp_path: Path
) -> None:
    page.goto(f"{console.url}/settings/account")
    page.get_by_role("link", name="Checkpoints", exact=True).click()
    expect(page.get_by_text("Nowhere yet")).to_be_visible()
    page.get_by_role("link", name="Time-stamping authority").click()
    page.get_by_label("URL").fill(tsa.url)
    page.get_by_label("Certificate of its root").fill("not a certificate")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("alert")).to_contain_text("There is no certificate in the text")
    page.get_by_label("Certificate of its root").fill(tsa.authority.certificate.read_text())
    page.get_by_role("button", name="Add").click()
    expect(page.locator("#message")).to_contain_text("Added.")
    tsa.down = True
    page.get_by_role("button", name=f"Send now to {tsa.url}").click()
    expect(page.locator("#message")).to_contain_text("Checkpoint 1 was not taken.")
    expect(page.locator(".target-row")).to_contain_text("Fails")
    assert accessibility_problems(page) == []
    tsa.down = False
    page.get_by_role("button", name=f"Send now to {tsa.url}").click()
    expect(page.locator("#message")).to_contain_text("Checkpoint 1 was taken")
    expect(page.locator(".target-row")).to_contain_text("Works")
    with page.expect_download() as download:
        page.locator(".checkpoint-row").get_by_role("link", name=tsa.url).click()
    path = tmp_path / "stamp.tsr"
    download.value.save_as(path)
    assert openssl_accepts(note, path.read_bytes(), tsa.authority.certificate)


def test_the_secret_of_a_webhook_is_shown_once(page: Page, console: Console) -> None:
    place = "https://hooks.example.com/betrace"
    page.goto(f"{console.url}{HREF}/new?kind=webhook")
    page.get_by_label("URL").fill(place)
    page.get_by_label("How often").select_option("Every day")
    page.get_by_role("button", name="Add").click()
    assert page.locator("[data-made-secret]").inner_text().startswith("whsec_")
    page.get_by_role("link", name="I have it").click()
    expect(page.locator("[data-made-secret]")).to_have_count(0)
    row = page.locator(".target-row", has_text=place)
    expect(row).to_contain_text("Every day")
    row.get_by_role("link", name=f"Change {place}").click()
    expect(page.get_by_text("another place is another target")).to_be_visible()
    assert accessibility_problems(page) == []
    page.get_by_label("How often").select_option("Every week")
    page.get_by_label("Make a new secret").check()
    page.get_by_role("button", name="Change").click()
    assert page.locator("[data-made-secret]").inner_text().startswith("whsec_")
    page.get_by_role("link", name="I have it").click()
    expect(row).to_contain_text("Every week")
    row.get_by_role("button", name=f"Switch off {place}").click()
    expect(row).to_contain_text("Off")
    row.get_by_role("button", name=f"Remove {place}").click()
    expect(page.locator("#message")).to_contain_text("Removed.")
    expect(row).to_have_count(0)


def test_who_may_not_change_anything_sees_where_they_go_and_no_buttons(
    page: Page, console: Console, note: bytes
) -> None:
    page.context.clear_cookies()
    sign_in(page, console.url, email=VIEWER)
    page.goto(f"{console.url}{HREF}")
    expect(page.get_by_role("heading", name="Targets")).to_be_visible()
    expect(page.get_by_role("heading", name="Checkpoints")).to_have_count(0)
    assert page.locator("main button").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", ["", "/new?kind=tsa", "/new?kind=s3"])
def test_it_is_readable_in_both_themes(
    page: Page, console: Console, note: bytes, theme: str, path: str
) -> None:
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    page.goto(f"{console.url}{HREF}{path}")
    assert accessibility_problems(page) == []
