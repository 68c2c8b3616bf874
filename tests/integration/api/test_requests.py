"""What holds for every request: credentials, problem documents, headers, health."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.auth.keys import new_key
from api.auth.principal import Role
from api.database import Pool
from api.health.service import ask_all
from api.settings import Settings
from tests.integration.api.conftest import Caller, client_of
from tests.support.tenants import make_key


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("X-API-Key", "")],
        [("X-API-Key", "nonsense")],
        [("X-API-Key", new_key())],
        [("Authorization", "Basic YTpi")],
        [("Authorization", "Bearer")],
        [("Authorization", f"Bearer {new_key()}")],
        [("X-API-Key", "x" * 10_000)],
        [("Cookie", "betrace_session=made-up")],
    ],
)
async def test_without_a_valid_credential_everything_is_refused_alike(
    headers: list[tuple[str, str]], anonymous: httpx.AsyncClient
) -> None:
    response = await anonymous.get("/api/v1/rules", headers=headers)
    body = response.json()
    assert (response.status_code, body["code"]) == (401, "auth.unauthenticated")
    assert response.headers["www-authenticate"].startswith("Bearer")


async def test_a_key_is_taken_from_either_header_and_not_from_both(
    app: FastAPI, caller: Caller, pool: Pool
) -> None:
    key = await make_key(pool, caller.scope)
    async with client_of(app) as client:
        statuses = [
            (await client.get("/api/v1/rules", headers=headers)).status_code
            for headers in (
                {"X-API-Key": key},
                {"Authorization": f"Bearer {key}"},
                {"Authorization": f"bearer  {key} "},
                {"X-API-Key": key, "Authorization": f"Bearer {key}"},
            )
        ]
    assert statuses == [200, 200, 200, 401]


async def test_a_key_says_who_it_is(caller: Caller, app: FastAPI, pool: Pool) -> None:
    key = await make_key(pool, caller.scope, Role.API_CLIENT)
    async with client_of(app, key=key) as client:
        body = (await client.get("/api/v1/session")).json()
    assert (body["kind"], body["tenant_id"], body["permissions"]) == (
        "api_key", str(caller.scope.tenant_id), ["rules.test", "spans.ingest"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1/nothing", 404, "request.not_found"),
        ("POST", "/api/v1/signals", 405, "request.method"),
        ("GET", "/api/v1/rules/none", 404, "request.not_found"),
    ],
)
async def test_refusals_are_problem_documents(
    method: str, path: str, status: int, code: str, caller: Caller
) -> None:
    response = await caller.client.request(method, path, headers={"X-Request-ID": "test-1"})
    body = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert (response.status_code, body["status"], body["code"], body["type"], body["instance"]) == (
        status, status, code, f"urn:betrace:problem:{code}", path,
    )  # fmt: skip
    assert (body["request_id"], response.headers["x-request-id"]) == ("test-1", "test-1")


async def test_a_request_id_that_could_forge_a_log_is_replaced(caller: Caller) -> None:
    response = await caller.client.get("/api/v1/rules", headers={"X-Request-ID": 'a" b'})
    assert len(response.headers["x-request-id"]) == 32


async def test_answers_carry_safe_headers(anonymous: httpx.AsyncClient) -> None:
    response = await anonymous.get("/api/v1/rules")
    policy = response.headers["content-security-policy"]
    assert "unsafe-inline" not in policy
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"


async def test_a_bug_is_one_problem_document_and_says_nothing(
    app: FastAPI, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("api.rules.routes.list_rules", fail)
    response = await caller.client.get("/api/v1/rules")
    assert (response.status_code, response.json()["code"]) == (500, "internal")
    assert "secret" not in response.text
    assert "x-request-id" in response.headers


async def test_a_database_that_is_gone_is_503_with_retry_after(
    settings: Settings,
) -> None:
    from api.main import create_app

    gone = settings.model_copy(
        update={
            "database_url": type(settings.database_url)("host=127.0.0.1 port=1 user=x dbname=x")
        }
    )
    app = create_app(gone)
    async with app.router.lifespan_context(app):
        app.state.services.pool.timeout = 0.2
        async with client_of(app, key=new_key()) as client:
            refused = await client.get("/api/v1/rules")
            live = await client.get("/health/live")
            ready = await client.get("/health/ready")
    assert (refused.status_code, refused.json()["code"]) == (503, "database.unavailable")
    assert refused.headers["retry-after"] == "1"
    assert live.status_code == 200
    assert (ready.status_code, ready.json()["checks"]["postgres"]) == (503, "unavailable")


async def test_readiness_says_which_server_is_missing(anonymous: httpx.AsyncClient) -> None:
    response = await anonymous.get("/health/ready")
    assert (response.status_code, response.json()) == (
        503,
        {"status": "unavailable", "checks": {"postgres": "ok", "kafka": "unavailable"}},
    )


async def test_all_checks_well_is_ready() -> None:
    async def fine() -> bool:
        return True

    assert await ask_all({"a": fine, "b": fine}) == {"a": "ok", "b": "ok"}


async def test_the_description_is_public(anonymous: httpx.AsyncClient) -> None:
    response = await anonymous.get("/api/v1/openapi.json")
    assert (response.status_code, response.json()["openapi"][:2]) == (200, "3.")
