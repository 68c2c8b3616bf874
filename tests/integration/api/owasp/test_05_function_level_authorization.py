"""API5:2023 Broken function level authorization: a role does what its row of the table says."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI

from api.auth.principal import GRANTS, MACHINE_ROLES, Permission, Role
from api.database import Pool
from tests.integration.api.conftest import Caller, client_of
from tests.support.tenants import make_key

ADMINS = [
    ("POST", "/api/v1/keys", Permission.KEYS_WRITE),
    ("GET", "/api/v1/keys", Permission.KEYS_WRITE),
    ("GET", "/api/v1/audit", Permission.AUDIT_READ),
    ("DELETE", "/api/v1/rules/promise", Permission.RULES_WRITE),
]


@pytest.mark.parametrize("role", MACHINE_ROLES)
async def test_what_is_for_others_is_refused_before_anything_is_looked_at(
    role: Role, app: FastAPI, caller: Caller, pool: Pool
) -> None:
    async with client_of(app, key=await make_key(pool, caller.scope, role)) as client:
        for method, path, permission in ADMINS:
            answer = await client.request(method, path)
            refused = answer.status_code == 403 and answer.json()["code"] == "auth.forbidden"
            assert refused is (permission not in GRANTS[role]), (method, path, answer.text)


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", {"X-HTTP-Method-Override": "GET"}),
        ("GET", {"X-Original-URL": "/health/live"}),
        ("GET", {"X-Rewrite-URL": "/health/live"}),
        ("GET", {"X-Forwarded-For": "127.0.0.1"}),
    ],
)
async def test_headers_that_rename_a_request_change_nothing(
    method: str, headers: dict[str, str], anonymous: httpx.AsyncClient
) -> None:
    answer = await anonymous.request(method, "/api/v1/keys", headers=headers)
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "path",
    ["/api/v1/../v1/keys", "/api/v1//keys", "/api/v1/keys/", "/API/v1/keys", "/api/v1/keys%2f"],
)
async def test_other_spellings_of_a_path_open_nothing(
    path: str, anonymous: httpx.AsyncClient
) -> None:
    answer = await anonymous.get(path)
    assert answer.status_code in (307, 401, 404)
    assert "items" not in answer.text
