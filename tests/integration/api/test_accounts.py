"""What people do with their own account, by REST: password, second factor, sessions, tenants."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pyotp
import pytest
from fastapi import FastAPI, Request

from api.auth.accounts import end_sessions, issue_reset, remove_factor
from api.auth.hashes import keyed_hash
from api.auth.principal import Permission, Role, TenantScope
from api.auth.streams import while_allowed
from api.database import Pool, user_transaction
from api.tenants.service import add_member
from tests.integration.api.conftest import Caller, client_of
from tests.support.postgres import Database
from tests.support.tenants import PASSWORD, PEPPER, make_tenant, make_user

NEW = "seven green umbrellas at dusk"


@dataclass
class Browser:
    """Somebody's browser: it keeps cookies, and sends the CSRF token along."""

    client: httpx.AsyncClient
    email: str
    csrf: str = ""
    codes: list[str] = field(default_factory=list)

    async def sign_in(self, password: str = PASSWORD, **more: str) -> httpx.Response:
        response = await self.client.post(
            "/api/v1/session", json={"email": self.email, "password": password, **more}
        )
        self.csrf = response.json().get("csrf_token") or self.csrf
        return response

    async def send(self, method: str, path: str, **body: str) -> httpx.Response:
        response = await self.client.request(
            method,
            f"/api/v1/account{path}",
            json=body or None,
            headers={"X-CSRF-Token": self.csrf},
        )
        if response.content and "csrf_token" in response.json():
            self.csrf = response.json()["csrf_token"]
        return response

    async def is_in(self) -> bool:
        return (await self.client.get("/api/v1/session")).status_code == 200

    async def turn_on(self) -> str:
        """Turn the second factor on; return its secret."""
        made = await self.send("POST", "/second-factor", password=PASSWORD)
        secret: str = made.json()["secret"]
        done = await self.send("POST", "/second-factor/confirm", code=_code(secret, steps=-1))
        assert done.status_code == 200, done.text
        self.codes = done.json()["recovery_codes"]
        return secret


@pytest.fixture
async def ada(app: FastAPI, pool: Pool, scope: TenantScope) -> AsyncIterator[Browser]:
    """A developer, signed in."""
    async with client_of(app) as client:
        browser = Browser(client, await make_user(pool, scope, Role.DEVELOPER))
        assert (await browser.sign_in()).status_code == 200
        yield browser


@pytest.fixture
async def elsewhere(app: FastAPI, ada: Browser) -> AsyncIterator[Browser]:
    """The same person in another browser, signed in."""
    async with client_of(app) as client:
        client.headers["User-Agent"] = "curl/8"
        browser = Browser(client, ada.email)
        assert (await browser.sign_in()).status_code == 200
        yield browser


def _code(secret: str, *, steps: int = 0) -> str:
    return pyotp.TOTP(secret).at(datetime.now(UTC) + timedelta(seconds=30 * steps))


def _outcome(response: httpx.Response) -> tuple[int, Any]:
    return response.status_code, response.json().get("code") if response.content else None


async def test_a_change_of_password_ends_the_other_sessions_and_renews_this_one(
    ada: Browser, elsewhere: Browser
) -> None:
    before = dict(ada.client.cookies)
    changed = await ada.send("PUT", "/password", current_password=PASSWORD, new_password=NEW)
    assert changed.status_code == 200
    assert ada.client.cookies["betrace_session"] != before["betrace_session"]
    assert [await ada.is_in(), await elsewhere.is_in()] == [True, False]
    assert _outcome(await elsewhere.sign_in()) == (401, "auth.wrong_sign_in")
    assert (await elsewhere.sign_in(NEW)).status_code == 200


async def test_a_password_is_changed_only_with_the_current_one_and_to_a_good_one(
    ada: Browser, elsewhere: Browser
) -> None:
    wrong = await ada.send("PUT", "/password", current_password="wrong", new_password=NEW)
    weak = await ada.send("PUT", "/password", current_password=PASSWORD, new_password="short")
    assert [_outcome(wrong), _outcome(weak)] == [
        (403, "account.wrong_password"),
        (400, "user.weak_password"),
    ]
    assert await elsewhere.is_in()


async def test_guessing_the_current_password_in_a_stolen_session_is_slowed_down(
    ada: Browser, pool: Pool, shared_database: Database
) -> None:
    user_id = await _user_id(shared_database, ada.email)
    with psycopg.connect(shared_database.admin) as connection:
        connection.execute(
            "insert into sign_in_failures (subject) select %s from generate_series(1, 12)",
            [keyed_hash(PEPPER, "confirm", user_id)],
        )
    refused = await ada.send("POST", "/second-factor", password=PASSWORD)
    assert _outcome(refused) == (429, "auth.throttled")


async def test_sessions_are_listed_with_device_address_and_use_and_ended_one_by_one(
    ada: Browser, elsewhere: Browser
) -> None:
    listed = (await ada.send("GET", "/sessions")).json()["items"]
    assert [(item["current"], item["user_agent"][:6]) for item in listed] == [
        (True, "python"),
        (False, "curl/8"),
    ]
    assert {item["address"] for item in listed} == {"127.0.0.1"}
    ended = await ada.send("DELETE", f"/sessions/{listed[1]['id']}")
    assert [ended.status_code, await elsewhere.is_in(), await ada.is_in()] == [204, False, True]
    assert (await ada.send("DELETE", f"/sessions/{listed[1]['id']}")).status_code == 404


async def test_all_other_sessions_are_ended_at_once(ada: Browser, elsewhere: Browser) -> None:
    assert (await ada.send("DELETE", "/sessions")).status_code == 204
    assert [await elsewhere.is_in(), await ada.is_in()] == [False, True]


async def test_nobody_sees_or_ends_the_sessions_of_somebody_else(
    ada: Browser, app: FastAPI, pool: Pool, scope: TenantScope
) -> None:
    mine = (await ada.send("GET", "/sessions")).json()["items"][0]["id"]
    for other in (scope, await make_tenant(pool)):
        async with client_of(app) as client:
            mallory = Browser(client, await make_user(pool, other, Role.ADMIN))
            await mallory.sign_in()
            assert len((await mallory.send("GET", "/sessions")).json()["items"]) == 1
            assert (await mallory.send("DELETE", f"/sessions/{mine}")).status_code == 404
    assert await ada.is_in()


async def test_signing_in_asks_for_the_code_and_takes_each_only_once(
    ada: Browser, elsewhere: Browser
) -> None:
    secret = await ada.turn_on()
    assert not await elsewhere.is_in()
    assert _outcome(await elsewhere.sign_in()) == (401, "auth.code_needed")
    assert _outcome(await elsewhere.sign_in(code="000000x")) == (400, "auth.wrong_code")
    assert not await elsewhere.is_in()
    code = _code(secret)
    assert (await elsewhere.sign_in(code=code)).status_code == 200
    assert _outcome(await elsewhere.sign_in(code=code)) == (400, "auth.wrong_code")
    older = _code(secret, steps=-1)
    assert _outcome(await elsewhere.sign_in(code=older)) == (400, "auth.wrong_code")


async def test_a_recovery_code_works_once_and_however_it_is_typed(
    ada: Browser, elsewhere: Browser
) -> None:
    await ada.turn_on()
    assert (len(ada.codes), len(set(ada.codes))) == (10, 10)
    typed = ada.codes[0].lower().replace("-", " ")
    assert (await elsewhere.sign_in(code=typed)).status_code == 200
    assert _outcome(await elsewhere.sign_in(code=ada.codes[0])) == (400, "auth.wrong_code")
    account = (await elsewhere.send("GET", "")).json()
    assert (account["second_factor"], account["recovery_codes_left"]) == (True, 9)
    made = await elsewhere.send("POST", "/second-factor/recovery-codes", password=PASSWORD)
    assert len(made.json()["recovery_codes"]) == 10
    assert _outcome(await ada.sign_in(code=ada.codes[1])) == (400, "auth.wrong_code")


async def test_the_second_factor_is_turned_on_and_off_only_with_the_password(
    ada: Browser,
) -> None:
    refused = await ada.send("POST", "/second-factor", password="wrong")
    assert _outcome(refused) == (403, "account.wrong_password")
    early = await ada.send("POST", "/second-factor/confirm", code="123456")
    assert _outcome(early) == (409, "account.no_enrolment")
    await ada.turn_on()
    again = await ada.send("POST", "/second-factor", password=PASSWORD)
    assert _outcome(again) == (409, "account.factor_on")
    kept = await ada.send("POST", "/second-factor/off", password="wrong")
    assert _outcome(kept) == (403, "account.wrong_password")
    assert (await ada.send("POST", "/second-factor/off", password=PASSWORD)).status_code == 204
    assert (await ada.sign_in()).status_code == 200
    none = await ada.send("POST", "/second-factor/recovery-codes", password=PASSWORD)
    assert _outcome(none) == (409, "account.factor_off")


async def test_guessing_codes_is_slowed_down(
    ada: Browser, elsewhere: Browser, shared_database: Database
) -> None:
    secret = await ada.turn_on()
    with psycopg.connect(shared_database.admin) as connection:
        connection.execute(
            "insert into sign_in_failures (subject) select %s from generate_series(1, 12)",
            [keyed_hash(PEPPER, "code", await _user_id(shared_database, ada.email))],
        )
    assert _outcome(await elsewhere.sign_in(code=_code(secret))) == (429, "auth.throttled")


async def test_the_secret_is_not_in_the_database(ada: Browser, shared_database: Database) -> None:
    secret = await ada.turn_on()
    with psycopg.connect(shared_database.admin) as connection:
        rows = connection.execute(
            "select f::text from second_factors f join users u on u.id = f.user_id"
            " where u.email = %s",
            [ada.email],
        ).fetchall()
    assert len(rows) == 1
    assert secret.encode().hex() not in rows[0][0]


async def test_a_switch_of_tenant_changes_the_credential_and_the_role(
    ada: Browser, app: FastAPI, pool: Pool, scope: TenantScope, shared_database: Database
) -> None:
    other = await make_tenant(pool)
    await add_member(pool, other, email=ada.email, role=Role.VIEWER)
    tenants = (await ada.send("GET", "")).json()["tenants"]
    assert [(item["id"], item["role"], item["current"]) for item in tenants] == [
        (str(scope.tenant_id), "developer", True),
        (str(other.tenant_id), "viewer", False),
    ]
    old_token, ends_at = ada.client.cookies["betrace_session"], _session_ends(shared_database, ada)
    switched = (await ada.send("POST", "/tenant", tenant_id=str(other.tenant_id))).json()
    assert (switched["tenant_id"], switched["role"]) == (str(other.tenant_id), "viewer")
    assert _session_ends(shared_database, ada) == ends_at
    async with client_of(app) as client:
        client.cookies.set("betrace_session", old_token)
        assert (await client.get("/api/v1/session")).status_code == 401
    here = (await ada.client.get("/api/v1/session")).json()
    assert (here["tenant_id"], here["role"]) == (str(other.tenant_id), "viewer")


async def test_a_tenant_of_others_is_not_there_to_switch_to(ada: Browser, pool: Pool) -> None:
    foreign = await make_tenant(pool)
    refusals = [
        await ada.send("POST", "/tenant", tenant_id=str(tenant_id))
        for tenant_id in (foreign.tenant_id, uuid4())
    ]
    assert [_outcome(refusal) for refusal in refusals] == [(404, "request.not_found")] * 2
    assert await ada.is_in()


async def test_a_link_sets_a_password_once_and_ends_every_session(
    ada: Browser, app: FastAPI, pool: Pool
) -> None:
    replaced = await issue_reset(pool, ada.email, pepper=PEPPER, actor="operator:test")
    token = await issue_reset(pool, f" {ada.email.upper()}", pepper=PEPPER, actor="operator:test")
    accounts = app.state.services.accounts
    assert [await accounts.reset_is_open(t) for t in (replaced, token, "made up")] == [
        False, True, False,
    ]  # fmt: skip
    weak = await _reset(ada.client, token, "short")
    assert (weak.status_code, await ada.is_in()) == (400, True)
    done = await _reset(ada.client, token, NEW)
    assert (done.status_code, done.headers["location"]) == (303, "/sign-in?done=reset")
    assert not await ada.is_in()
    assert (await _reset(ada.client, token, PASSWORD)).status_code == 410
    assert (await ada.sign_in(NEW)).status_code == 200


async def test_a_link_is_over_after_an_hour(
    ada: Browser, app: FastAPI, pool: Pool, shared_database: Database
) -> None:
    token = await issue_reset(pool, ada.email, pepper=PEPPER, actor="operator:test")
    with psycopg.connect(shared_database.admin) as connection:
        connection.execute(
            "update tickets set expires_at = expires_at - interval '1 hour' where token_hash = %s",
            [keyed_hash(PEPPER, "reset", token)],
        )
    assert not await app.state.services.accounts.reset_is_open(token)
    assert (await _reset(ada.client, token, NEW)).status_code == 410


async def test_an_operator_ends_sessions_and_removes_a_lost_second_factor(
    ada: Browser, pool: Pool
) -> None:
    await ada.turn_on()
    assert [await end_sessions(pool, ada.email, actor="operator:test"), await ada.is_in()] == [
        1,
        False,
    ]
    assert [await remove_factor(pool, ada.email, actor="operator:test") for _ in range(2)] == [
        True,
        False,
    ]
    assert (await ada.sign_in()).status_code == 200


async def test_machines_have_no_account(caller: Caller) -> None:
    refused = await caller.client.get("/api/v1/account")
    assert _outcome(refused) == (403, "account.people_only")


async def test_a_change_of_the_account_needs_the_csrf_token(ada: Browser) -> None:
    ada.csrf = "forged"
    refused = await ada.send("DELETE", "/sessions")
    assert _outcome(refused) == (403, "auth.csrf")


async def test_an_open_stream_tells_nothing_after_its_session_was_ended(
    app: FastAPI, ada: Browser, elsewhere: Browser
) -> None:
    seconds = iter([0.0, 0.5, 2.0, 2.0, 4.0, 4.0])
    told: list[int] = []

    async def events() -> AsyncIterator[int]:
        for event in range(3):
            if event == 2:
                await ada.send("DELETE", "/sessions")
            yield event

    request = _request_of(app, elsewhere)
    async for event in while_allowed(
        request, Permission.SIGNALS_READ, events(), clock=lambda: next(seconds)
    ):
        told.append(event)
    assert told == [0, 1]


async def test_the_tables_of_accounts_show_nobody_elses_rows(
    ada: Browser, pool: Pool, scope: TenantScope, shared_database: Database
) -> None:
    await ada.turn_on()
    await issue_reset(pool, ada.email, pepper=PEPPER, actor="operator:test")
    other = await _user_id(shared_database, await make_user(pool, scope))
    for user_id, count in ((other, 0), (await _user_id(shared_database, ada.email), 1)):
        async with user_transaction(pool, UUID(user_id)) as connection:
            for table in ("second_factors", "tickets"):
                rows = await (await connection.execute(f"select from {table}".encode())).fetchall()
                assert (table, len(rows)) == (table, count)


def _request_of(app: FastAPI, browser: Browser) -> Request:
    cookie = f"betrace_session={browser.client.cookies['betrace_session']}"
    return Request(
        {
            "type": "http",
            "app": app,
            "method": "GET",
            "path": "/live/signals",
            "headers": [(b"cookie", cookie.encode())],
            "client": ("127.0.0.1", 1),
        }
    )


async def _reset(client: httpx.AsyncClient, token: str, new: str) -> httpx.Response:
    return await client.post("/reset-password", data={"token": token, "new": new, "again": new})


async def _user_id(database: Database, email: str) -> str:
    with psycopg.connect(database.admin) as connection:
        row = connection.execute("select id from users where email = %s", [email]).fetchone()
    assert row is not None
    return str(row[0])


def _session_ends(database: Database, browser: Browser) -> datetime:
    with psycopg.connect(database.admin) as connection:
        row = connection.execute(
            "select s.expires_at from sessions s join users u on u.id = s.user_id"
            " where u.email = %s",
            [browser.email],
        ).fetchone()
    assert row is not None
    ends_at: datetime = row[0]
    return ends_at
