"""Backtests in a real browser: asked for from a rule, watched, read, called off, refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from psycopg.types.json import Jsonb

from dsl import Span, check
from dsl.explain import explain
from tests.e2e.browser import accessibility_problems, sign_in, write_rule
from tests.e2e.conftest import DEVELOPER, SRE
from tests.support.console import CHECKOUT, CHECKOUT_RULE, Console
from tests.support.tenants import (
    insert_backtest,
    insert_count,
    insert_part,
    insert_result,
    update_backtest,
)

pytestmark = pytest.mark.e2e

RULE = "large-charges"
STRICTER = CHECKOUT_RULE.replace("1000", "500")
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def nothing_in_hand(console: Console) -> Iterator[None]:
    """End what a test has begun: a tenant has one backtest at a time."""
    import psycopg

    yield
    console.log_times.__init__()  # type: ignore[misc]
    with psycopg.connect(console.database.worker) as connection:
        connection.execute(
            "update backtests set state = 'cancelled', finished_at = now()"
            " where state in ('queued', 'running', 'cancelling')"
        )


def stored_rule(*, compared: bool = True) -> dict[str, object]:
    """Return the rule of a backtest as it is stored."""
    return {
        "id": RULE,
        "name": "Large charges are checked",
        "severity": "high",
        "now": {"version": None, "text": STRICTER},
        "was": {"version": 1, "text": CHECKOUT_RULE} if compared else None,
    }


def a_backtest(console: Console, state: str, *, compared: bool = True, **columns: object) -> str:
    """Store a backtest; return its id."""
    over = state in ("done", "failed", "cancelled")
    backtest_id = insert_backtest(
        console.database.app,
        console.scope,
        stored_rule(compared=compared),
        state=state,
        finished_at=AT if over else None,
        started_at=None if state == "queued" else datetime.now(UTC) - timedelta(seconds=20),
    )
    if columns:
        update_backtest(console.database.worker, console.scope, backtest_id, **columns)
    return backtest_id


def with_part(console: Console, backtest_id: str, **columns: object) -> str:
    """Store what a worker has done of a backtest."""
    worker, scope = console.database.worker, console.scope
    insert_part(worker, scope, backtest_id, **columns)
    return backtest_id


def with_differences(console: Console, backtest_id: str) -> str:
    """Store a difference of 12 traces, one of them whole, and another of one."""
    worker, scope = console.database.worker, console.scope
    with_part(console, backtest_id, trace_count=1_250, span_count=9_876)
    for was, now, traces in (
        ("not_applicable", "violated", 12),
        ("violated", "satisfied", 1),
        ("satisfied", "satisfied", 40),
        ("not_applicable", "not_applicable", 1_197),
    ):
        insert_count(worker, scope, backtest_id, was, now, traces, rule_id=RULE)
    trace_id = uuid4().hex
    console.add_trace(trace_id, CHECKOUT, at=AT)
    outcome = {"broken": "", "reasons": [], "incomplete": False, "judged_ms": 0,
               "signal_id": "", "revision": 0}  # fmt: skip
    common = {"rule_id": RULE, "was": "not_applicable", "was_outcome": Jsonb(outcome)}
    told = {side: told_of(text) for side, text in (("was", CHECKOUT_RULE), ("now", STRICTER))}
    insert_result(
        worker,
        scope,
        backtest_id,
        **common,
        trace_id=bytes.fromhex(trace_id),
        root_name="POST /checkout",
        begin_at=AT,
        copied=True,
        explanations=Jsonb(told),
        now_outcome=Jsonb({**outcome, "broken": "always"}),
    )
    for number in range(1, 7):
        insert_result(
            worker, scope, backtest_id, **common,
            root_name="GET /cart/items/with/a/rather/long/name/that/has/to/be/broken",
            begin_at=AT + timedelta(seconds=number),
        )  # fmt: skip
    return backtest_id


def told_of(text: str) -> dict[str, object]:
    """Return what a text says of a small charge that nobody checked."""
    rule = check(text).promise
    assert rule is not None
    spans = [Span(name="payment.charge", span_id=bytes(8), attributes={"amount": 700})]
    return dict(explain(rule, spans).to_dict())


def test_a_changed_text_is_tried_from_the_page_of_its_rule(page: Page, console: Console) -> None:
    page.goto(f"{console.url}/rules/{RULE}")
    page.get_by_role("link", name="Backtest").click()
    expect(page.get_by_text("This is version 1 as saved.")).to_be_visible()
    page.get_by_label("Promise").fill(STRICTER)
    page.get_by_label("Traces that began in").select_option("6h")
    page.get_by_role("button", name="Run backtest").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(
        "Backtest of Large charges are checked"
    )
    expect(page.locator("#backtest .chip")).to_have_text("Waiting")
    backtest_id = page.url.rpartition("/")[2]

    # what follows comes without loading the page
    now = datetime.now(UTC)
    update_backtest(
        console.database.worker, console.scope, backtest_id, state="running", started_at=now
    )
    with_part(console, backtest_id, partition=1, done_at=None, records_read=50)
    expect(page.locator("#backtest .chip")).to_have_text("Running")
    expect(page.get_by_role("progressbar")).to_have_attribute("value", "500")
    expect(page.get_by_text("1,000 spans")).to_be_visible()
    with_differences(console, backtest_id)
    update_backtest(
        console.database.worker, console.scope, backtest_id, state="done", finished_at=now
    )
    expect(page.locator("#backtest .chip")).to_have_text("Done")
    expect(page.get_by_text("13 traces judged otherwise: 12 newly violated")).to_be_visible()
    expect(page.get_by_role("progressbar")).to_have_count(0)


def test_a_rule_that_was_never_saved_is_tried_on_what_has_come(
    context: BrowserContext, console: Console
) -> None:
    page = context.new_page()
    sign_in(page, console.url, email=DEVELOPER)
    page.goto(f"{console.url}/rules/new")
    page.get_by_label("Id", exact=True).fill("never-saved")
    page.get_by_label("Name", exact=True).fill("Charges that nobody keeps")
    write_rule(page, STRICTER)
    page.get_by_role("button", name="Backtest").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Backtest Charges that nobody keeps")
    expect(page.get_by_text("A draft of a rule that is not saved yet.")).to_be_visible()
    expect(page.get_by_label("Compared with").locator("option")).to_have_count(1)
    page.get_by_label("Promise").fill("when { nonsense(")
    page.get_by_role("button", name="Run backtest").click()
    expect(page.locator(".problem-source").first).to_be_visible()
    page.get_by_label("Promise").fill(STRICTER)
    page.get_by_role("button", name="Run backtest").click()
    expect(page.locator("#backtest .chip")).to_have_text("Waiting")
    backtest_id = page.url.rpartition("/")[2]
    scope, worker = console.scope, console.database.worker
    with_part(console, backtest_id, trace_count=3)
    insert_count(worker, scope, backtest_id, "", "violated", 3, rule_id="never-saved")
    update_backtest(worker, scope, backtest_id, state="done", finished_at=datetime.now(UTC))
    expect(page.locator("#backtest .chip")).to_have_text("Done")
    page.get_by_role("navigation", name="Breadcrumb").get_by_role("link", name="Rules").click()
    expect(page).to_have_url(f"{console.url}/rules")


def test_a_difference_is_explained_and_leads_to_its_trace(page: Page, console: Console) -> None:
    backtest_id = with_differences(console, a_backtest(console, "done"))
    page.goto(f"{console.url}/backtests/{backtest_id}")
    table = page.get_by_role("table", name="Traces by verdict")
    expect(table.get_by_role("row", name="Violated")).to_contain_text("+11")
    change = page.locator(".change").first
    expect(change.locator(".change-head")).to_contain_text("Not applicable")
    expect(change.locator(".change-head")).to_contain_text("12 traces")
    expect(change.locator(".trace-row")).to_have_count(5)
    change.get_by_text("Why").first.click()
    why = change.locator(".why").first
    expect(why).to_contain_text("payment.charge.where(amount > 1000)")
    expect(why).to_contain_text("payment.charge fails amount > 1000 (amount is 700)")
    expect(why).to_contain_text("fraud.check")
    change.get_by_role("link", name="More of these traces").click()
    expect(page.locator(".trace-row")).to_have_count(7)
    page.get_by_role("link", name="POST /checkout").click()
    expect(page.locator(".wf-row:not([hidden])")).to_have_count(len(CHECKOUT))


def test_nothing_differs_is_said(page: Page, console: Console) -> None:
    backtest_id = with_part(console, a_backtest(console, "done"))
    insert_count(
        console.database.worker, console.scope, backtest_id, "violated", "violated", 5,
        rule_id=RULE,
    )  # fmt: skip
    page.goto(f"{console.url}/backtests/{backtest_id}")
    expect(page.get_by_text("No trace is judged otherwise.")).to_be_visible()
    expect(page.locator(".change")).to_have_count(0)


def test_a_range_without_traces_is_said(page: Page, console: Console) -> None:
    backtest_id = with_part(console, a_backtest(console, "done"), trace_count=0, span_count=0)
    page.goto(f"{console.url}/backtests/{backtest_id}")
    expect(page.get_by_text("No trace began in the range.")).to_be_visible()


def test_a_failure_says_why(page: Page, console: Console) -> None:
    backtest_id = a_backtest(console, "failed", problem="the spans log has lost its beginning")
    page.goto(f"{console.url}/backtests/{backtest_id}")
    expect(page.get_by_role("status").filter(has_text="It failed")).to_contain_text(
        "the spans log has lost its beginning"
    )


def test_it_is_called_off(page: Page, console: Console) -> None:
    backtest_id = a_backtest(console, "queued")
    page.goto(f"{console.url}/backtests/{backtest_id}")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("It was cancelled before anything had been judged.")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)


def test_a_text_with_a_problem_is_shown_with_a_caret(page: Page, console: Console) -> None:
    page.goto(f"{console.url}/rules/{RULE}/backtest")
    page.get_by_label("Promise").fill("when { a && b } always { c }")
    page.get_by_role("button", name="Run backtest").click()
    expect(page.locator(".problem-caret").first).to_contain_text("^")
    expect(page.get_by_label("Promise")).to_have_value("when { a && b } always { c }")


def test_while_another_one_runs_its_page_is_named(page: Page, console: Console) -> None:
    backtest_id = a_backtest(console, "queued")
    page.goto(f"{console.url}/rules/{RULE}/backtest")
    page.get_by_role("button", name="Run backtest").click()
    expect(page.get_by_role("alert").first).to_contain_text("Another backtest of this tenant")
    page.get_by_role("link", name="Look at it").click()
    expect(page).to_have_url(f"{console.url}/backtests/{backtest_id}")


def test_without_kafka_the_form_stays(page: Page, console: Console) -> None:
    console.log_times.found = None
    page.goto(f"{console.url}/rules/{RULE}/backtest")
    page.get_by_label("Promise").fill(STRICTER)
    page.get_by_role("button", name="Run backtest").click()
    expect(page.get_by_role("alert").first).to_contain_text("Kafka does not answer")
    expect(page.get_by_label("Promise")).to_have_value(STRICTER.rstrip("\n") + "\n")


def test_a_draft_is_brought_along_from_the_editor(
    context: BrowserContext, console: Console
) -> None:
    page = context.new_page()
    sign_in(page, console.url, email=DEVELOPER)
    page.goto(f"{console.url}/rules/{RULE}/edit")
    write_rule(page, STRICTER)
    page.get_by_role("button", name="Backtest").click()
    expect(page.get_by_text("A draft. Nothing is saved.")).to_be_visible()
    expect(page.get_by_label("Promise")).to_have_value(STRICTER)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, console: Console, scheme: str) -> None:
    paths = pages_of(console)
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    sign_in(page, console.url, email=SRE)
    found = {}
    for path in paths:
        page.goto(console.url + path)
        for summary in page.locator("details:not(.menu) > summary").all():
            summary.click()
        found[path] = accessibility_problems(page)
    context.close()
    assert found == {path: [] for path in paths}


def test_a_narrow_screen_does_not_scroll_sideways(browser: Browser, console: Console) -> None:
    paths = pages_of(console)
    context = browser.new_context(viewport={"width": 360, "height": 740})
    page = context.new_page()
    sign_in(page, console.url, email=SRE)
    overflow = {}
    for path in paths:
        page.goto(console.url + path)
        for summary in page.locator("details:not(.menu) > summary").all():
            summary.click()
        overflow[path] = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    context.close()
    assert overflow == dict.fromkeys(paths, 0)


def pages_of(console: Console) -> list[str]:
    """Return the pages in every state they have."""
    differing = with_differences(console, a_backtest(console, "done"))
    alone = with_part(console, a_backtest(console, "done", compared=False))
    failed = a_backtest(console, "failed", problem="a reason of " + "some length " * 20)
    running = with_part(console, a_backtest(console, "running"), done_at=None, records_read=40)
    kind = f"rule_id={RULE}&was=not_applicable&now=violated"
    return [
        f"/rules/{RULE}/backtest",
        f"/backtests/{differing}",
        f"/backtests/{differing}/traces?{kind}",
        f"/backtests/{differing}/traces?rule_id={RULE}&was=open&now=violated",
        f"/backtests/{alone}",
        f"/backtests/{failed}",
        f"/backtests/{running}",
    ]
