"""Signing in: the session that follows, what ends it, and what slows guessing down."""

from __future__ import annotations

from uuid import uuid4

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from api.auth.principal import Role, TenantScope
from api.auth.sessions import FAILURES_PER_EMAIL, Sessions
from api.database import Pool
from api.problems import ApiError
from api.tenants.service import add_member, create_user
from tests.integration.api.conftest import client_of
from tests.support.postgres import Database
from tests.support.tenants import PASSWORD, PEPPER, make_tenant, make_user


@pytest.fixture
def sessions(pool: Pool) -> Sessions:
    return Sessions(pool, pepper=PEPPER)


async def test_a_session_names_person_tenant_and_role(
    sessions: Sessions, pool: Pool, scope: TenantScope
) -> None:
    email = await make_user(pool, scope, Role.SRE)
    signed_in = await sessions.sign_in(f" {email.upper()} ", PASSWORD, client="a")
    found = await sessions.find(signed_in.token)
    assert found == signed_in.principal
    assert found is not None
    assert (found.email, found.role, found.scope.tenant_id, found.scope.actor) == (
        email, Role.SRE, scope.tenant_id, email,
    )  # fmt: skip


async def test_a_session_that_was_ended_is_gone(
    sessions: Sessions, pool: Pool, scope: TenantScope
) -> None:
    signed_in = await sessions.sign_in(await make_user(pool, scope), PASSWORD, client="a")
    await sessions.sign_out(signed_in.token)
    assert await sessions.find(signed_in.token) is None
    assert await sessions.find("made up") is None


@pytest.mark.parametrize("column", ["expires_at", "last_seen_at"])
async def test_a_session_ends_by_age_and_by_idleness(
    column: str, sessions: Sessions, pool: Pool, scope: TenantScope, shared_database: Database
) -> None:
    signed_in = await sessions.sign_in(await make_user(pool, scope), PASSWORD, client="a")
    with psycopg.connect(shared_database.admin) as connection:
        connection.execute(
            f"update sessions set {column} = now() - interval '25 hours' where user_id = %s",
            [signed_in.principal.user_id],
        )
    assert await sessions.find(signed_in.token) is None


async def test_a_change_of_role_and_a_disabled_account_bite_at_once(
    sessions: Sessions, pool: Pool, scope: TenantScope, shared_database: Database
) -> None:
    email = await make_user(pool, scope, Role.ADMIN)
    signed_in = await sessions.sign_in(email, PASSWORD, client="a")
    await add_member(pool, scope, email=email, role=Role.VIEWER)
    found = await sessions.find(signed_in.token)
    assert found is not None
    assert found.role is Role.VIEWER
    with psycopg.connect(shared_database.admin) as connection:
        connection.execute("update users set disabled_at = now() where email = %s", [email])
    assert await sessions.find(signed_in.token) is None
    with pytest.raises(ApiError, match="address or the password"):
        await sessions.sign_in(email, PASSWORD, client="a")


async def test_wrong_password_and_unknown_address_look_the_same(
    sessions: Sessions, pool: Pool, scope: TenantScope
) -> None:
    email = await make_user(pool, scope)
    refusals = []
    for address, password in ((email, "wrong"), (f"{uuid4()}@nowhere", PASSWORD)):
        with pytest.raises(ApiError) as refused:
            await sessions.sign_in(address, password, client=str(uuid4()))
        refusals.append((refused.value.status, refused.value.code, refused.value.detail))
    assert refusals[0] == refusals[1]


async def test_guessing_is_stopped_even_with_the_right_password(
    sessions: Sessions, pool: Pool, scope: TenantScope
) -> None:
    email, client = await make_user(pool, scope), str(uuid4())
    for _ in range(FAILURES_PER_EMAIL):
        with pytest.raises(ApiError, match="address or the password"):
            await sessions.sign_in(email, "wrong", client=client)
    with pytest.raises(ApiError) as refused:
        await sessions.sign_in(email, PASSWORD, client=client)
    assert (refused.value.status, refused.value.code) == (429, "auth.throttled")
    assert 0 < int(refused.value.headers["Retry-After"]) <= 15 * 60


async def test_a_short_password_and_a_known_address_are_refused(
    pool: Pool, scope: TenantScope
) -> None:
    with pytest.raises(ApiError, match="at least 12"):
        await create_user(
            pool, scope, email="b@example.com", name="B", role=Role.SRE, password="short"
        )
    email = await make_user(pool, scope)
    with pytest.raises(ApiError, match="already"):
        await create_user(
            pool, scope, email=email.upper(), name="B", role=Role.SRE, password=PASSWORD
        )


async def _sign_in(client: httpx.AsyncClient, email: str) -> str:
    response = await client.post("/api/v1/session", json={"email": email, "password": PASSWORD})
    token: str = response.json()["csrf_token"]
    return token


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(
    app: FastAPI, pool: Pool, scope: TenantScope
) -> None:
    email = await make_user(pool, scope)
    async with client_of(app) as client:
        response = await client.post("/api/v1/session", json={"email": email, "password": PASSWORD})
    cookie = response.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert response.json()["tenant_id"] == str(scope.tenant_id)


async def test_a_change_by_cookie_needs_the_csrf_token(
    app: FastAPI, pool: Pool, scope: TenantScope
) -> None:
    async with client_of(app) as client:
        csrf = await _sign_in(client, await make_user(pool, scope))
        assert (await client.get("/api/v1/session")).status_code == 200
        forged = await client.delete("/api/v1/session")
        wrong = await client.delete("/api/v1/session", headers={"X-CSRF-Token": "x"})
        right = await client.delete("/api/v1/session", headers={"X-CSRF-Token": csrf})
        after = await client.get("/api/v1/session")
    assert [forged.status_code, wrong.status_code, right.status_code, after.status_code] == [
        403, 403, 204, 401,
    ]  # fmt: skip
    assert forged.json()["code"] == "auth.csrf"


async def test_signing_in_from_another_site_is_refused(anonymous: httpx.AsyncClient) -> None:
    response = await anonymous.post(
        "/api/v1/session",
        json={"email": "a@example.com", "password": "x"},
        headers={"Sec-Fetch-Site": "cross-site"},
    )
    assert (response.status_code, response.json()["code"]) == (403, "auth.cross_site")


async def test_a_person_without_a_tenant_cannot_sign_in(
    sessions: Sessions, pool: Pool, shared_database: Database
) -> None:
    scope = await make_tenant(pool)
    email = await make_user(pool, scope)
    with psycopg.connect(shared_database.admin) as connection:
        connection.execute("delete from memberships where tenant_id = %s", [scope.tenant_id])
    with pytest.raises(ApiError, match="address or the password"):
        await sessions.sign_in(email, PASSWORD, client="a")
