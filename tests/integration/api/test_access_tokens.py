"""Access tokens of a real OpenID provider in place of API keys: for whom, and everything that is
refused (RFC 8725)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import httpx
import jwt
import psycopg
import pytest
from fastapi import FastAPI

from api.auth.principal import Role, TenantScope
from api.database import Pool
from api.identity.grants import Grant, Kind, drop_grant, put_grant
from api.main import create_app
from api.settings import Settings
from api.tenants.service import add_member, resume, suspend
from tests.integration.api.provider_browser import Browser, browser_of, log_of
from tests.support.oidc import (
    AUDIENCE,
    SECRET,
    SITE,
    OidcServer,
    SigningKey,
    running_provider,
    unsigned,
    with_public_key,
)
from tests.support.postgres import Database
from tests.support.rules_log import MemoryRulesLog
from tests.support.tenants import PASSWORD, make_key, make_tenant, make_user

ME = "/api/v1/session"
ORGANISATION = "org_1"


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcServer]:
    """A provider with a person and two programs."""
    ada = {
        "email": f"ada-{uuid4().hex[:8]}@example.com",
        "email_verified": True,
        "groups": ["developers"],
        "org_id": ORGANISATION,
    }
    claims = {
        "ada": {"groups": ["developers"], "org_id": ORGANISATION},
        "ci": {"org_id": ORGANISATION},
        "stranger": {"org_id": ORGANISATION},
    }
    with running_provider({"ada": ada}, token_claims=claims) as server:
        yield server


@pytest.fixture
async def app(provider: OidcServer, settings: Settings) -> AsyncIterator[FastAPI]:
    """The running application, which takes access tokens."""
    made = create_app(
        Settings.model_validate(
            {
                **settings.model_dump(),
                "public_url": SITE,
                "oidc_issuer": provider.issuer,
                "oidc_client_id": "betrace",
                "oidc_client_secret": SECRET,
                "oidc_scopes": "openid email profile groups",
                "oidc_tenant_claim": "org_id",
                "oidc_audience": AUDIENCE,
            }
        ),
        rules_log=MemoryRulesLog(),
    )
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture
async def granted(pool: Pool, provider: OidcServer) -> AsyncIterator[TenantScope]:
    """A tenant that is an organisation of the provider, with a group and a program in it."""
    scope = await make_tenant(pool)
    grants = [
        _grant(provider, Kind.GROUP, "developers", Role.DEVELOPER),
        _grant(provider, Kind.CLIENT, "ci", Role.API_CLIENT),
    ]
    for grant in grants:
        await put_grant(pool, scope, grant)
    yield scope
    for grant in grants:
        await drop_grant(pool, scope, grant)


def _grant(provider: OidcServer, kind: Kind, value: str, role: Role) -> Grant:
    return Grant(
        issuer=provider.issuer, organisation=ORGANISATION, kind=kind, value=value, role=role
    )


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with browser_of(app) as opened:
        yield opened


async def _ask(
    http: httpx.AsyncClient, token: str, path: str = ME, **headers: str
) -> httpx.Response:
    return await http.get(path, headers={"Authorization": f"Bearer {token}", **headers})


async def _refusals(app: FastAPI, database: Database) -> list[str]:
    await app.state.services.decisions.flush(whole=True)
    with psycopg.connect(database.admin) as connection:
        rows = connection.execute(
            "select reason from audit_log where action = 'credential.refused' order by seq desc"
        ).fetchall()
    return [row[0] for row in rows]


async def test_a_program_has_the_role_that_it_is_granted(
    http: httpx.AsyncClient, granted: TenantScope, provider: OidcServer
) -> None:
    token = await provider.program_token("ci")
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
    me = (await _ask(http, token)).json()
    assert (me["kind"], me["name"], me["role"], me["tenant_id"]) == (
        "token", "ci", "api-client", str(granted.tenant_id),
    )  # fmt: skip
    assert (await _ask(http, token, "/api/v1/keys")).status_code == 403


async def test_what_a_program_does_is_on_the_record_by_its_client_id(
    http: httpx.AsyncClient,
    granted: TenantScope,
    provider: OidcServer,
    pool: Pool,
    shared_database: Database,
) -> None:
    await put_grant(pool, granted, _grant(provider, Kind.CLIENT, "ci", Role.DEVELOPER))
    token = await provider.program_token("ci")
    saved = await http.put(
        "/api/v1/rules/promise",
        json={"rule": "when { a } never { b }"},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert saved.status_code == 201, "no CSRF token is asked for: a browser sends none by itself"
    with psycopg.connect(shared_database.admin) as connection:
        row = connection.execute(
            "select actor from audit_log where tenant_id = %s and action = 'rule.created'",
            [granted.tenant_id],
        ).fetchone()
    assert row == ("client:ci",)


async def test_a_grant_that_is_taken_back_bites_at_the_next_request(
    http: httpx.AsyncClient, provider: OidcServer, pool: Pool
) -> None:
    scope = await make_tenant(pool)
    grant = _grant(provider, Kind.CLIENT, "ci", Role.VIEWER)
    await put_grant(pool, scope, grant)
    token = await provider.program_token("ci")
    assert (await _ask(http, token)).status_code == 200
    await drop_grant(pool, scope, grant)
    refused = await _ask(http, token)
    assert (refused.status_code, refused.json()["code"]) == (403, "auth.no_tenant")


async def test_a_token_of_a_suspended_tenant_is_refused_until_it_is_resumed(
    http: httpx.AsyncClient, granted: TenantScope, provider: OidcServer, pool: Pool
) -> None:
    token = await provider.program_token("ci")
    await suspend(pool, granted)
    refused = await _ask(http, token)
    assert (refused.status_code, refused.json()["code"]) == (403, "tenant.suspended")
    await resume(pool, granted)
    assert (await _ask(http, token)).status_code == 200


async def test_a_program_without_a_grant_has_no_tenant_whatever_organisation_it_names(
    http: httpx.AsyncClient, granted: TenantScope, provider: OidcServer
) -> None:
    refused = await _ask(http, await provider.program_token("stranger"))
    assert (refused.status_code, refused.json()["code"]) == (403, "auth.no_tenant")
    assert "betrace identity grant" in refused.json()["detail"]


async def test_a_grant_for_an_organisation_is_not_for_another(
    http: httpx.AsyncClient, granted: TenantScope, provider: OidcServer
) -> None:
    for organisation, status in ((ORGANISATION, 200), ("org_2", 403), (None, 403)):
        token = provider.key.sign(provider.claims(org_id=organisation), typ="at+jwt")
        assert (await _ask(http, token)).status_code == status, organisation


async def test_a_program_whose_subject_is_not_its_client_id_is_granted_by_subject(
    http: httpx.AsyncClient, granted: TenantScope, provider: OidcServer, pool: Pool
) -> None:
    """As with Keycloak and Auth0; and a person called like a client is not that client."""
    named = provider.claims(sub="ci", client_id="cli", org_id=ORGANISATION)
    as_person = await _ask(http, provider.key.sign(named, typ="at+jwt"))
    assert as_person.json()["code"] == "auth.unknown_subject"
    claims = provider.claims(sub="ci@clients", client_id="ci", org_id=ORGANISATION)
    token = provider.key.sign(claims, typ="at+jwt")
    assert (await _ask(http, token)).json()["code"] == "auth.unknown_subject"
    await put_grant(pool, granted, _grant(provider, Kind.SUBJECT, "ci@clients", Role.SRE))
    me = (await _ask(http, token)).json()
    assert (me["name"], me["role"]) == ("ci@clients", "sre")


async def test_a_token_of_two_tenants_is_for_neither(
    http: httpx.AsyncClient, granted: TenantScope, provider: OidcServer, pool: Pool
) -> None:
    other = await make_tenant(pool)
    grant = _grant(provider, Kind.CLIENT, "ci", Role.ADMIN)
    await put_grant(pool, other, grant)
    refused = await _ask(http, await provider.program_token("ci"))
    await drop_grant(pool, other, grant)
    assert (refused.status_code, refused.json()["code"]) == (403, "auth.several_tenants")


async def test_a_person_needs_to_be_known_and_a_member(
    app: FastAPI,
    http: httpx.AsyncClient,
    granted: TenantScope,
    provider: OidcServer,
    shared_database: Database,
) -> None:
    token = await provider.person_token("ada")
    unknown = await _ask(http, token)
    assert (unknown.status_code, unknown.json()["code"]) == (403, "auth.unknown_subject")
    assert (await Browser(http).sign_in("ada")).status_code == 303
    me = (await _ask(http, token)).json()
    email = provider.people["ada"]["email"]
    assert (me["kind"], me["name"], me["role"], me["csrf_token"]) == (
        "token", email, "developer", None,
    )  # fmt: skip
    assert (await _ask(http, token, "/api/v1/account")).status_code == 403
    with psycopg.connect(shared_database.admin, autocommit=True) as connection:
        change = "update users set disabled_at = {} where email = %s"
        connection.execute(change.format("now()").encode(), [email])
        disabled = await _ask(http, token)
        connection.execute(change.format("null").encode(), [email])
        assert disabled.status_code == 401
        assert (await _ask(http, token)).status_code == 200
        connection.execute(
            "delete from memberships where tenant_id = %s and user_id ="
            " (select id from users where email = %s)",
            [granted.tenant_id, email],
        )
    assert (await _ask(http, token)).json()["code"] == "auth.no_tenant"
    assert (await _refusals(app, shared_database))[0] == "token.subject"


async def test_a_person_is_no_member_of_a_tenant_that_the_token_does_not_name(
    http: httpx.AsyncClient, granted: TenantScope, provider: OidcServer, pool: Pool
) -> None:
    """A membership given by hand elsewhere is not reached by a token of this organisation."""
    await Browser(http).sign_in("ada")
    elsewhere = await make_tenant(pool)
    await add_member(pool, elsewhere, email=provider.people["ada"]["email"], role=Role.ADMIN)
    me = (await _ask(http, await provider.person_token("ada"))).json()
    assert (me["tenant_id"], me["role"]) == (str(granted.tenant_id), "developer")


async def test_whoever_acts_by_a_token_is_on_the_record_and_makes_no_keys(
    http: httpx.AsyncClient,
    app: FastAPI,
    granted: TenantScope,
    provider: OidcServer,
    pool: Pool,
    shared_database: Database,
) -> None:
    await put_grant(pool, granted, _grant(provider, Kind.CLIENT, "ci", Role.ADMIN))
    claims = provider.claims(org_id=ORGANISATION, act={"sub": "robot"})
    token = provider.key.sign(claims, typ="at+jwt")
    plain = provider.key.sign(provider.claims(org_id=ORGANISATION), typ="at+jwt")
    key = {"name": "mine", "role": "viewer"}
    headers = {"Authorization": f"Bearer {token}"}
    assert (await _ask(http, token)).json()["acting"] == "robot"
    refused = await http.post("/api/v1/keys", json=key, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "auth.acting")
    await app.state.services.decisions.flush(whole=True)
    rule = {"id": "promise", "rule": "when { a } never { b }"}
    assert (await http.post("/api/v1/rules", json=rule, headers=headers)).status_code == 201
    by_itself = await http.post(
        "/api/v1/keys", json=key, headers={"Authorization": f"Bearer {plain}"}
    )
    assert by_itself.status_code == 201
    told = await log_of(shared_database, granted)
    assert [(action, facts.get("acting")) for action, facts in told[-3:]] == [
        ("permission.refused", "robot"), ("rule.created", "robot"), ("key.created", None),
    ]  # fmt: skip


async def test_what_is_anothers_is_not_there_for_a_token(
    http: httpx.AsyncClient, granted: TenantScope, provider: OidcServer, pool: Pool
) -> None:
    other = await make_tenant(pool)
    key = await make_key(pool, other)
    rule = {"rule": "when { a } never { b }"}
    saved = await http.put("/api/v1/rules/theirs", json=rule, headers={"X-API-Key": key})
    assert saved.status_code == 201
    await put_grant(pool, granted, _grant(provider, Kind.CLIENT, "ci", Role.ADMIN))
    token = await provider.program_token("ci")
    assert (await _ask(http, token, "/api/v1/rules/theirs")).status_code == 404
    assert (await _ask(http, token, "/api/v1/rules")).json()["items"] == []


# Tokens that are refused. The holder learns little, the record says why.

NOW = int(time.time())
REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "wrong issuer": ({"iss": "https://evil.example"}, {}, "issuer"),
    "wrong audience": ({"aud": "https://another.example"}, {}, "audience"),
    "the sign-in's audience": ({"aud": "betrace"}, {}, "audience"),
    "no audience": ({"aud": None}, {}, "claims"),
    "not yet": ({"nbf": NOW + 3600}, {}, "not_yet"),
    "made in the future": ({"iat": NOW + 3600, "exp": NOW + 7200}, {}, "not_yet"),
    "without an end": ({"exp": None}, {}, "claims"),
    "an end of words": ({"exp": "never"}, {}, "malformed"),
    "no subject": ({"sub": None}, {}, "claims"),
    "a subject of no text": ({"sub": 7}, {}, "claims"),
    "a subject with a zero": ({"sub": "c\0i"}, {}, "claims"),
    "an ID token": ({}, {"typ": "JWT"}, "type"),
    "no type": ({}, {"typ": None}, "type"),
    "unknown kid": ({}, {"kid": "nobody's"}, "unknown_key"),
    "no kid": ({}, {"kid": None}, "unknown_key"),
    "jku": ({}, {"jku": "https://evil.example/jwks"}, "foreign_key"),
    "x5u": ({}, {"x5u": "https://evil.example/x5u"}, "foreign_key"),
    "jwk": ({}, {"jwk": SigningKey().public_jwk}, "foreign_key"),
    "x5c": ({}, {"x5c": ["MIIB"]}, "foreign_key"),
    "an actor without a name": ({"act": {"iss": "x"}}, {}, "claims"),
    "critical": ({}, {"crit": ["b64"], "b64": True}, "malformed"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_token_that_is_not_for_us_is_refused_with_one_text(
    case: str,
    app: FastAPI,
    http: httpx.AsyncClient,
    granted: TenantScope,
    provider: OidcServer,
    shared_database: Database,
) -> None:
    changes, header, reason = REFUSED[case]
    claims = provider.claims(**{"org_id": ORGANISATION, **changes})
    token = provider.key.sign(claims, **{"typ": "at+jwt", **header})
    refused = await _ask(http, token)
    assert (refused.status_code, refused.json()["code"]) == (401, "auth.token_invalid")
    assert refused.headers["www-authenticate"] == 'Bearer realm="betrace", error="invalid_token"'
    assert "The audit log says" in refused.json()["detail"]
    assert (await _refusals(app, shared_database))[0] == f"token.{reason}"


async def test_an_expired_token_is_told_so(
    app: FastAPI,
    http: httpx.AsyncClient,
    granted: TenantScope,
    provider: OidcServer,
    shared_database: Database,
) -> None:
    for age_s, status in ((10, 200), (61, 401)):
        claims = provider.claims(iat=NOW - 300, exp=int(time.time()) - age_s, org_id=ORGANISATION)
        refused = await _ask(http, provider.key.sign(claims, typ="at+jwt"))
        assert refused.status_code == status, "clocks may be half a minute apart"
    assert refused.json()["code"] == "auth.token_expired"
    assert "get another one" in refused.json()["detail"]
    assert (await _refusals(app, shared_database))[0] == "token.expired"


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
async def test_the_type_of_a_token_is_a_media_type(
    typ: str, http: httpx.AsyncClient, granted: TenantScope, provider: OidcServer
) -> None:
    """RFC 7515, 4.1.9: with or without application/, in any case."""
    token = provider.key.sign(provider.claims(org_id=ORGANISATION), typ=typ)
    assert (await _ask(http, token)).status_code == 200


@pytest.mark.parametrize(("ahead_s", "status"), [(20, 200), (61, 401)])
async def test_a_clock_that_is_ahead_is_borne_for_half_a_minute(
    ahead_s: int, status: int, http: httpx.AsyncClient, granted: TenantScope, provider: OidcServer
) -> None:
    now = int(time.time()) + ahead_s
    for claim in ("nbf", "iat"):
        claims = provider.claims(org_id=ORGANISATION, **{claim: now})
        token = provider.key.sign(claims, typ="at+jwt")
        assert (await _ask(http, token)).status_code == status, claim


async def test_the_algorithm_is_ours_to_choose(
    app: FastAPI,
    http: httpx.AsyncClient,
    granted: TenantScope,
    provider: OidcServer,
    shared_database: Database,
) -> None:
    claims = provider.claims(org_id=ORGANISATION)
    key = SigningKey()
    for token, reason in (
        (unsigned(provider, claims), "algorithm"),
        (with_public_key(provider, claims), "algorithm"),
        (key.sign(claims, typ="at+jwt"), "unknown_key"),
        (key.sign(claims, typ="at+jwt", kid=provider.key.id), "signature"),
        (provider.key.sign(claims, typ="at+jwt").rpartition(".")[0] + ".AAAA", "signature"),
    ):
        assert (await _ask(http, token)).json()["code"] == "auth.token_invalid"
        assert (await _refusals(app, shared_database))[0] == f"token.{reason}"


async def test_a_token_is_no_api_key_and_two_credentials_are_none(
    http: httpx.AsyncClient, granted: TenantScope, provider: OidcServer, pool: Pool
) -> None:
    token = await provider.program_token("ci")
    alone = await http.get(ME, headers={"X-API-Key": token})
    both = await _ask(http, token, **{"X-API-Key": await make_key(pool, granted)})
    assert [alone.status_code, both.status_code] == [401, 401]


async def test_a_session_is_not_mixed_with_a_token(
    http: httpx.AsyncClient, granted: TenantScope, provider: OidcServer, pool: Pool
) -> None:
    """The token counts, and what belongs to the session's person is out of its reach."""
    email = await make_user(pool, granted, Role.ADMIN)
    await http.post(ME, json={"email": email, "password": PASSWORD})
    token = await provider.program_token("ci")
    assert (await _ask(http, token)).json()["name"] == "ci"
    assert (await _ask(http, token, "/api/v1/account/sessions")).status_code == 403


async def test_keys_are_taken_as_before_beside_tokens(
    http: httpx.AsyncClient, granted: TenantScope, pool: Pool
) -> None:
    assert (await _ask(http, await make_key(pool, granted))).status_code == 200


async def test_a_new_key_of_the_provider_is_found_and_the_old_one_forgotten_in_time(
    http: httpx.AsyncClient, granted: TenantScope, provider: OidcServer
) -> None:
    before = provider.key
    assert (await _ask(http, await provider.program_token("ci"))).status_code == 200
    await provider.rotate()
    assert (await _ask(http, await provider.program_token("ci"))).status_code == 200
    old = before.sign(provider.claims(org_id=ORGANISATION), typ="at+jwt")
    assert (await _ask(http, old)).status_code == 401, "the new list has it no more"
