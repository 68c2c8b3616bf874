"""Waiting in a browser for what traffic brings about, and saving rules for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Event
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page

PATIENCE_MS = 60_000
"""A trace settles in 2 s and is judged in 1; a loaded machine may take a while longer."""
SAMPLED_MS = 240_000
"""Ordinary traces are looked for once a minute, a minute after they came."""


def save_rule(env: Mapping[str, str], rule_id: str, **body: Any) -> None:
    """Save a rule by REST, and wait until traces are judged by it."""
    api = f"{env['BETRACE_URL']}/api/v1/rules/{rule_id}"
    headers = {"X-API-Key": env["BETRACE_API_KEY"]}
    httpx.put(api, json=body, headers=headers).raise_for_status()
    pause = Event()
    for _ in range(PATIENCE_MS // 200):
        if httpx.get(api, headers=headers).raise_for_status().json()["active_since"]:
            return
        pause.wait(0.2)
    raise AssertionError("the rule does not take effect")


def until_there(
    page: Page, wanted: Locator, *, load: Callable[[], object], for_ms: int = PATIENCE_MS
) -> None:
    """Load a page again until something is on it."""
    for _ in range(for_ms // 1_000):
        load()
        if wanted.count():
            return
        page.wait_for_timeout(1_000)
    pytest.fail(f"{wanted} is not on {page.url}")


def until_shown(page: Page, url: str, text: str, *, for_ms: int = PATIENCE_MS) -> None:
    """Load a page again until it says something."""
    until_there(page, page.get_by_text(text), load=lambda: page.goto(url), for_ms=for_ms)


def until_read_everywhere(page: Page) -> None:
    """Load the page of a rule again until its newest version is judged by everywhere."""
    since = page.locator("dt", has_text="Active everywhere since").locator("+ dd time")
    until_there(page, since, load=page.reload)
