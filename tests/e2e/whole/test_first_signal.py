"""Show 6, on real servers: an operator makes a tenant, its person comes by the invitation, and the
page leads them to their first signal."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from deploy.embedded.apps import betrace
from deploy.embedded.stack import Stack
from tests.e2e.browser import Complaints, accessibility_problems

pytestmark = pytest.mark.e2e

PATIENCE_MS = 120_000
"""A trace is quiet for ten seconds before it is judged, and counts of spans come every ten."""
PASSWORD = "seven green umbrellas at dusk"


def test_a_new_person_gets_from_the_invitation_to_the_first_signal(
    stack: Stack, browser: Browser
) -> None:
    email = f"{secrets.token_hex(6)}@example.com"
    told = onboard(stack, email)
    site = stack.environment()["BETRACE_URL"]
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    complaints = Complaints(context, url=site)
    page = context.new_page()
    sign_up(page, told["link"], tenant=told["name"])
    sign_in_after(page, site, email)
    expect(page.get_by_role("heading", name="To the first signal")).to_be_visible()
    expect(page.get_by_role("link", name="No credentials in URLs")).to_be_visible()
    page.get_by_role("button", name="Make a key for spans").click()
    key = page.locator("[data-made-key]").inner_text()
    command = page.get_by_label("A trace by hand", exact=True).inner_text()
    assert key in command
    assert accessibility_problems(page) == []
    progress = page.locator("#progress")
    expect(progress.get_by_text("Rules are judging")).to_be_visible()
    expect(progress.locator(".progress-done")).to_have_count(1, timeout=PATIENCE_MS)

    send(command)
    expect(progress.get_by_role("status")).to_contain_text(
        "No credentials in URLs", timeout=PATIENCE_MS
    )
    expect(progress.locator(".progress-done")).to_have_count(3)
    assert accessibility_problems(page) == []
    page.get_by_role("link", name="Open the signal").click()
    expect(page.get_by_role("heading", name="No credentials in URLs")).to_be_visible()
    expect(page.get_by_text("GET /report").first).to_be_visible()
    assert key not in page.content()

    page.goto(f"{site}/welcome?first=true")
    page.wait_for_url("**/home")
    expect(page.get_by_role("link", name="No credentials in URLs")).to_have_count(1)
    context.close()
    assert complaints.lines == []


def onboard(stack: Stack, email: str) -> Any:
    """Make a tenant as an operator does; the link to hand over is in the answer."""
    name = f"acme-{secrets.token_hex(4)}"
    environment = {**stack.environment(), "BETRACE_PUBLIC_URL": stack.environment()["BETRACE_URL"]}
    command = betrace(
        "tenant", "onboard", name, "--admin", email, "--json", environment=environment
    )
    done = subprocess.run(
        command.argv,
        env={**os.environ, **command.environment},
        cwd=command.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def sign_up(page: Page, link: str, *, tenant: str) -> None:
    page.goto(link)
    expect(page.get_by_role("heading", name=f"Join {tenant}")).to_be_visible()
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Once more").fill(PASSWORD)
    page.get_by_role("button", name="Make my account").click()
    expect(page.get_by_role("status").filter(has_text="Your account is made")).to_be_visible()


def sign_in_after(page: Page, site: str, email: str) -> None:
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(re.compile(re.escape(site) + r"/welcome\?first=true"))


def send(command: str) -> None:
    """Paste the command into a shell."""
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert "error" not in done.stdout.lower(), done.stdout
