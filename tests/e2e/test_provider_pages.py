"""Signing in by a real OpenID provider in a browser, to which it is another site: the way in, the
ways that end before, two tenants, linking, signing out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from api.auth.principal import Role, TenantScope, grant_scope
from api.database import open_pool
from api.identity.flow import LIFETIME_S, Flow, Flows
from api.identity.grants import Grant, Kind, put_grant
from api.tenants.service import create_tenant
from api.tenants.settings import TenantSettings
from tests.e2e.browser import Complaints, accessibility_problems, sign_in
from tests.support.console import PASSWORD, SECRET, Console, running_console
from tests.support.kafka import free_port
from tests.support.oidc import SECRET as CLIENT_SECRET
from tests.support.oidc import OidcServer, running_provider
from tests.support.postgres import Server

pytestmark = pytest.mark.e2e

T = TypeVar("T")
SUPPORT = "support@vendor.example"
LAST_ASKED_FOR = "**/notices/count"
"""By every page of somebody signed in; one that is left before complains of an error."""
PEOPLE = {
    name: {
        "email": f"{name}@example.com",
        "email_verified": True,
        "name": f"{name.title()} of the provider",
        "groups": groups,
    }
    for name, groups in {
        "ada": ["developers"],
        "grace": ["developers", "globex-sre"],
        "linus": ["kernel-maintainers-of-the-whole-world", "kernel-reviewers"],
        "edsger": ["developers"],
    }.items()
}


@pytest.fixture(scope="module")
def site() -> str:
    """Where the console will be."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def provider(site: str) -> Iterator[OidcServer]:
    """The provider, of another host."""
    with running_provider(PEOPLE, token_claims={}, site=site, host="localhost") as server:
        yield server


@pytest.fixture(scope="module")
def console(postgres: Server, site: str, provider: OidcServer) -> Iterator[Console]:
    """A console whose developers are a group of the provider, beside a second tenant."""
    with running_console(
        postgres.database(),
        http_port=urlsplit(site).port,
        public_url=site,
        oidc_issuer=provider.issuer,
        oidc_client_id="betrace",
        oidc_client_secret=CLIENT_SECRET,
        oidc_scopes="openid email profile groups",
        oidc_label="Example ID",
    ) as console:
        console.add_person("barbara@example.com", Role.SRE)
        console.add_rule("large-charges", name="Large charges are checked", severity="high")
        _run(_grant(console, console.scope, provider, "developers", Role.DEVELOPER))
        _run(_second_tenant(console, provider))
        yield console


@pytest.fixture
def context(browser: Browser, console: Console, provider: OidcServer) -> Iterator[BrowserContext]:
    """A browser profile of its own; the browser must find nothing to complain about."""
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    complaints = Complaints(context, url=console.url, also=provider.issuer)
    yield context
    context.close()
    assert complaints.lines == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def test_a_deep_link_leads_by_the_provider_to_where_it_pointed_and_out_again(
    page: Page, console: Console, provider: OidcServer
) -> None:
    wanted = f"{console.url}/rules/large-charges?done=saved"
    page.goto(wanted)
    _enter(page, "ada")
    page.wait_for_url(wanted)
    expect(page.get_by_role("heading", level=1)).to_have_text("Large charges are checked")
    page.goto(f"{console.url}/settings/account")
    panel = page.get_by_role("region", name="Example ID")
    expect(panel).to_contain_text("You sign in with Example ID, and have no password here.")
    expect(page.get_by_role("region", name="Password")).to_have_count(0)
    _sign_out(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign out here as well?")
    assert page.url.startswith(provider.issuer)
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{console.url}/sign-in*")
    page.goto(f"{console.url}/signals")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in to BeTrace")
    page.get_by_role("link", name="Sign in with Example ID").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Who are you?")


def test_a_person_of_two_tenants_goes_on_in_the_other(page: Page, console: Console) -> None:
    page.goto(f"{console.url}/rules")
    _enter(page, "grace")
    page.wait_for_url(f"{console.url}/rules")
    expect(page.get_by_text("Large charges are checked").first).to_be_visible()
    page.locator("summary", has_text="Switch tenant").click()
    page.get_by_role("button", name="globex").click()
    expect(page.locator("summary", has_text="Switch tenant")).to_contain_text("globex")
    page.goto(f"{console.url}/rules")
    expect(page.get_by_text("Large charges are checked")).to_have_count(0)


def test_somebody_without_a_tenant_is_told_what_to_send_the_operator(
    page: Page, console: Console, provider: OidcServer
) -> None:
    page.goto(f"{console.url}/sign-in")
    _enter(page, "linus")
    expect(page.get_by_role("heading", level=1)).to_have_text("No way in yet")
    facts = page.locator("dl.facts")
    expect(facts).to_contain_text(provider.issuer)
    expect(facts).to_contain_text("kernel-reviewers")
    command = page.get_by_text("betrace identity grant")
    expect(command).to_contain_text("--group kernel-maintainers-of-the-whole-world")
    page.get_by_role("link", name="Sign in as somebody else").click()
    _type_name(page, "ada")
    page.wait_for_url(f"{console.url}/home")


def test_who_refuses_at_the_provider_may_begin_again(page: Page, console: Console) -> None:
    page.goto(f"{console.url}/sign-in?next=/rules")
    page.get_by_role("link", name="Sign in with Example ID").click()
    page.get_by_role("button", name="Refuse").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The provider did not sign you in")
    expect(page.get_by_role("alert")).to_contain_text("access_denied")
    page.get_by_role("link", name="Back to signing in").click()
    expect(page.get_by_label("Password")).to_be_visible()


def test_an_answer_that_comes_twice_or_too_late_is_explained(page: Page, console: Console) -> None:
    answers: list[str] = []
    page.on("request", lambda request: answers.append(request.url))
    page.goto(f"{console.url}/sign-in")
    _enter(page, "ada")
    page.wait_for_url(f"{console.url}/home")
    answer = next(url for url in answers if "/callback?" in url)
    page.goto(answer)
    expect(page.get_by_role("alert")).to_contain_text("used already")
    page.context.clear_cookies()
    flow = Flow()
    late = Flows(SECRET.encode(), clock=lambda: time.time() - LIFETIME_S - 1).seal(flow)
    page.context.add_cookies([{"name": "betrace_provider", "value": late, "url": console.url}])
    code = parse_qs(urlsplit(answer).query)["code"][0]
    page.goto(f"{console.url}/sign-in/provider/callback?state={flow.state}&code={code}")
    expect(page.get_by_role("heading", level=1)).to_have_text("That sign-in cannot go on")
    expect(page.get_by_role("alert")).to_contain_text("longer than ten minutes")


def test_an_account_is_linked_and_unlinked(page: Page, console: Console) -> None:
    sign_in(page, console.url, email="barbara@example.com")
    page.goto(f"{console.url}/settings/account")
    panel = page.get_by_role("region", name="Example ID")
    panel.get_by_label("Your password").fill("wrong")
    panel.get_by_role("button", name="Link").click()
    expect(panel.get_by_role("alert")).to_have_text("The current password is wrong.")
    panel.get_by_label("Your password").fill(PASSWORD)
    panel.get_by_role("button", name="Link").click()
    _type_name(page, "edsger")
    expect(page.get_by_text("Your account is linked")).to_be_visible()
    expect(panel).to_contain_text("You can sign in with Example ID as well as with your password.")
    panel.get_by_label("Your password").fill(PASSWORD)
    panel.get_by_role("button", name="Unlink").click()
    expect(page.get_by_text("Your account is not linked any more")).to_be_visible()


def test_whoever_acts_in_a_persons_place_sees_so_on_every_page(
    page: Page, console: Console, provider: OidcServer
) -> None:
    _come_in(page, console, "ada")
    page.context.clear_cookies()
    _run(provider.say("ada", act={"sub": SUPPORT}))
    try:
        _come_in(page, console, "ada")
    finally:
        _run(provider.say("ada", act=None))
    banner = page.get_by_role("complementary", name="You act in somebody's place")
    for path in ("/signals", "/rules", "/settings/team", "/settings/account", "/rules/none"):
        with page.expect_response(LAST_ASKED_FOR):
            page.goto(f"{console.url}{path}")
        expect(banner, path).to_contain_text(f"{SUPPORT}, you act in the place of Ada")
    banner.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign out here as well?")


def test_everything_works_without_script(browser: Browser, console: Console) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{console.url}/rules")
    _enter(page, "ada")
    page.wait_for_url(f"{console.url}/rules")
    _sign_out(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign out here as well?")
    context.close()


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 320)], ids=str
)
def test_pages_on_the_way_are_accessible_and_fit(
    browser: Browser, console: Console, provider: OidcServer, scheme: Any, width: int
) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
    page = context.new_page()
    found = {}

    def look(name: str) -> None:
        page.evaluate("document.fonts.ready.then(() => true)")
        found[name] = accessibility_problems(page)
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            found[name].append("wider than the screen")

    page.goto(f"{console.url}/sign-in")
    look("sign-in")
    _enter(page, "linus")
    expect(page.get_by_role("heading", level=1)).to_have_text("No way in yet")
    look("no place")
    page.goto(f"{console.url}/sign-in/provider/callback")
    look("over")
    context.clear_cookies()
    page.goto(f"{console.url}/settings/account")
    _enter(page, "ada")
    page.wait_for_url(f"{console.url}/settings/account")
    look("account")
    context.route(f"{provider.issuer}/**", _stay)
    _sign_out(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("You are signed out here")
    look("onward")
    context.close()
    assert {name: problems for name, problems in found.items() if problems} == {}


def _stay(route: Route) -> None:
    """Answer so that the browser stays on the page that it is on."""
    route.fulfill(status=204)


def _enter(page: Page, person: str) -> None:
    """Sign in by the provider, from our page for signing in."""
    page.get_by_role("link", name="Sign in with Example ID").click()
    _type_name(page, person)


def _come_in(page: Page, console: Console, person: str) -> None:
    """Sign in by the provider, and wait until the page is all there."""
    page.goto(f"{console.url}/sign-in")
    with page.expect_response(LAST_ASKED_FOR):
        _enter(page, person)
        page.wait_for_url(f"{console.url}/home")


def _type_name(page: Page, person: str) -> None:
    page.get_by_label("Name").fill(person)
    page.get_by_role("button", name="Go on").click()


def _sign_out(page: Page) -> None:
    page.locator("summary", has_text="Account and appearance").click()
    page.get_by_role("button", name="Sign out").click()


async def _grant(
    console: Console, scope: TenantScope, provider: OidcServer, group: str, role: Role
) -> None:
    grant = Grant(issuer=provider.issuer, kind=Kind.GROUP, value=group, role=role)
    async with open_pool(console.database.app, size=1) as pool:
        await put_grant(pool, scope, grant)


async def _second_tenant(console: Console, provider: OidcServer) -> None:
    async with open_pool(console.database.app, size=1) as pool:
        name = f"globex-{uuid4().hex[:8]}"
        tenant = await create_tenant(pool, name, TenantSettings(), grant=_scope)
    await _grant(console, _scope(tenant.id), provider, "globex-sre", Role.SRE)


def _scope(tenant_id: Any) -> TenantScope:
    return grant_scope(tenant_id, actor="tests")


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a thread: Playwright keeps a loop running in the one that tests are in."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
