"""A false positive on its way to an exception that was proven, as people walk it in a browser."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from api.auth.principal import Role
from tests.e2e.browser import problems_of_page, sign_in
from tests.support.console import CHECKOUT, CHECKOUT_RULE, EXPLANATION, Console

pytestmark = pytest.mark.e2e
GOLD = 'customer.tier == "gold"'
EXPECTED = "a charge in euros that nobody checks"
TESTS = [
    {
        "name": EXPECTED,
        "trace": [
            {
                "name": "payment.charge",
                "service": "payments",
                "attributes": {"amount": 2400, "currency": "EUR"},
            }
        ],
        "expect": "violated",
    }
]


@pytest.fixture
def rule_id(console: Console) -> str:
    """A new rule with a test that expects a violation."""
    rule_id = f"excused-{uuid4().hex[:6]}"
    console.add_rule(
        rule_id, CHECKOUT_RULE, name="Charges are checked", severity="high", tests=TESTS
    )
    return rule_id


@pytest.fixture
def false_positive(console: Console, rule_id: str) -> str:
    """A new signal of the rule, with its trace."""
    return signal_of(console, rule_id)


@pytest.fixture
def developers_email(console: Console) -> str:
    """A new developer, who may write rules: each proof counts as twenty requests of a person."""
    email = f"developer-{uuid4().hex[:6]}@example.com"
    console.add_person(email, Role.DEVELOPER)
    return email


@pytest.fixture
def developer(context: BrowserContext, console: Console, developers_email: str) -> Page:
    """A page of the developer, signed in."""
    page = context.new_page()
    sign_in(page, console.url, email=developers_email)
    return page


def signal_of(console: Console, rule_id: str) -> str:
    trace_id, at = uuid4().hex, datetime.now(UTC) - timedelta(seconds=9)
    console.add_trace(trace_id, CHECKOUT, at=at)
    return console.add_signal(
        rule_id, rule_name="Charges are checked", trace_id=trace_id, at=at, explanation=EXPLANATION
    )


def open_form(page: Page, console: Console, signal_id: str) -> None:
    page.goto(f"{console.url}/signals/{signal_id}")
    page.get_by_role("link", name="Not a problem? Make an exception").click()
    expect(page.get_by_role("heading", name="Make an exception")).to_be_visible()


def test_a_false_positive_becomes_an_exception_that_was_proven_first(
    page_of_admin: Page, console: Console, rule_id: str, false_positive: str
) -> None:
    page = page_of_admin
    signal_of(console, rule_id)
    open_form(page, console, false_positive)
    expect(page.get_by_label("Owner")).to_have_value("keeper@example.com")
    last_day = date.fromisoformat(page.get_by_label("Last day").input_value())
    assert last_day - datetime.now(UTC).date() in (timedelta(days=29), timedelta(days=30))
    expect(page.get_by_role("button", name="Save the exception")).to_have_count(0)
    page.get_by_role("checkbox", name=GOLD).check()
    page.get_by_role("checkbox", name='currency == "USD"').check()
    page.get_by_role("button", name="Put what is ticked into the filter").click()
    expect(page.get_by_label("Filter")).to_have_value(f'currency == "USD" and {GOLD}')
    page.get_by_role("button", name="Try").click()
    proof = page.get_by_role("region", name="What it would silence")
    expect(proof).to_contain_text("A signal like this one would be silenced.")
    expect(proof).to_contain_text("1 test or case that a violation is expected of")
    expect(proof).to_contain_text("2 of 2 signals of the last 30 days")
    expect(proof.get_by_role("link", name="POST /checkout")).to_have_count(2)
    page.get_by_label("Reason").fill("Gold customers are checked by hand.")
    page.get_by_role("button", name="Save the exception").click()
    expect(page.get_by_role("status").filter(has_text="false positive now")).to_be_visible()
    listed = page.get_by_role("region", name="Exceptions")
    expect(listed).to_contain_text("Gold customers are checked by hand.")
    expect(listed).to_contain_text(f"keeper@example.com · until {last_day}")
    page.goto(f"{console.url}/signals/{false_positive}")
    expect(page.locator(".signal-tags")).to_contain_text("False positive")
    expect(page.get_by_text("Rule too broad").first).to_be_visible()


def test_an_exception_is_ended_by_one_click(
    developer: Page, console: Console, rule_id: str
) -> None:
    console.add_rule(
        rule_id,
        CHECKOUT_RULE,
        name="Charges are checked",
        exceptions=[{"where": "service == old", "reason": "is replaced"}],
    )
    developer.goto(f"{console.url}/rules/{rule_id}")
    listed = developer.get_by_role("region", name="Exceptions")
    expect(listed).to_contain_text("In force")
    listed.get_by_role("button", name="End the exception: is replaced").click()
    expect(developer.get_by_text("The exception is over.")).to_be_visible()
    expect(listed).to_contain_text("Over")
    expect(listed.get_by_role("button")).to_have_count(0)


def test_one_that_goes_too_far_is_refused_by_what_the_rule_has_to_find(
    developer: Page, console: Console, rule_id: str, false_positive: str
) -> None:
    open_form(developer, console, false_positive)
    developer.get_by_label("Filter").fill("amount > 2000")
    developer.get_by_role("radio", name="Never").check()
    developer.get_by_role("button", name="Try").click()
    proof = developer.get_by_role("region", name="What it would silence")
    expect(proof).to_contain_text("It would silence what the rule has to find")
    expect(proof.get_by_role("link", name=EXPECTED)).to_have_attribute(
        "href", f"/rules/{rule_id}/edit"
    )
    expect(developer.get_by_role("button", name="Save the exception")).to_have_count(0)
    expect(developer.get_by_role("radio", name="Never")).to_be_checked()


def test_what_was_changed_after_the_proof_is_proven_again(
    developer: Page, console: Console, false_positive: str
) -> None:
    open_form(developer, console, false_positive)
    expect(developer.get_by_role("checkbox", name="Resolve it")).to_have_count(0)
    developer.get_by_role("checkbox", name=GOLD).check()
    developer.get_by_role("button", name="Try").click()
    developer.get_by_label("Reason").fill("Checked by hand.")
    developer.get_by_label("Filter").fill("customer.tier == silver")
    developer.get_by_role("button", name="Save the exception").click()
    proof = developer.get_by_role("region", name="What it would silence")
    expect(proof).to_contain_text("This signal would not be silenced")
    expect(developer.get_by_label("Reason")).to_have_value("Checked by hand.")
    developer.get_by_label("Filter").fill("customer.tier = gold")
    developer.get_by_role("button", name="Try").click()
    expect(developer.locator(".problem-source")).to_contain_text("customer.tier = gold")
    expect(developer.locator(".problem-caret")).to_have_text("^")


def test_who_may_not_write_rules_is_offered_none(
    page: Page, console: Console, rule_id: str, false_positive: str
) -> None:
    page.goto(f"{console.url}/signals/{false_positive}")
    expect(page.get_by_role("heading", name="Charges are checked")).to_be_visible()
    expect(page.get_by_role("link", name="Make an exception")).to_have_count(0)
    answer = page.goto(f"{console.url}/signals/{false_positive}/exception")
    assert answer is not None
    assert answer.status == 403


def test_it_is_made_without_scripts(
    browser: Browser, console: Console, false_positive: str, developers_email: str
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    sign_in(page, console.url, email=developers_email)
    open_form(page, console, false_positive)
    page.get_by_role("checkbox", name=GOLD).check()
    page.get_by_label("Reason").fill("Checked by hand.")
    page.get_by_role("button", name="Try").press("Enter")
    page.get_by_role("button", name="Save the exception").press("Enter")
    expect(page.get_by_role("region", name="Exceptions")).to_contain_text("Checked by hand.")
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_overflows(
    browser: Browser, console: Console, false_positive: str, developers_email: str, scheme: str
) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    sign_in(page, console.url, email=developers_email)
    found = {}
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 860})
        open_form(page, console, false_positive)
        for where in ("customer.tier == gold", "service exists", "amount ="):
            page.get_by_label("Filter").fill(where)
            page.get_by_role("button", name="Try").first.click()
            expect(page.get_by_label("Filter")).to_have_value(where)
            found[f"{where} at {width}"] = problems_of_page(page)
    context.close()
    assert {where: problems for where, problems in found.items() if problems} == {}
