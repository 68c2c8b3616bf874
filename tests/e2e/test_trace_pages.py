"""Stored traces searched, and sample traces, in the browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.browser import Complaints, accessibility_problems, sign_in
from tests.e2e.conftest import DEVELOPER, SRE, VIEWER
from tests.support.console import CHECKOUT, EXPLANATION, Console, SpanRow
from tests.unit.api.test_samples import otlp

pytestmark = pytest.mark.e2e
REPORT = (
    SpanRow(id="01", name="GET /report", service="reports", kind="server", end_ms=9_000),
    SpanRow(id="02", parent="01", name="db.query", service="postgres", start_ms=5, end_ms=8_000),
)


@pytest.fixture(scope="module")
def traces(console: Console) -> dict[str, str]:
    """Stored traces: a checkout that broke a promise, and a report that no signal is about."""
    checkout, report = uuid4().hex, uuid4().hex
    at = datetime.now(UTC) - timedelta(minutes=5)
    console.add_trace(checkout, CHECKOUT, at=at)
    console.add_trace(report, REPORT, at=at - timedelta(hours=3))
    console.add_signal(
        "large-charges",
        rule_name="Large charges are checked",
        trace_id=checkout,
        at=at,
        explanation=EXPLANATION,
    )
    return {"checkout": checkout, "report": report}


@pytest.fixture
def developer(context: BrowserContext, console: Console) -> Page:
    """A page of a signed-in developer."""
    page = context.new_page()
    sign_in(page, console.url, email=DEVELOPER)
    return page


def titles(page: Page) -> list[str]:
    """The titles of the rows that are shown."""
    return page.locator("[data-row-link]").all_inner_texts()


def fits(page: Page) -> bool:
    """Whether the page is no wider than the screen."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


# ---------------------------------------------------------------------- traces


def test_traces_are_searched_and_the_address_says_what_for(
    page: Page, console: Console, traces: dict[str, str]
) -> None:
    page.get_by_role("link", name="Traces", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Traces")
    assert titles(page) == ["POST /checkout", "GET /report"]
    page.get_by_role("combobox", name="Verdict").select_option("violated")
    page.wait_for_url("**/traces?verdict=violated")
    expect(page.locator("[data-row-link]")).to_have_count(1)
    expect(page.get_by_role("link", name="Large charges are checked Violated")).to_be_visible()
    page.get_by_label("Attributes").fill("customer.tier=gold http.route")
    page.get_by_role("button", name="Search").click()
    page.wait_for_url("**attributes=customer.tier%3Dgold**")
    expect(page.locator("[data-row-link]")).to_have_count(1)
    page.reload()
    expect(page.get_by_label("Attributes")).to_have_value("customer.tier=gold http.route")
    expect(page.locator("[data-row-link]")).to_have_count(1)
    page.get_by_role("link", name="Clear").click()
    page.wait_for_url("**/traces")
    page.get_by_role("complementary", name="Narrow the list").get_by_role(
        "link", name="reports"
    ).click()
    assert titles(page) == ["GET /report"]
    page.locator("[data-row-link]").click()
    page.wait_for_url(f"**/traces/{traces['report']}")
    page.keyboard.press("u")
    page.wait_for_url("**/traces")


def test_a_filter_that_cannot_be_read_is_said_and_stays(
    page: Page, console: Console, traces: dict[str, str]
) -> None:
    page.goto(f"{console.url}/traces?least=soon&attributes=%22a")
    expect(page.get_by_role("alert")).to_contain_text("A quotation mark is missing")
    expect(page.get_by_label("Attributes")).to_have_value('"a')
    page.goto(f"{console.url}/traces?least=soon")
    expect(page.get_by_role("alert")).to_contain_text("'soon' is no duration")
    page.get_by_label("At least").fill("1 s")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator("[data-row-link]")).to_have_text(["GET /report"])


def test_traces_are_searched_with_the_keyboard_alone(
    page: Page, console: Console, traces: dict[str, str]
) -> None:
    page.keyboard.press("g")
    page.keyboard.press("t")
    page.wait_for_url("**/traces")
    page.keyboard.press("/")
    expect(page.get_by_label("Service", exact=True)).to_be_focused()
    page.keyboard.type("reports")
    page.keyboard.press("Enter")
    page.wait_for_url("**service=reports")
    expect(page.locator("[data-row-link]")).to_have_count(1)
    page.get_by_role("heading", level=1).click()
    page.keyboard.press("j")
    expect(page.locator("[data-row-link]")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/traces/{traces['report']}")


def test_an_id_that_is_typed_leads_to_its_trace(
    page: Page, console: Console, traces: dict[str, str]
) -> None:
    page.goto(f"{console.url}/traces")
    page.get_by_label("Open a trace by its id").fill(traces["report"].upper())
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/traces/{traces['report']}")


def test_who_may_not_read_traces_is_told_so(
    context: BrowserContext, console: Console, traces: dict[str, str]
) -> None:
    page = context.new_page()
    sign_in(page, console.url, email=VIEWER)
    page.goto(f"{console.url}/traces")
    expect(page.get_by_role("heading", level=1)).to_have_text("Not for your role")
    expect(page.get_by_role("link", name="Traces", exact=True)).to_have_count(0)


# ---------------------------------------------------------------------- samples


def test_a_stored_trace_is_kept_as_a_sample_and_a_rule_tried_on_it(
    developer: Page, console: Console, traces: dict[str, str]
) -> None:
    developer.goto(f"{console.url}/traces/{traces['checkout']}")
    developer.get_by_role("button", name="Keep as sample").click()
    developer.wait_for_url("**/samples/*done=added")
    expect(developer.get_by_role("status").first).to_contain_text("The sample is kept")
    expect(developer.get_by_role("rowheader", name="fraud.check")).to_be_visible()
    assert traces["checkout"] not in developer.content()
    developer.get_by_label("Text", exact=True).fill("when { payment.charge } always { receipt }")
    developer.get_by_role("button", name="Judge it").click()
    expect(developer.get_by_text("The rule says:")).to_contain_text("Violated")
    expect(developer.get_by_role("region", name="Why")).to_contain_text(
        "This had to happen, and did not"
    )
    developer.get_by_label("Rule", exact=True).select_option("Large charges are checked")
    developer.get_by_role("button", name="Judge it").click()
    expect(developer.get_by_text("The rule says:")).to_contain_text("Violated")
    expect(developer.locator("tr.wf-marked")).to_have_count(1)
    developer.get_by_label("Rule", exact=True).select_option("The text below")
    developer.get_by_label("Text", exact=True).fill("when { payment.charge } alwys { receipt }")
    developer.get_by_role("button", name="Judge it").click()
    expect(developer.get_by_role("alert")).to_contain_text("1:25 `alwys` is not a clause")


def test_a_sample_is_uploaded_changed_and_deleted(
    developer: Page, console: Console, tmp_path: Path
) -> None:
    mail = [{"key": "note", "value": {"stringValue": "for ada@example.com"}}]
    file = tmp_path / "trace.json"
    file.write_text(json.dumps(otlp({"name": "payment.charge", "attributes": mail})))
    developer.goto(f"{console.url}/samples")
    developer.get_by_text("Add a sample").click()
    developer.get_by_label("Name", exact=True).fill("An uploaded payment")
    developer.get_by_label("Tags").fill("uploads, payments")
    developer.get_by_role("button", name="Keep it").click()
    expect(developer.get_by_role("alert")).to_contain_text("Choose a file, or paste OTLP/JSON.")
    expect(developer.get_by_label("Name", exact=True)).to_have_value("An uploaded payment")
    developer.get_by_label("Or its text").fill('{"resourceSpans": 1}')
    developer.get_by_role("button", name="Keep it").click()
    expect(developer.get_by_role("alert")).to_contain_text("This is no OTLP/JSON")
    developer.get_by_label("A file of OTLP/JSON").set_input_files(file)
    developer.get_by_role("button", name="Keep it").click()
    developer.wait_for_url("**/samples/*done=added")
    assert "ada@example.com" not in developer.content()
    developer.get_by_text("Change or delete").click()
    developer.get_by_label("Name", exact=True).fill("A better name")
    developer.get_by_role("button", name="Save").click()
    expect(developer.get_by_role("heading", level=1)).to_have_text("A better name")
    developer.get_by_role("link", name="uploads").click()
    expect(developer.get_by_role("region", name="Your own")).to_contain_text("A better name")
    developer.get_by_role("link", name="A better name").click()
    developer.get_by_text("Change or delete").click()
    developer.get_by_role("button", name="Delete the sample").click()
    expect(developer.get_by_role("status").first).to_contain_text("deleted")
    expect(developer.get_by_text("A better name")).to_have_count(0)


def test_the_library_is_there_for_who_may_only_test(page: Page, console: Console) -> None:
    page.goto(f"{console.url}/samples")
    library = page.get_by_role("region", name="The library")
    expect(library.locator("[data-row-link]").first).to_have_text("A payment that is checked")
    expect(page.get_by_text("Add a sample")).to_have_count(0)
    library.get_by_role("link", name="Retries that multiply").click()
    page.get_by_role("button", name="Judge it").click()
    expect(page.get_by_text("The rule says:")).to_contain_text("Violated")
    expect(page.get_by_text("Change or delete")).to_have_count(0)


# ---------------------------------------------------------------------- for everybody


@pytest.fixture(params=["light", "dark"])
def both(request: pytest.FixtureRequest, browser: Browser, console: Console) -> Iterator[Page]:
    """A page of a developer, in light and in dark."""
    scheme = request.param
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": 1280, "height": 860},
    )
    complaints = Complaints(context, url=console.url)
    page = context.new_page()
    sign_in(page, console.url, email=DEVELOPER)
    yield page
    context.close()
    assert complaints.lines == []


def test_what_a_page_may_come_to_is_accessible_and_fits_a_narrow_screen(
    both: Page, console: Console, traces: dict[str, str]
) -> None:
    page = both
    places = {
        "filtered": "/traces?service=shop&verdict=violated&least=1ms",
        "empty": "/traces?service=nobody",
        "failing": "/traces?least=soon",
        "no sample": "/samples?q=nothing+like+it",
        "judged": "/samples/error-cascade",
    }
    found = {}
    for name, path in places.items():
        for width in (1280, 360):
            page.set_viewport_size({"width": width, "height": 860})
            page.goto(f"{console.url}{path}")
            if name == "judged":
                page.get_by_role("button", name="Judge it").click()
                expect(page.get_by_text("The rule says:")).to_be_visible()
            if not fits(page):
                found[f"{name} {width}"] = ["wider than the screen"]
            if problems := accessibility_problems(page):
                found[f"{name} {width}"] = problems
    assert found == {}


def test_pages_are_of_use_without_a_script(
    browser: Browser, console: Console, traces: dict[str, str]
) -> None:
    with_script = browser.new_context()
    page = with_script.new_page()
    sign_in(page, console.url, email=SRE)
    state = with_script.storage_state()
    with_script.close()
    context = browser.new_context(java_script_enabled=False, storage_state=state)
    page = context.new_page()
    page.goto(f"{console.url}/traces")
    page.get_by_label("Service", exact=True).fill("reports")
    page.get_by_role("button", name="Search").click()
    assert titles(page) == ["GET /report"]
    page.goto(f"{console.url}/samples/slow-dependency")
    page.get_by_role("button", name="Judge it").click()
    expect(page.get_by_text("The rule says:")).to_contain_text("Violated")
    context.close()


# ---------------------------------------------------------------------- cases


def test_a_rule_is_held_to_its_cases(developer: Page, console: Console) -> None:
    developer.goto(f"{console.url}/rules/large-charges/cases")
    expect(developer.get_by_text("No case yet")).to_be_visible()
    developer.get_by_role("button", name="Run the cases").click()
    expect(developer.get_by_role("alert")).to_contain_text("There is no case to run")
    developer.get_by_label("Sample").select_option("A payment that nobody checks")
    developer.get_by_label("What it has to say").select_option("Violated")
    developer.get_by_role("button", name="Keep the case").click()
    developer.wait_for_url("**/cases?done=added")
    developer.get_by_label("Sample").select_option("A payment that is checked")
    developer.get_by_label("What it has to say").select_option("Satisfied")
    developer.get_by_label("Name of the case").fill("Checked, and so kept")
    developer.get_by_role("button", name="Keep the case").click()
    developer.get_by_role("button", name="Run the cases").click()
    developer.wait_for_url("**/test-runs/*")
    failed = developer.get_by_role("region", name="Failed")
    expect(failed).to_contain_text("Checked, and so kept")
    expect(failed).to_contain_text("This had to happen, and did not")
    failed.get_by_role("link", name="large-charges").click()
    developer.goto(f"{console.url}/rules/large-charges/cases")
    text = "when { payment.charge.where(amount > 1000) } always { fraud.check }"
    developer.get_by_label("Text of the rule").fill(text)
    developer.get_by_role("button", name="Run the cases").click()
    developer.wait_for_url("**/test-runs/*")
    expect(developer.get_by_role("heading", level=1)).to_have_text("large-charges, a draft")
    expect(developer.get_by_text("2 cases passed")).to_be_visible()
    developer.get_by_role("link", name="Test runs").click()
    expect(developer.locator("[data-row-link]")).to_have_text(
        ["large-charges, a draft", "large-charges"]
    )
    developer.get_by_role("button", name="Run all cases").click()
    developer.wait_for_url("**/test-runs/*")
    expect(developer.get_by_role("heading", level=1)).to_have_text("All rules")
    assert accessibility_problems(developer) == []
