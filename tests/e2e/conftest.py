"""A browser, and a console with people, rules and signals in it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from api.auth.principal import Role
from tests.e2e.browser import Complaints, running_browser, sign_in
from tests.support.console import CHECKOUT, EXPLANATION, Console, running_console
from tests.support.postgres import Server, running_server

SRE = "sre@example.com"
DEVELOPER = "developer@example.com"
VIEWER = "viewer@example.com"
ADMIN = "keeper@example.com"


@pytest.fixture(scope="package")
def postgres() -> Iterator[Server]:
    """A running Postgres server."""
    with running_server() as server:
        yield server


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium without a window. Not for longer: Playwright keeps a loop running meanwhile, and
    asynchronous tests elsewhere want their own."""
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def console(postgres: Server) -> Iterator[Console]:
    """A console whose tenant has a person of each kind and one rule, and no signal."""
    with running_console(postgres.database()) as console:
        console.add_person(SRE, Role.SRE)
        console.add_person(DEVELOPER, Role.DEVELOPER)
        console.add_person(VIEWER, Role.VIEWER)
        console.add_rule("large-charges", name="Large charges are checked", severity="high")
        yield console


@pytest.fixture
def context(browser: Browser, console: Console) -> Iterator[BrowserContext]:
    """A browser profile of its own; the browser must find nothing to complain about."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    complaints = Complaints(context, url=console.url)
    yield context
    context.close()
    assert complaints.lines == []


@pytest.fixture
def page(context: BrowserContext, console: Console) -> Page:
    """A page of a signed-in SRE, with the list of signals."""
    page = context.new_page()
    sign_in(page, console.url, email=SRE)
    page.goto(f"{console.url}/signals")
    return page


@pytest.fixture(scope="module")
def admin(console: Console) -> str:
    """An administrator of the console's tenant."""
    console.add_person(ADMIN, Role.ADMIN)
    return ADMIN


@pytest.fixture
def page_of_admin(context: BrowserContext, console: Console, admin: str) -> Page:
    """A page of the signed-in administrator, which may copy and paste."""
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    sign_in(page, console.url, email=admin)
    return page


@pytest.fixture
def signal_id(console: Console) -> str:
    """A new open signal with its explanation and trace."""
    trace_id = uuid4().hex
    at = datetime.now(UTC) - timedelta(seconds=5)
    console.add_trace(trace_id, CHECKOUT, at=at)
    return console.add_signal(
        "large-charges",
        rule_name="Large charges are checked",
        trace_id=trace_id,
        at=at,
        explanation=EXPLANATION,
    )
