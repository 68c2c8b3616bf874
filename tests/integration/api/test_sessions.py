"""Signing in with a password: the session that follows, what ends it, what slows guessing down."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import httpx
import psycopg
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI

from api.auth.attempts import ACCOUNT
from api.auth.client import Client, mark_browser
from api.auth.hashes import keyed_hash
from api.auth.passwords import Passwords
from api.auth.principal import Role, TenantScope
from api.auth.second_factor import SecondFactors
from api.auth.sessions import Sessions, SessionTimes, SignedIn
from api.auth.sign_in import SignIn
from api.database import Pool
from api.problems import ApiError
from api.tenants.service import add_member, create_user
from tests.integration.api.conftest import client_of
from tests.support.postgres import Database
from tests.support.tenants import PASSWORD, PEPPER, make_tenant, make_user

ANYWHERE = Client("192.0.2.1")


@pytest.fixture
def sessions(pool: Pool) -> Sessions:
    return Sessions(pool, pepper=PEPPER)


@pytest.fixture
def sign_in(pool: Pool, sessions: Sessions) -> SignIn:
    return SignIn(
        pool,
        pepper=PEPPER,
        passwords=Passwords(),
        sessions=sessions,
        factors=SecondFactors(pepper=PEPPER),
    )


async def _enter(
    sign_in: SignIn, email: str, password: str = PASSWORD, *, client: Client = ANYWHERE
) -> SignedIn:
    step = await sign_in.with_password(email, password, client=client)
    assert isinstance(step, SignedIn)
    return step


def _new_network() -> Client:
    return Client(str(uuid4()))


async def test_a_session_names_person_tenant_and_role(
    sign_in: SignIn, sessions: Sessions, pool: Pool, scope: TenantScope
) -> None:
    email = await make_user(pool, scope, Role.SRE)
    signed_in = await _enter(sign_in, f" {email.upper()} ")
    found = await sessions.find(signed_in.token)
    assert found == signed_in.principal
    assert found is not None
    assert (found.email, found.role, found.scope.tenant_id, found.scope.actor) == (
        email, Role.SRE, scope.tenant_id, email,
    )  # fmt: skip


async def test_a_session_that_was_ended_is_gone(
    sign_in: SignIn, sessions: Sessions, pool: Pool, scope: TenantScope
) -> None:
    signed_in = await _enter(sign_in, await make_user(pool, scope))
    await sessions.sign_out(signed_in.token)
    assert await sessions.find(signed_in.token) is None
    assert await sessions.find("made up") is None


@pytest.mark.parametrize("column", ["expires_at", "last_seen_at"])
async def test_a_session_ends_by_age_and_by_idleness(
    column: str,
    sign_in: SignIn,
    sessions: Sessions,
    pool: Pool,
    scope: TenantScope,
    shared_database: Database,
) -> None:
    signed_in = await _enter(sign_in, await make_user(pool, scope))
    with psycopg.connect(shared_database.admin) as connection:
        connection.execute(
            f"update sessions set {column} = now() - interval '25 hours' where user_id = %s",
            [signed_in.principal.user_id],
        )
    assert await sessions.find(signed_in.token) is None


async def test_a_change_of_role_and_a_disabled_account_bite_at_once(
    sign_in: SignIn, sessions: Sessions, pool: Pool, scope: TenantScope, shared_database: Database
) -> None:
    email = await make_user(pool, scope, Role.ADMIN)
    await make_user(pool, scope, Role.ADMIN)
    signed_in = await _enter(sign_in, email)
    await add_member(pool, scope, email=email, role=Role.VIEWER)
    found = await sessions.find(signed_in.token)
    assert found is not None
    assert found.role is Role.VIEWER
    with psycopg.connect(shared_database.admin) as connection:
        connection.execute("update users set disabled_at = now() where email = %s", [email])
    assert await sessions.find(signed_in.token) is None
    with pytest.raises(ApiError, match="address or the password"):
        await _enter(sign_in, email)


async def test_wrong_password_and_unknown_address_look_the_same(
    sign_in: SignIn, pool: Pool, scope: TenantScope
) -> None:
    email = await make_user(pool, scope)
    refusals = []
    for address, password in ((email, "wrong"), (f"{uuid4()}@nowhere", PASSWORD)):
        with pytest.raises(ApiError) as refused:
            await _enter(sign_in, address, password, client=_new_network())
        refusals.append((refused.value.status, refused.value.code, refused.value.detail))
    assert refusals[0] == refusals[1]


async def test_guessing_is_stopped_even_with_the_right_password(
    sign_in: SignIn, pool: Pool, scope: TenantScope, shared_database: Database
) -> None:
    email = await make_user(pool, scope)
    _have_failed(shared_database, email, ACCOUNT.free + 7)
    with pytest.raises(ApiError) as refused:
        await _enter(sign_in, email, client=_new_network())
    assert (refused.value.status, refused.value.code) == (429, "auth.throttled")
    assert 0 < int(refused.value.headers["Retry-After"]) <= 2**7


async def test_an_unknown_account_is_slowed_down_like_a_known_one(
    sign_in: SignIn, shared_database: Database
) -> None:
    email = f"{uuid4()}@nowhere"
    _have_failed(shared_database, email, ACCOUNT.free + 7)
    with pytest.raises(ApiError, match="Too many failed attempts"):
        await _enter(sign_in, email, client=_new_network())


async def test_guesses_of_others_do_not_keep_out_a_browser_that_the_account_knows(
    sign_in: SignIn, pool: Pool, scope: TenantScope, shared_database: Database
) -> None:
    email = await make_user(pool, scope)
    _have_failed(shared_database, email, ACCOUNT.free + 7)
    known = Client("192.0.2.9", browser=mark_browser(email, pepper=PEPPER))
    assert (await _enter(sign_in, email, client=known)).principal.email == email


async def test_a_browser_that_another_account_knows_helps_nobody(
    sign_in: SignIn, pool: Pool, scope: TenantScope, shared_database: Database
) -> None:
    email = await make_user(pool, scope)
    _have_failed(shared_database, email, ACCOUNT.free + 7)
    other = Client("192.0.2.9", browser=mark_browser("mallory@example.com", pepper=PEPPER))
    with pytest.raises(ApiError, match="Too many failed attempts"):
        await _enter(sign_in, email, client=other)


async def test_attempts_at_the_same_time_are_counted_one_by_one(
    sign_in: SignIn, pool: Pool, scope: TenantScope
) -> None:
    email = await make_user(pool, scope)
    refusals = await asyncio.gather(
        *(
            sign_in.with_password(email, "wrong", client=_new_network())
            for _ in range(ACCOUNT.free + 7)
        ),
        return_exceptions=True,
    )
    codes = [refusal.code for refusal in refusals if isinstance(refusal, ApiError)]
    assert len(codes) == ACCOUNT.free + 7
    assert ACCOUNT.free <= codes.count("auth.wrong_sign_in") < ACCOUNT.free + 4


async def test_failures_count_the_same_for_known_and_unknown_and_a_right_sign_in_forgets_them(
    sign_in: SignIn, pool: Pool, scope: TenantScope, shared_database: Database
) -> None:
    email, nobody = await make_user(pool, scope), f"{uuid4()}@nowhere"
    for address in (email, nobody):
        with pytest.raises(ApiError, match="address or the password"):
            await _enter(sign_in, address, "wrong", client=_new_network())
        assert _failed_count(shared_database, address) == 1
    await _enter(sign_in, email, client=_new_network())
    assert _failed_count(shared_database, email) == 0


async def test_a_new_sign_in_ends_the_session_that_the_browser_had(
    sign_in: SignIn, sessions: Sessions, pool: Pool, scope: TenantScope
) -> None:
    email = await make_user(pool, scope)
    first = await _enter(sign_in, email)
    second = await sign_in.with_password(email, PASSWORD, client=ANYWHERE, replaces=first.token)
    assert isinstance(second, SignedIn)
    assert await sessions.find(first.token) is None
    assert await sessions.find(second.token) == second.principal


async def test_a_hash_with_old_parameters_is_made_anew(
    sign_in: SignIn, pool: Pool, scope: TenantScope, shared_database: Database
) -> None:
    email = await make_user(pool, scope)
    weak = PasswordHasher(time_cost=1, memory_cost=1024).hash(PASSWORD)
    with psycopg.connect(shared_database.admin, autocommit=True) as connection:
        connection.execute("update users set password_hash = %s where email = %s", [weak, email])
        await _enter(sign_in, email)
        found = connection.execute(
            "select password_hash from users where email = %s", [email]
        ).fetchone()
    assert found is not None
    assert found[0].startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert (await _enter(sign_in, email)).principal.email == email


async def test_times_of_sessions_are_settings(
    pool: Pool, scope: TenantScope, sign_in: SignIn, shared_database: Database
) -> None:
    signed_in = await _enter(sign_in, await make_user(pool, scope))
    strict = Sessions(pool, pepper=PEPPER, times=SessionTimes(idle=timedelta(minutes=15)))
    assert await strict.find(signed_in.token) == signed_in.principal
    with psycopg.connect(shared_database.admin) as connection:
        connection.execute(
            "update sessions set last_seen_at = now() - interval '16 minutes' where user_id = %s",
            [signed_in.principal.user_id],
        )
    assert await strict.find(signed_in.token) is None


async def test_use_keeps_a_session_from_being_idle_and_never_lengthens_it(
    pool: Pool, scope: TenantScope, sign_in: SignIn, shared_database: Database
) -> None:
    signed_in = await _enter(sign_in, await make_user(pool, scope))
    strict = Sessions(pool, pepper=PEPPER, times=SessionTimes(idle=timedelta(minutes=15)))
    of_user = [signed_in.principal.user_id]
    with psycopg.connect(shared_database.admin, autocommit=True) as connection:
        before = connection.execute(
            "update sessions set last_seen_at = now() - interval '14 minutes' where user_id = %s"
            " returning expires_at",
            of_user,
        ).fetchone()
        assert await strict.find(signed_in.token) is not None
        after = connection.execute(
            "select expires_at, last_seen_at > now() - interval '1 minute' from sessions"
            " where user_id = %s",
            of_user,
        ).fetchone()
    assert before is not None
    assert after == (before[0], True)


async def test_a_session_ends_after_its_time_whatever_it_did(
    pool: Pool, scope: TenantScope, sign_in: SignIn
) -> None:
    signed_in = await _enter(sign_in, await make_user(pool, scope))
    short = Sessions(pool, pepper=PEPPER, times=SessionTimes(absolute=timedelta()))
    begun = await short.begin(signed_in.principal.user_id, client=ANYWHERE)
    assert begun is not None
    assert await short.find(begun.token) is None


def _have_failed(database: Database, email: str, count: int) -> None:
    """Let so many sign-ins to an account have failed just now."""
    with psycopg.connect(database.admin) as connection:
        connection.execute(
            "insert into sign_in_failures (subject) select %s from generate_series(1, %s)",
            [keyed_hash(PEPPER, "account", email), count],
        )


def _failed_count(database: Database, email: str) -> int:
    with psycopg.connect(database.admin) as connection:
        row = connection.execute(
            "select count(*) from sign_in_failures where subject = %s",
            [keyed_hash(PEPPER, "account", email)],
        ).fetchone()
    assert row is not None
    count: int = row[0]
    return count


async def test_a_short_password_and_a_known_address_are_refused(
    pool: Pool, scope: TenantScope
) -> None:
    with pytest.raises(ApiError, match="at least 15"):
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
    sign_in: SignIn, pool: Pool, shared_database: Database
) -> None:
    scope = await make_tenant(pool)
    email = await make_user(pool, scope)
    with psycopg.connect(shared_database.admin) as connection:
        connection.execute("delete from memberships where tenant_id = %s", [scope.tenant_id])
    with pytest.raises(ApiError, match="address or the password"):
        await _enter(sign_in, email)
