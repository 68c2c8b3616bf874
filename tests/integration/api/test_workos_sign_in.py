"""Signing in by WorkOS AuthKit, against a stand-in of its API (`tests.support.workos_stand_in`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from fastapi import FastAPI

from api.auth.principal import Role, TenantScope
from api.database import Pool
from api.identity.grants import Grant, Kind, drop_grant, put_grant
from api.main import create_app
from api.settings import Settings
from tests.integration.api.provider_browser import Browser, browser_of, led_to, log_of, refusals
from tests.support.oidc import SITE, SigningKey
from tests.support.postgres import Database
from tests.support.rules_log import MemoryRulesLog
from tests.support.tenants import make_tenant
from tests.support.workos_stand_in import API_KEY, CLIENT, WorkosStandIn, running_stand_in


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
    assert (response.status_code, response.headers["location"]) == (303, "/signals")
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


async def test_whoever_acts_in_a_persons_place_is_on_the_record(
    browser: Browser, workos: WorkosStandIn, granted: TenantScope, shared_database: Database
) -> None:
    query = workos.sign_in(await browser.begin(), _address(), impersonator="support@vendor.example")
    assert (await browser.come_back(query)).status_code == 303
    told = await log_of(shared_database, granted)
    assert (
        "session.began", {"by": workos.issuer, "acting": "support@vendor.example"},
    ) in told  # fmt: skip


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
