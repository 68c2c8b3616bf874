"""Debian's Chromium, driven by Playwright, and what tests ask of every page."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.support.console import PASSWORD

FRONTEND = Path(__file__).resolve().parents[2] / "api" / "web" / "frontend"
CHROMIUM = os.environ.get("BETRACE_TEST_CHROMIUM", "/usr/bin/chromium")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Start Chromium without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def sign_in(
    page: Page, url: str, *, email: str, password: str = PASSWORD, home: str = "/home"
) -> None:
    """Sign in by the form and wait for the page that follows."""
    page.goto(f"{url}/sign-in")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"**{home}")


def accessibility_problems(page: Page) -> list[str]:
    """Return what axe finds on the page: rule, help, and the elements."""
    # What is half under the bar at the top, where the page happens to be scrolled, is not cut off.
    page.evaluate("window.scrollTo({top: 0, behavior: 'instant'})")
    # evaluate() is not bound by the page's content security policy, script elements would be
    page.evaluate((FRONTEND / "node_modules/axe-core/axe.min.js").read_text())
    found: dict[str, Any] = page.evaluate(
        "rules => axe.run(document, {runOnly: {type: 'tag', values: rules}})", _RULES
    )
    return [
        f"{violation['id']}: {violation['help']}: {[node['target'] for node in violation['nodes']]}"
        for violation in found["violations"]
    ]


def problems_of_page(page: Page) -> list[str]:
    """Return what axe finds, and whether something is wider than the window."""
    found = accessibility_problems(page)
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append("wider than the window")
    return found


_PASTE = """
(field, text) => {
  field.focus();
  const data = new DataTransfer();
  data.setData("text/plain", text);
  const paste = { clipboardData: data, bubbles: true, cancelable: true };
  field.dispatchEvent(new ClipboardEvent("paste", paste));
}
"""


def write_rule(page: Page, text: str) -> None:
    """Put a text in place of what the editor of a rule holds, as somebody does who pastes it.

    `fill` makes Chromium replace many lines by itself, with styles that the policy refuses.
    """
    field = page.get_by_role("textbox", name="Promise")
    field.press("ControlOrMeta+a")
    field.evaluate(_PASTE, text)


_INTERRUPTED = "[object Event]"
"""htmx's words for a request that got no answer: here one whose page was left meanwhile."""


class Complaints:
    """What the browser itself complained about while a context was open: errors, other hosts.

    also: another place where it may go.
    """

    def __init__(self, context: BrowserContext, *, url: str, also: str = "data:") -> None:
        self.lines: list[str] = []
        self._expected = (url, also, "data:")
        context.on("console", self._hear)
        context.on("weberror", lambda error: self.lines.append(f"exception: {error.error}"))
        context.on("request", lambda request: self._see(request.url))

    def _hear(self, message: ConsoleMessage) -> None:
        # Chromium also reports every refused page it was sent to; tests expect some of those.
        if message.type != "error" or "Failed to load resource" in message.text:
            return
        if message.text != _INTERRUPTED:
            self.lines.append(message.text)

    def _see(self, url: str) -> None:
        if not url.startswith(self._expected):
            self.lines.append(f"request to another place: {url}")
