"""Rules written in a browser: the editor, the playground beside it, a rule out of a trace."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.e2e.browser import problems_of_page, sign_in, write_rule
from tests.e2e.conftest import DEVELOPER
from tests.support.console import CHECKOUT, CHECKOUT_RULE, Console

pytestmark = pytest.mark.e2e
WEIGHT_MAX_BYTES = 500_000
OTLP = {
    "resourceSpans": [
        {
            "scopeSpans": [
                {
                    "spans": [
                        {
                            "traceId": "5b8aa5a2d2c872e8321cf37308d69df2",
                            "spanId": "051581bf3cb55c13",
                            "name": "payment.charge",
                            "startTimeUnixNano": "1764000000000000000",
                            "endTimeUnixNano": "1764000000100000000",
                        }
                    ]
                }
            ]
        }
    ]
}


@pytest.fixture
def trace_id(console: Console) -> str:
    """A new stored checkout."""
    trace_id = uuid4().hex
    console.add_trace(trace_id, CHECKOUT, at=datetime.now(UTC) - timedelta(seconds=9))
    return trace_id


@pytest.fixture
def developer(context: BrowserContext, console: Console) -> Page:
    """A page of a signed-in developer, who may write rules."""
    page = context.new_page()
    sign_in(page, console.url, email=DEVELOPER)
    return page


@pytest.fixture
def new(developer: Page, console: Console, trace_id: str) -> Page:
    """The form of a new rule, its text looked at."""
    developer.goto(f"{console.url}/rules/new")
    expect(editor(developer).locator(".t-span")).to_have_text(["payment.charge", "fraud.check"])
    return developer


def editor(page: Page) -> Locator:
    """The place where the text of the rule is written."""
    return page.get_by_role("textbox", name="Promise")


def problems(page: Page) -> Locator:
    """What is said to be wrong, below the editor."""
    return page.locator("#problems .problem-title")


# -- the editor ------------------------------------------------------------------------------------


def test_words_are_coloured_by_what_they_are(new: Page) -> None:
    write_rule(new, "when { status.where(status == error) as q } // why\nalways { b after q }")
    found = editor(new)
    expect(found.locator(".t-span")).to_have_text(["status", "b"])
    expect(found.locator(".t-intrinsic")).to_have_text("status")
    expect(found.locator(".t-binding")).to_have_text(["q", "q"])
    expect(found.locator(".t-comment")).to_have_text("// why")


def test_a_mistake_is_marked_listed_and_put_right_by_a_click(new: Page) -> None:
    write_rule(new, "when { payment.charge.where(amount = 10) }\nalways { fraud.check }")
    expect(problems(new)).to_have_text("`=` does not compare")
    expect(editor(new)).to_have_attribute("aria-invalid", "true")
    expect(editor(new).locator(".cm-lintRange-error")).to_have_text("=")
    new.get_by_role("button", name="Write ==").click()
    expect(problems(new)).to_have_count(0)
    expect(editor(new)).to_contain_text("amount == 10")
    expect(editor(new)).to_be_focused()


def test_names_that_were_seen_are_offered_and_explained(new: Page) -> None:
    write_rule(new, "when { order.p")
    new.keyboard.type("l")
    new.get_by_role("option", name="order.place").click()
    expect(editor(new)).to_have_text("when { order.place")
    new.keyboard.type(" }\nalways { fraud.chek }")
    expect(problems(new)).to_contain_text(["fraud.chek"])
    expect(new.locator("#problems")).to_contain_text("did you mean `fraud.check`?")
    new.get_by_role("button", name="Write fraud.check").click()
    expect(problems(new)).to_have_count(0)
    editor(new).locator(".t-span", has_text="fraud.check").hover()
    expect(new.locator(".cm-told")).to_contain_text("was seen")


def test_the_keyboard_is_not_trapped_and_everything_is_told_to_readers(new: Page) -> None:
    new.get_by_label("Id", exact=True).focus()
    new.keyboard.press("Tab")
    expect(editor(new)).to_be_focused()
    described = editor(new).evaluate(
        "field => field.getRootNode().getElementById(field.getAttribute('aria-describedby'))"
        ".textContent"
    )
    assert "Tab leaves the editor" in described
    before = new.locator("#rule").input_value()
    new.keyboard.press("Tab")
    expect(editor(new)).not_to_be_focused()
    new.keyboard.press("Shift+Tab")
    expect(editor(new)).to_be_focused()
    assert new.locator("#rule").input_value() == before
    write_rule(new, "when { a.where(x = 1) }\nalways { b }")
    expect(problems(new)).to_have_count(1)
    new.keyboard.press("ControlOrMeta+Home")
    new.keyboard.press("F8")
    assert editor(new).evaluate("f => f.getRootNode().getSelection().toString()") == "="
    new.keyboard.type("j")  # a key of the page elsewhere
    expect(new.get_by_role("dialog")).to_have_count(0)


def test_a_check_that_does_not_answer_loses_nothing(new: Page) -> None:
    new.route("**/editor/marks", lambda route: route.fulfill(status=503, json={"detail": "Busy."}))
    write_rule(new, "when { a }\nalways { b }")
    expect(new.locator("#problems")).to_contain_text("Not checked just now. Busy.")
    new.unroute("**/editor/marks")
    new.keyboard.type(" // more")
    expect(new.locator("#problems")).to_be_empty()


def test_a_rule_with_tests_is_checked_and_saved(new: Page, console: Console) -> None:
    rule_id = f"orders-{uuid4().hex[:6]}"
    new.get_by_label("Name", exact=True).fill("Orders are paid")
    new.get_by_label("Id", exact=True).fill(rule_id)
    write_rule(new, "when { order }\nalways { payment }")
    tests = new.get_by_label("Tests")
    tests.fill("- name: paid\n  trace: [{name: order}]\n  expect: satisfied\n")
    new.get_by_role("button", name="Check").click()
    expect(new.locator("#tested")).to_contain_text("paid: Expected satisfied, and it is violated.")
    tests.fill("- {name: paid, trace: [{name: order}, {name: payment}], expect: satisfied}\n")
    new.get_by_role("button", name="Check").click()
    expect(new.locator("#tested")).to_contain_text("The test passed")
    new.get_by_role("button", name="Save rule").click()
    expect(new).to_have_url(f"{console.url}/rules/{rule_id}?done=created")
    new.get_by_role("link", name="Edit").click()
    expect(new.get_by_label("Tests")).to_have_value(
        "- name: paid\n  trace:\n    - {name: order}\n    - {name: payment}\n  expect: satisfied\n"
    )
    expect(editor(new)).to_contain_text("always { payment }")


def test_tests_that_cannot_be_read_are_said_and_nothing_is_lost(new: Page) -> None:
    new.get_by_label("Name", exact=True).fill("Orders")
    new.get_by_label("Id", exact=True).fill(f"orders-{uuid4().hex[:6]}")
    new.get_by_label("Tests").fill("- name: [")
    new.get_by_role("button", name="Save rule").click()
    expect(new.get_by_role("alert").first).to_contain_text("The tests cannot be read: line")
    expect(new.get_by_label("Tests")).to_have_value("- name: [")


# -- the playground --------------------------------------------------------------------------------


def tried(page: Page) -> Locator:
    """What a try came to, in a line."""
    return page.locator("[data-tried]")


def test_a_draft_is_tried_while_it_is_written(new: Page) -> None:
    expect(tried(new)).to_contain_text("satisfied")
    row = new.locator(".tried").first
    expect(row).to_contain_text("POST /checkout")
    expect(row.get_by_role("heading", level=3)).to_have_text(["when", "always"])
    expect(new.locator("[data-announce]")).to_contain_text("satisfied")
    write_rule(
        new, "when { payment.charge.where(amount > 1) }\nalways { fraud.check.where(score > 1) }"
    )
    expect(tried(new)).to_contain_text("violated")
    expect(new.locator(".tried").first).to_contain_text("score is 0.12")


def test_a_signal_leads_to_its_rule_with_its_trace_beside_it(
    developer: Page, console: Console, signal_id: str
) -> None:
    developer.goto(f"{console.url}/signals/{signal_id}")
    developer.get_by_role("link", name="Edit the rule on this trace").click()
    expect(tried(developer)).to_have_text("1 trace: 1 violated")
    expect(developer.locator(".tried")).to_contain_text("skipped == false (skipped is true)")
    developer.get_by_role("link", name="payment.charge").click()
    expect(developer.locator(".span-detail")).to_contain_text("customer.tier")


def test_a_pasted_trace_is_tried_and_what_is_none_is_said(new: Page) -> None:
    new.get_by_label("On", exact=True).select_option("pasted")
    expect(new.get_by_label("Id or address of the trace or signal")).to_be_hidden()
    new.get_by_label("Trace", exact=True).fill(json.dumps(OTLP))
    write_rule(new, "when { payment.charge }\nalways { fraud.check }")
    new.get_by_role("button", name="Try").click()
    expect(tried(new)).to_have_text("1 trace: 1 violated")
    expect(new.locator(".tried")).to_contain_text("No such span in this trace.")
    new.get_by_label("Trace", exact=True).fill('{"resourceSpans": [')
    new.get_by_role("button", name="Try").click()
    expect(tried(new)).to_contain_text("The trace cannot be read at line 1")


def test_a_trace_that_is_not_there_is_said(new: Page) -> None:
    new.get_by_label("On", exact=True).select_option("one")
    new.get_by_label("Id or address").fill("nonsense")
    new.get_by_role("button", name="Try").click()
    expect(tried(new)).to_contain_text("32 hexadecimal digits")
    new.get_by_label("Id or address").fill(uuid4().hex)
    new.get_by_role("button", name="Try").click()
    expect(tried(new)).to_contain_text("This trace is not stored.")


def test_too_many_tries_are_said_in_words(
    browser: Browser, console: Console, trace_id: str
) -> None:
    context = browser.new_context()  # of its own: htmx complains about a refusal
    page = context.new_page()
    sign_in(page, console.url, email=DEVELOPER)
    page.goto(f"{console.url}/rules/new?trace={trace_id}")
    page.route("**/rules/try", lambda route: route.fulfill(status=429, body="slow down"))
    page.get_by_role("button", name="Try").click()
    expect(page.locator("#tried").get_by_role("alert")).to_contain_text("Wait a little")
    context.close()


# -- a rule out of a trace -------------------------------------------------------------------------


def test_a_rule_is_made_out_of_a_trace_with_the_keyboard_alone(
    developer: Page, console: Console, trace_id: str
) -> None:
    developer.goto(f"{console.url}/traces/{trace_id}")
    developer.get_by_role("link", name="Make a rule").press("Enter")
    expect(developer.get_by_role("heading", level=1)).to_have_text("Make a rule from this trace")
    developer.get_by_role("checkbox", name="fraud.check").focus()
    developer.keyboard.press("Space")
    charge = developer.get_by_role("listitem").filter(
        has=developer.get_by_role("checkbox", name="payment.charge")
    )
    charge.locator("summary").focus()
    developer.keyboard.press("Enter")
    charge.get_by_role("checkbox", name="amount").focus()
    developer.keyboard.press("Space")
    developer.get_by_role("button", name="Write the rule").press("Enter")
    expect(editor(developer)).to_contain_text(
        "always { payment.charge.where(amount == 2400) after first }"
    )
    expect(tried(developer)).to_have_text("1 trace: 1 satisfied")
    tests = developer.get_by_label("Tests").input_value()
    assert tests.count("- name: ") == 2
    developer.get_by_role("button", name="Check and test").press("Enter")
    expect(developer.locator("#tested")).to_contain_text("All 2 tests passed")
    rule_id = f"made-{uuid4().hex[:6]}"
    developer.get_by_label("Id", exact=True).fill(rule_id)
    developer.get_by_role("button", name="Save rule").press("Enter")
    expect(developer).to_have_url(f"{console.url}/rules/{rule_id}?done=created")
    expect(developer.locator(".signal-tags")).to_contain_text("Shadow")


def test_spans_are_found_by_name_and_picked_ones_stay(
    developer: Page, console: Console, trace_id: str
) -> None:
    developer.goto(f"{console.url}/traces/{trace_id}/rule")
    developer.get_by_role("checkbox", name="cart.load").check()
    developer.get_by_label("Find spans by name or service").fill("risk")
    developer.keyboard.press("Enter")
    spans = developer.locator('input[name="span"]')
    expect(spans).to_have_count(2)
    expect(developer.get_by_role("checkbox", name="cart.load")).to_be_checked()
    developer.get_by_role("checkbox", name="cart.load").uncheck()
    developer.get_by_role("button", name="Write the rule").click()
    expect(developer.get_by_role("alert")).to_have_text("Pick at least one span.")


def test_a_signal_picks_the_spans_that_it_rests_on(
    developer: Page, console: Console, signal_id: str
) -> None:
    developer.goto(f"{console.url}/signals/{signal_id}")
    developer.get_by_role("link", name="Make a rule").click()
    expect(developer.locator('input[name="span"]:checked')).to_have_count(1)
    expect(developer.get_by_role("checkbox", name="payment.charge")).to_be_checked()


# -- without scripts, weight, looks ----------------------------------------------------------------


def test_everything_works_without_scripts(
    browser: Browser, console: Console, trace_id: str
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, console.url, email=DEVELOPER)
    page.goto(f"{console.url}/traces/{trace_id}/rule")
    for name in ("fraud.check", "payment.charge"):
        page.get_by_role("checkbox", name=name).check()
    page.get_by_role("button", name="Write the rule").click()
    expect(page.get_by_label("Promise")).to_have_value(
        "when   { fraud.check as first }\nalways { payment.charge after first }\n"
    )
    page.get_by_label("Promise").fill("when { order.placed }\nalways { payment && ok }")
    page.get_by_role("button", name="Check").click()
    expect(page.locator(".problem-source").first).to_contain_text("2 | always")
    expect(page.locator(".problem-caret").first).to_contain_text("^")
    page.get_by_label("Promise").fill(CHECKOUT_RULE)
    page.get_by_role("button", name="Try").click()
    expect(tried(page)).to_have_text("1 trace: 1 violated")
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("This rule can be saved.")).to_be_visible()
    context.close()


def test_pages_with_an_editor_are_light_and_others_do_not_load_it(
    developer: Page, console: Console, trace_id: str
) -> None:
    received: dict[str, int] = {}
    session = developer.context.new_cdp_session(developer)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    names: dict[str, str] = {}
    session.on(
        "Network.responseReceived",
        lambda event: names.update({event["requestId"]: event["response"]["url"]}),
    )
    session.on(
        "Network.loadingFinished",
        lambda event: received.update(
            {names.get(event["requestId"], ""): int(event["encodedDataLength"])}
        ),
    )
    developer.goto(f"{console.url}/rules/new?trace={trace_id}", wait_until="networkidle")
    print(f"page with an editor: {sum(received.values()):,} bytes")
    assert any("editor-" in url for url in received)
    assert sum(received.values()) < WEIGHT_MAX_BYTES
    received.clear()
    developer.goto(f"{console.url}/rules", wait_until="networkidle")
    assert received
    assert not any("editor-" in url for url in received)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_overflows(
    browser: Browser, console: Console, trace_id: str, scheme: str
) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    sign_in(page, console.url, email=DEVELOPER)
    found = {}

    def look(what: str) -> None:
        found[f"{what} at {width}"] = problems_of_page(page)

    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 860})
        page.goto(f"{console.url}/rules/new?trace={trace_id}")
        expect(editor(page).locator(".t-span").first).to_be_visible()
        look("tried")
        write_rule(page, "when { a.where(x = 1) }\nalways { b }")
        expect(problems(page)).to_have_count(1)
        look("with a problem")
        write_rule(page, "when { order.p")
        page.keyboard.type("l")
        expect(page.get_by_role("listbox")).to_be_visible()
        look("with offers")
        page.goto(f"{console.url}/traces/{trace_id}/rule")
        for summary in page.locator(".pick-keys summary").all():
            summary.click()
        look("spans to pick")
        page.get_by_role("button", name="Write the rule").click()
        look("nothing picked")
    context.close()
    assert {what: told for what, told in found.items() if told} == {}
