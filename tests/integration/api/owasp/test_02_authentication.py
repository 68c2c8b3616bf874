"""API2:2023 Broken authentication: nothing but a good credential gets in, and guessing is slow."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI

from api.auth.principal import Role
from api.database import Pool
from api.keys.service import revoke_key
from tests.integration.api.conftest import Caller, client_of
from tests.support.tenants import PASSWORD, add_key, make_user

JWT_OF_NOBODY = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {JWT_OF_NOBODY}"},
        {"Authorization": "Basic YWRtaW46YWRtaW4="},
        {"X-API-Key": "betrace_live_" + "0" * 49},
        {"X-API-Key": "' or '1'='1"},
        {"Cookie": "betrace_session=0; __Host-betrace_session=' or 1=1 --"},
    ],
    ids=["unsigned token", "basic", "made up", "injection", "cookie"],
)
async def test_made_up_credentials_are_refused_alike(
    headers: dict[str, str], anonymous: httpx.AsyncClient
) -> None:
    answer = await anonymous.get("/api/v1/rules", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "auth.unauthenticated")


async def test_guessing_a_password_is_slowed_down_and_says_nothing_of_accounts(
    anonymous: httpx.AsyncClient, caller: Caller, pool: Pool
) -> None:
    known = await make_user(pool, caller.scope)
    of_known = await _guess(anonymous, known)
    of_nobody = await _guess(anonymous, "nobody@example.com")
    assert set(of_known) == set(of_nobody)
    assert set(of_known[:-1]) == {(401, "auth.wrong_sign_in")}
    assert of_known[-1] == of_nobody[-1] == (429, "auth.throttled")


async def _guess(anonymous: httpx.AsyncClient, email: str) -> list[tuple[int, str]]:
    """Return what is said to wrong passwords until one is not looked at; a slow machine may wait
    out the first seconds by itself, but not those that come after them.
    """
    said: list[tuple[int, str]] = []
    while len(said) < 20 and (not said or said[-1][0] != 429):
        body = {"email": email, "password": f"x{len(said)}"}
        answer = await anonymous.post("/api/v1/session", json=body)
        said.append((answer.status_code, answer.json()["code"]))
    return said


async def test_a_revoked_key_and_an_ended_session_get_nobody_in(
    app: FastAPI, caller: Caller, pool: Pool
) -> None:
    made = await add_key(pool, caller.scope, role=Role.VIEWER)
    await revoke_key(pool, caller.scope, made.key.id)
    async with client_of(app, key=made.text) as client:
        assert (await client.get("/api/v1/session")).status_code == 401
    email = await make_user(pool, caller.scope)
    async with client_of(app) as browser:
        begun = await browser.post("/api/v1/session", json={"email": email, "password": PASSWORD})
        csrf = {"X-CSRF-Token": begun.json()["csrf_token"]}
        cookies = dict(browser.cookies)
        assert (await browser.delete("/api/v1/session", headers=csrf)).status_code == 204
        again = await browser.get(
            "/api/v1/session", headers={"Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items())}
        )
    assert again.status_code == 401
