"""API6:2023 Unrestricted access to sensitive business flows: what is worth automating is dear."""

from __future__ import annotations

from fastapi import FastAPI

from api.limits.costs import COSTS, cost_of
from tests.integration.api.conftest import Caller, client_of


def test_trying_passwords_and_starting_heavy_work_cost_many_requests() -> None:
    for route in (("POST", "/api/v1/session"), ("POST", "/sign-in"), ("POST", "/reset-password")):
        assert cost_of(*route) >= 20
    for route in (("POST", "/api/v1/backtests"), ("GET", "/api/v1/audit/export")):
        assert cost_of(*route) >= 50
    assert all(cost > 1 for cost in COSTS.values())


async def test_keys_of_a_tenant_are_not_made_without_end(app: FastAPI, caller: Caller) -> None:
    most = app.state.services.key_maker.most
    statuses = []
    for number in range(most + 1):
        body = {"name": f"k{number}", "scopes": ["rules.read"]}
        statuses.append((await caller.client.post("/api/v1/keys", json=body)).status_code)
    assert statuses.index(409) <= most
    assert set(statuses[: statuses.index(409)]) == {201}


async def test_a_session_is_not_begun_from_another_site(app: FastAPI) -> None:
    async with client_of(app) as client:
        answer = await client.post(
            "/api/v1/session",
            json={"email": "a@example.com", "password": "x"},
            headers={"Sec-Fetch-Site": "cross-site"},
        )
    assert (answer.status_code, answer.json()["code"]) == (403, "auth.cross_site")
