"""Signing in by WorkOS AuthKit, against a stand-in of its API (`tests.support.workos_stand_in`)."""

from __future__ import annotations

import html
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from api.audit.service import AuditFilter, list_entries
from api.auth.principal import Role, TenantScope
from api.database import Pool
from api.identity.grants import Grant, Kind, drop_grant, put_grant
from api.main import create_app
from api.settings import Settings
from api.tenants.service import add_member
from tests.integration.api.provider_browser import Browser, browser_of, led_to, log_of, refusals
from tests.support.oidc import SITE, SigningKey
from tests.support.postgres import Database
from tests.support.rules_log import MemoryRulesLog
from tests.support.tenants import make_key, make_tenant
from tests.support.workos_stand_in import API_KEY, CLIENT, WorkosStandIn, running_stand_in

SUPPORT = "support@vendor.example"


@pytest.fixture(scope="module")
def workos() -> Iterator[WorkosStandIn]:
    with running_stand_in() as stand_in:
        yield stand_in


@pytest.fixture
def workos_settings(workos: WorkosStandIn, settings: Settings) -> dict[str, Any]:
    return {
        **settings.model_dump(),
        "public_url": SITE,
        "workos_client_id": CLIENT,
        "workos_api_key": API_KEY,
        "workos_url": workos.url,
    }


@pytest.fixture
async def app(workos_settings: dict[str, Any]) -> AsyncIterator[FastAPI]:
    """The running application."""
    made = create_app(Settings.model_validate(workos_settings), rules_log=MemoryRulesLog())
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture
async def browser(app: FastAPI) -> AsyncIterator[Browser]:
    async with browser_of(app) as opened:
        yield Browser(opened)


@pytest.fixture
async def granted(pool: Pool, workos: WorkosStandIn) -> AsyncIterator[TenantScope]:
    """The tenant of the organisation org_01TEST, whose members are developers."""
    scope = await make_tenant(pool)
    grant = Grant(
        issuer=workos.issuer,
        organisation="org_01TEST",
        kind=Kind.GROUP,
        value="member",
        role=Role.DEVELOPER,
    )
    await put_grant(pool, scope, grant)
    yield scope
    await drop_grant(pool, scope, grant)


def _address() -> str:
    return f"{uuid4().hex}@example.com"


async def test_the_organisation_is_the_tenant_and_its_role_is_granted(
    browser: Browser, workos: WorkosStandIn, granted: TenantScope
) -> None:
    email = _address()
    response = await browser.come_back(workos.sign_in(await browser.begin(), email))
    assert (response.status_code, response.headers["location"]) == (303, "/home")
    who = await browser.identity() or {}
    assert (who["name"], who["role"], who["tenant_id"]) == (
        email, "developer", str(granted.tenant_id),
    )  # fmt: skip


async def test_another_organisation_or_role_has_no_place(
    browser: Browser, workos: WorkosStandIn, granted: TenantScope
) -> None:
    for changes in ({"org_id": "org_02"}, {"org_id": None}, {"role": "guest"}):
        query = workos.sign_in(await browser.begin(), _address(), **changes)
        response = await browser.come_back(query)
        assert (response.status_code, await browser.identity()) == (403, None)
        assert "betrace identity grant" in response.text


@dataclass(frozen=True)
class Visit:
    """Somebody of WorkOS's client in the place of a person who has signed in before."""

    browser: Browser
    person: dict[str, Any]
    csrf: dict[str, str]

    async def post(self, path: str, **body: Any) -> httpx.Response:
        return await self.browser.http.post(path, headers=self.csrf, **body)


@pytest.fixture
async def visit(browser: Browser, workos: WorkosStandIn, granted: TenantScope) -> Visit:
    person = {"email": _address(), "user_id": f"user_{uuid4().hex}"}
    assert (await _enter(browser, workos, **person)).status_code == 303
    browser.http.cookies.clear()
    assert (await _enter(browser, workos, **person, impersonator=SUPPORT)).status_code == 303
    who = await browser.identity() or {}
    return Visit(browser, person, {"X-CSRF-Token": who["csrf_token"]})


async def _enter(browser: Browser, workos: WorkosStandIn, **person: Any) -> httpx.Response:
    return await browser.come_back(workos.sign_in(await browser.begin(), **person))


async def test_whoever_acts_in_a_persons_place_is_in_every_row_that_it_causes(
    visit: Visit, app: FastAPI, pool: Pool, granted: TenantScope, shared_database: Database
) -> None:
    """Changes, refusals, another session, one that was forged, the end, and what comes after it."""
    other = await make_tenant(pool)
    await add_member(pool, other, email=visit.person["email"], role=Role.ADMIN)
    before = len(await log_of(shared_database, granted))
    http = visit.browser.http
    rule = {"id": "promise", "rule": "when { a } never { b }"}
    assert (await visit.post("/api/v1/rules", json=rule)).status_code == 201
    assert (await http.get("/api/v1/audit")).status_code == 403
    assert (await http.post("/api/v1/rules", json=rule)).status_code == 403, "without CSRF token"
    switched = await visit.post("/api/v1/account/tenant", json={"tenant_id": str(other.tenant_id)})
    csrf = {"X-CSRF-Token": switched.json()["csrf_token"]}
    key = {"name": "mine", "role": "admin"}
    assert (await http.post("/api/v1/keys", json=key, headers=csrf)).status_code == 403
    cookie = {"Cookie": f"betrace_session={http.cookies['betrace_session']}"}
    assert (await http.delete("/api/v1/session", headers=csrf)).status_code == 204
    assert (await http.get("/api/v1/session", headers=cookie)).status_code == 401
    await app.state.services.decisions.flush(whole=True)
    caused = (await log_of(shared_database, granted))[before:]
    there = await log_of(shared_database, other)
    there = there[[action for action, _ in there].index("session.began") :]
    assert sorted(action for action, _ in caused) == [
        "permission.refused", "request.refused", "rule.created", "session.ended",
    ]  # fmt: skip
    assert sorted(action for action, _ in there) == [
        "permission.refused", "session.began", "session.ended",
    ]  # fmt: skip
    assert {facts.get("acting") for _, facts in caused + there} == {SUPPORT}


async def test_the_log_is_searched_by_who_acted(
    visit: Visit, pool: Pool, granted: TenantScope
) -> None:
    found = await list_entries(pool, granted, AuditFilter(actor=SUPPORT))
    assert [each.entry.action for each in found.items] == ["session.began"]
    assert found.items[0].actor_name == visit.person["email"]


async def test_exports_and_the_page_of_the_log_name_who_acted(
    visit: Visit, app: FastAPI, pool: Pool, granted: TenantScope
) -> None:
    key = {"X-API-Key": await make_key(pool, granted)}
    async with browser_of(app) as http:
        lines = (await http.get("/api/v1/audit/export", headers=key)).text.splitlines()
        table = (await http.get("/api/v1/audit/export?format=csv", headers=key)).text
        page = (await http.get("/audit", headers=key)).text
    acting = [json.loads(line)["details"].get("acting") for line in lines]
    assert acting.count(SUPPORT) == 1
    assert table.count(f"acting={SUPPORT}") == 1
    assert page.count(f"through {SUPPORT}") == 1


async def test_a_visit_is_shown_over_every_page_and_in_the_list_of_sessions(visit: Visit) -> None:
    who = await visit.browser.identity() or {}
    assert who["acting"] == SUPPORT
    for path in ("/signals", "/rules", "/settings/account", "/settings/keys"):
        page = await visit.browser.http.get(path, headers={"Accept": "text/html"})
        assert f"<strong>{SUPPORT}</strong>, you act in the place of" in page.text, path
    sessions = (await visit.browser.http.get("/api/v1/account/sessions")).json()["items"]
    assert [each["acting"] for each in sessions] == [SUPPORT, None]
    page = await visit.browser.http.get("/settings/account")
    assert f"{SUPPORT} in your place" in page.text
    assert 'action="/settings/account/' not in page.text, "no form that would be refused"


async def test_a_visit_ends_after_an_hour_in_whatever_tenant(
    visit: Visit, pool: Pool, shared_database: Database
) -> None:
    other = await make_tenant(pool)
    await add_member(pool, other, email=visit.person["email"], role=Role.SRE)
    await visit.post("/api/v1/account/tenant", json={"tenant_id": str(other.tenant_id)})
    with psycopg.connect(shared_database.admin) as connection:
        row = connection.execute(
            "select acting, expires_at <= now() + interval '1 hour',"
            " expires_at > now() + interval '50 minutes' from sessions where tenant_id = %s",
            [other.tenant_id],
        ).fetchone()
    assert row == (SUPPORT, True, True)


async def test_nobody_makes_an_account_in_anothers_place(
    browser: Browser, app: FastAPI, workos: WorkosStandIn, granted: TenantScope,
    shared_database: Database,
) -> None:  # fmt: skip
    response = await _enter(browser, workos, email=_address(), impersonator=SUPPORT)
    assert (response.status_code, await browser.identity()) == (403, None)
    assert "The person signs in themselves first." in html.unescape(response.text)
    assert (await refusals(app, shared_database))[0] == "identity.acting"


@pytest.mark.parametrize("act", [{}, {"sub": ""}, {"sub": 7}, {"sub": "a\nb"}, "support", []])
async def test_a_claim_that_names_nobody_is_not_nobody(
    act: Any, browser: Browser, workos: WorkosStandIn, granted: TenantScope
) -> None:
    response = await _enter(browser, workos, email=_address(), act=act)
    assert (response.status_code, await browser.identity()) == (401, None)


async def test_signing_out_leads_on_to_the_session_there(
    browser: Browser, workos: WorkosStandIn, granted: TenantScope
) -> None:
    query = workos.sign_in(await browser.begin(), _address(), sid="session_01")
    await browser.come_back(query)
    csrf = (await browser.identity() or {})["csrf_token"]
    url = led_to(await browser.http.post("/sign-out", data={"csrf_token": csrf}))
    assert url.startswith(f"{workos.url}/user_management/sessions/logout?")
    found = parse_qs(urlsplit(url).query)
    assert (found["session_id"], found["return_to"]) == (["session_01"], [f"{SITE}/sign-in"])
    assert await browser.identity() is None


async def test_a_code_is_good_once_and_in_one_browser(
    browser: Browser, app: FastAPI, workos: WorkosStandIn, granted: TenantScope,
    shared_database: Database,
) -> None:  # fmt: skip
    query = workos.sign_in(await browser.begin(), _address())
    async with browser_of(app) as http:
        other = Browser(http)
        state = parse_qs(urlsplit(await other.begin()).query)["state"][0]
        stolen = await other.come_back({**query, "state": state})
        assert (stolen.status_code, await other.identity()) == (401, None), "PKCE"
    assert (await browser.come_back(query)).status_code == 401, "used up by the other"
    assert (await refusals(app, shared_database))[0] == "identity.code"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://api.workos.com"}, "issuer"),
        ({"exp": 1_700_000_000, "iat": 1_600_000_000}, "expired"),
        ({"sub": "user_of_somebody_else"}, "claims"),
        ({"sid": None}, "claims"),
        ({"sub_type": "agent"}, "claims"),
    ],
)
async def test_a_session_token_that_does_not_fit_is_refused(
    changes: dict[str, Any],
    reason: str,
    browser: Browser,
    app: FastAPI,
    workos: WorkosStandIn,
    granted: TenantScope,
    shared_database: Database,
) -> None:
    query = workos.sign_in(await browser.begin(), _address(), **changes)
    response = await browser.come_back(query)
    assert (response.status_code, await browser.identity()) == (401, None)
    assert (await refusals(app, shared_database))[0] == f"identity.token.{reason}"


async def test_a_key_that_workos_does_not_list_is_refused(
    browser: Browser, app: FastAPI, workos: WorkosStandIn, granted: TenantScope,
    shared_database: Database, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    url = await browser.begin()
    listed, workos.key = workos.key, SigningKey()
    query = workos.sign_in(url, _address())
    workos.key = listed
    assert (await browser.come_back(query)).status_code == 401
    assert (await refusals(app, shared_database))[0] == "identity.token.unknown_key"


async def test_a_wrong_api_key_is_the_operators_to_mend(
    workos_settings: dict[str, Any], workos: WorkosStandIn, granted: TenantScope
) -> None:
    wrong = Settings.model_validate({**workos_settings, "workos_api_key": "sk_wrong"})
    made = create_app(wrong, rules_log=MemoryRulesLog())
    async with made.router.lifespan_context(made), browser_of(made) as http:
        browser = Browser(http)
        response = await browser.come_back(workos.sign_in(await browser.begin(), _address()))
    assert response.status_code == 401
    assert "compare client id, secret and redirect address" in response.text
    assert "sk_wrong" not in response.text


async def test_workos_that_does_not_answer_is_an_outage(
    workos_settings: dict[str, Any], workos: WorkosStandIn
) -> None:
    away = Settings.model_validate({**workos_settings, "workos_url": "http://127.0.0.1:9"})
    made = create_app(away, rules_log=MemoryRulesLog())
    async with made.router.lifespan_context(made), browser_of(made) as http:
        browser = Browser(http)
        response = await browser.come_back(workos.sign_in(await browser.begin(), _address()))
    assert response.status_code == 503
