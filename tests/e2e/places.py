"""Every page of the console, found by asking every route, on a tenant that has one of everything.

A route added later is looked at without being named here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from playwright.sync_api import Browser, BrowserContext, Page

from api.auth.access import route_access
from api.auth.principal import Role
from api.database import open_pool
from api.operators.making import create_operator_key
from tests.e2e.browser import Complaints, sign_in
from tests.support.anchors import insert_target
from tests.support.console import (
    CHECKOUT,
    CHECKOUT_RULE,
    EXPLANATION,
    KEPT_CHECKOUT,
    SECRET,
    Console,
    run_apart,
    running_console,
)
from tests.support.filled import Filled, filled_tenant
from tests.support.keys import MASTER
from tests.support.postgres import Database
from tests.support.sealed import days_of_evidence, now_ms, seal

ADMIN = "ada@example.com"
_NO_PAGES = ("/api/", "/static/", "/health", "/openapi", "/live/", "/evidence/pack")


@dataclass(frozen=True, slots=True)
class Place:
    """A page: its route, and its address in the tenant that is looked at."""

    route: str
    path: str

    @property
    def name(self) -> str:
        """A name for files: `rules-rule_id-versions`."""
        plain = self.route.strip("/").replace("{", "").replace("}", "").replace(":path", "")
        return plain.replace("/", "-").replace(".", "-") or "home"


@dataclass(frozen=True, slots=True)
class Furnished:
    """A running console whose tenant has one of everything, and an administrator."""

    console: Console
    ids: dict[str, str]


@contextmanager
def furnished(database: Database) -> Iterator[Furnished]:
    """Serve a console whose tenant has one of everything."""
    with running_console(database, keys_provider="local", keys_master=MASTER) as console:
        filled = run_apart(_fill(database))
        console = replace(console, scope=filled.scope)
        console.add_person(ADMIN, Role.ADMIN)
        yield Furnished(console, {**filled.ids, **_tell_stories(console)})


@contextmanager
def unfurnished(database: Database) -> Iterator[Furnished]:
    """Serve a console whose tenant has nothing but its administrator."""
    with running_console(database, keys_provider="local", keys_master=MASTER) as console:
        console.add_person(ADMIN, Role.ADMIN)
        yield Furnished(console, {})


def places(furnished: Furnished) -> list[Place]:
    """Return every address that may be a page, those first that need no id.

    Routes whose ids the tenant lacks are left out; parts of pages and downloads are told from pages
    by what they answer (`is_page`).
    """
    found = {}
    for route in route_access(furnished.console.app):
        if "GET" not in route.methods or route.path.startswith(_NO_PAGES):
            continue
        try:
            path = route.path.replace(":path", "").format_map(furnished.ids)
        except KeyError:
            continue
        found[route.path] = Place(route.path, path)
    return sorted(found.values(), key=lambda place: ("{" in place.route, place.route))


def is_page(context: BrowserContext, url: str) -> bool:
    """Tell whether an address answers with a whole page, and not with a part of one or a file."""
    answer = context.request.get(url, max_redirects=0)
    if answer.status != 200 or "text/html" not in answer.headers.get("content-type", ""):
        return False
    return "<html" in answer.text()[:400]


@contextmanager
def looking(
    browser: Browser,
    console: Console,
    *,
    signed_in: bool = True,
    operator: bool = False,
    width: int = 1280,
    dark: bool = False,
) -> Iterator[Page]:
    """Open a page of the administrator; operator: signed in as one of those as well.

    Raises AssertionError if the browser found something to complain about.
    """
    context = browser.new_context(
        viewport={"width": width, "height": 860}, color_scheme="dark" if dark else "light"
    )
    complaints = Complaints(context, url=console.url)
    page = context.new_page()
    if signed_in:
        sign_in(page, console.url, email=ADMIN, home="/**")
        page.wait_for_load_state()
    if operator:
        page.goto(f"{console.url}/operator")
        page.get_by_label("Operator's key").fill(run_apart(_make_operator_key(console)))
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/operator")
    yield page
    context.close()
    assert complaints.lines == []


async def _fill(database: Database) -> Filled:
    async with open_pool(database.app, size=2) as pool:
        return await filled_tenant(pool, database, evidence=False)


async def _make_operator_key(console: Console) -> str:
    async with open_pool(console.database.app, size=1) as pool:
        return await create_operator_key(
            pool,
            f"op-{uuid4()}",
            lifetime=timedelta(hours=1),
            networks=(),
            pepper=SECRET.encode(),
            actor="operator:test",
        )


def _tell_stories(console: Console) -> dict[str, str]:
    """Add what a person would find there; return the ids that are better looked at than others."""
    console.add_rule("large-charges", name="Large charges are checked", severity="high")
    console.add_rule(
        "no-bypass",
        "when { order.place } never { payment.bypass }",
        name="Nobody pays around the gateway",
        severity="critical",
    )
    now = datetime.now(UTC)
    trace_id = uuid4().hex
    console.add_trace(trace_id, CHECKOUT, at=now - timedelta(minutes=2))
    console.add_trace(uuid4().hex, KEPT_CHECKOUT, at=now - timedelta(minutes=5))
    signal_id = console.add_signal(
        "large-charges",
        rule_name="Large charges are checked",
        trace_id=trace_id,
        at=now - timedelta(minutes=2),
        explanation=EXPLANATION,
    )
    for minutes in (7, 19, 64, 300):
        console.add_signal(
            "no-bypass",
            rule_name="Nobody pays around the gateway",
            severity="critical",
            at=now - timedelta(minutes=minutes),
        )
    console.add_fold(
        "large-charges",
        rule_name="Large charges are checked",
        minute=now.replace(second=0, microsecond=0) - timedelta(minutes=3),
        raised=4_200,
        withdrawn=12,
    )
    run_apart(
        seal(
            console.database,
            days_of_evidence(
                console.tenant_id,
                rule="large-charges",
                text=CHECKOUT_RULE,
                control="soc2.CC7.2",
                said="soc2.CC6.1",
                until_ms=now_ms() - 60_000,
                days=1,
            ),
        )
    )
    target_id = str(insert_target(console.database, console.scope))
    return {
        "rule_id": "large-charges",
        "signal_id": signal_id,
        "trace_id": trace_id,
        "seq": "2",
        "control_id": "soc2.CC7.2",
        "target_id": target_id,
        "anchor_id": target_id,
    }
