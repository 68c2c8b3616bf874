"""The page of a signal: its waterfall, what people do to it, and the kept promise beside it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect

from tests.e2e.browser import accessibility_problems, sign_in
from tests.e2e.conftest import DEVELOPER, SRE
from tests.support.console import CHECKOUT, EXPLANATION, KEPT_CHECKOUT, Console
from tests.support.large_traces import insert_large_trace

pytestmark = pytest.mark.e2e
LARGE = 100_000
PATIENCE_MS = 60_000
"""How fast it is, is printed; what is asked here is whether."""


@pytest.fixture
def opened(page: Page, console: Console, signal_id: str) -> Page:
    """The page of a new signal, its waterfall drawn."""
    page.goto(f"{console.url}/signals/{signal_id}")
    expect(rows(page)).to_have_count(len(CHECKOUT) + 1)  # and a ghost
    return page


def rows(page: Page) -> Locator:
    """The rows that are drawn."""
    return page.locator(".wf-row:not([hidden])")


def row(page: Page, name: str) -> Locator:
    """The rows that are called so."""
    return rows(page).filter(has=page.locator(f'.span-title[title="{name}"]'))


def active(page: Page) -> Locator:
    """The row that the keyboard is at."""
    return page.locator(".wf-active:not([hidden]) .span-title")


# ---------------------------------------------------------------------- the waterfall


def test_what_the_rule_looked_at_is_marked_and_what_it_missed_has_a_place(opened: Page) -> None:
    expect(opened.locator(".wf-marked:not([hidden]) .span-title")).to_have_text(
        ["fraud.check", "payment.charge"]
    )
    ghost = opened.locator(".wf-ghost:not([hidden])")
    expect(ghost).to_contain_text("fraud.check.where(skipped == false)")
    expect(ghost).to_contain_text("always")
    expect(ghost).to_contain_text("missing")
    expect(row(opened, "fraud.check")).to_contain_text("nearest miss")
    ghost.click()
    expect(opened.locator(".span-detail")).to_contain_text("60 ms to 131 ms")


def test_a_waterfall_is_walked_with_the_keyboard_alone(opened: Page) -> None:
    grid = opened.get_by_role("treegrid", name="Spans of the trace")
    grid.focus()
    expect(active(opened)).to_have_text("fraud.check.where(skipped == false)")  # where it broke
    opened.keyboard.press("Home")
    opened.keyboard.press("ArrowDown")
    expect(active(opened)).to_have_text("cart.load")
    opened.keyboard.press("ArrowLeft")
    expect(row(opened, "cart.load")).to_have_attribute("aria-expanded", "false")
    expect(row(opened, "cart.load")).to_contain_text("+1")
    opened.keyboard.press("ArrowDown")
    expect(active(opened)).to_have_text("payment.authorize")
    opened.keyboard.press("ArrowUp")
    opened.keyboard.press("ArrowRight")
    opened.keyboard.press("ArrowRight")
    expect(active(opened)).to_have_text("db.query")
    opened.keyboard.press("ArrowLeft")
    expect(active(opened)).to_have_text("cart.load")
    opened.keyboard.press("e")
    expect(active(opened)).to_have_text("POST /v1/charges")
    opened.keyboard.press("Enter")
    detail = opened.locator(".span-detail")
    expect(detail).to_contain_text("card declined, tried again")
    expect(detail).to_contain_text("CardDeclined")
    opened.keyboard.press("z")
    expect(opened.get_by_role("button", name="Whole trace")).to_be_visible()
    opened.keyboard.press("0")
    expect(opened.get_by_role("button", name="Whole trace")).to_be_hidden()
    opened.keyboard.press("Escape")
    expect(detail).to_have_count(0)
    opened.keyboard.press("m")
    opened.keyboard.press("End")
    expect(active(opened)).to_have_text("queue.publish")
    active_id = grid.get_attribute("aria-activedescendant")
    expect(opened.locator(f"#{active_id}")).to_have_attribute("aria-selected", "true")


def test_spans_are_searched_by_what_they_hold(opened: Page) -> None:
    opened.keyboard.press("/")
    field = opened.get_by_label("Search spans")
    expect(field).to_be_focused()
    field.fill("CART_ITEMS")
    field.press("Enter")
    expect(opened.locator('[data-part="found"]')).to_have_text("1 found")
    expect(active(opened)).to_have_text("db.query")
    field.fill("postgres")
    field.press("Enter")
    expect(opened.locator('[data-part="found"]')).to_have_text("2 found")
    field.press("Enter")
    expect(opened.locator(".wf-found:not([hidden])")).to_have_count(2)


def test_a_link_leads_to_its_span(opened: Page, console: Console, signal_id: str) -> None:
    opened.get_by_role("region", name="Why").get_by_role("link", name="payment.charge").click()
    expect(opened.locator(".span-detail")).to_contain_text("customer.tier")
    opened.goto("about:blank")
    opened.goto(f"{console.url}/signals/{signal_id}#span-0000000000000009")
    expect(active(opened)).to_have_text("db.query")
    expect(opened.locator(".span-detail")).to_contain_text("0000000000000009")


def test_a_span_and_the_signal_are_copied_as_json(
    opened: Page, context: BrowserContext, signal_id: str
) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    row(opened, "fraud.check").click()
    opened.locator(".span-detail").get_by_role("button", name="Copy as JSON").click()
    expect(opened.locator("[data-announce]")).to_have_text("Copied")
    assert '"skipped": true' in opened.evaluate("navigator.clipboard.readText()")
    opened.locator("[data-announce]").evaluate("status => { status.textContent = '' }")
    opened.locator(".signal-tools").get_by_role("button", name="Copy as JSON").click()
    expect(opened.locator("[data-announce]")).to_have_text("Copied")
    assert f'"id": "{signal_id}"' in opened.evaluate("navigator.clipboard.readText()")


def test_rows_that_could_not_be_loaded_are_said_and_asked_for_again(
    page: Page, console: Console, signal_id: str
) -> None:
    refused: list[str] = []

    def refuse_once(route: Route) -> None:
        if refused:
            route.continue_()
            return
        refused.append(route.request.url)
        route.fulfill(status=503, json={"detail": "The database does not answer. Try again."})

    page.route("**/rows?*", refuse_once)
    page.goto(f"{console.url}/signals/{signal_id}")
    state = page.locator(".waterfall-state")
    expect(state).to_contain_text("The database does not answer.")
    state.get_by_role("button", name="Try again").click()
    expect(rows(page)).to_have_count(len(CHECKOUT) + 1)
    expect(state).to_be_hidden()


def test_without_script_there_is_a_table(
    browser: Browser, console: Console, signal_id: str
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, console.url, email=SRE)
    page.goto(f"{console.url}/signals/{signal_id}")
    table = page.get_by_role("table", name="Spans of the trace")
    expect(table.get_by_role("row")).to_have_count(len(CHECKOUT) + 2)
    expect(table).to_contain_text("payment.charge")
    page.get_by_role("link", name="Compare with a stored trace").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Beside a kept promise")
    context.close()


# ---------------------------------------------------------------------- what people do


def test_a_signal_is_taken_noted_linked_and_resolved_until_it_happens_again(
    opened: Page, console: Console, signal_id: str
) -> None:
    other = console.add_signal("large-charges", rule_name="The one before")
    opened.get_by_role("button", name="Assign to me").click()
    expect(opened.get_by_role("status").filter(has_text="Assigned.")).to_be_visible()
    expect(opened.get_by_role("combobox", name="Assignee")).to_have_value(SRE)
    opened.get_by_label("Note", exact=True).fill(
        "**Flag** was off, told ada@customer.example\n\n<script>window.bad = 1</script>"
    )
    opened.get_by_role("button", name="Add note").click()
    history = opened.get_by_role("region", name="History and notes")
    note = history.locator(".note")
    expect(note.locator("strong")).to_have_text("Flag")
    expect(note).not_to_contain_text("ada@customer.example")
    expect(note).to_contain_text("<script>")
    assert opened.evaluate("window.bad") is None
    history.get_by_text("Correct or remove").click()
    history.get_by_label("Text of the note").fill("The flag was off.")
    history.get_by_role("button", name="Save").click()
    expect(history.locator(".note")).to_have_text("The flag was off.")
    expect(history).to_contain_text("corrected")
    opened.get_by_label("Link another").fill(f"{console.url}/signals/{other}")
    opened.get_by_role("button", name="Link", exact=True).click()
    related = opened.get_by_role("region", name="Related signals")
    expect(related.get_by_role("link", name="The one before")).to_be_visible()
    opened.get_by_role("button", name="Investigate").click()
    opened.get_by_label("Reason").fill("The flag is on again.")
    opened.get_by_label("Ends as").select_option("fixed")
    opened.get_by_label("Resolve until it happens again").check()
    opened.get_by_role("button", name="Resolve", exact=True).click()
    told = history.get_by_role("listitem").first
    expect(told).to_contain_text("Investigating → Resolved (Fixed, until it happens again)")
    expect(opened.locator(".facts")).to_contain_text("Until it happens again")
    again = _happens_again(console, signal_id)
    opened.reload()
    expect(opened.locator(".signal-tags")).to_contain_text("Open")
    expect(told).to_contain_text("It happened again.")
    told.get_by_role("link").click()
    expect(opened).to_have_url(f"{console.url}/signals/{again}")


def _happens_again(console: Console, signal_id: str) -> str:
    """Raise another signal of the group of one, as the worker does."""
    again = console.add_signal("large-charges", at=datetime.now(UTC) + timedelta(hours=1))
    with psycopg.connect(console.database.worker) as connection:
        for each in (signal_id, again):
            connection.execute(
                "update signals set group_fingerprint = %s where tenant_id = %s and id = %s",
                [bytes(range(16)), console.tenant_id, bytes.fromhex(each)],
            )
    return again


def test_a_change_of_somebody_else_in_between_is_said(
    opened: Page, context: BrowserContext, console: Console, signal_id: str
) -> None:
    other = context.new_page()
    other.goto(f"{console.url}/signals/{signal_id}")
    other.get_by_role("button", name="Investigate").click()
    expect(other.locator(".signal-tags")).to_contain_text("Investigating")
    opened.get_by_role("button", name="Investigate").click()
    expect(opened.get_by_role("alert")).to_contain_text("was changed in the meantime")
    expect(opened.locator(".signal-tags")).to_contain_text("Investigating")


def test_who_looks_at_a_signal_is_told_that_somebody_changed_it(
    opened: Page, context: BrowserContext, console: Console, signal_id: str
) -> None:
    changed = opened.get_by_text("This signal was changed meanwhile.")
    expect(changed).to_be_hidden()
    other = context.new_page()
    other.goto(f"{console.url}/signals/{signal_id}")
    other.get_by_label("Note", exact=True).fill("I am on it.")
    other.get_by_role("button", name="Add note").click()
    expect(changed).to_be_visible()
    opened.get_by_role("link", name="Show how it is now").click()
    expect(opened.locator(".note")).to_have_text("I am on it.")
    expect(changed).to_be_hidden()


def test_a_late_correction_stands_on_the_time_line(
    page: Page, console: Console, signal_id: str
) -> None:
    with psycopg.connect(console.database.worker) as connection:
        connection.execute(
            "update signals set verdict = 'satisfied', correction_reason = 'late_evidence',"
            " revision = 2 where tenant_id = %s and id = %s",
            [console.tenant_id, bytes.fromhex(signal_id)],
        )
    page.goto(f"{console.url}/signals/{signal_id}")
    told = page.locator(".history-verdict")
    expect(told).to_contain_text("Judged anew: Violated → Satisfied")
    expect(told).to_contain_text("Spans that came late changed the verdict.")


def test_who_may_not_change_signals_reads_all_of_it(
    context: BrowserContext, console: Console, signal_id: str
) -> None:
    page = context.new_page()
    sign_in(page, console.url, email=DEVELOPER)
    page.goto(f"{console.url}/signals/{signal_id}")
    expect(rows(page)).to_have_count(len(CHECKOUT) + 1)
    for name in ("Add note", "Assign", "Link", "Resolve"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)


# ---------------------------------------------------------------------- beside a kept promise


@pytest.fixture
def kept(console: Console) -> str:
    """A stored checkout that kept the promise."""
    trace_id = uuid4().hex
    console.add_trace(trace_id, KEPT_CHECKOUT, at=datetime.now(UTC) - timedelta(minutes=5))
    return trace_id


def test_what_a_kept_promise_did_and_this_trace_did_not_is_told(
    opened: Page, console: Console, kept: str
) -> None:
    opened.reload()
    compared = opened.locator("#compared")
    compared.scroll_into_view_if_needed()
    expect(compared.get_by_role("row").nth(1)).to_contain_text("Only there")
    expect(compared.get_by_role("row").nth(1)).to_contain_text("model.score")
    compared.get_by_role("link", name=kept[:8]).click()
    expect(opened).to_have_url(f"{console.url}/traces/{kept}")
    expect(rows(opened)).to_have_count(len(CHECKOUT) + 1)


# ---------------------------------------------------------------------- large, and for everybody


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_with_spans_and_forms_open(
    browser: Browser, console: Console, signal_id: str, kept: str, scheme: str
) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    sign_in(page, console.url, email=SRE)
    found = {}
    for path in (f"/signals/{signal_id}", f"/traces/{kept}", f"/signals/{signal_id}/comparison"):
        page.goto(console.url + path)
        if "comparison" not in path:
            rows(page).first.click()
            expect(page.locator(".span-detail")).to_contain_text("/checkout")
        found[path] = accessibility_problems(page)
    context.close()
    assert found == {path: [] for path in found}


def test_a_trace_of_100000_spans_opens_and_scrolls(
    page: Page, console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    trace_id = uuid4().hex
    insert_large_trace(console.database.worker, console.scope, trace_id, spans=LARGE)
    signal_id = console.add_signal(
        "large-charges", trace_id=trace_id, explanation=EXPLANATION, rule_name="Large"
    )
    page.add_init_script(
        "window.longTasks = []; new PerformanceObserver(list => window.longTasks.push("
        "...list.getEntries().map(entry => entry.duration))).observe({type: 'longtask'})"
    )
    page.goto(f"{console.url}/signals/{signal_id}", wait_until="commit")
    expect(active(page)).to_be_visible(timeout=PATIENCE_MS)
    figures = page.evaluate(
        "() => { performance.mark('drawn');"
        " const rows = performance.getEntriesByType('resource').filter(e => /rows/.test(e.name));"
        " return {drawn_ms: performance.now(), rows_ms: rows[0].responseEnd,"
        " rows_kb: rows[0].encodedBodySize / 1000} }"
    )
    grid = page.get_by_role("treegrid", name="Spans of the trace")
    expect(grid).to_have_attribute("aria-rowcount", str(LARGE + 1))
    page.evaluate("window.longTasks.length = 0")
    frames = grid.evaluate(
        "async (list) => { const frames = []; let last = performance.now();"
        " const end = list.scrollHeight - list.clientHeight;"
        " for (let step = 0; step <= 200; step += 1) {"
        "  list.scrollTop = step < 150 ? step * 700 : end * (step - 150) / 50;"
        "  await new Promise(requestAnimationFrame);"
        "  frames.push(performance.now() - last); last = performance.now(); }"
        " frames.sort((a, b) => a - b);"
        " return {p95_ms: frames[190], max_ms: frames[200], long_tasks: window.longTasks} }"
    )
    grid.focus()
    page.keyboard.press("End")
    expect(page.locator(".wf-loading:not([hidden])")).to_have_count(0, timeout=PATIENCE_MS)
    expect(active(page)).to_be_visible(timeout=PATIENCE_MS)
    last = page.locator(".wf-active:not([hidden])")
    expect(last).to_have_attribute("data-row", str(LARGE))
    with capsys.disabled():
        print(f"\n{LARGE:,} spans: {figures}; scrolling: {frames}")
