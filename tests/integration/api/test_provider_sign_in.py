"""Signing in by a real OpenID provider: the way in, and everything that must not be one."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from api.auth.principal import Role, TenantScope
from api.database import Pool
from api.identity.grants import Grant, Kind, drop_grant, put_grant
from api.invitations.service import invite
from api.keys.authority import OPERATOR
from api.main import create_app
from api.members.model import Terms
from api.settings import Settings
from tests.integration.api.provider_browser import (
    HERE,
    Browser,
    browser_of,
    led_to,
    log_of,
    refusals,
)
from tests.support.oidc import (
    AUDIENCE,
    CALLBACK,
    SECRET,
    SITE,
    OidcServer,
    SigningKey,
    answer_of,
    running_provider,
    unsigned,
    with_public_key,
)
from tests.support.postgres import Database
from tests.support.rules_log import MemoryRulesLog
from tests.support.tenants import PASSWORD, make_tenant, make_user


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcServer]:
    """A provider with a few people; each test has addresses of its own."""
    people = {
        name: {
            "email": f"{name}-{uuid4().hex[:8]}@example.com",
            "email_verified": name != "mallory",
            "name": name.title(),
            "groups": groups,
        }
        for name, groups in {
            "ada": ["shop-developers"],
            "eve": ["shop-developers"],
            "katherine": ["shop-developers"],
            "mallory": ["shop-developers"],
            "grace": ["shop-admins", "shop-developers"],
            "linus": ["kernel"],
        }.items()
    }
    people["nomail"] = {"groups": ["shop-developers"]}
    with running_provider(people, token_claims={}) as server:
        yield server


@pytest.fixture
def oidc_settings(provider: OidcServer, settings: Settings) -> dict[str, Any]:
    """Settings of an application that knows the provider."""
    return {
        **settings.model_dump(),
        "public_url": SITE,
        "oidc_issuer": provider.issuer,
        "oidc_client_id": "betrace",
        "oidc_client_secret": SECRET,
        "oidc_scopes": "openid email profile groups",
        "oidc_audience": AUDIENCE,
        "oidc_label": "Example ID",
    }


@pytest.fixture
async def app(oidc_settings: dict[str, Any]) -> AsyncIterator[FastAPI]:
    """The running application."""
    made = create_app(Settings.model_validate(oidc_settings), rules_log=MemoryRulesLog())
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture
async def granted(pool: Pool, provider: OidcServer) -> AsyncIterator[TenantScope]:
    """A tenant whose developers are a group of the provider's."""
    scope = await make_tenant(pool)
    await _grant(pool, scope, provider, "shop-developers", Role.DEVELOPER)
    yield scope
    await drop_grant(pool, scope, _of(provider, "shop-developers", Role.DEVELOPER))


def _of(provider: OidcServer, group: str, role: Role) -> Grant:
    return Grant(issuer=provider.issuer, kind=Kind.GROUP, value=group, role=role)


async def _grant(
    pool: Pool, scope: TenantScope, provider: OidcServer, group: str, role: Role
) -> None:
    await put_grant(pool, scope, _of(provider, group, role))


@pytest.fixture
async def browser(app: FastAPI) -> AsyncIterator[Browser]:
    async with browser_of(app) as opened:
        yield Browser(opened)


def _account(database: Database, email: str) -> tuple[UUID, str] | None:
    with psycopg.connect(database.admin) as connection:
        return connection.execute(
            "select id, password_hash from users where email = %s", [email]
        ).fetchone()


async def test_a_person_comes_in_with_the_role_that_the_claims_are_granted(
    browser: Browser, granted: TenantScope, provider: OidcServer, shared_database: Database
) -> None:
    response = await browser.sign_in("ada", next="/rules?state=off")
    assert (response.status_code, response.headers["location"]) == (303, "/rules?state=off")
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    who = await browser.identity()
    assert who is not None
    assert (who["kind"], who["role"], who["name"], who["tenant_id"]) == (
        "user", "developer", provider.people["ada"]["email"], str(granted.tenant_id),
    )  # fmt: skip
    told = await log_of(shared_database, granted)
    assert ("session.began", {"by": provider.issuer}) in told
    assert ("member.changed", {"role": "developer", "issuer": provider.issuer}) in told


async def test_the_request_has_pkce_state_nonce_and_our_own_address(browser: Browser) -> None:
    first, second = [await browser.begin(next="//evil.example") for _ in range(2)]
    queries = [parse_qs(urlsplit(url).query) for url in (first, second)]
    assert queries[0]["redirect_uri"] == [CALLBACK]
    assert queries[0]["code_challenge_method"] == ["S256"]
    assert queries[0]["response_type"] == ["code"]
    for name in ("state", "nonce", "code_challenge"):
        assert queries[0][name] != queries[1][name]
        assert len(queries[0][name][0]) >= 43


async def test_nobody_is_led_to_another_site_afterwards(
    browser: Browser, granted: TenantScope
) -> None:
    response = await browser.sign_in("ada", next="https://evil.example/")
    assert response.headers["location"] == "/home"


async def test_the_host_of_a_request_does_not_choose_where_people_come_back(
    app: FastAPI,
) -> None:
    async with browser_of(app) as http:
        response = await http.get(HERE, headers={"Host": "evil.example"})
    query = parse_qs(urlsplit(response.headers["location"]).query)
    assert query["redirect_uri"] == [CALLBACK]


async def test_the_sign_in_page_has_the_button_and_keeps_where_one_wanted_to_go(
    browser: Browser,
) -> None:
    page = await browser.http.get("/sign-in", params={"next": "/rules"})
    assert "Sign in with Example ID" in page.text
    assert 'href="/sign-in/provider?next=%2Frules"' in page.text
    assert 'name="password"' in page.text


async def test_passwords_can_be_switched_off(
    oidc_settings: dict[str, Any], pool: Pool, scope: TenantScope, shared_database: Database
) -> None:
    email = await make_user(pool, scope)
    made = create_app(
        Settings.model_validate({**oidc_settings, "local_accounts": False}),
        rules_log=MemoryRulesLog(),
    )
    async with made.router.lifespan_context(made), browser_of(made) as http:
        page = await http.get("/sign-in")
        refused = await http.post("/api/v1/session", json={"email": email, "password": PASSWORD})
        reasons = await refusals(made, shared_database)
    assert 'name="password"' not in page.text
    assert (refused.status_code, refused.json()["code"]) == (403, "auth.local_off")
    assert reasons[0] == "local_off"


async def test_without_passwords_an_invitation_makes_no_account_that_nobody_could_use(
    oidc_settings: dict[str, Any], pool: Pool, granted: TenantScope, provider: OidcServer
) -> None:
    """Its person signs in by the provider, comes back to the link, and accepts it there."""
    made = create_app(
        Settings.model_validate({**oidc_settings, "local_accounts": False}),
        rules_log=MemoryRulesLog(),
    )
    other, email = await make_tenant(pool), provider.people["katherine"]["email"]
    async with made.router.lifespan_context(made), browser_of(made) as http:
        maker = made.state.services.invitation_maker
        terms = Terms(Role.SRE)
        token = (await invite(pool, other, email, terms, maker=maker, authority=OPERATOR)).token
        page = await http.get(f"/invitations/{token}")
        assert f"Sign in as <strong>{email}</strong>" in page.text
        assert 'name="password"' not in page.text
        body = {"token": token, "name": "K", "password": "seven green umbrellas at dusk"}
        refused = await http.post("/api/v1/invitations/accept", json=body)
        assert (refused.status_code, refused.json()["code"]) == (403, "auth.local_off")
        browser = Browser(http)
        entered = await browser.sign_in("katherine", next=f"/invitations/{token}")
        assert entered.headers["location"] == f"/invitations/{token}"
        csrf = (await browser.identity() or {})["csrf_token"]
        await http.post(f"/invitations/{token}", data={"csrf_token": csrf})
        who = await browser.identity() or {}
    assert (who["tenant_id"], who["role"]) == (str(other.tenant_id), "sre")


async def test_somebody_without_a_grant_is_told_what_to_send_the_operator(
    browser: Browser,
    app: FastAPI,
    granted: TenantScope,
    provider: OidcServer,
    shared_database: Database,
) -> None:
    response = await browser.sign_in("linus")
    assert response.status_code == 403
    for told in (provider.issuer, "linus", "kernel", "betrace identity grant", "--group kernel"):
        assert told in response.text
    assert await browser.identity() is None
    assert _account(shared_database, provider.people["linus"]["email"]) is None
    assert (await refusals(app, shared_database))[0] == "identity.not_granted"


async def test_roles_follow_the_grants_at_each_sign_in_and_the_first_of_several_counts(
    browser: Browser, granted: TenantScope, provider: OidcServer, pool: Pool
) -> None:
    await browser.sign_in("grace")
    assert (await browser.identity() or {})["role"] == "developer"
    await _grant(pool, granted, provider, "shop-admins", Role.ADMIN)
    await browser.sign_in("grace")
    assert (await browser.identity() or {})["role"] == "admin"
    await drop_grant(pool, granted, _of(provider, "shop-admins", Role.ADMIN))
    await browser.sign_in("grace")
    assert (await browser.identity() or {})["role"] == "developer"


async def test_a_membership_that_no_grant_gives_any_more_ends_with_its_sessions(
    browser: Browser, provider: OidcServer, pool: Pool, app: FastAPI, shared_database: Database
) -> None:
    scope = await make_tenant(pool)
    await _grant(pool, scope, provider, "shop-developers", Role.SRE)
    await browser.sign_in("eve")
    assert (await browser.identity() or {})["role"] == "sre"
    await drop_grant(pool, scope, _of(provider, "shop-developers", Role.SRE))
    async with browser_of(app) as http:
        assert (await Browser(http).sign_in("eve")).status_code == 403
    assert await browser.identity() is None
    told = await log_of(shared_database, scope)
    assert ("member.removed", {"role": "sre", "issuer": provider.issuer}) in told


async def test_a_membership_given_by_hand_is_not_the_providers_to_change(
    browser: Browser, granted: TenantScope, provider: OidcServer, shared_database: Database
) -> None:
    await browser.sign_in("ada")
    with psycopg.connect(shared_database.admin) as connection:
        connection.execute(
            "update memberships set role = 'viewer', issuer = null where tenant_id = %s",
            [granted.tenant_id],
        )
    await browser.sign_in("ada")
    assert (await browser.identity() or {})["role"] == "viewer"


async def test_a_person_is_the_subject_and_never_the_address(
    browser: Browser,
    app: FastAPI,
    granted: TenantScope,
    provider: OidcServer,
    pool: Pool,
    shared_database: Database,
) -> None:
    """An account with a password is not given to whoever has its address at the provider."""
    email = provider.people["mallory"]["email"]
    with psycopg.connect(shared_database.admin) as connection:
        connection.execute(
            "insert into users (id, email, name, password_hash) values (%s, %s, 'V', 'hash')",
            [uuid4(), email],
        )
    response = await browser.sign_in("mallory")
    assert response.status_code == 409
    assert "Settings, Account" in response.text
    assert await browser.identity() is None
    assert (await refusals(app, shared_database))[0] == "identity.mail_taken"


@pytest.mark.parametrize(
    ("verified", "factor", "linked"),
    [(True, False, True), (False, False, False), (True, True, False)],
    ids=["verified", "not verified", "past a second factor"],
)
async def test_a_verified_address_links_only_where_the_operator_wants_that(
    verified: bool,
    factor: bool,
    linked: bool,
    oidc_settings: dict[str, Any],
    granted: TenantScope,
    provider: OidcServer,
    pool: Pool,
    shared_database: Database,
) -> None:
    email = await make_user(pool, granted, Role.SRE)
    account = _account(shared_database, email)
    assert account is not None
    if factor:
        with psycopg.connect(shared_database.admin) as connection:
            connection.execute(
                "insert into second_factors (user_id, sealed_secret, confirmed_at)"
                " values (%s, 'x', now())",
                [account[0]],
            )
    made = create_app(
        Settings.model_validate({**oidc_settings, "oidc_link_verified_mail": True}),
        rules_log=MemoryRulesLog(),
    )
    async with made.router.lifespan_context(made), browser_of(made) as http:
        browser = Browser(http)
        url = await browser.begin()
        nonce = parse_qs(urlsplit(url).query)["nonce"][0]
        subject = uuid4().hex
        claims = provider.id_claims(
            "ada", sub=subject, email=email, email_verified=verified, nonce=nonce
        )
        await provider.forge(provider.key.sign(claims))
        response = await browser.come_back(await answer_of(url, person="ada"))
        assert response.status_code == (303 if linked else 409)
        who = await browser.identity()
    assert (who is not None) == linked
    if linked:
        assert (who or {})["role"] == "sre", "the membership given by hand"
        told = await log_of(shared_database, granted)
        assert ("identity.linked", {"by": "verified mail"}) in told


async def test_an_account_is_linked_and_unlinked_by_its_own_person(
    browser: Browser, granted: TenantScope, provider: OidcServer, pool: Pool,
    shared_database: Database, app: FastAPI,
) -> None:  # fmt: skip
    email = await make_user(pool, granted, Role.SRE)
    signed_in = await browser.http.post(
        "/api/v1/session", json={"email": email, "password": PASSWORD}
    )
    form = {"csrf_token": signed_in.json()["csrf_token"], "password": "wrong"}
    wrong = await browser.http.post("/settings/account/provider", data=form)
    assert (wrong.status_code, "current password is wrong" in wrong.text) == (403, True)
    onward = await browser.http.post(
        "/settings/account/provider", data={**form, "password": PASSWORD}
    )
    url = led_to(onward)
    nonce = parse_qs(urlsplit(url).query)["nonce"][0]
    subject = uuid4().hex
    await provider.forge(provider.key.sign(provider.id_claims("ada", sub=subject, nonce=nonce)))
    back = await browser.come_back(await answer_of(url, person="ada"))
    assert back.headers["location"] == "/settings/account?done=linked"

    async with browser_of(app) as http:
        other = Browser(http)
        assert (await _sign_in_as(other, provider, subject)).status_code == 303
        assert (await other.identity() or {})["name"] == email, "not the address of the claims"
        who = await browser.identity() or {}
        gone = await browser.http.post(
            "/settings/account/provider/remove",
            data={"csrf_token": who["csrf_token"], "password": PASSWORD},
        )
        assert gone.headers["location"] == "/settings/account?done=unlinked"
        assert await other.identity() is None, "other sessions are over"
    told = [action for action, _ in await log_of(shared_database, granted)]
    assert [action for action in told if action.startswith("identity.")] == [
        "identity.linked", "identity.unlinked",
    ]  # fmt: skip


async def test_somebody_elses_browser_cannot_finish_a_link(
    browser: Browser, granted: TenantScope, provider: OidcServer, pool: Pool, app: FastAPI,
    shared_database: Database,
) -> None:  # fmt: skip
    email = await make_user(pool, granted)
    signed_in = await browser.http.post(
        "/api/v1/session", json={"email": email, "password": PASSWORD}
    )
    form = {"csrf_token": signed_in.json()["csrf_token"], "password": PASSWORD}
    url = led_to(await browser.http.post("/settings/account/provider", data=form))
    browser.http.cookies.delete("betrace_session")
    response = await browser.come_back(await answer_of(url, person="ada"))
    assert response.status_code == 403
    assert (await refusals(app, shared_database))[0] == "identity.other_session"


async def _sign_in_as(browser: Browser, provider: OidcServer, subject: str) -> httpx.Response:
    """Sign in as somebody whom the provider calls so."""
    url = await browser.begin()
    nonce = parse_qs(urlsplit(url).query)["nonce"][0]
    await provider.forge(provider.key.sign(provider.id_claims("ada", sub=subject, nonce=nonce)))
    return await browser.come_back(await answer_of(url, person="ada"))


async def test_a_disabled_account_stays_out(
    browser: Browser, granted: TenantScope, provider: OidcServer, shared_database: Database
) -> None:
    await browser.sign_in("ada")
    with psycopg.connect(shared_database.admin, autocommit=True) as connection:
        email = provider.people["ada"]["email"]
        connection.execute("update users set disabled_at = now() where email = %s", [email])
        try:
            response = await browser.sign_in("ada")
        finally:
            connection.execute("update users set disabled_at = null where email = %s", [email])
    assert response.status_code == 403
    assert "switched off" in response.text


async def test_a_person_without_an_address_is_told_which_claim_is_missing(
    browser: Browser, granted: TenantScope
) -> None:
    response = await browser.sign_in("nomail")
    assert response.status_code == 403
    assert "claim email" in response.text


async def test_signing_out_leads_on_to_the_provider(
    browser: Browser, granted: TenantScope, provider: OidcServer
) -> None:
    await browser.sign_in("ada")
    csrf = (await browser.identity() or {})["csrf_token"]
    page = await browser.http.post("/sign-out", data={"csrf_token": csrf})
    url = led_to(page)
    assert url.startswith(f"{provider.issuer}/session/end?")
    query = parse_qs(urlsplit(url).query)
    assert query["post_logout_redirect_uri"] == [f"{SITE}/sign-in"]
    assert await browser.identity() is None
    async with httpx.AsyncClient() as http:
        taken = await http.get(url)
    assert taken.status_code == 200
    assert "/session/end/confirm" in taken.text, "the provider accepts hint and address"


async def test_a_session_of_a_password_ends_here_alone(
    browser: Browser, pool: Pool, scope: TenantScope
) -> None:
    email = await make_user(pool, scope)
    signed_in = await browser.http.post(
        "/api/v1/session", json={"email": email, "password": PASSWORD}
    )
    csrf = signed_in.json()["csrf_token"]
    response = await browser.http.post("/sign-out", data={"csrf_token": csrf})
    assert (response.status_code, response.headers["location"]) == (303, "/sign-in")


async def test_the_provider_may_ask_for_a_second_factor_or_stay_outside(
    oidc_settings: dict[str, Any], granted: TenantScope, provider: OidcServer
) -> None:
    made = create_app(
        Settings.model_validate({**oidc_settings, "oidc_amr": "mfa, hwk"}),
        rules_log=MemoryRulesLog(),
    )
    async with made.router.lifespan_context(made), browser_of(made) as http:
        browser = Browser(http)
        assert "second factor" in (await browser.sign_in("ada")).text
        url = await browser.begin()
        nonce = parse_qs(urlsplit(url).query)["nonce"][0]
        claims = provider.id_claims("ada", amr=["pwd", "mfa"], nonce=nonce)
        await provider.forge(provider.key.sign(claims))
        response = await browser.come_back(await answer_of(url, person="ada"))
    assert response.status_code == 303


# What must not be a way in.


async def test_a_code_is_good_once(
    browser: Browser, app: FastAPI, granted: TenantScope, shared_database: Database
) -> None:
    url = await browser.begin()
    flow = browser.http.cookies["betrace_provider"]
    assert (await browser.come_back(await answer_of(url, person="ada"))).status_code == 303
    query = browser.query
    async with browser_of(app) as http:
        replayed = await http.get(f"{HERE}/callback", params=query)
        assert (replayed.status_code, await Browser(http).identity()) == (400, None)
        kept = {"Cookie": f"betrace_provider={flow}"}
        stolen = await http.get(f"{HERE}/callback", params=query, headers=kept)
        assert (stolen.status_code, await Browser(http).identity()) == (401, None)
    assert "used already" in replayed.text
    assert "does not accept the code" in stolen.text
    assert (await refusals(app, shared_database))[:2] == ["identity.code", "identity.state"]


@pytest.mark.parametrize("state", ["", "x" * 43])
async def test_a_wrong_state_is_refused_before_the_provider_is_asked(
    state: str, browser: Browser, app: FastAPI, granted: TenantScope, shared_database: Database
) -> None:
    query = await answer_of(await browser.begin(), person="ada")
    response = await browser.come_back({**query, "state": state})
    assert response.status_code == 400
    assert "not begun in this browser" in response.text
    assert await browser.identity() is None
    assert (await refusals(app, shared_database))[0] == "identity.state"


async def test_a_flow_of_another_browser_is_refused(
    browser: Browser, app: FastAPI, granted: TenantScope
) -> None:
    """Nobody is signed in as somebody else by a link that leads to the end of a sign-in."""
    query = await answer_of(await browser.begin(), person="ada")
    async with browser_of(app) as http:
        victim = Browser(http)
        await victim.begin()
        assert (await victim.come_back(query)).status_code == 400
        assert await victim.identity() is None


@pytest.mark.parametrize("cookie", ["", "nonsense", "AAAA" * 20])
async def test_a_made_up_flow_is_refused(cookie: str, browser: Browser) -> None:
    response = await browser.http.get(
        f"{HERE}/callback",
        params={"state": "s", "code": "c"},
        headers={"Cookie": f"betrace_provider={cookie}"},
    )
    assert response.status_code == 400


async def test_an_answer_of_another_issuer_is_refused(
    browser: Browser, app: FastAPI, granted: TenantScope, shared_database: Database
) -> None:
    query = await answer_of(await browser.begin(), person="ada")
    response = await browser.come_back({**query, "iss": "https://evil.example"})
    assert (response.status_code, await browser.identity()) == (400, None)
    assert (await refusals(app, shared_database))[0] == "identity.answer"


async def test_the_provider_says_no(browser: Browser, provider: OidcServer) -> None:
    state = parse_qs(urlsplit(await browser.begin()).query)["state"][0]
    response = await browser.come_back(
        {"state": state, "error": "access_denied", "iss": provider.issuer}
    )
    assert (response.status_code, "access_denied" in response.text) == (401, True)


NOW = int(time.time())
OTHER_KEY = SigningKey()
FORGED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "missing nonce": ({"nonce": None}, {}, "nonce"),
    "wrong nonce": ({"nonce": "another"}, {}, "nonce"),
    "wrong issuer": ({"iss": "https://evil.example"}, {}, "issuer"),
    "wrong audience": ({"aud": "another"}, {}, "audience"),
    "several audiences": ({"aud": ["betrace", "another"]}, {}, "audience"),
    "another authorised party": ({"azp": "another"}, {}, "audience"),
    "expired": ({"exp": NOW - 3600, "iat": NOW - 7200}, {}, "expired"),
    "not yet": ({"nbf": NOW + 3600}, {}, "not_yet"),
    "without an end": ({"exp": None}, {}, "claims"),
    "without a subject": ({"sub": None}, {}, "claims"),
    "an access token": ({}, {"typ": "at+jwt"}, "type"),
    "unknown kid": ({}, {"kid": "nobody's"}, "unknown_key"),
    "no kid": ({}, {"kid": None}, "unknown_key"),
    "a key of its own": ({}, {"jku": "https://evil.example/jwks"}, "foreign_key"),
}


@pytest.mark.parametrize("case", FORGED)
async def test_an_id_token_that_is_not_for_this_sign_in_is_refused(
    case: str,
    browser: Browser,
    app: FastAPI,
    granted: TenantScope,
    provider: OidcServer,
    shared_database: Database,
) -> None:
    changes, header, reason = FORGED[case]
    url = await browser.begin()
    nonce = parse_qs(urlsplit(url).query)["nonce"][0]
    claims = provider.id_claims("ada", **{"nonce": nonce, **changes})
    await provider.forge(provider.key.sign(claims, **header))
    response = await browser.come_back(await answer_of(url, person="ada"))
    assert response.status_code == 401
    assert "ID token cannot be trusted" in response.text
    assert await browser.identity() is None
    assert (await refusals(app, shared_database))[0] == f"identity.token.{reason}"


async def test_an_id_token_signed_by_nobody_or_by_somebody_else_is_refused(
    browser: Browser,
    app: FastAPI,
    granted: TenantScope,
    provider: OidcServer,
    shared_database: Database,
) -> None:
    found = []
    for sign in (unsigned, with_public_key, _by_another):
        url = await browser.begin()
        nonce = parse_qs(urlsplit(url).query)["nonce"][0]
        await provider.forge(sign(provider, provider.id_claims("ada", nonce=nonce)))
        response = await browser.come_back(await answer_of(url, person="ada"))
        assert (response.status_code, await browser.identity()) == (401, None)
        found.append((await refusals(app, shared_database))[0])
    assert found == [
        "identity.token.algorithm", "identity.token.algorithm", "identity.token.signature",
    ]  # fmt: skip


def _by_another(provider: OidcServer, claims: dict[str, Any]) -> str:
    return OTHER_KEY.sign(claims, kid=provider.key.id)


async def test_a_new_key_of_the_provider_is_found(
    browser: Browser, granted: TenantScope, provider: OidcServer
) -> None:
    assert (await browser.sign_in("ada")).status_code == 303
    await provider.rotate()
    assert (await browser.sign_in("ada")).status_code == 303


async def test_a_provider_that_does_not_answer_is_an_outage_and_no_refusal(
    oidc_settings: dict[str, Any],
) -> None:
    away = {**oidc_settings, "oidc_issuer": "http://127.0.0.1:9"}
    made = create_app(Settings.model_validate(away), rules_log=MemoryRulesLog())
    async with made.router.lifespan_context(made), browser_of(made) as http:
        response = await http.get(HERE)
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert "does not answer" in response.text


async def test_without_a_provider_there_is_no_button_and_no_way(
    settings: Settings, rules_log: MemoryRulesLog
) -> None:
    made = create_app(settings, rules_log=rules_log)
    async with made.router.lifespan_context(made), browser_of(made) as http:
        assert "Sign in with" not in (await http.get("/sign-in")).text
        assert (await http.get(HERE)).status_code == 404
