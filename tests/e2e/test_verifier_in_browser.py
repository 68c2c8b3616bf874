"""The verifier in JavaScript, in a real browser that is cut off from any network."""

from __future__ import annotations

import subprocess
from base64 import b64encode
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.e2e.browser import FRONTEND
from tests.support.evidence import EvidenceLog, a_log
from tests.support.evidence_attacks import ATTACKS, InMemory
from tests.support.evidence_verifiers import codes

pytestmark = pytest.mark.e2e

PAGE = "https://verifier.example/"
VERIFY = """async ([packed, keys]) => {
    const bytes = Uint8Array.from(atob(packed), (char) => char.charCodeAt(0));
    return await verifier.verify(new Blob([bytes]), { keys });
}"""


def bundled() -> str:
    """Return the verifier as one script that sets `verifier`, made as the console is."""
    command = ["node_modules/.bin/esbuild", "src/verify/verify.js", "--bundle", "--format=iife"]
    done = subprocess.run(
        [*command, "--global-name=verifier"],
        cwd=FRONTEND,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def verified(browser: Browser, packs: list[bytes], log: EvidenceLog) -> list[dict[str, Any]]:
    """Return what the verifier says of packs, on a secure page without a network."""
    with browser.new_context() as context:
        context.route(PAGE, lambda route: route.fulfill(body="<!doctype html>"))
        page = context.new_page()
        page.goto(PAGE)
        context.set_offline(True)
        # A `var` of evaluated code is the page's own only if the code says so.
        page.evaluate(f"{bundled()}; globalThis.verifier = verifier")
        keys = [log.verifier_key()]
        return [page.evaluate(VERIFY, [b64encode(pack).decode(), keys]) for pack in packs]


def test_packs_are_verified_in_the_browser(browser: Browser) -> None:
    log = a_log()
    attacks = [one for one in ATTACKS if one.name in ("flip", "edit the root of a checkpoint")]
    packs = [log.pack(), *(one.make(InMemory()).close(signed=True) for one in attacks)]
    passed, *failed = verified(browser, packs, log)
    assert (passed["valid"], passed["failures"], passed["warnings"]) == (True, [], [])
    assert passed["population"]["records"] == len(log.records)
    assert [codes(one["failures"]) for one in failed] == [list(one.reasons) for one in attacks]
