"""The whole product on real servers, which wants both cores for itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from deploy.embedded.settings import APPS, SERVERS
from deploy.embedded.stack import Stack
from tests.e2e.browser import Complaints, sign_in
from tests.support.stack import running_stack


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    """The whole product on real servers; addresses and API key are in `stack.environment()`.

    Evidence is under a checkpoint within seconds, and one person may look at everything at once.
    """
    environment = {
        "BETRACE_EVIDENCE_CHECKPOINT_S": "5",
        "BETRACE_LIMIT_PERSON_PER_MIN": "6000",
        "BETRACE_LIMIT_KEY_PER_MIN": "6000",
        "BETRACE_LIMIT_TENANT_PER_MIN": "6000",
    }
    with running_stack((*SERVERS, *APPS), environment=environment) as stack:
        yield stack


@pytest.fixture
def page(stack: Stack, browser: Browser) -> Iterator[Page]:
    """A page of who may do everything in the tenant; the browser has nothing to complain about."""
    env = stack.environment()
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    complaints = Complaints(context, url=env["BETRACE_URL"])
    page = context.new_page()
    sign_in(page, env["BETRACE_URL"], email=env["BETRACE_LOGIN"], password=env["BETRACE_PASSWORD"])
    yield page
    context.close()
    assert complaints.lines == []
