"""A compliance officer's way: from the matrix to a control, a record, a pack, and its verification
in the browser; and what others see of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from api.auth.principal import Role
from api.database import open_pool
from api.evidence.model import Offer
from api.evidence.quiet import tell_quiet
from dsl.controls import control
from tests.e2e.browser import Complaints, accessibility_problems, sign_in
from tests.support.console import CHECKOUT_RULE, Console, run_apart, running_console
from tests.support.keys import MASTER
from tests.support.postgres import Server
from tests.support.sealed import a_span, days_of_evidence, now_ms, seal
from udfs.evidence.exports import check_export
from udfs.evidence.keys import VerifierKey, parse_verifier_key
from udfs.evidence.records import Outcome

OFFICER, STRANGER = "officer@example.com", "stranger@example.com"
RULE, CONTROL, SAID, QUIET = "large-charges", "soc2.CC7.2", "soc2.CC6.1", "soc2.CC6.7"
PAGES = (
    "/evidence/controls",
    "/evidence/controls?framework=gdpr&quiet=30",
    f"/evidence/control?id={CONTROL}",
    "/evidence",
    "/evidence?service=nobody",
    "/evidence/records/2",
    "/evidence/verify",
    "/evidence/verifications",
)


@pytest.fixture(scope="module")
def sealed(postgres: Server) -> Iterator[Console]:
    """A console with an officer, whose tenant has three days of sealed evidence."""
    with running_console(postgres.database(), keys_provider="local", keys_master=MASTER) as console:
        console.add_person(OFFICER, Role.COMPLIANCE_VIEWER)
        console.add_rule(RULE, name="Large charges are checked", controls=[CONTROL])
        offers = days_of_evidence(
            console.tenant_id,
            rule=RULE,
            text=CHECKOUT_RULE,
            control=CONTROL,
            said=SAID,
            until_ms=now_ms() - 60_000,
        )
        run_apart(seal(console.database, offers))
        yield console


@contextmanager
def officer_at(
    browser: Browser, console: Console, **options: Any
) -> Iterator[tuple[BrowserContext, Page]]:
    context = browser.new_context(accept_downloads=True, **options)
    complaints = Complaints(context, url=console.url)
    page = context.new_page()
    sign_in(page, console.url, email=OFFICER, home="/evidence/controls")
    yield context, page
    context.close()
    assert complaints.lines == []


def test_an_officer_goes_from_the_matrix_to_a_pack_that_the_browser_verifies(
    browser: Browser, sealed: Console, tmp_path: Path
) -> None:
    with officer_at(browser, sealed) as (context, page):
        nav = page.get_by_role("navigation", name="Main")
        assert nav.get_by_role("link").all_inner_texts() == ["Evidence", "Notices"]
        row = page.get_by_role("row").filter(has_text="CC7.2")
        expect(row).to_contain_text("Violated")
        expect(row).to_contain_text("14,399")
        expect(page.get_by_role("row").filter(has_text="CC6.1")).to_contain_text("Satisfied")
        expect(page.get_by_role("row").filter(has_text="A1.1")).to_contain_text("No evidence")

        row.get_by_role("link").click()
        expect(page.get_by_role("heading", name="The unusual is noticed")).to_be_visible()
        expect(page.get_by_text("What happens in systems that send no traces.")).to_be_visible()
        verdict = page.get_by_role("article").filter(has_text="judged a trace")
        expect(verdict).to_contain_text("Valid")
        verdict.get_by_role("link").first.click()

        expect(page.locator(".evidence-bytes")).to_contain_text('"verdict":"violated"')
        context.set_offline(True)
        page.get_by_role("button", name="Verify in this browser").click()
        expect(page.get_by_role("status").filter(has_text="Valid: this browser")).to_be_visible()
        expect(page.locator(".verify-step")).to_have_count(3)
        page.get_by_label("A verifier key of the log").fill("somebody.example+00000000+AAAA")
        page.get_by_role("button", name="Verify in this browser").click()
        expect(page.get_by_role("alert")).to_contain_text("Not valid")
        context.set_offline(False)

        page.get_by_role("link", name="soc2.CC7.2").click()
        with page.expect_download() as download:
            page.get_by_role("link", name="Pack for auditors").click()
        pack = tmp_path / "PACK.zip"
        download.value.save_as(pack)

        page.goto(f"{sealed.url}/evidence/verify")
        requests: list[str] = []
        context.set_offline(True)
        page.on("request", lambda request: requests.append(request.url))
        page.get_by_label("Choose PACK.zip").set_input_files(pack)
        expect(page.get_by_role("status").filter(has_text="PACK.zip is valid")).to_be_visible()
        expect(page.get_by_text("soc2.CC7.2").first).to_be_visible()
        damaged = bytearray(pack.read_bytes())
        damaged[len(damaged) // 2] ^= 1
        bad = {"name": "BAD.zip", "mimeType": "application/zip", "buffer": bytes(damaged)}
        page.get_by_label("Choose PACK.zip").set_input_files(bad)
        expect(page.get_by_role("alert")).to_contain_text("BAD.zip is not valid")
        # The icon is fetched by the browser of its own accord, whenever it has the time.
        assert [url for url in requests if not url.endswith("/favicon.svg")] == []


def test_what_is_exported_is_what_the_filters_choose(browser: Browser, sealed: Console) -> None:
    with officer_at(browser, sealed) as (_, page):
        page.goto(f"{sealed.url}/evidence")
        page.get_by_label("Outcome").select_option("blocked")
        page.get_by_role("button", name="Apply").click()
        page.wait_for_url("**outcome=blocked*")
        expect(page.get_by_text("12 records")).to_be_visible()
        with page.expect_download() as download:
            page.get_by_role("link", name="CSV").click()
        lines = download.value.path().read_text().splitlines()
        assert lines[0].startswith("seq,time,kind,controls,outcome")
        assert len(lines) == 13
        assert all(",span,soc2.CC6.1,blocked,payments," in line for line in lines[1:])
        with page.expect_download() as download:
            page.get_by_role("link", name="JSON lines").click()
        keys = [parse_verifier_key(key) for key in verifier_keys(page)]
        found = check_export(
            download.value.path().read_bytes().splitlines(),
            [key for key in keys if isinstance(key, VerifierKey)],
        )
        assert (found.problems, found.records, len(found.signers)) == ((), 12, 1)
        page.goto(f"{sealed.url}/evidence/controls")
        with page.expect_download() as download:
            page.get_by_role("link", name="OSCAL").click()
        document = json.loads(download.value.path().read_text())
        [result] = document["assessment-results"]["results"]
        assert {one["target"]["target-id"] for one in result["findings"]} == {
            *("soc2_CC6.1", "soc2_CC7.2")
        }


def test_words_are_looked_for_and_what_is_found_is_verified_on_the_record(
    browser: Browser, sealed: Console
) -> None:
    with officer_at(browser, sealed) as (_, page):
        page.goto(f"{sealed.url}/evidence")
        page.get_by_label("Words").fill("post charges succ")
        page.get_by_role("button", name="Apply").click()
        page.wait_for_url("**text=post*")
        expect(page.get_by_text("24 records")).to_be_visible()
        page.get_by_role("button", name="Verify all of them").click()
        expect(page.get_by_role("heading", name="“post charges succ”")).to_be_visible()
        expect(page.get_by_text(f"24 records, verified by {OFFICER}")).to_be_visible()
        assert accessibility_problems(page) == []
        page.locator(".finding-row").get_by_role("link").first.click()
        history = page.get_by_role("region", name="Verifications")
        expect(history.locator(".history-row")).to_have_count(1)
        expect(history).to_contain_text("Valid")
        history.get_by_role("button", name="Verify on the record").click()
        expect(history.locator(".history-row")).to_have_count(2)
        page.goto(f"{sealed.url}/evidence/controls")
        page.get_by_role("link", name="Verifications").click()
        expect(page.get_by_role("article")).to_have_count(2)
        with page.expect_download() as download:
            page.goto(f"{sealed.url}/evidence/control?id={CONTROL}")
            page.get_by_role("link", name="PDF").click()
        assert download.value.path().read_bytes().startswith(b"%PDF-")


def test_a_control_that_went_quiet_is_told_of_on_the_matrix_and_once_as_a_notice(
    browser: Browser, sealed: Console
) -> None:
    long_ago = now_ms() - 40 * 24 * 60 * 60_000
    old = Offer(
        tenant=sealed.tenant_id,
        id="long-ago",
        time_ms=long_ago,
        body=a_span(Outcome.SUCCESS),
        controls=(QUIET,),
    )
    run_apart(seal(sealed.database, [old]))
    run_apart(_tell_quiet(sealed))
    with officer_at(browser, sealed) as (_, page):
        told = page.get_by_role("status").filter(has_text="No evidence for 30 days or longer")
        expect(told.get_by_role("link", name=QUIET)).to_be_visible()
        page.get_by_role("link", name="Notices").click()
        [notice] = page.get_by_role("listitem").all()
        expect(notice).to_contain_text(f"{QUIET} has no evidence any more")
        notice.get_by_role("button", name="Acknowledge").click()
        expect(page.get_by_text("Acknowledged.")).to_be_visible()
        assert accessibility_problems(page) == []
        page.get_by_role("link", name=QUIET).click()
        described = control(QUIET)
        assert described is not None
        expect(page.get_by_role("heading", name=described.title)).to_be_visible()


async def _tell_quiet(console: Console) -> None:
    async with open_pool(console.database.app, size=1) as pool:
        await tell_quiet(pool, console.scope, now=datetime.now(UTC))


def verifier_keys(page: Page) -> list[str]:
    """Return the keys of the log, as a record's page shows them."""
    page.goto(f"{page.url.partition('/evidence')[0]}/evidence/records/1")
    material = page.get_by_role("button", name="Verify in this browser").get_attribute(
        "data-verify-record"
    )
    return [key["verifier_key"] for key in json.loads(material or "")["keys"]]


def test_a_record_that_somebody_altered_is_invalid_on_the_server_and_in_the_browser(
    browser: Browser, sealed: Console
) -> None:
    with psycopg.connect(sealed.database.admin) as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(
            "update evidence_records set line = convert_to(replace(convert_from(line, 'UTF8'),"
            " '\"blocked\"', '\"success\"'), 'UTF8') where tenant_id = %s and seq = ("
            " select min(seq) from evidence_records where tenant_id = %s and outcome = 'blocked')",
            [sealed.tenant_id, sealed.tenant_id],
        )
    with officer_at(browser, sealed) as (_, page):
        page.goto(f"{sealed.url}/evidence?outcome=blocked")
        bad = page.get_by_role("article").filter(has_text="Invalid")
        expect(bad).to_have_count(1)
        bad.get_by_role("link").first.click()
        expect(page.get_by_text("Its bytes do not hash to the leaf").first).to_be_visible()
        page.get_by_role("button", name="Verify in this browser").click()
        expect(page.get_by_role("alert")).to_contain_text("Not valid")
        expect(page.locator(".verify-step").filter(has_text="Fails")).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_are_accessible_and_fit_a_narrow_screen(
    browser: Browser, sealed: Console, scheme: Any
) -> None:
    viewport = {"width": 390, "height": 844}
    with officer_at(browser, sealed, viewport=viewport, color_scheme=scheme) as (_, page):
        for path in PAGES:
            page.goto(f"{sealed.url}{path}")
            assert accessibility_problems(page) == [], path
            assert page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0, path


def test_another_tenant_has_nothing_and_a_developer_is_not_let_in(
    browser: Browser, sealed: Console, console: Console
) -> None:
    console.add_person(STRANGER, Role.COMPLIANCE_VIEWER)
    context = browser.new_context()
    page = context.new_page()
    sign_in(page, console.url, email=STRANGER, home="/evidence/controls")
    expect(page.get_by_text("Nothing of SOC 2 has been sealed yet")).to_be_visible()
    page.goto(f"{console.url}/evidence")
    expect(page.get_by_role("heading", name="No evidence")).to_be_visible()
    page.goto(f"{console.url}/evidence/records/1")
    expect(page.get_by_role("heading", name="Nothing here")).to_be_visible()
    page.goto(f"{console.url}/evidence/pack")
    expect(page.get_by_role("heading", name="Nothing is sealed here")).to_be_visible()
    page.goto(f"{console.url}/signals")
    expect(page.get_by_role("heading", name="Not for your role")).to_be_visible()
    context.close()


def test_a_record_that_no_checkpoint_covers_yet_is_unsigned_and_not_called_invalid(
    browser: Browser, sealed: Console
) -> None:
    new = Offer(
        tenant=sealed.tenant_id,
        id="just-now",
        time_ms=now_ms(),
        body=a_span(Outcome.SUCCESS),
        controls=(SAID,),
    )
    run_apart(seal(sealed.database, [new], signed=False))
    with officer_at(browser, sealed) as (_, page):
        page.goto(f"{sealed.url}/evidence")
        waiting = page.get_by_role("article").filter(has_text="Unsigned")
        expect(waiting).to_have_count(1)
        waiting.get_by_role("link").first.click()
        page.get_by_role("button", name="Verify in this browser").click()
        told = page.locator("[data-verify-result]")
        expect(told).to_contain_text("Unsigned: no checkpoint covers this record yet.")
        expect(told).not_to_contain_text("Not valid")
        run_apart(seal(sealed.database, []))
        page.reload()
        page.get_by_role("button", name="Verify in this browser").click()
        expect(told).to_contain_text("Valid: this browser followed the record")
